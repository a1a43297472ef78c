//! Inside of `row_invariant` a row has the same bits in any company.

use crate::support::{Source, View, devices, read};
use burn::tensor::Tensor;
use glmv_kernels::{
    INVARIANT_ROWS, RouterConfig, linear, moe_experts, moe_router, on_gpu_tiling, rms_norm,
    row_invariant,
};

/// Numbers of rows around every switch of a kernel.
const COUNTS: [usize; 9] = [1, 2, 3, 5, 8, 9, 17, 33, INVARIANT_ROWS];

/// Runs `case` on all rows and on every leading part of them, and compares bits.
fn same_for_any_count(name: &str, width: usize, case: impl Fn(&mut Source, Tensor<2>) -> Vec<f32>) {
    let check = |label: &str, device: &burn::tensor::Device| {
        let run = |rows: usize| {
            let mut source = Source::new(device, View::Rows);
            let x = source.floats([INVARIANT_ROWS, width]).narrow(0, 0, rows);
            row_invariant(|| case(&mut source, x))
        };
        let all = run(INVARIANT_ROWS);
        let each = all.len() / INVARIANT_ROWS;
        for rows in COUNTS {
            assert!(
                run(rows) == all[..rows * each],
                "{name} on {label}: {rows} rows differ"
            );
        }
        // The last row alone, which stands elsewhere in its tile.
        let mut source = Source::new(device, View::Rows);
        let x = source.floats([INVARIANT_ROWS, width]);
        let last = x.narrow(0, INVARIANT_ROWS - 1, 1);
        let alone = row_invariant(|| case(&mut source, last));
        assert!(
            alone == all[all.len() - each..],
            "{name} on {label}: the last row differs"
        );
    };
    for (label, device) in devices() {
        check(label, &device);
        on_gpu_tiling(|| check(label, &device));
    }
}

#[test]
fn linear_layers() {
    for (k, half) in [(256, false), (256, true), (100, false), (13, true)] {
        same_for_any_count("linear", k, |source, x| {
            let w = source.weights([75, k], half);
            read(linear(x, w, Some(source.floats([75]))))
        });
    }
}

#[test]
fn norms() {
    same_for_any_count("rms_norm", 192, |source, x| {
        read(rms_norm(x, source.floats([192]), 1e-5))
    });
}

#[test]
fn experts() {
    let config = RouterConfig {
        top_k: 3,
        n_group: 1,
        topk_group: 1,
        normalise: true,
        scale: 1.0,
        shared: 1,
    };
    for (hidden, half) in [(64, false), (64, true), (13, false)] {
        same_for_any_count("experts", hidden, |source, x| {
            let gate = source.weights([9, hidden], false);
            let (gate_up, down) = (
                source.weights([10, 2 * 24, hidden], half),
                source.weights([10, hidden, 24], half),
            );
            let logits = linear(x.clone(), gate, None);
            let (ids, weights) = moe_router(logits, source.floats([9]), config);
            read(moe_experts(x, ids, weights, gate_up, down, 0))
        });
    }
}
