use super::*;
use crate::plan::Advice;

const GIB: u64 = 1 << 30;

fn published(name: &str) -> Config {
    let path = format!(
        "{}/../../assets/configs/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).unwrap();
    Config::from_json(&text, &path).unwrap()
}

fn settings() -> TrainSettings {
    TrainSettings {
        tokens: 1024,
        counted: 900,
        patches: 1024,
        batch: 2,
        recompute: true,
        recompute_vision: true,
        trains: Trains::ALL,
        adapter: None,
        rollout: None,
        states: StateFormat::F32,
        in_flight: 4,
        buffers: BufferRules::adapter(2 * GIB),
    }
}

fn plan(name: &str, change: impl Fn(&mut TrainSettings)) -> TrainPlan {
    let mut settings = settings();
    change(&mut settings);
    TrainPlan::new(&published(name), &settings)
}

#[test]
fn weights_gradients_and_states_are_those_of_the_parameters() {
    for name in ["glm-4.1v-9b", "mid-moe"] {
        let plan = plan(name, |_| ());
        let moe = published(name).text.moe.is_some();
        assert_eq!(plan.trained < plan.parameters, moe, "the routers' biases");
        let near = |found: u64, expected: u64| {
            let share = found as f64 / expected as f64;
            assert!(
                (0.999..1.01).contains(&share),
                "{name}: {found} of {expected}"
            );
        };
        near(plan.section_bytes(Section::Weights), 4 * plan.parameters);
        near(plan.section_bytes(Section::Optimizer), 8 * plan.trained);
        // At the peak every gradient may be there, and that of the largest weight twice.
        let gradients = plan.section_bytes(Section::Gradients);
        assert!(gradients <= 5 * plan.trained, "{name}: {gradients}");
        assert!(gradients >= 3 * plan.trained, "{name}: {gradients}");
    }
}

#[test]
fn states_of_eight_bits_are_a_quarter() {
    let bytes = |states| {
        let plan = plan("glm-4.1v-9b", |s| s.states = states);
        plan.section_bytes(Section::Optimizer) as f64
    };
    let share = bytes(StateFormat::Blocks) / bytes(StateFormat::F32);
    // 2 bytes of codes and 8 / 256 of scales, of 8 bytes.
    assert!((share / (2.03125 / 8.0) - 1.0).abs() < 0.01, "{share}");
}

#[test]
fn recompute_keeps_less_and_frozen_parts_need_less() {
    for name in ["glm-4.1v-9b", "mid-moe"] {
        let needed = |layers: bool, tower: bool| {
            let plan = plan(name, |s| {
                (s.recompute, s.recompute_vision) = (layers, tower);
                // As many as 1024 tokens can show.
                s.patches = 4096;
            });
            plan.device_bytes()
        };
        assert!(needed(true, true) < needed(true, false), "{name}");
        assert!(needed(false, true) < needed(false, false), "{name}");
        assert!(needed(true, true) < needed(false, true), "{name}");
        let all = plan(name, |_| ());
        let frozen = plan(name, |s| s.trains.vision = false);
        assert!(frozen.device_bytes() < all.device_bytes(), "{name}");
        assert_eq!(frozen.parameters, all.parameters);
        let text = plan(name, |s| s.patches = 0);
        assert!(
            text.trained < frozen.trained,
            "{name}: no gradient without pictures"
        );
    }
}

#[test]
fn nothing_stays_live_between_steps() {
    for (layers, tower) in [(true, true), (true, false), (false, true), (false, false)] {
        for trains in [
            Trains::ALL,
            Trains {
                vision: false,
                ..Trains::ALL
            },
            Trains {
                vision: false,
                projector: false,
                ..Trains::ALL
            },
        ] {
            let mut settings = settings();
            (settings.recompute, settings.recompute_vision) = (layers, tower);
            (settings.trains, settings.buffers.alignment) = (trains, 1);
            for name in ["glm-4.1v-9b", "mid-moe"] {
                let config = published(name);
                let tables = 2 * 1024 * config.text.rotary_dims as u64 * 4;
                let ledger = Step::new(&config, &settings).replay();
                let live = ledger.arena().live();
                assert_eq!(live, tables, "{name}, {layers}, {tower}, {trains:?}");
            }
        }
    }
}

#[test]
fn advice_is_the_first_change_that_fits() {
    let config = published("glm-4.1v-9b");
    let mut wide = settings();
    (wide.recompute, wide.recompute_vision) = (false, false);
    (wide.tokens, wide.counted, wide.patches) = (8192, 8192, 8192);
    let needed = |s: &TrainSettings| TrainPlan::new(&config, s).device_bytes();
    let said = |bytes: u64| -> Option<Vec<String>> {
        let Advice {
            changes,
            device_bytes,
            ..
        } = TrainPlan::advise(&config, &wide, bytes)?;
        assert!(device_bytes <= bytes);
        Some(changes.iter().map(ToString::to_string).collect())
    };
    let tower = TrainSettings {
        recompute_vision: true,
        ..wide.clone()
    };
    assert_eq!(
        said(needed(&tower)).unwrap(),
        ["--set train.recompute_vision=layer"]
    );
    let all = TrainSettings {
        recompute: true,
        ..tower
    };
    assert_eq!(said(needed(&all)).unwrap().len(), 2);
    let less = needed(&TrainSettings {
        states: StateFormat::Blocks,
        ..all.clone()
    });
    assert_eq!(said(less).unwrap()[2], "--set train.adamw.states=8bit");
    let short = said(less - GIB).unwrap();
    assert!(short[3].starts_with("--set data.sequence="), "{short:?}");
    assert_eq!(said(60 * GIB), None, "weights and gradients alone are more");
}

/// Adapters of rank 16 beside every linear module, or some.
fn lora(config: &Config, target: &str, dropout: f64) -> Option<AdapterSettings> {
    let adapter = crate::AdapterConfig {
        target: crate::Targets::Pattern(target.into()),
        rank: 16,
        alpha: 16.0,
        dropout,
        rslora: false,
        seed: 0,
    };
    let planned = AdapterSettings::new(config, &adapter, WeightFormat::F32);
    Some(planned.expect("targets"))
}

#[test]
fn adapters_leave_nothing_live_either() {
    let targets = [
        "all-linear",
        ".*language_model.*_proj",
        ".*mlp.*",
        ".*blocks.*",
        ".*merger.*",
        ".*down_proj",
        ".*experts.*up_proj|.*q_proj",
    ];
    for name in ["glm-4.1v-9b", "mid-moe"] {
        let config = published(name);
        for (target, dropout) in targets.iter().flat_map(|t| [(t, 0.0), (t, 0.1)]) {
            for (layers, tower) in [(true, true), (true, false), (false, true), (false, false)] {
                let mut settings = settings();
                settings.adapter = lora(&config, target, dropout);
                (settings.recompute, settings.recompute_vision) = (layers, tower);
                settings.buffers.alignment = 1;
                let tables = 2 * 1024 * config.text.rotary_dims as u64 * 4;
                let ledger = Step::new(&config, &settings).replay();
                let live = ledger.arena().live();
                assert_eq!(
                    live, tables,
                    "{name}, {target}, {dropout}, {layers}, {tower}"
                );
            }
        }
    }
}

#[test]
fn adapters_need_a_fraction_and_codes_still_less() {
    for name in ["glm-4.1v-9b", "mid-moe"] {
        let config = published(name);
        let all = plan(name, |_| ());
        let with = |change: &dyn Fn(&mut AdapterSettings)| {
            plan(name, |s| {
                s.adapter = lora(&config, "all-linear", 0.0);
                s.adapter.iter_mut().for_each(change);
            })
        };
        let adapter = with(&|_| ());
        assert_eq!(adapter.trained, adapter.parameters - all.parameters);
        let states = adapter.section_bytes(Section::Optimizer);
        // Two means of every value, each tensor an allocation.
        assert!(states >= 8 * adapter.trained && states < 9 * adapter.trained);
        assert!(adapter.device_bytes() < all.device_bytes() / 2, "{name}");
        let needed = |base| with(&|a| a.base = base).device_bytes();
        assert!(needed(WeightFormat::Q8) < adapter.device_bytes());
        assert!(needed(WeightFormat::Q4) < needed(WeightFormat::Q8));
        let dropping = plan(name, |s| s.adapter = lora(&config, "all-linear", 0.1));
        assert!(dropping.device_bytes() > adapter.device_bytes(), "{name}");
    }
}

#[test]
fn an_unknown_target_is_refused() {
    let config = published("mid-moe");
    let adapter = crate::AdapterConfig {
        target: crate::Targets::Names(vec!["nothing".into()]),
        rank: 4,
        alpha: 4.0,
        dropout: 0.0,
        rslora: false,
        seed: 0,
    };
    let error = AdapterSettings::new(&config, &adapter, WeightFormat::F32).unwrap_err();
    assert!(error.to_string().contains("\"nothing\""), "{error}");
}
