//! Bins against brute force, weights against the full batch, balance against the best there is.

use glmv_rl::Error;
use glmv_rl::objective::{Aggregation, BatchSize, Clipped, Objective, Sample};
use glmv_rl::pack::{MicroStep, PackConfig, Schedule, balance, bins};
use proptest::prelude::*;

const AGGREGATIONS: [Aggregation; 4] = [
    Aggregation::PerSample,
    Aggregation::PerSampleAll,
    Aggregation::PerToken,
    Aggregation::ConstantLength { length: 40 },
];

fn config(capacity: usize) -> PackConfig {
    PackConfig {
        capacity,
        quadratic: 0.0,
    }
}

/// The fewest bins there are, by trying everything.
fn fewest(lengths: &[usize], capacity: usize) -> usize {
    fn place(rest: &[usize], free: &mut Vec<usize>, capacity: usize, best: &mut usize) {
        let Some((&length, rest)) = rest.split_first() else {
            *best = free.len().min(*best);
            return;
        };
        for bin in 0..free.len() {
            if free[bin] >= length {
                free[bin] -= length;
                place(rest, free, capacity, best);
                free[bin] += length;
            }
        }
        free.push(capacity - length);
        place(rest, free, capacity, best);
        free.pop();
    }
    let mut best = lengths.len();
    place(lengths, &mut Vec::new(), capacity, &mut best);
    best
}

#[test]
fn search_finds_what_best_fit_misses() {
    // Longest first pairs the fours and needs three bins.
    let found = bins(&[4, 4, 3, 3, 3, 3], 10).expect("they fit");
    assert_eq!((found.bins.len(), found.least), (2, 2));
    let sums: Vec<usize> = found
        .bins
        .iter()
        .map(|b| b.iter().map(|&i| [4, 4, 3, 3, 3, 3][i]).sum())
        .collect();
    assert_eq!(sums, [10, 10]);
    // Three of just over half: no two share a bin, though the sum would fit two.
    assert_eq!(bins(&[6, 6, 6], 10).expect("they fit").least, 3);
    // Two of just over a third, never three; found without a search.
    let thirds = bins(&[34; 501], 100).expect("they fit");
    assert_eq!((thirds.bins.len(), thirds.least), (251, 251));
    assert_eq!(bins(&[], 10).expect("nothing").bins.len(), 0);
    assert_eq!(bins(&[0, 0], 10).expect("they fit").bins, [[0, 1]]);
    let error = bins(&[3, 11], 10).expect_err("too long");
    assert_eq!(
        error,
        Error::TooLong {
            sample: 1,
            length: 11,
            capacity: 10
        }
    );
}

#[test]
fn weights_are_exact() {
    // 7 + 3, 6 + 4: two micro-steps of two samples; 9 alone.
    let schedule = Schedule::new(&[7, 6, 4, 3, 9], 1, &config(10)).expect("they fit");
    let steps: Vec<&[usize]> = schedule.workers[0]
        .iter()
        .map(|step| step.samples.as_slice())
        .collect();
    assert_eq!(steps.len(), 3);
    let at = |samples: &[usize]| {
        steps
            .iter()
            .position(|step| *step == samples)
            .expect("packed")
    };
    let (first, second, third) = (at(&[0, 3]), at(&[1, 2]), at(&[4]));
    let shares = |aggregation: Aggregation, counted: [usize; 5]| {
        let all = schedule
            .shares(&aggregation, &counted)
            .expect("five")
            .concat();
        [all[first], all[second], all[third]]
    };
    let counted = [5, 4, 2, 1, 8];
    assert_eq!(shares(Aggregation::PerSample, counted), [0.4, 0.4, 0.2]);
    assert_eq!(shares(Aggregation::PerToken, counted), [0.3, 0.3, 0.4]);
    let empty = [5, 0, 0, 1, 8];
    assert_eq!(
        shares(Aggregation::PerSample, empty),
        [2.0 / 3.0, 0.0, 1.0 / 3.0]
    );
    assert_eq!(shares(Aggregation::PerSampleAll, empty), [0.4, 0.4, 0.2]);
    assert!(schedule.shares(&Aggregation::PerToken, &[1, 2]).is_err());
    assert_eq!(schedule.utilisation(10), Some(29.0 / 30.0));
}

