//! The pure functions: target sizes and frame sampling.

use glmv_processor::{ResizeArgs, SamplingArgs, pair_seconds, sample_frames, smart_resize};
use serde_json::{Value, json};

use crate::support::{cases, list, unsigned};

fn resize_agrees(row: &Value) -> bool {
    let number = |key: &str| unsigned(&row["args"][key]);
    let args = ResizeArgs {
        num_frames: number("num_frames"),
        height: number("height"),
        width: number("width"),
        temporal_factor: number("temporal_factor"),
        factor: number("factor"),
        min_pixels: number("min_pixels"),
        max_pixels: number("max_pixels"),
    };
    match smart_resize(&args) {
        Ok((h, w)) => row["result"] == json!([h, w]),
        Err(_) => row["result"].is_null(),
    }
}

#[test]
fn smart_resize_matches() {
    for case in cases(&["smart_resize"]) {
        assert!(
            list(&case["rows"]).iter().any(|r| r["result"].is_null()),
            "no refused size"
        );
        for row in list(&case["rows"]) {
            assert!(resize_agrees(row), "{row}");
            let mut wrong = row.clone();
            wrong["result"] = match wrong["result"].is_null() {
                true => json!([28, 28]),
                false => json!([unsigned(&row["result"][0]) + 28, row["result"][1]]),
            };
            assert!(!resize_agrees(&wrong), "the comparison accepts {wrong}");
        }
    }
}

fn sampling_agrees(row: &Value, defaults: &Value) -> Result<(), String> {
    let fps = row["fps"].as_f64().expect("a rate");
    let indices = sample_frames(&SamplingArgs {
        total_num_frames: usize::try_from(unsigned(&row["total_num_frames"])).expect("a count"),
        fps,
        duration_secs: row["duration"].as_f64(),
        target_fps: row["requested_fps"]
            .as_f64()
            .or(defaults["fps"].as_f64())
            .expect("a rate"),
        max_duration_secs: defaults["max_duration"].as_f64().expect("a length"),
    })
    .map_err(|e| e.to_string())?;
    let tail = indices.len().saturating_sub(list(&row["last"]).len());
    let seconds: Vec<u64> = pair_seconds(&indices, fps).into_iter().take(40).collect();
    let found = [
        ("count", json!(indices.len())),
        ("sum", json!(indices.iter().sum::<usize>())),
        (
            "first",
            json!(indices[..list(&row["first"]).len().min(indices.len())]),
        ),
        ("last", json!(indices[tail..])),
        ("frame_seconds_in_text", json!(seconds)),
        ("indices", json!(indices)),
    ];
    for (key, value) in found {
        if !row[key].is_null() && row[key] != value {
            return Err(format!("{key}: {value} instead of {}", row[key]));
        }
    }
    Ok(())
}

#[test]
fn video_sampling_matches() {
    for case in cases(&["video_sampling"]) {
        for row in list(&case["rows"]) {
            sampling_agrees(row, &case["defaults"]).unwrap_or_else(|e| panic!("{row}: {e}"));
            let mut wrong = row.clone();
            wrong["sum"] = json!(unsigned(&row["sum"]) + 1);
            assert!(
                sampling_agrees(&wrong, &case["defaults"]).is_err(),
                "accepts {wrong}"
            );
        }
    }
}
