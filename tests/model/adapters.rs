//! Adapters on disk and beside the weights: the same answers as merged, the same bytes when written
//! again, and clear refusals.

use crate::engine::MODELS;
use crate::support::{checkpoint, devices, engine, max_diff, prompt};
use burn::tensor::Device;
use glmv::engine::{Completion, Engine, Precision, SamplingParams};
use glmv::kernels::device::read;
use glmv::model::{
    AdapterConfig, Error, Glm4v, MergeOptions, Packed, Probe, StoreAs, Targets,
    average_checkpoints, merge_adapter, quantise_checkpoint, save_adapter,
};
use glmv_testkit::RawSafetensors;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const WEIGHTS: &str = "adapter_model.safetensors";
const CONFIG: &str = "adapter_config.json";

/// An adapter of every linear module, with numbers that change what the model says.
fn written(name: &str, dir: &Path) -> PathBuf {
    let config = AdapterConfig {
        target: Targets::Pattern("all-linear".into()),
        rank: 3,
        alpha: 6.0,
        dropout: 0.1,
        rslora: true,
        seed: 4,
    };
    let model = load(name, &Device::flex(), Precision::F32);
    let (model, out) = (model.with_adapter(config).unwrap(), dir.join("adapter"));
    save_adapter(&model, &out, &checkpoint(name)).unwrap();
    change(&out, |file| {
        let mut state = 9u32;
        for tensor in file
            .tensors
            .iter_mut()
            .filter(|t| t.name.contains("lora_B"))
        {
            for value in tensor.data.chunks_mut(4) {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let number = (state >> 8) as f32 / (1u32 << 24) as f32 * 0.2 - 0.1;
                value.copy_from_slice(&number.to_le_bytes());
            }
        }
    });
    out
}

fn load(name: &str, device: &Device, precision: Precision) -> Glm4v {
    let loaded = Glm4v::load(&checkpoint(name), device, precision, &|_, _| {});
    loaded.expect("the golden checkpoint loads").0
}

fn change(adapter: &Path, change: impl FnOnce(&mut RawSafetensors)) {
    let path = adapter.join(WEIGHTS);
    let mut file = RawSafetensors::read(&path).unwrap();
    change(&mut file);
    file.write(&path).unwrap();
}

fn options(dequantise: bool) -> MergeOptions {
    MergeOptions {
        store: None,
        dequantise,
        max_shard_bytes: 1 << 20,
    }
}

fn merge(base: &Path, adapter: &Path, out: &Path, dequantise: bool) -> Result<(), Error> {
    merge_adapter(base, Some(adapter), out, options(dequantise), &|_, _| {})
}

/// Logits of every token of a row, by the way that trainers go.
fn logits(model: &Glm4v) -> Vec<f32> {
    let ids: Vec<u32> = (0..80).map(|i| i * 37 % 440).collect();
    let mut packed = Packed::default();
    packed.push(&ids, &vec![0; ids.len()], &[], &[], 2).unwrap();
    let pass = model.packed_pass(&packed).unwrap();
    let mut x = model.packed_embed(&packed, None).unwrap();
    for index in 0..model.language_model.layers.len() {
        x = model
            .packed_layer(index, x, &pass, &mut Probe::off())
            .unwrap();
    }
    read(model.logits(model.final_norm(x))).unwrap()
}

/// Greedy answers about text and about a picture, decoded token by token.
fn answers(engine: &mut Engine) -> Vec<Completion> {
    let inputs = [
        prompt(engine, "Hello, who are you?", false),
        prompt(engine, "What is in this picture?", true),
    ];
    let params = SamplingParams {
        max_new_tokens: 12,
        temperature: 0.0,
        ignore_stop: true,
        ..SamplingParams::default()
    };
    let mut go = |_| ControlFlow::Continue(());
    engine
        .generate(&inputs, &vec![params; 2], &mut go)
        .unwrap()
        .0
}

