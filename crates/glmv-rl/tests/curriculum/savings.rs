//! RLCS against uniform sampling at equal progress, over three seeds, and against itself without
//! knowledge of the tasks.

use glmv_rl::curriculum::{CurriculumConfig, Kind};

use crate::learner::{Knowledge, Learner, cost};

const SEEDS: [u64; 3] = [1, 2, 3];
/// Accuracy to gain.
const GAIN: f64 = 0.2;

fn completions(kind: Kind, seed: u64, knowledge: Knowledge) -> f64 {
    let config = CurriculumConfig {
        kind,
        ..CurriculumConfig::default()
    };
    let target = Learner::new(seed).accuracy() + GAIN;
    cost(&config, seed, target, knowledge).0 as f64
}

/// Stated margin: at least 30 % fewer completions than uniform sampling, for every seed.
#[test]
fn rlcs_needs_fewer_completions_than_uniform() {
    for seed in SEEDS {
        let uniform = completions(Kind::Uniform, seed, Knowledge::True);
        let rlcs = completions(Kind::Rlcs, seed, Knowledge::True);
        println!(
            "seed {seed}: uniform {uniform}, rlcs {rlcs}, ratio {:.3}",
            rlcs / uniform
        );
        assert!(rlcs <= 0.7 * uniform, "seed {seed}: {rlcs} of {uniform}");
    }
}

/// The control: where the tiers say nothing about the tasks, the saving is gone.
#[test]
fn shuffled_tiers_save_nothing() {
    for seed in SEEDS {
        let uniform = completions(Kind::Uniform, seed, Knowledge::True);
        let shuffled = completions(Kind::Rlcs, seed, Knowledge::Shuffled);
        println!("seed {seed}: uniform {uniform}, shuffled {shuffled}");
        assert!(
            shuffled >= 0.9 * uniform,
            "seed {seed}: {shuffled} of {uniform}"
        );
    }
}

/// All kinds reach the target, so what is compared above is the cost and nothing else.
#[test]
fn the_alternatives_learn_as_well() {
    for kind in [Kind::Dapo, Kind::Speed] {
        let uniform = completions(Kind::Uniform, 1, Knowledge::True);
        let found = completions(kind, 1, Knowledge::True);
        assert!(found <= 1.5 * uniform, "{kind:?}: {found} of {uniform}");
    }
}
