//! A batch that has everything, and every objective.

use glmv_rl::objective::{
    AggregationKind, BatchSize, Method, Objective, ObjectiveConfig, Outcome, Sample,
};
use glmv_sampling::Draws;

/// A batch with lengths 5, 1, 0 and 7, masks with holes and advantages of both signs and 0.
#[derive(Clone)]
pub struct Batch {
    pub logprobs: Vec<Vec<f64>>,
    pub old: Vec<Vec<f64>>,
    pub reference: Vec<Vec<f64>>,
    pub entropy: Vec<Vec<f64>>,
    pub mask: Vec<Vec<bool>>,
    pub advantages: Vec<f64>,
}

pub fn batch(seed: u64, spread: f64) -> Batch {
    let mut rng = Draws::new(seed);
    let lengths = [5, 1, 0, 7, 3];
    let mut rows = |low: f64, width: f64| -> Vec<Vec<f64>> {
        let mut row = |n: usize| (0..n).map(|_| low + width * rng.next_unit()).collect();
        lengths.iter().map(|&n| row(n)).collect()
    };
    let old = rows(-3.0, 2.5);
    let delta = rows(-spread, 2.0 * spread);
    let add = |a: &[Vec<f64>], b: &[Vec<f64>]| -> Vec<Vec<f64>> {
        let row = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| a + b).collect();
        a.iter().zip(b).map(row).collect()
    };
    Batch {
        logprobs: add(&old, &delta),
        reference: add(&old, &rows(-0.4, 0.8)),
        entropy: rows(0.1, 2.0),
        mask: lengths
            .iter()
            .map(|&n| (0..n).map(|t| t % 3 != 1).collect())
            .collect(),
        advantages: vec![0.8, -1.2, 1.0, -0.5, 0.0],
        old,
    }
}

pub fn samples(batch: &Batch) -> Vec<Sample<'_, f64>> {
    let sample = |i: usize| Sample {
        logprobs: &batch.logprobs[i],
        old: &batch.old[i],
        reference: Some(&batch.reference[i]),
        entropy: Some(&batch.entropy[i]),
        mask: &batch.mask[i],
        advantage: batch.advantages[i],
    };
    (0..batch.mask.len()).map(sample).collect()
}

pub fn size(batch: &Batch) -> BatchSize {
    BatchSize::of_masks(batch.mask.iter().map(Vec::as_slice))
}

pub fn run(objective: &Objective, batch: &Batch) -> Outcome {
    objective
        .evaluate(&samples(batch), &size(batch))
        .expect("finite")
}

pub const METHODS: [Method; 5] = [
    Method::Grpo,
    Method::Dapo,
    Method::DrGrpo,
    Method::Gspo,
    Method::Cispo,
];
pub const KINDS: [AggregationKind; 4] = [
    AggregationKind::PerSample,
    AggregationKind::PerSampleAll,
    AggregationKind::PerToken,
    AggregationKind::ConstantLength,
];

/// Every method with every average, with KL and entropy.
pub fn objectives() -> Vec<(Method, AggregationKind, Objective)> {
    let mut all = Vec::new();
    for method in METHODS {
        for kind in KINDS {
            let config = ObjectiveConfig {
                method,
                aggregation: Some(kind),
                constant_length: (kind == AggregationKind::ConstantLength).then_some(9),
                kl: 0.3,
                entropy: 0.05,
                ..ObjectiveConfig::default()
            };
            all.push((method, kind, config.resolve().expect("allowed")));
        }
    }
    all
}
