//! Recipes: the listing of all keys, defaults, and mistakes with their place.

use glmv_rl::curriculum::Kind;
use glmv_rl::objective::{Aggregation, Truncated};
use glmv_rl::{Error, Recipe};

const LISTING: &str = include_str!("../../recipe.toml");

#[test]
fn the_listing_is_the_default() {
    let listed = Recipe::from_toml(LISTING, "recipe.toml").expect("a good recipe");
    let objective = listed.objective.resolve().expect("allowed");
    let default = Recipe::default().objective.resolve().expect("allowed");
    assert_eq!(format!("{objective:?}"), format!("{default:?}"));
    assert_eq!(
        listed.objective.truncated(),
        Recipe::default().objective.truncated()
    );
    assert_eq!(
        listed.objective.advantage(),
        Recipe::default().objective.advantage()
    );
    // Beside the objective's keys, which the method sets, everything is equal as it stands.
    let same = Recipe {
        objective: Recipe::default().objective,
        ..listed
    };
    assert_eq!(same, Recipe::default());
    assert_eq!(
        Recipe::from_toml("", "empty").expect("all defaults"),
        Recipe::default()
    );
}

/// Each line of the listing that is commented out is a key as well.
#[test]
fn keys_without_a_default_are_read() {
    let mut text = LISTING.replace("per-sample\"", "constant-length\"");
    for key in [
        "constant_length",
        "domains",
        "total",
        "mean_kl",
        "max_difference",
    ] {
        assert!(text.contains(&format!("\n# {key} =")), "{key}");
        text = text.replace(&format!("\n# {key} ="), &format!("\n{key} ="));
    }
    let recipe = Recipe::from_toml(&text, "r.toml").expect("a good recipe");
    let aggregation = recipe.objective.resolve().expect("allowed").aggregation;
    assert_eq!(aggregation, Aggregation::ConstantLength { length: 16384 });
    assert_eq!(
        (recipe.harvest.total, recipe.mixture.domains.len()),
        (Some(10_000), 2)
    );
    assert_eq!(recipe.bound.mean_kl, Some(1e-8));
}

#[test]
fn a_method_brings_its_settings() {
    let recipe = |text: &str| Recipe::from_toml(text, "r.toml").expect("a good recipe");
    let dapo = recipe("[objective]\nmethod = \"dapo\"\n[curriculum]\nkind = \"dapo\"\n");
    let objective = dapo.objective.resolve().expect("allowed");
    assert_eq!(objective.aggregation, Aggregation::PerToken);
    assert_eq!(
        (dapo.objective.truncated(), dapo.curriculum.kind),
        (Truncated::Mask, Kind::Dapo)
    );
    let gspo = recipe("[objective]\nmethod = \"gspo\"\nclip_high = 0.1\n");
    let gspo = format!("{:?}", gspo.objective.resolve().expect("allowed"));
    assert!(gspo.contains("Gspo") && gspo.contains("low: 0.0003") && gspo.contains("high: 0.1"));
}

/// A recipe, and what its error must say.
const MISTAKES: &[(&str, &[&str])] = &[
    (
        "group_size = 1\n",
        &["r.toml:1", "group_size = 1", "at least 2"],
    ),
    ("batch_groups = 0\n", &["r.toml:1", "batch_groups"]),
    (
        "\n[objective]\nclip_low = 1.5\n",
        &["r.toml:3", "objective.clip_low = 1.5"],
    ),
    ("objective.kl = -1.0\n", &["r.toml:1", "objective.kl = -1"]),
    (
        "[objective]\nmethod = \"dr-grpo\"\n",
        &["r.toml: objective.constant_length"],
    ),
    (
        "[rollout]\ntemperature = 0.0\n",
        &["r.toml:2", "rollout.temperature"],
    ),
    (
        "[rollout]\nanswer_tokens = 0\n",
        &["r.toml:2", "answer_tokens"],
    ),
    (
        "[curriculum.rlcs]\nfloor = 0.0\n",
        &["r.toml:2", "curriculum.rlcs.floor"],
    ),
    (
        "group_size = 4\n[curriculum]\nkind = \"speed\"\n",
        &["curriculum.speed.screen = 4", "below group_size"],
    ),
    (
        "[mixture]\nthinking = 2.0\n",
        &["r.toml:2", "mixture.thinking"],
    ),
    ("[mixture.domains]\nocr = 0.0\n", &["r.toml", "\"ocr\""]),
    ("[pack]\ncapacity = 0\n", &["r.toml:2", "pack.capacity"]),
    ("[rollout]\ntop_p = 0.0\n", &["r.toml:2", "rollout.top_p"]),
    ("[harvest]\nrun = 0\n", &["r.toml:2", "harvest.run"]),
    ("[bound]\nmean_kl = -1.0\n", &["r.toml:2", "bound.mean_kl"]),
    // What TOML and serde find.
    ("[rollout]\ntop_k = 9\n", &["line 2", "top_k"]),
    ("[objective]\nmethod = \"ppo\"\n", &["line 2", "ppo"]),
    ("seed = -1\n", &["line 1"]),
    ("group_size = 2.5\n", &["line 1"]),
    ("x = = 1\n", &["line 1"]),
    ("[objectives]\n", &["line 1", "objectives"]),
];

#[test]
fn mistakes_have_file_line_and_key() {
    for (text, words) in MISTAKES {
        let error = Recipe::from_toml(text, "r.toml")
            .expect_err(text)
            .to_string();
        assert!(error.starts_with("r.toml"), "{error}");
        for word in *words {
            assert!(error.contains(word), "{text}: {error} lacks {word}");
        }
    }
    let missing = Recipe::from_file(std::path::Path::new("no/such.toml"));
    assert!(matches!(missing, Err(Error::Toml { ref file, .. }) if file == "no/such.toml"));
}
