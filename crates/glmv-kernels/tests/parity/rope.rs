//! Rotary embeddings: both pairings, partial rotation, sections, 1, 2 and 3 axes.

use crate::support::{Path, Source, View, check, finish, read, reject};
use glmv_kernels::{Op, Pairing, RopeTable, rope, rope_reference};

pub const TOLERANCE: f32 = 2e-6;

/// Sizes of one case; `half` frequencies spread over `axes`.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub tokens: usize,
    pub heads: usize,
    pub head_dim: usize,
    pub half: usize,
    pub axes: usize,
    pub pairing: Pairing,
}

impl Case {
    /// The table and, per axis, a position for each token.
    pub fn table(
        &self,
        source: &Source,
    ) -> (RopeTable, burn::tensor::Tensor<2, burn::tensor::Int>) {
        let frequencies = RopeTable::text_frequencies(10_000.0, 2 * self.half);
        let axis: Vec<usize> = (0..self.half).map(|k| k * self.axes / self.half).collect();
        let table = RopeTable::new(&frequencies, &axis, 300, &source.device);
        let count = self.axes * self.tokens;
        let positions = (0..count).map(|i| (i * 7919 % 300) as i64).collect();
        (table, source.ints(positions, [self.axes, self.tokens]))
    }

    fn run(&self, source: &mut Source, path: Path) -> Vec<Vec<f32>> {
        let (table, pos) = self.table(source);
        let x = source.floats([self.tokens, self.heads, self.head_dim]);
        vec![read(match path {
            Path::Routed => rope(x, &table, pos, self.pairing),
            Path::Twin => rope_reference(x, &table, pos, self.pairing),
        })]
    }
}

/// `[tokens, heads, head_dim, half, axes]` in both pairings.
pub fn cases(sizes: &[[usize; 5]]) -> Vec<Case> {
    let pairings = [Pairing::HalfSplit, Pairing::Interleaved];
    let all = sizes.iter().flat_map(|s| pairings.map(|p| (s, p)));
    all.map(|(&[tokens, heads, head_dim, half, axes], pairing)| Case {
        tokens,
        heads,
        head_dim,
        half,
        axes,
        pairing,
    })
    .collect()
}

#[test]
fn rope_matches_its_twin() {
    let sizes = [
        [1, 1, 2, 1, 1],
        [1, 4, 128, 32, 3],
        [7, 3, 12, 6, 2],
        [13, 5, 16, 8, 3],
        [5, 16, 64, 32, 2],
        [3, 96, 128, 32, 3],
        [11, 2, 256, 100, 3],
    ];
    for case in cases(&sizes) {
        for view in View::ALL {
            check(Op::Rope, &format!("{case:?}"), view, TOLERANCE, |s, p| {
                case.run(s, p)
            });
        }
    }
    for case in cases(&[[7, 3, 16, 4, 3]]) {
        reject(Op::Rope, 0, TOLERANCE, |s, p| case.run(s, p));
    }
    finish(Op::Rope);
}

#[test]
fn rope_folds_long_grids() {
    for case in cases(&[[70_000, 1, 62, 1, 3]]) {
        check(Op::Rope, "folded", View::Rows, TOLERANCE, |s, p| {
            case.run(s, p)
        });
    }
    finish(Op::Rope);
}

#[test]
fn a_wrong_position_is_noticed() {
    let case = cases(&[[5, 2, 16, 8, 3]])[0];
    for (label, device) in crate::support::devices() {
        let mut source = Source::new(&device, View::Rows);
        let (table, pos) = case.table(&source);
        let x = source.floats([5, 2, 16]);
        let right = read(rope_reference(x.clone(), &table, pos.clone(), case.pairing));
        let wrong = read(rope(x, &table, pos.add_scalar(1), case.pairing));
        let far = right.iter().zip(&wrong).any(|(a, b)| (a - b).abs() > 0.1);
        assert!(far, "{label}: positions do not matter");
    }
    finish(Op::Rope);
}
