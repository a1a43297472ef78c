//! The optimiser's step: in place and beside shared handles, against its twin.

use crate::support::{Path, Source, View, check, devices, finish, read, reject};
use burn::tensor::{Device, Tensor};
use glmv_kernels::{
    AdamWStep, CodedMeans, MEANS_BLOCK, Op, adamw, adamw_coded, adamw_coded_reference,
    adamw_reference, on_gpu_tiling,
};

const STEP: AdamWStep = AdamWStep {
    clip: 0.75,
    beta1: 0.9,
    beta2: 0.95,
    eps: 1e-8,
    rate: 0.01,
    root: 1.5,
    keep: 0.99,
};

/// Two steps; `shared` keeps a handle of what goes in, which must not change.
fn steps(source: &mut Source, path: Path, n: usize, shared: bool) -> Vec<Vec<f32>> {
    let (mut value, grad) = (source.floats([n]), source.floats([n]));
    let mut means = [source.floats([n]), source.floats([n]).abs() + 0.01];
    let kept = shared.then(|| (value.clone(), means.clone()));
    let before = kept.clone().map(|(v, _)| read(v));
    let call = match path {
        Path::Routed => adamw,
        Path::Twin => adamw_reference,
    };
    for _ in 0..2 {
        (value, means) = call(value, grad.clone(), means, STEP);
    }
    if let (Some((kept, _)), Some(before)) = (kept, before) {
        assert_eq!(read(kept), before, "a shared value was overwritten");
    }
    let [mean, square] = means;
    vec![read(value), read(mean), read(square)]
}

#[test]
fn adamw_equals_its_twin() {
    for n in [1, 5, 64, 513, 40_000] {
        for shared in [false, true] {
            let name = format!("{n} values, shared {shared}");
            check(Op::AdamW, &name, View::Rows, 2e-6, |s, p| {
                steps(s, p, n, shared)
            });
        }
    }
    for input in 0..4 {
        reject(Op::AdamW, input, 2e-6, |s, p| steps(s, p, 513, false));
    }
    finish(Op::AdamW);
}

/// Values, gradients and means of any codes, and a step of them.
fn coded(source: &mut Source, path: Path, n: usize, turn: u64) -> (Tensor<1>, CodedMeans) {
    let (value, grad) = (source.floats([n]), source.floats([n]));
    let blocks = n.div_ceil(MEANS_BLOCK);
    let words = read(source.floats([blocks * MEANS_BLOCK / 2]));
    let words = words.iter().map(|w| (w * 1e9) as i64 as u32).collect();
    let scales = read(source.floats([2 * blocks]).abs() + 0.1);
    let means = CodedMeans::from_parts(words, scales, &source.device);
    let call = match path {
        Path::Routed => adamw_coded,
        Path::Twin => adamw_coded_reference,
    };
    call(value, grad, means, STEP, turn)
}

#[test]
fn coded_means_equal_their_twin() {
    for n in [1, 5, 256, 257, 40_000] {
        let name = format!("{n} values in blocks");
        check(Op::AdamW, &name, View::Rows, 4e-6, |s, p| {
            let (value, means) = coded(s, p, n, 3);
            vec![read(value), read(means.scales().clone())]
        });
    }
    finish(Op::AdamW);
}

/// Signed codes of the means, then those of the roots.
fn codes(means: &CodedMeans) -> Vec<i32> {
    let words = means.codes().clone().into_data();
    let words: Vec<u32> = words.iter::<u32>().collect();
    let bytes = words.iter().flat_map(|w| w.to_le_bytes()).enumerate();
    let of = |(at, byte): (usize, u8)| match at % (2 * MEANS_BLOCK) < MEANS_BLOCK {
        true => i32::from(byte as i8),
        false => i32::from(byte),
    };
    bytes.map(of).collect()
}

/// Share of codes that differ, and the largest difference.
fn apart(a: &[i32], b: &[i32]) -> (f64, i32) {
    assert_eq!(a.len(), b.len());
    let far: Vec<i32> = a.iter().zip(b).map(|(a, b)| (a - b).abs()).collect();
    let differ = far.iter().filter(|d| **d > 0).count();
    let most = far.into_iter().max().unwrap_or(0);
    (differ as f64 / a.len() as f64, most)
}

#[test]
fn codes_are_those_of_the_twin() {
    let run = |device: &Device, path, turn| {
        let (_, means) = coded(&mut Source::new(device, View::Rows), path, 40_000, turn);
        codes(&means)
    };
    let expected = run(&Device::flex(), Path::Twin, 3);
    for (label, device) in devices() {
        // A root that falls between two codes may round to either.
        let routed = || run(&device, Path::Routed, 3);
        let mut found = vec![routed()];
        if label == "wgpu" {
            found.push(on_gpu_tiling(routed));
        }
        for found in found {
            let (share, most) = apart(&found, &expected);
            assert!(share < 1e-3 && most <= 1, "{label}: {share}, {most}");
        }
        let (share, most) = apart(&run(&device, Path::Routed, 4), &expected);
        assert!(
            share > 0.1 && most <= 1,
            "{label}: rounding follows the turn"
        );
    }
}

#[test]
fn coded_means_follow_exact_ones_over_many_turns() {
    let (n, turns) = (1000, 400);
    for (label, device) in devices() {
        let mut source = Source::new(&device, View::Rows);
        let step = AdamWStep {
            rate: 0.0,
            keep: 1.0,
            clip: 1.0,
            ..STEP
        };
        let mut value: Tensor<1> = Tensor::zeros([n], &device);
        let zeros = || Tensor::<1>::zeros([n], &device);
        let (mut exact, mut means) = ([zeros(), zeros()], CodedMeans::zeros(n, &device));
        // Gradients of three orders of magnitude, side by side in every block.
        let size = |i: usize| 10f32.powi(-((i % 4) as i32));
        let sizes: Vec<f32> = (0..n).map(size).collect();
        let sizes = Tensor::<1>::from_data(sizes.as_slice(), &device);
        let mut sums = [0f64; 4];
        let mut truth = [0f64; 4];
        for turn in 0..turns {
            let grad = source.floats([n]) * sizes.clone();
            (value, exact) = adamw(value, grad.clone(), exact, step);
            (value, means) = adamw_coded(value, grad, means, step, turn);
            if turn < 100 {
                continue;
            }
            let squares = [exact[1].clone(), means.decode(n)[1].clone()].map(read);
            for (i, (a, b)) in squares[0].iter().zip(&squares[1]).enumerate() {
                truth[i % 4] += f64::from(a.sqrt());
                sums[i % 4] += f64::from(b.sqrt());
            }
        }
        for (order, (found, want)) in sums.iter().zip(&truth).enumerate() {
            let share = found / want;
            println!("{label}: roots of order -{order}: {share}");
            // The smallest are a thousandth of the largest of their block: eight codes of 255.
            let tolerance = [0.02, 0.02, 0.05, 0.15][order];
            assert!((share - 1.0).abs() < tolerance, "{label}, {order}: {share}");
        }
    }
}
