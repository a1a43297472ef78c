use super::*;

fn moe_json() -> serde_json::Value {
    serde_json::json!({
        "model_type": "glm4v_moe",
        "text_config": {
            "vocab_size": 512, "hidden_size": 64, "intermediate_size": 96,
            "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2,
            "head_dim": 16, "n_routed_experts": 16, "num_experts_per_tok": 4,
            "moe_intermediate_size": 32, "n_group": 4, "topk_group": 2, "attention_bias": true,
            "rope_scaling": {"type": "default", "mrope_section": [2, 1, 1]},
            "eos_token_id": 7
        },
        "vision_config": {"hidden_size": 32, "num_heads": 2, "patch_size": 8, "image_size": 40}
    })
}

fn parse(value: &serde_json::Value) -> Result<Config, Error> {
    Config::from_json(&value.to_string(), "config.json")
}

#[test]
fn both_rope_spellings_give_one_config() {
    let loose = parse(&moe_json()).unwrap();
    let mut nested = moe_json();
    let text = nested["text_config"].as_object_mut().unwrap();
    text.remove("rope_scaling");
    text.insert("rope_theta".into(), 5.into());
    text.insert(
        "rope_parameters".into(),
        serde_json::json!({"rope_theta": 10000.0, "partial_rotary_factor": 0.5, "mrope_section": [2, 1, 1]}),
    );
    assert_eq!(parse(&nested).unwrap(), loose);
    assert_eq!(loose.text.rotary_dims, 8);
    assert_eq!(loose.text.eos_token_ids, [7]);
    assert_eq!(loose.vision.grid_side, 5);
    assert_eq!(
        (loose.image_token_id, loose.video_token_id),
        (151_363, 151_364)
    );
}

#[test]
fn errors_name_the_key() {
    let cases = [
        (
            "/model_type",
            serde_json::json!("llama"),
            "model_type is llama",
        ),
        (
            "/text_config/hidden_size",
            serde_json::Value::Null,
            "text_config.hidden_size is missing",
        ),
        (
            "/text_config/vocab_size",
            serde_json::json!("x"),
            "text_config.vocab_size",
        ),
        (
            "/text_config/vocab_size",
            serde_json::json!(0),
            "a positive integer",
        ),
        (
            "/text_config/num_experts_per_tok",
            serde_json::json!(9),
            "at most 8",
        ),
        (
            "/text_config/num_key_value_heads",
            serde_json::json!(4),
            "a divisor",
        ),
        (
            "/text_config/rope_scaling/mrope_section",
            serde_json::json!([1, 1]),
            "sum to 4",
        ),
        (
            "/vision_config",
            serde_json::Value::Null,
            "vision_config is missing",
        ),
    ];
    for (pointer, value, expected) in cases {
        let mut json = moe_json();
        *json.pointer_mut(pointer).unwrap() = value;
        let message = parse(&json).unwrap_err().to_string();
        assert!(message.contains(expected), "{pointer}: {message}");
    }
}

#[test]
fn dense_head_dim_is_derived() {
    let mut json = moe_json();
    json["model_type"] = "glm4v".into();
    json["text_config"]["hidden_size"] = 96.into();
    json["text_config"]["head_dim"] = 64.into();
    json["text_config"]["partial_rotary_factor"] = 0.5.into();
    let config = parse(&json).unwrap();
    assert_eq!((config.text.head_dim, config.text.rotary_dims), (16, 8));
    assert!(config.text.qkv_bias && config.text.moe.is_none());
}
