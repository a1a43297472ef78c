//! `adapter_config.json`, read and written.

use super::AdapterConfig;
use serde_json::{Value, json};

/// Keys that say nothing about the numbers.
const REMARKS: [&str; 9] = [
    "auto_mapping",
    "base_model_name_or_path",
    "inference_mode",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "task_type",
    "runtime_config",
];

/// What a key of some kind of LoRA that is not ours says where it is off.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

type Map = serde_json::Map<String, Value>;

/// Refuses keys of other kinds of adapters, by name.
fn check_keys(map: &Map) -> Result<(), String> {
    for (key, value) in map {
        let sound = match key.as_str() {
            "peft_type" => value == "LORA",
            "bias" => value == "none",
            // Other ways to begin change the base's weights.
            "init_lora_weights" => value.is_boolean() || value.is_null() || value == "gaussian",
            "r" | "lora_alpha" | "lora_dropout" | "use_rslora" | "target_modules" => true,
            key => REMARKS.contains(&key) || is_off(value),
        };
        if !sound {
            return Err(format!("{key} is {value}, which is not supported"));
        }
    }
    Ok(())
}

fn number(map: &Map, key: &str, default: Option<f64>) -> Result<f64, String> {
    match (map.get(key), default) {
        (Some(value), _) => {
            let number = value.as_f64();
            number.ok_or_else(|| format!("{key} is {value}, expected a number"))
        }
        (None, Some(default)) => Ok(default),
        (None, None) => Err(format!("{key} is missing")),
    }
}

/// The config in `text`, or what is wrong with it and where.
pub(super) fn read_config(text: &str) -> Result<AdapterConfig, String> {
    let json: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let map = json.as_object().ok_or("is no object")?;
    check_keys(map)?;
    let needed = |key: &str| map.get(key).ok_or_else(|| format!("{key} is missing"));
    needed("peft_type")?;
    let target = serde_json::from_value(needed("target_modules")?.clone());
    let rank = number(map, "r", None)?;
    if rank.fract() != 0.0 || !(1.0..1e6).contains(&rank) {
        return Err(format!(
            "r is {rank}, expected a whole number of at least 1"
        ));
    }
    let rslora = match map.get("use_rslora") {
        None => false,
        Some(value) => value
            .as_bool()
            .ok_or_else(|| format!("use_rslora is {value}"))?,
    };
    let config = AdapterConfig {
        target: target.map_err(|_| "target_modules is no name, pattern or list of names")?,
        rank: rank as usize,
        alpha: number(map, "lora_alpha", Some(8.0))?,
        dropout: number(map, "lora_dropout", Some(0.0))?,
        rslora,
        seed: 0,
    };
    config.check().map_err(|e| e.to_string())?;
    Ok(config)
}

/// The config as PEFT writes it; the targets are whole names, so that PEFT adapts these modules and no
/// other.
pub(super) fn write_config(config: &AdapterConfig, names: &[&str], base: &str) -> String {
    let alpha = match config.alpha.fract() == 0.0 && config.alpha.abs() < 1e15 {
        true => json!(config.alpha as i64),
        false => json!(config.alpha),
    };
    let json = json!({
        "alpha_pattern": {},
        "auto_mapping": null,
        "base_model_name_or_path": base,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "layers_pattern": null,
        "layers_to_transform": null,
        "lora_alpha": alpha,
        "lora_dropout": config.dropout,
        "modules_to_save": null,
        "peft_type": "LORA",
        "r": config.rank,
        "rank_pattern": {},
        "revision": null,
        "target_modules": names,
        "task_type": "CAUSAL_LM",
        "use_dora": false,
        "use_rslora": config.rslora,
    });
    format!("{json:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::Targets;

    #[test]
    fn configs_of_other_kinds_are_refused_by_key() {
        let sound = r#"{"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["a"],
            "use_dora": false, "something_new": null, "peft_version": "0.18.0"}"#;
        let config = read_config(sound).unwrap();
        assert_eq!((config.rank, config.alpha, config.scale()), (4, 8.0, 2.0));
        for (key, value) in [
            ("peft_type", "\"IA3\""),
            ("use_dora", "true"),
            ("bias", "\"all\""),
            ("rank_pattern", r#"{"q_proj": 8}"#),
            ("modules_to_save", r#"["lm_head"]"#),
            ("init_lora_weights", "\"pissa\""),
            ("r", "0"),
            ("r", "1.5"),
            ("lora_alpha", "\"much\""),
            ("lora_dropout", "1.0"),
            ("target_modules", "3"),
            ("something_new", "1"),
        ] {
            let mut json: Value = serde_json::from_str(sound).unwrap();
            json[key] = serde_json::from_str(value).unwrap();
            let error = read_config(&json.to_string()).expect_err(key);
            let named = match key {
                "lora_dropout" => "dropout",
                key => key,
            };
            assert!(error.contains(named), "{key}: {error}");
        }
        for missing in ["r", "target_modules", "peft_type"] {
            let mut json: Value = serde_json::from_str(sound).unwrap();
            json.as_object_mut().unwrap().remove(missing);
            assert!(
                read_config(&json.to_string())
                    .unwrap_err()
                    .contains(missing)
            );
        }
    }

    #[test]
    fn rslora_divides_by_the_root() {
        let config = AdapterConfig {
            target: Targets::Pattern("all-linear".into()),
            rank: 16,
            alpha: 8.0,
            dropout: 0.0,
            rslora: true,
            seed: 0,
        };
        assert_eq!(config.scale(), 2.0);
    }
}