#[test]
fn merged_weights_answer_as_the_adapter_does() {
    for device in devices() {
        for name in MODELS {
            let dir = TempDir::new().unwrap();
            let (adapter, out) = (written(name, dir.path()), dir.path().join("merged"));
            merge(&checkpoint(name), &adapter, &out, false).unwrap();
            let merged = Glm4v::load(&out, &device, Precision::F32, &|_, _| {})
                .unwrap()
                .0;
            let base = load(name, &device, Precision::F32);
            let beside = base.clone().with_adapter_from(&adapter, 0).unwrap();
            let (with, wanted) = (logits(&beside), logits(&merged));
            let far = max_diff(&with, &wanted);
            println!("{name}: logits within {far:e}");
            assert!(far <= 1e-4, "{name}: {far:e}");
            assert!(
                max_diff(&logits(&base), &wanted) > 0.05,
                "{name}: the control"
            );
            let mut engine = engine(name, &device, Precision::F32);
            let before = answers(&mut engine);
            engine.set_model(beside).unwrap();
            let with = answers(&mut engine);
            let mut engine = Engine::load(&out, &device, Precision::F32, &|_, _| {}).unwrap();
            let wanted = answers(&mut engine);
            for (with, wanted) in with.iter().zip(&wanted) {
                assert_eq!(with.token_ids, wanted.token_ids, "{name}");
                let far = max_diff(&with.logprobs, &wanted.logprobs);
                assert!(far <= 1e-4, "{name}: {far:e}");
            }
            assert_ne!(
                before[0].logprobs, wanted[0].logprobs,
                "{name}: the control"
            );
        }
    }
}

#[test]
fn a_quantised_base_is_widened_or_refused() {
    let device = Device::flex();
    let name = MODELS[1];
    let dir = TempDir::new().unwrap();
    let (coded, out) = (dir.path().join("q8"), dir.path().join("merged"));
    let what = glmv::model::Quantisation {
        weights: glmv_quant::Format::Q8,
        vision: Precision::F16,
    };
    quantise_checkpoint(&checkpoint(name), &coded, what, 1 << 30, &|_, _| {}).unwrap();
    let adapter = written(name, dir.path());
    let refused = merge(&coded, &adapter, &out, false)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("quantised") && !out.exists(), "{refused}");
    merge(&coded, &adapter, &out, true).unwrap();
    let merged = Glm4v::load(&out, &device, Precision::F32, &|_, _| {})
        .unwrap()
        .0;
    let base = Glm4v::load(&coded, &device, Precision::Q8, &|_, _| {})
        .unwrap()
        .0;
    let beside = base.with_adapter_from(&adapter, 0).unwrap();
    let far = max_diff(&logits(&beside), &logits(&merged));
    assert!(far <= 1e-3, "{far:e}");
    let exact = load(name, &device, Precision::F32);
    let exact = exact.with_adapter_from(&adapter, 0).unwrap();
    assert!(
        max_diff(&logits(&exact), &logits(&merged)) > 4.0 * far,
        "the control"
    );
    let again = merge(&coded, &adapter, &out, true).unwrap_err().to_string();
    assert!(again.contains("exists already"), "{again}");
}

#[test]
fn without_an_adapter_weights_are_stored_in_another_type() {
    let device = Device::flex();
    for name in MODELS {
        let dir = TempDir::new().unwrap();
        let write = |out: &Path, store| {
            let options = MergeOptions {
                store,
                ..options(false)
            };
            merge_adapter(&checkpoint(name), None, out, options, &|_, _| {}).unwrap();
            let loaded = Glm4v::load(out, &device, Precision::F32, &|_, _| {});
            logits(&loaded.unwrap().0)
        };
        let exact = logits(&load(name, &device, Precision::F32));
        let (same, narrow) = (dir.path().join("same"), dir.path().join("narrow"));
        assert_eq!(write(&same, None), exact, "{name}");
        let far = max_diff(&write(&narrow, Some(StoreAs::F16)), &exact);
        let coarse = dir.path().join("coarse");
        let coarse = max_diff(&write(&coarse, Some(StoreAs::BF16)), &exact);
        // Three bits fewer.
        assert!(
            far > 0.0 && far < coarse / 2.0,
            "{name}: {far:e}, {coarse:e}"
        );
        let size = |dir: &Path| -> u64 {
            let files = std::fs::read_dir(dir).unwrap().map(|f| f.unwrap());
            let weights =
                files.filter(|f| f.path().extension().is_some_and(|e| e == "safetensors"));
            weights.map(|f| f.metadata().unwrap().len()).sum()
        };
        let share = size(&narrow) as f64 / size(&same) as f64;
        assert!((0.45..0.6).contains(&share), "{name}: {share}");
    }
}

