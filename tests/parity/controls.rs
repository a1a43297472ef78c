//! Negative controls: one thing wrong in a copy of the folder must fail the case it belongs to, by
//! name, and leave the others alone.

use crate::folder::Folder;
use crate::program::{Output, verify};
use serde_json::json;

const TEXT: &str = "glm4v.model.text";
const VISION: &str = "glm4v.vision.non_square";
const MOE: &str = "glm4v_moe.moe.layers";
const ROUTER: &str = "glm4v_moe.router.variants";
const ROTARY: &str = "glm4v_moe.rotary.text";
const ORDER: &str = "glm4v.rope_index.video";
const SIZES: &str = "processor.smart_resize";
const GRADS: &str = "glm4v_moe.sft.grads";
const ADAMW: &str = "glm4v.sft.adamw3";
const GRPO: &str = "grpo.plain";

fn check(folder: &Folder) -> Output {
    verify(folder.path(), &["--device", "cpu"])
}

/// The run failed, named `bad`, and passed the rest.
fn assert_fails(folder: &Folder, bad: &[&str], why: &str) {
    let output = check(folder);
    assert_eq!(output.code, 1, "{why}: {output}");
    for id in bad {
        assert!(
            output.stdout.contains(&format!("FAIL {id} ")),
            "{why}: {output}"
        );
    }
    let fails = output.stdout.matches("FAIL ").count();
    assert_eq!(fails, bad.len(), "{why}: {output}");
    assert!(output.stdout.contains(why), "{why}: {output}");
}

#[test]
fn the_copy_itself_passes() {
    let output = check(&Folder::with(&[
        TEXT, VISION, MOE, ROUTER, ROTARY, ORDER, SIZES,
    ]));
    assert_eq!(output.code, 0, "{output}");
    assert!(output.stdout.contains("7 of 7 cases passed"), "{output}");
}

#[test]
fn a_weight_off_by_one_percent_is_seen() {
    for (id, model, weight) in [
        (TEXT, "glm4v-f32", "lm_head.weight"),
        (
            TEXT,
            "glm4v-f32",
            "model.language_model.layers.1.self_attn.v_proj.bias",
        ),
        (VISION, "glm4v-f32", "model.visual.merger.down_proj.weight"),
        (
            VISION,
            "glm4v-f32",
            "model.visual.embeddings.position_embedding.weight",
        ),
        (
            MOE,
            "glm4v_moe-f32",
            "model.language_model.layers.1.mlp.gate.weight",
        ),
        (
            MOE,
            "glm4v_moe-f32",
            "model.language_model.layers.2.mlp.shared_experts.up_proj.weight",
        ),
    ] {
        let folder = Folder::with(&[id, SIZES]);
        folder.perturb(model, weight);
        assert_fails(&folder, &[id], "worst at [");
    }
}

#[test]
fn a_result_off_by_one_percent_is_seen() {
    for (id, tensor) in [
        (TEXT, "logits"),
        (TEXT, "step_logits"),
        (TEXT, "hidden_after_layer_1"),
        (VISION, "block_0"),
        (VISION, "pos_embed_only"),
        (MOE, "layer2.routed_output"),
        (MOE, "layer1.topk_weights"),
        (ROUTER, "no_norm.dense_weights"),
        (ROUTER, "groups_scaled.scores"),
        (ROTARY, "q_rotated"),
        (ROTARY, "cos"),
        (GRADS, "per_token_loss"),
        (GRADS, "grad.model.language_model.layers.1.mlp.gate.weight"),
        (GRADS, "grad.model.visual.patch_embed.proj.bias"),
    ] {
        let folder = Folder::with(&[id, SIZES]);
        folder.perturb(&format!("goldens/{id}.safetensors"), tensor);
        assert_fails(&folder, &[id], &format!("{tensor}: "));
    }
}

