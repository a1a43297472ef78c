//! The stages of the bundled model: what data each makes, how it learns, and what it must bring.

mod short;

pub(super) use short::SHORT;

/// Data of one kind: `gym make` without the folder, once or several times.
pub(super) struct Set {
    /// Folder below `data`, as the recipes name it.
    pub name: &'static str,
    pub make: &'static [&'static str],
}

/// One run of `glmv train`.
pub(super) struct Stage {
    pub name: &'static str,
    /// Its subcommand.
    pub verb: &'static str,
    /// In `assets/recipes`.
    pub recipe: &'static str,
    pub sets: &'static [Set],
    /// `key=value` for `--set`.
    pub changes: &'static [&'static str],
    /// Accuracy by the form's first evaluation that it must bring at least, 1 for all items; without it
    /// the stage is measured only.
    pub gain: Option<f64>,
}

/// Everything from random weights to the last stage.
pub(super) struct Form {
    /// Configuration in `assets`.
    pub config: &'static str,
    /// Whether the random weights are asked too.
    pub start: bool,
    /// What is asked after every stage: options of `gym eval`, and of `gym make` for the audit of what is
    /// learnt from.
    pub items: &'static str,
    /// Names of the evaluations, and their other options.
    pub asks: &'static [(&'static str, &'static str)],
    pub stages: &'static [Stage],
}

