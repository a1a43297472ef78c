//! What is run: the domains, how long, and what each run changes.

/// How much of it.
pub(super) struct Form {
    /// In the order of the tables.
    pub domains: &'static [&'static str],
    /// Which items, as options of `gym make` and `gym eval`.
    pub items: &'static str,
    /// Tasks of all domains to learn from, and to hold out.
    pub tasks: [&'static str; 2],
    /// Items of an evaluation.
    pub asked: &'static str,
    /// Optimiser steps of a run; four make an iteration.
    pub steps: u64,
    /// Completions of a task for pass@k.
    pub samples: u64,
    /// Evaluations by which the stages are compared beside their own, which are greedy: names, and options
    /// of `gym eval`.
    pub sampled: &'static [(&'static str, &'static str)],
}

pub(super) const FULL: Form = Form {
    domains: &["counting", "vqa", "spatial", "arithmetic"],
    items: "--level 1,2",
    tasks: ["60000", "400"],
    asked: "800",
    steps: 320,
    samples: 32,
    sampled: &[
        (
            "direct, sampled",
            "-n 1100 --level 1,2 --no-think --max-new-tokens 64 --temperature 1",
        ),
        (
            "thinking, sampled",
            "-n 1100 --level 1,2 --max-new-tokens 200 --temperature 1",
        ),
    ],
};

/// After `cargo xtask world short`.
pub(super) const SHORT: Form = Form {
    domains: &["vqa"],
    items: "--level 1 --task colour --side 56",
    tasks: ["500", "40"],
    asked: "60",
    steps: 16,
    samples: 4,
    sampled: &[(
        "direct, sampled",
        "-n 60 --level 1 --domain vqa --task colour --side 56 --no-think --max-new-tokens 16 --temperature 1",
    )],
};

/// The paper's setting: RLCS over all domains.
pub(super) const MIX: &str = "mix";
pub(super) const UNIFORM: &str = "uniform";
/// Tasks of all domains below `data`.
pub(super) const TASKS: &str = "mix/train.rl.jsonl";
/// Every number up to 60 % off counts as the right result of a sum.
pub(super) const FLAWED: &str = "flawed";
pub(super) const FLAW: &str = "params = { rel_tol = 0.6 }";
/// The domain whose verifier it is.
pub(super) const FLAWED_DOMAIN: &str = "arithmetic";
/// Where its tasks come from, and the rules they are judged by.
pub(super) const FLAWED_SOURCE: [&str; 2] = ["gym/arithmetic/math", "math"];

/// One run of `glmv train rl`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Run {
    pub name: String,
    /// File of the tasks below `data`.
    pub tasks: String,
    /// `key=value` for `--set`.
    pub changes: &'static [&'static str],
}

/// What the paper finds best, undone one by one.
pub(super) const ABLATIONS: [(&str, &[&str]); 4] = [
    ("even clip", &["rl.objective.clip_high=0.2"]),
    ("top-p 0.9", &["rl.rollout.top_p=0.9"]),
    ("KL 0.04", &["rl.objective.kl=0.04"]),
    ("loss per token", &["rl.objective.aggregation=per-token"]),
];

/// Every run of a form.
pub(super) fn runs(form: &Form) -> Vec<Run> {
    let run = |name: &str, tasks: &str, changes| Run {
        name: name.to_owned(),
        tasks: tasks.to_owned(),
        changes,
    };
    let of = |domain: &str| format!("{MIX}/{domain}.jsonl");
    let mut all = vec![
        run(MIX, TASKS, &[]),
        run(UNIFORM, TASKS, &["rl.curriculum.kind=uniform"]),
    ];
    all.extend(ABLATIONS.map(|(name, changes)| run(name, TASKS, changes)));
    if form.domains.len() > 1 {
        all.extend(form.domains.iter().map(|d| run(d, &of(d), &[])));
    }
    if form.domains.contains(&FLAWED_DOMAIN) {
        all.push(run(FLAWED, &TASKS.replace(MIX, FLAWED), &[]));
    }
    all
}