/// Rows of log-probabilities and masks for samples of some lengths.
struct Rows {
    logprobs: Vec<Vec<f64>>,
    old: Vec<Vec<f64>>,
    masks: Vec<Vec<bool>>,
}

impl Rows {
    fn new(lengths: &[usize]) -> Self {
        let value = |i: usize, t: usize| -0.1 - ((i * 7 + t * 3) % 11) as f64 / 10.0;
        let row = |i: usize| -> Vec<f64> { (0..lengths[i]).map(|t| value(i, t)).collect() };
        let logprobs: Vec<Vec<f64>> = (0..lengths.len()).map(row).collect();
        let shifted = |row: &Vec<f64>| row.iter().map(|l| l + 0.1).collect();
        Self {
            old: logprobs.iter().map(shifted).collect(),
            masks: lengths
                .iter()
                .map(|&n| (0..n).map(|t| t % 4 != 3).collect())
                .collect(),
            logprobs,
        }
    }

    fn counted(&self) -> Vec<usize> {
        self.masks
            .iter()
            .map(|mask| mask.iter().filter(|&&counts| counts).count())
            .collect()
    }

    /// Gradients of some samples, averaged over them.
    fn gradients(&self, aggregation: Aggregation, samples: &[usize]) -> Vec<Vec<f64>> {
        let surrogate = Box::new(Clipped {
            low: 0.2,
            high: 0.28,
        });
        let objective = Objective {
            surrogate,
            aggregation,
            kl: 0.0,
            entropy: 0.0,
        };
        let sample = |&i: &usize| Sample {
            logprobs: self.logprobs[i].as_slice(),
            old: &self.old[i],
            reference: None,
            entropy: None,
            mask: &self.masks[i],
            advantage: [1.0, -0.5, 0.3][i % 3],
        };
        let of_step: Vec<Sample<'_, f64>> = samples.iter().map(sample).collect();
        let size = BatchSize::of_masks(of_step.iter().map(|sample| sample.mask));
        objective.evaluate(&of_step, &size).expect("finite").dlogp
    }
}

/// The gradients of the micro-steps, each averaged over itself, weighed and added, are the batch's;
/// the plain mean of micro-steps, which many trainers take, is not.
#[test]
fn weighed_micro_steps_give_the_gradient_of_the_batch() {
    let lengths = [7_usize, 6, 4, 3, 9, 1, 0, 2];
    let rows = Rows::new(&lengths);
    for aggregation in AGGREGATIONS {
        let want = rows.gradients(aggregation, &[0, 1, 2, 3, 4, 5, 6, 7]);
        let schedule = Schedule::new(&lengths, 2, &config(10)).expect("they fit");
        let shares = schedule
            .shares(&aggregation, &rows.counted())
            .expect("eight");
        let steps: Vec<(&MicroStep, f64)> = schedule
            .workers
            .iter()
            .flatten()
            .zip(shares.concat())
            .collect();
        let apart = |weight: &dyn Fn(f64) -> f64| {
            let mut worst = 0.0_f64;
            for &(step, share) in &steps {
                let own = rows.gradients(aggregation, &step.samples);
                for (gradient, &i) in own.iter().zip(&step.samples) {
                    for (got, want) in gradient.iter().zip(&want[i]) {
                        worst = worst.max((weight(share) * got - want).abs());
                    }
                }
            }
            worst
        };
        assert!(apart(&|share| share) < 1e-15, "{aggregation:?}");
        let mean = 1.0 / steps.len() as f64;
        assert!(apart(&|_| mean) > 1e-3, "{aggregation:?}: the control");
    }
}