#[test]
fn training_off_by_one_percent_is_seen() {
    let scale = |value: &mut serde_json::Value| {
        *value = json!(value.as_f64().expect("a number") * 1.01);
    };
    for (id, key, named) in [
        (GRADS, "global_grad_norm", "global_grad_norm: "),
        (GRPO, "eps_high", "std.token.keep.loss: "),
    ] {
        let folder = Folder::with(&[id, SIZES]);
        folder.edit_cases(|cases| {
            let case = cases.iter_mut().find(|case| case["id"] == id);
            scale(&mut case.expect("the case")[key]);
        });
        assert_fails(&folder, &[id], named);
    }
    // The optimiser's case needs the batch of another one.
    let batch = "glm4v.sft.grads";
    for (key, named) in [("lr", "losses.1: "), ("weight_decay", "param_after_3.")] {
        let folder = Folder::with(&[ADAMW, batch, SIZES]);
        folder.edit_cases(|cases| {
            let case = cases.iter_mut().find(|case| case["id"] == ADAMW);
            let value = &mut case.expect("the case")["optimizer"][key];
            *value = json!(value.as_f64().expect("a number") * 1.5);
        });
        assert_fails(&folder, &[ADAMW], named);
    }
}

#[test]
fn a_missing_file_fails_its_case_only() {
    let folder = Folder::with(&[VISION, SIZES]);
    std::fs::remove_file(folder.path().join(format!("goldens/{VISION}.safetensors")))
        .expect("there");
    assert_fails(&folder, &[VISION], "non_square.safetensors");
    let folder = Folder::with(&[TEXT, ROUTER]);
    std::fs::remove_dir_all(folder.path().join("glm4v-f32")).expect("there");
    assert_fails(&folder, &[TEXT], "config.json");
}

#[test]
fn a_truncated_file_fails_its_case_only() {
    let folder = Folder::with(&[VISION, SIZES]);
    let path = folder.path().join(format!("goldens/{VISION}.safetensors"));
    let bytes = std::fs::read(&path).expect("there");
    std::fs::write(&path, &bytes[..bytes.len() - 1]).expect("writable");
    assert_fails(&folder, &[VISION], "not a safetensors file");
}

#[test]
fn an_unknown_kind_fails_even_when_others_are_asked_for() {
    let folder = Folder::with(&[VISION, SIZES]);
    folder.edit_cases(|cases| cases[0]["kind"] = json!("visions"));
    let id = folder.cases()[0]["id"].as_str().expect("an id").to_owned();
    assert_fails(&folder, &[&id], "unknown kind");
    let output = verify(
        folder.path(),
        &["--only", "smart_resize", "--device", "cpu"],
    );
    assert_eq!(output.code, 1, "{output}");
}

#[test]
fn an_entry_that_is_no_case_fails_by_name() {
    let folder = Folder::with(&[VISION, SIZES]);
    folder.edit_cases(|cases| {
        for case in cases.iter_mut().filter(|c| c["id"] == VISION) {
            case["tolerance"] = json!({"ulps": 3});
        }
    });
    assert_fails(&folder, &[VISION], "ulps");
}

#[test]
fn a_result_that_nobody_compares_is_a_failure() {
    let folder = Folder::with(&[TEXT]);
    let path = folder.path().join(format!("goldens/{TEXT}.safetensors"));
    let mut raw = glmv_testkit::RawSafetensors::read(&path).expect("safetensors");
    let logits = raw
        .tensors
        .iter()
        .find(|t| t.name == "logits")
        .expect("logits");
    let mut other = logits.clone();
    other.name = "logits_of_something_else".into();
    raw.tensors.push(other);
    raw.write(&path).expect("writable");
    folder.edit_cases(|cases| {
        let meta = cases[0]["tensors"]["logits"].clone();
        cases[0]["tensors"]["logits_of_something_else"] = meta;
    });
    assert_fails(&folder, &[TEXT], "logits_of_something_else: not compared");
}

#[test]
fn wrong_rows_in_cases_json_are_seen() {
    let folder = Folder::with(&[SIZES, "processor.video_sampling", "glm4v_moe.chat_template"]);
    folder.edit_cases(|cases| {
        for case in cases.iter_mut() {
            let row = &mut case["rows"][0];
            for key in ["result", "sum", "text"] {
                if !row[key].is_null() {
                    row[key] = json!("wrong");
                }
            }
        }
    });
    let bad = [SIZES, "processor.video_sampling", "glm4v_moe.chat_template"];
    assert_fails(&folder, &bad, "got ");
}

#[test]
fn inputs_that_contradict_each_other_are_errors() {
    let folder = Folder::with(&[ORDER, ROUTER]);
    folder.edit_cases(|cases| {
        for case in cases.iter_mut().filter(|c| c["id"] == ROUTER) {
            case["variants"]["no_norm"]["n_group"] = json!(7);
        }
    });
    assert_fails(&folder, &[ROUTER], "7 groups");
}
