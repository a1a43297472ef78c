//! The golden kind `grpo`: advantages, losses, gradients and clip fractions of every case, and
//! controls that must be refused.

use std::collections::BTreeMap;

use glmv_rl::advantage::{self, Normalise};
use glmv_rl::objective::{Aggregation, BatchSize, Clipped, Objective, Outcome, Sample};
use glmv_testkit::{Bound, Case, GoldenSet, Tensors, Tolerance, compare, golden_dir};

/// The inputs of one case; matrices are `[samples, tokens]`.
struct Inputs {
    logprobs: Vec<f64>,
    old: Vec<f64>,
    rewards: Vec<f64>,
    group: Vec<i64>,
    truncated: Vec<i64>,
    mask: Vec<bool>,
    tokens: usize,
    tensors: Tensors,
}

fn load(set: &GoldenSet, case: &Case) -> Inputs {
    let tensors = case.load(set).expect("a golden file");
    let f64s = |name: &str| tensors.f64(name).expect("float64").0;
    let i64s = |name: &str| tensors.i64(name).expect("int64").0;
    Inputs {
        logprobs: f64s("logprobs"),
        old: f64s("old_logprobs"),
        rewards: f64s("rewards"),
        group: i64s("group"),
        truncated: i64s("truncated"),
        mask: i64s("mask").iter().map(|&m| m == 1).collect(),
        tokens: tensors.shape("logprobs").expect("a matrix")[1],
        tensors,
    }
}

/// A change that the comparison must notice.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fault {
    None,
    WiderClip,
    Reward,
    SampleDeviation,
    OldLogprob,
}

fn advantages(inputs: &Inputs, normalise: Normalise, fault: Fault) -> Vec<f64> {
    let mut rewards = inputs.rewards.clone();
    if fault == Fault::Reward {
        rewards[1] += 0.01;
    }
    let values = advantage::of_groups(&rewards, &inputs.group, normalise).expect("finite");
    if fault != Fault::SampleDeviation {
        return values;
    }
    let size = |g: i64| inputs.group.iter().filter(|&&h| h == g).count() as f64;
    let shrink = |n: f64| if n > 1.0 { ((n - 1.0) / n).sqrt() } else { 1.0 };
    values
        .iter()
        .zip(&inputs.group)
        .map(|(a, &g)| a * shrink(size(g)))
        .collect()
}

/// The masks of a result, by what it does with truncated completions.
fn masks(inputs: &Inputs, truncated: &str) -> Vec<Vec<bool>> {
    let rows = inputs.mask.chunks(inputs.tokens).zip(&inputs.truncated);
    let mask = |(row, &is_truncated): (&[bool], &i64)| match (truncated, is_truncated) {
        ("mask", 1) => vec![false; inputs.tokens],
        ("mask" | "keep", _) => row.to_vec(),
        (other, _) => panic!("unknown handling {other}"),
    };
    rows.map(mask).collect()
}

/// Runs one result's key, `<normalise>.<aggregation>.<truncated>`.
fn run(inputs: &Inputs, key: &str, fault: Fault) -> (Vec<f64>, Outcome) {
    let parts: Vec<&str> = key.split('.').collect();
    let normalise = match parts[0] {
        "std" => Normalise::Std,
        "none" => Normalise::None,
        other => panic!("unknown normalisation {other}"),
    };
    let length = inputs.tokens;
    let aggregation = match parts[1] {
        "token" => Aggregation::PerToken,
        "sample" => Aggregation::PerSample,
        "sample_all" => Aggregation::PerSampleAll,
        "const" => Aggregation::ConstantLength { length },
        other => panic!("unknown aggregation {other}"),
    };
    let advantages = advantages(inputs, normalise, fault);
    let masks = masks(inputs, parts[2]);
    let factor = if fault == Fault::OldLogprob {
        1.01
    } else {
        1.0
    };
    let old: Vec<f64> = inputs.old.iter().map(|o| o * factor).collect();
    let sample = |i: usize| Sample {
        logprobs: &inputs.logprobs[i * length..][..length],
        old: &old[i * length..][..length],
        reference: None,
        entropy: None,
        mask: &masks[i],
        advantage: advantages[i],
    };
    let samples: Vec<Sample<'_, f64>> = (0..masks.len()).map(sample).collect();
    let high = if fault == Fault::WiderClip { 0.3 } else { 0.28 };
    let objective = Objective {
        surrogate: Box::new(Clipped { low: 0.2, high }),
        aggregation,
        kl: 0.0,
        entropy: 0.0,
    };
    let size = BatchSize::of_masks(masks.iter().map(Vec::as_slice));
    let outcome = objective.evaluate(&samples, &size).expect("finite");
    (advantages, outcome)
}

