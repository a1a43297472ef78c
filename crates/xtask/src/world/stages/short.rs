//! The short form of all stages, as CI runs it.

use super::{Form, Stage, set};

/// Colours at the easy level, with the model of `cargo xtask pictures`: minutes on a processor. It does not
/// learn to read.
pub(in crate::world) const SHORT: Form = Form {
    config: "configs/pictures.json",
    start: true,
    items: "-n 200 --domain vqa --task colour --level 1 --side 56",
    asks: &[("direct", "--no-think --max-new-tokens 16 --no-blind")],
    stages: &[
        Stage {
            name: "pretrain",
            verb: "pretrain",
            recipe: "tiny-pretrain.toml",
            sets: &[
                set(
                    "shapes56",
                    &["--domain vqa --task lesson --level 1 --side 56 --layout caption -n 2000"],
                ),
                set(
                    "direct",
                    &[
                        "--domain vqa --task colour --level 1 --side 56 --nothink 1 --seed 10000 -n 3000",
                        "--domain vqa --task colour --level 1 --side 56 --nothink 1 --split validation -n 100",
                    ],
                ),
            ],
            changes: &[
                "data.sources=[{ path = 'data/shapes56/train.caption.jsonl' }, { path = 'data/direct/train.sft.jsonl' }]",
                "eval.sources=[{ path = 'data/direct/validation.sft.jsonl' }]",
                "train.steps=80",
                "train.schedule.rate=1e-3",
                "data.batch=1",
                "rhythm.eval_every=40",
            ],
            gain: Some(0.1),
        },
        Stage {
            name: "long",
            verb: "pretrain",
            recipe: "tiny-long.toml",
            sets: &[],
            changes: &[
                "data.sources=[{ path = 'data/shapes56/train.caption.jsonl' }, { path = 'data/direct/train.sft.jsonl' }]",
                "eval.sources=[{ path = 'data/direct/validation.sft.jsonl' }]",
                "train.steps=25",
                "train.schedule.rate=1e-3",
                "data.batch=1",
                "rhythm.eval_every=20",
            ],
            gain: Some(0.02),
        },
        Stage {
            name: "sft",
            verb: "sft",
            recipe: "tiny-sft.toml",
            sets: &[set(
                "answers",
                &[
                    "--domain vqa --task colour --level 1 --side 56 --nothink 0.8 --seed 20000 -n 3000",
                    "--domain vqa --task colour --level 1 --side 56 --nothink 0.8 --split validation -n 100",
                ],
            )],
            changes: &[
                "data.sources=[{ path = 'data/answers/train.sft.jsonl' }]",
                "train.steps=25",
                "train.schedule.rate=1e-3",
                "data.batch=1",
                "rhythm.eval_every=20",
            ],
            gain: Some(0.02),
        },
        Stage {
            name: "rl",
            verb: "rl",
            recipe: "tiny-rl.toml",
            sets: &[set(
                "tasks",
                &[
                    "--domain vqa --task colour --level 1 --side 56 --layout rl --seed 30000 -n 2000",
                    "--domain vqa --task colour --level 1 --side 56 --layout rl --split validation --seed 1000 -n 100",
                ],
            )],
            changes: &[
                "data.tasks=['data/tasks/train.rl.jsonl']",
                "train.steps=60",
                "train.schedule.rate=1e-4",
                "rl.mixture.thinking=0.0",
                "rl.rollout.answer_tokens=12",
                "rl.batch_groups=16",
            ],
            gain: Some(0.02),
        },
    ],
};