const fn set(name: &'static str, make: &'static [&'static str]) -> Set {
    Set { name, make }
}

/// The bundled model.
pub(super) const FULL: Form = Form {
    config: "configs/tiny-moe.json",
    start: false,
    items: "-n 1100 --level 1,2",
    asks: &[
        ("direct", "--no-think --max-new-tokens 64"),
        ("thinking", "--max-new-tokens 200 --no-blind"),
    ],
    stages: &[
        Stage {
            name: "pretrain",
            verb: "pretrain",
            recipe: "tiny-pretrain.toml",
            sets: &[
                set(
                    "shapes56",
                    &[
                        "--domain vqa --task lesson --level 1 --side 56 --layout caption --seed 100000 -n 8000",
                    ],
                ),
                set(
                    "signs56",
                    &[
                        "--domain ocr --task lesson --level 1 --side 56 --layout caption --seed 100000 -n 12000",
                    ],
                ),
                set(
                    "lessons",
                    &[
                        "--domain vqa,ocr --task lesson --level 2 --layout caption --seed 200000 -n 40000",
                        "--domain vqa,ocr --task lesson --level 2 --layout caption --split validation -n 100",
                    ],
                ),
                set(
                    "charts",
                    &[
                        "--domain chart --task lesson --level 1,2 --layout caption --seed 250000 -n 24000",
                    ],
                ),
                set(
                    "crowded",
                    &[
                        "--domain vqa,ocr --task lesson --level 3 --layout caption --seed 280000 -n 8000",
                    ],
                ),
                set(
                    "captions",
                    &[
                        "--domain counting,vqa,chart,ocr --level 1 --layout caption --seed 300000 -n 40000",
                    ],
                ),
                set(
                    "captions-more",
                    &[
                        "--domain arithmetic,geometry,grounding,spatial,gui,compare --level 1 --layout caption --seed 350000 -n 18000",
                    ],
                ),
                set(
                    "questions",
                    &[
                        "--domain counting,vqa,chart,ocr --level 1 --nothink 0.5 --seed 400000 -n 60000",
                        "--domain counting,vqa,chart,ocr --level 1 --nothink 1 --split validation -n 200",
                    ],
                ),
                set(
                    "questions-more",
                    &[
                        "--domain arithmetic,geometry,grounding,spatial,gui,compare --level 1 --nothink 0.5 --seed 500000 -n 24000",
                    ],
                ),
                set(
                    "harder",
                    &[
                        "--domain counting,vqa,chart,ocr --level 2 --nothink 0.5 --seed 550000 -n 12000",
                    ],
                ),
            ],
            changes: &[],
            gain: None,
        },
        Stage {
            name: "reading",
            verb: "pretrain",
            recipe: "tiny-reading.toml",
            sets: &[
                set(
                    "letters56",
                    &[
                        "--domain ocr --task lesson --level 1 --side 56 --layout caption --seed 1100000 -n 16000",
                    ],
                ),
                set(
                    "letters",
                    &[
                        "--domain ocr --task lesson --level 2 --layout caption --seed 1200000 -n 24000",
                    ],
                ),
                set(
                    "words",
                    &["--domain ocr --level 1 --layout caption --seed 1300000 -n 20000"],
                ),
                set(
                    "words-asked",
                    &["--domain ocr --level 1 --nothink 0.5 --seed 1400000 -n 20000"],
                ),
                set(
                    "charts-asked",
                    &[
                        "--domain chart --level 1 --layout caption --seed 1500000 -n 12000",
                        "--domain chart --level 1 --nothink 0.5 --seed 1600000 -n 16000",
                    ],
                ),
            ],
            changes: &[],
            gain: None,
        },
        Stage {
            name: "long",
            verb: "pretrain",
            recipe: "tiny-long.toml",
            sets: &[
                set(
                    "clips",
                    &["--domain video --task lesson --layout caption --seed 600000 -n 6000"],
                ),
                set(
                    "questions-video",
                    &["--domain video --level 1,2 --nothink 0.5 --seed 700000 -n 8000"],
                ),
                set(
                    "pairs",
                    &["--domain compare --level 1,2,3 --layout caption --seed 800000 -n 4000"],
                ),
            ],
            changes: &[],
            gain: None,
        },
        Stage {
            name: "sft",
            verb: "sft",
            recipe: "tiny-sft.toml",
            sets: &[
                set(
                    "answers",
                    &[
                        "--level 1,2 --nothink 0.4 --seed 2100000 -n 88000",
                        "--level 1,2 --nothink 0.4 --split validation --seed 1000 -n 330",
                    ],
                ),
                set(
                    "answers-easy",
                    &[
                        "--domain counting,vqa,chart,ocr,video --level 1 --nothink 0.4 --seed 2200000 -n 40000",
                    ],
                ),
                set(
                    "answers-reading",
                    &["--domain chart,ocr --level 1 --nothink 0.4 --seed 2300000 -n 40000"],
                ),
            ],
            changes: &[],
            gain: None,
        },
        Stage {
            name: "drill",
            verb: "sft",
            recipe: "tiny-drill.toml",
            sets: &[set(
                "answers-weak",
                &[
                    "--domain vqa,arithmetic,geometry,spatial,gui,compare --level 1 --nothink 0.4 --seed 2400000 -n 84000",
                ],
            )],
            changes: &[],
            gain: None,
        },
        Stage {
            name: "drill-hard",
            verb: "sft",
            recipe: "tiny-drill-hard.toml",
            sets: &[
                set(
                    "answers-hard",
                    &[
                        "--domain vqa,counting,chart,ocr,arithmetic,geometry,grounding,spatial,gui,compare --level 2 --nothink 0.5 --seed 3000000 -n 120000",
                    ],
                ),
                set(
                    "answers-screens",
                    &["--domain gui --level 1 --nothink 0.5 --seed 3200000 -n 24000"],
                ),
                set(
                    "captions-hard",
                    &[
                        "--domain chart,gui,geometry,counting --level 2 --layout caption --seed 3300000 -n 48000",
                    ],
                ),
            ],
            changes: &[],
            gain: None,
        },
        Stage {
            name: "rl",
            verb: "rl",
            recipe: "tiny-rl.toml",
            sets: &[
                set(
                    "tasks",
                    &[
                        "--level 1,2 --layout rl --seed 1000000 -n 22000",
                        "--level 1,2 --layout rl --split validation --seed 2000 -n 880",
                    ],
                ),
                // So many that hardly one is asked twice: of 42,000, asked four times each, half of what was
                // learnt was learnt by heart. Motion is known.
                set(
                    "tasks-more",
                    &[
                        "--domain counting,vqa,chart,ocr,arithmetic,geometry,grounding,spatial,gui,compare --level 1,2 --layout rl --seed 2500000 -n 300000",
                    ],
                ),
            ],
            // By what is left to learn: boxes, words and figures most; motion is known.
            changes: &[
                "rl.mixture.domains={ counting = 2, vqa = 1.5, chart = 1, ocr = 2.5, arithmetic = 2, geometry = 2.5, grounding = 3, spatial = 2, gui = 2, compare = 2, video = 0.3 }",
            ],
            gain: None,
        },
        Stage {
            name: "rl-more",
            verb: "rl",
            recipe: "tiny-rl-more.toml",
            sets: &[set(
                "tasks-last",
                &[
                    "--domain counting,vqa,ocr,arithmetic,geometry,grounding,compare --level 1,2 --layout rl --seed 4000000 -n 210000",
                ],
            )],
            changes: &[],
            gain: None,
        },
        Stage {
            name: "rl-last",
            verb: "rl",
            recipe: "tiny-rl-last.toml",
            sets: &[
                set(
                    "tasks-end",
                    &[
                        "--domain counting,vqa,ocr,arithmetic,geometry,grounding,compare --level 2 --layout rl --seed 5000000 -n 112000",
                    ],
                ),
                set(
                    "tasks-end-easy",
                    &[
                        "--domain ocr,geometry,grounding --level 1 --layout rl --seed 5000000 -n 30000",
                    ],
                ),
            ],
            changes: &[],
            gain: None,
        },
        Stage {
            name: "rl-long",
            verb: "rl",
            recipe: "tiny-rl-long.toml",
            sets: &[
                set(
                    "tasks-long",
                    &[
                        "--domain counting,vqa,ocr,arithmetic,geometry,grounding,compare --level 2 --layout rl --seed 6000000 -n 210000",
                    ],
                ),
                set(
                    "tasks-long-easy",
                    &[
                        "--domain ocr,geometry,grounding --level 1 --layout rl --seed 6000000 -n 30000",
                    ],
                ),
            ],
            changes: &[],
            gain: None,
        },
        Stage {
            name: "rl-settle",
            verb: "rl",
            recipe: "tiny-rl-settle.toml",
            sets: &[
                set(
                    "tasks-settle",
                    &[
                        "--domain counting,vqa,ocr,arithmetic,geometry,grounding,compare --level 2 --layout rl --seed 7000000 -n 135000",
                    ],
                ),
                set(
                    "tasks-settle-easy",
                    &[
                        "--domain counting,ocr,geometry,grounding,arithmetic --level 1 --layout rl --seed 7000000 -n 40000",
                    ],
                ),
            ],
            changes: &[],
            gain: None,
        },
    ],
};
