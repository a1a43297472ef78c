//! Broken checkpoint folders: the error names the file or tensor, exit 1 or 2, no panic.

use crate::program::{Said, assert_clear_error, golden, say};
use glmv_testkit::CheckpointCopy;
use std::path::Path;

const NORM: &str = "model.language_model.norm.weight";

fn run(dir: &Path) -> Said {
    say(&[
        "run",
        "--model",
        dir.to_str().unwrap(),
        "--device",
        "cpu",
        "--max-new-tokens",
        "1",
        "Hi",
    ])
}

fn copy(model: &str) -> CheckpointCopy {
    CheckpointCopy::of(&golden().join(model)).unwrap()
}

#[test]
fn missing_folder_and_files() {
    assert_clear_error(&run(Path::new("no/such/folder")), &["no/such/folder"]);
    let files = [
        "config.json",
        "tokenizer.json",
        "chat_template.jinja",
        "preprocessor_config.json",
        "model-00002-of-00003.safetensors",
    ];
    for file in files {
        let copy = copy("glm4v-f32");
        copy.remove(file).unwrap();
        assert_clear_error(&run(copy.path()), &[file]);
    }
}

#[test]
fn broken_shards() {
    let truncated = copy("glm4v-f32");
    truncated.truncate_shard(1).unwrap();
    assert_clear_error(
        &run(truncated.path()),
        &["model-00002-of-00003.safetensors"],
    );
    let header = copy("glm4v-f32");
    header.set_header_len(0, 1 << 60).unwrap();
    assert_clear_error(&run(header.path()), &["model-00001-of-00003.safetensors"]);
}

#[test]
fn wrong_tensors_are_named() {
    let missing = copy("glm4v_moe-f32");
    missing.drop_tensor(NORM).unwrap();
    assert_clear_error(&run(missing.path()), &[NORM]);
    let surplus = copy("glm4v_moe-f32");
    surplus
        .add_tensor("model.visual.blocks.9.norm1.weight", &[32])
        .unwrap();
    assert_clear_error(
        &run(surplus.path()),
        &["model.visual.blocks.9.norm1.weight"],
    );
    let reshaped = copy("glm4v_moe-f32");
    reshaped
        .reshape_tensor("lm_head.weight", &[64, 512])
        .unwrap();
    assert_clear_error(
        &run(reshaped.path()),
        &["lm_head.weight", "[64, 512]", "[512, 64]"],
    );
    let nan = copy("glm4v_moe-f32");
    nan.poison_tensor(
        "model.language_model.layers.1.mlp.experts.3.up_proj.weight",
        5,
    )
    .unwrap();
    assert_clear_error(&run(nan.path()), &["experts.3.up_proj.weight", "NaN"]);
}

#[test]
fn extra_prediction_layers_are_only_noted() {
    let copy = copy("glm4v_moe-f32");
    copy.add_tensor("model.language_model.layers.3.eh_proj.weight", &[64, 128])
        .unwrap();
    let said = run(copy.path());
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(
        said.stderr.contains("layers.3.eh_proj.weight"),
        "{}",
        said.stderr
    );
}

#[test]
fn wrong_configuration() {
    let key = copy("glm4v-f32");
    key.edit_config(|c| {
        c["text_config"]
            .as_object_mut()
            .unwrap()
            .remove("hidden_size");
    })
    .unwrap();
    assert_clear_error(
        &run(key.path()),
        &["config.json", "text_config.hidden_size"],
    );
    let kind = copy("glm4v-f32");
    kind.edit_config(|c| c["model_type"] = "llama".into())
        .unwrap();
    assert_clear_error(&run(kind.path()), &["model_type", "llama"]);
    let token = copy("glm4v-f32");
    token
        .edit_json("tokenizer.json", |t| {
            let added = t["added_tokens"].as_array_mut().unwrap();
            added.retain(|token| token["content"] != "<|image|>");
        })
        .unwrap();
    assert_clear_error(&run(token.path()), &["<|image|>"]);
}