#[test]
fn workers_get_even_costs_and_something_to_do() {
    let exact = balance(&[8.0, 7.0, 6.0, 5.0, 4.0], 2).expect("finite");
    let sum = |part: &[usize]| {
        part.iter()
            .map(|&i| [8.0, 7.0, 6.0, 5.0, 4.0][i])
            .sum::<f64>()
    };
    assert_eq!(
        [sum(&exact[0]), sum(&exact[1])],
        [16.0, 14.0],
        "Karmarkar and Karp's own figure"
    );
    assert_eq!(balance(&[], 3).expect("nothing"), [[0_usize; 0]; 3]);
    assert_eq!(balance(&[1.0], 2).expect("one"), [vec![0], vec![]]);
    assert!(balance(&[f64::NAN], 2).is_err() && balance(&[-1.0], 2).is_err());
    assert!(balance(&[1.0], 0).is_err());
    // One micro-step would hold all; three workers share it.
    let schedule = Schedule::new(&[4, 4, 4], 3, &config(100)).expect("they fit");
    assert!(
        schedule.workers.iter().all(|steps| steps.len() == 1),
        "{schedule:?}"
    );
    let schedule = Schedule::new(&[4], 3, &config(100)).expect("it fits");
    assert_eq!(schedule.micro_steps(), 1);
    // Attention makes one sample of 100 dearer than ten of 10.
    let dear = PackConfig {
        capacity: 100,
        quadratic: 0.01,
    };
    let schedule = Schedule::new(&[[100].as_slice(), &[10; 10]].concat(), 2, &dear);
    assert_eq!(schedule.expect("they fit").costs, [200.0, 110.0]);
}

proptest! {
    /// Every sample once, nothing above the capacity, and as few bins as there can be.
    #[test]
    fn bins_are_the_fewest(lengths in prop::collection::vec(0_usize..=20, 1..9)) {
        let found = bins(&lengths, 20).expect("they fit");
        let mut seen: Vec<usize> = found.bins.concat();
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
        for bin in &found.bins {
            prop_assert!(bin.iter().map(|&i| lengths[i]).sum::<usize>() <= 20);
        }
        let fewest = fewest(&lengths, 20);
        prop_assert_eq!(found.bins.len(), fewest);
        prop_assert!(found.least <= fewest);
    }

    /// Many samples: complete, within the capacity, never below the bound and close to it.
    #[test]
    fn large_batches_are_packed_tightly(lengths in prop::collection::vec(1_usize..4000, 100..400)) {
        let schedule = Schedule::new(&lengths, 2, &config(8192)).expect("they fit");
        let mut seen: Vec<usize> =
            schedule.workers.iter().flatten().flat_map(|s| s.samples.clone()).collect();
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
        prop_assert!(schedule.workers.iter().flatten().all(|step| step.tokens <= 8192));
        prop_assert!(schedule.micro_steps() >= schedule.least);
        prop_assert!(schedule.micro_steps() <= schedule.least + 1, "{schedule:?}");
        let spread = schedule.costs[0] - schedule.costs[1];
        prop_assert!(spread <= 8192.0, "at most one micro-step apart: {:?}", schedule.costs);
    }

    /// Within 4/3 of the best split, the bound of the method.
    #[test]
    fn balance_is_close_to_the_best(costs in prop::collection::vec(0.0_f64..100.0, 1..9)) {
        let workers = 3;
        let largest = |load: &[f64]| load.iter().copied().fold(0.0, f64::max);
        let best = (0..3_usize.pow(costs.len() as u32)).map(|mut code| {
            let mut load = vec![0.0; workers];
            for cost in &costs {
                load[code % 3] += cost;
                code /= 3;
            }
            largest(&load)
        }).fold(f64::INFINITY, f64::min);
        let parts = balance(&costs, workers).expect("finite");
        let load: Vec<f64> =
            parts.iter().map(|part| part.iter().map(|&i| costs[i]).sum()).collect();
        prop_assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), costs.len());
        prop_assert!(largest(&load) <= best * 4.0 / 3.0 + 1e-9, "{load:?} {best}");
    }
}