/// Compares one key; the names of what differs.
fn differences(case: &Case, inputs: &Inputs, key: &str, fault: Fault) -> Vec<String> {
    let Tolerance::Close { bound, .. } = case.tolerance else {
        panic!("{}: the tolerance is no bound", case.id);
    };
    let (advantages, outcome) = run(inputs, key, fault);
    let golden = |name: &str| inputs.tensors.f64(name).expect("float64").0;
    let normalise = key.split('.').next().expect("a part");
    let result = |name: &str| {
        let value = &case.extra["results"][key][name];
        value
            .as_f64()
            .unwrap_or_else(|| panic!("{}: {key}.{name}", case.id))
    };
    let gradient: Vec<f64> = outcome.dlogp.concat();
    let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
    let mut differ = Vec::new();
    let mut check = |name: &str, got: &[f64], want: &[f64], bound: &Bound| {
        let outcome = compare(got, want, bound).expect("the same shape");
        if !outcome.ok {
            differ.push(format!("{} {key} {name}: {outcome:?}", case.id));
        }
    };
    let wanted = golden(&format!("advantages.{normalise}"));
    check("advantages", &advantages, &wanted, &bound);
    check(
        "gradient",
        &gradient,
        &golden(&format!("grad.{key}")),
        &bound,
    );
    check("loss", &[outcome.loss], &[result("loss")], &bound);
    check("grad_norm", &[norm], &[result("grad_norm")], &bound);
    let fraction = outcome.metrics.clip_fraction();
    check(
        "clip_fraction",
        &[fraction],
        &[result("clip_fraction")],
        &bound,
    );
    differ
}

fn keys(case: &Case) -> Vec<String> {
    let results = case.extra["results"].as_object().expect("an object");
    results.keys().cloned().collect()
}

#[test]
fn every_case_is_reproduced() {
    let set = GoldenSet::open(&golden_dir()).expect("the golden folder");
    let (mut cases, mut compared) = (0, 0);
    for case in set.of_kind("grpo") {
        let inputs = load(&set, case);
        cases += 1;
        for key in keys(case) {
            let differ = differences(case, &inputs, &key, Fault::None);
            assert!(differ.is_empty(), "{differ:#?}");
            compared += 1;
        }
    }
    assert!(
        cases >= 8 && compared >= 72,
        "{cases} cases, {compared} results"
    );
}

/// Every fault must be noticed in the case that can show it, and by what it touches.
#[test]
fn faults_are_refused() {
    let set = GoldenSet::open(&golden_dir()).expect("the golden folder");
    let expected = BTreeMap::from([
        ("WiderClip", "loss"),
        ("Reward", "advantages"),
        ("SampleDeviation", "advantages"),
        ("OldLogprob", "gradient"),
    ]);
    let case = set.case("grpo.plain").expect("a case");
    let inputs = load(&set, case);
    for fault in [
        Fault::WiderClip,
        Fault::Reward,
        Fault::SampleDeviation,
        Fault::OldLogprob,
    ] {
        let differ = differences(case, &inputs, "std.sample.keep", fault);
        let word = expected[format!("{fault:?}").as_str()];
        assert!(
            differ.iter().any(|d| d.contains(word)),
            "{fault:?}: {differ:?}"
        );
    }
    // Another aggregation's gradient is not this one's.
    let (_, outcome) = run(&inputs, "std.token.keep", Fault::None);
    let wanted = inputs
        .tensors
        .f64("grad.std.sample.keep")
        .expect("float64")
        .0;
    let bound = Bound::new(1e-6, 1e-5);
    assert!(
        !compare(&outcome.dlogp.concat(), &wanted, &bound)
            .expect("one shape")
            .ok
    );
}