/// The mean of a checkpoint and of what an adapter makes of it is what a part of the adapter makes of it.
#[test]
fn the_mean_of_checkpoints_lies_between_them() {
    let device = Device::flex();
    for name in MODELS {
        let dir = TempDir::new().unwrap();
        let path = |name: &str| dir.path().join(name);
        let (base, adapter) = (checkpoint(name), written(name, dir.path()));
        let loaded = |dir: &Path| {
            let loaded = Glm4v::load(dir, &device, Precision::F32, &|_, _| {});
            logits(&loaded.unwrap().0)
        };
        let average = |others: &[PathBuf], out: &Path| {
            average_checkpoints(&base, others, out, options(false), &|_, _| {})
        };
        merge(&base, &adapter, &path("far"), false).unwrap();
        let (near, far) = (loaded(&base), loaded(&path("far")));
        let config = std::fs::read_to_string(adapter.join(CONFIG)).unwrap();
        for (times, alpha) in [(1, 3.0), (2, 4.0)] {
            let out = path(&format!("mean{times}"));
            average(&vec![path("far"); times], &out).unwrap();
            let mut part: serde_json::Value = serde_json::from_str(&config).unwrap();
            part["lora_alpha"] = alpha.into();
            std::fs::write(adapter.join(CONFIG), part.to_string()).unwrap();
            let wanted = path(&format!("part{times}"));
            merge(&base, &adapter, &wanted, false).unwrap();
            let (mean, wanted) = (loaded(&out), loaded(&wanted));
            let off = max_diff(&mean, &wanted);
            assert!(off < 1e-3, "{name}: {off:e}");
            for control in [&near, &far] {
                let other = max_diff(control, &wanted);
                assert!(other > 100.0 * off, "{name}: {other:e}, {off:e}");
            }
        }
        let again = average(&[path("far")], &path("mean1")).unwrap_err();
        assert!(again.to_string().contains("exists already"), "{again}");
        let of_another = checkpoint(MODELS.iter().find(|other| **other != name).unwrap());
        let error = average(&[of_another], &path("none")).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("its tensors are not those of"), "{error}");
        assert!(!path("none").exists());
    }
}

#[test]
fn what_was_read_is_written_again() {
    for name in MODELS {
        let dir = TempDir::new().unwrap();
        let adapter = written(name, dir.path());
        let model = load(name, &Device::flex(), Precision::F32);
        let model = model.with_adapter_from(&adapter, 0).unwrap();
        let again = dir.path().join("again");
        save_adapter(&model, &again, &checkpoint(name)).unwrap();
        for file in [WEIGHTS, CONFIG] {
            let read = |dir: &Path| std::fs::read(dir.join(file)).unwrap();
            assert!(read(&adapter) == read(&again), "{name}: {file}");
        }
        let file = RawSafetensors::read(&again.join(WEIGHTS)).unwrap();
        let names: Vec<&str> = file.tensors.iter().map(|t| t.name.as_str()).collect();
        let prefix = "base_model.model.model";
        let mut wanted = vec![
            "visual.blocks.0.attn.qkv.lora_A.weight",
            "visual.merger.up_proj.lora_B.weight",
            "language_model.layers.1.self_attn.k_proj.lora_A.weight",
        ];
        wanted.push(match name {
            "glm4v-f32" => "language_model.layers.1.mlp.gate_up_proj.lora_A.weight",
            _ => "language_model.layers.1.mlp.experts.7.gate_proj.lora_B.weight",
        });
        for tensor in wanted {
            assert!(
                names.contains(&format!("{prefix}.{tensor}").as_str()),
                "{tensor}"
            );
        }
        let taken = save_adapter(&model, &again, &checkpoint(name)).unwrap_err();
        assert!(taken.to_string().contains("exists already"), "{taken}");
    }
}

#[test]
fn adapters_that_do_not_fit_are_refused_by_file_and_tensor() {
    let name = MODELS[1];
    let refused = |spoil: &dyn Fn(&Path), named: &[&str]| {
        let dir = TempDir::new().unwrap();
        let adapter = written(name, dir.path());
        spoil(&adapter);
        let model = load(name, &Device::flex(), Precision::F32);
        let error = model
            .with_adapter_from(&adapter, 0)
            .map(|_| ())
            .unwrap_err();
        let error = error.to_string();
        for part in named {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    };
    let q = "base_model.model.model.language_model.layers.0.self_attn.q_proj";
    let (a, b) = (format!("{q}.lora_A.weight"), format!("{q}.lora_B.weight"));
    let of = |dir: &Path, change_it: &dyn Fn(&mut RawSafetensors)| change(dir, |f| change_it(f));
    refused(
        &|dir| of(dir, &|f| f.tensors.retain(|t| t.name != b)),
        &[WEIGHTS, &b, "missing"],
    );
    refused(
        &|dir| of(dir, &|f| f.tensors.retain(|t| t.name != a && t.name != b)),
        &[WEIGHTS, &a, "missing"],
    );
    let renamed = |from: String, to: &'static str| {
        move |f: &mut RawSafetensors| {
            let found = f.tensors.iter_mut().find(|t| t.name == from);
            found.expect("the tensor").name = to.into();
        }
    };
    let strange = "base_model.model.model.no.such.lora_A.weight";
    let rename = renamed(a.clone(), strange);
    refused(
        &|dir| of(dir, &rename),
        &[WEIGHTS, strange, "no linear module"],
    );
    let rename = renamed(a.clone(), "base_model.model.lm_head.weight");
    refused(
        &|dir| of(dir, &rename),
        &[WEIGHTS, "lm_head.weight", "no factor"],
    );
    let turned = |f: &mut RawSafetensors| {
        let found = f.tensors.iter_mut().find(|t| t.name == a);
        found.expect("the tensor").shape.reverse();
    };
    refused(&|dir| of(dir, &turned), &[WEIGHTS, &a, "shape"]);
    let broken = |f: &mut RawSafetensors| {
        let found = f.tensors.iter_mut().find(|t| t.name == b);
        found.expect("the tensor").data[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    };
    refused(&|dir| of(dir, &broken), &[WEIGHTS, &b, "NaN"]);
    let key = |key: &'static str, value: serde_json::Value| {
        move |dir: &Path| {
            let path = dir.join(CONFIG);
            let text = std::fs::read_to_string(&path).unwrap();
            let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
            json[key] = value.clone();
            std::fs::write(path, json.to_string()).unwrap();
        }
    };
    refused(&key("use_dora", true.into()), &[CONFIG, "use_dora"]);
    refused(&key("r", 5.into()), &[WEIGHTS, "rank 5"]);
    let one = serde_json::json!(["q_proj"]);
    refused(&key("target_modules", one), &[WEIGHTS, "no target"]);
    let none = serde_json::json!(["patch_embed.proj"]);
    refused(&key("target_modules", none), &[CONFIG, "patch_embed.proj"]);
    refused(
        &|dir| std::fs::remove_file(dir.join(WEIGHTS)).unwrap(),
        &[WEIGHTS],
    );
    // An adapter of another model.
    let dir = TempDir::new().unwrap();
    let adapter = written(MODELS[0], dir.path());
    let model = load(name, &Device::flex(), Precision::F32);
    let error = model
        .with_adapter_from(&adapter, 0)
        .map(|_| ())
        .unwrap_err();
    assert!(error.to_string().contains(CONFIG), "{error}");
}
