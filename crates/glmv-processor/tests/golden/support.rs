//! Reading golden cases and comparing numbers.

use std::collections::HashMap;
use std::path::PathBuf;

use glmv_processor::{Modality, Processor};
use safetensors::SafeTensors;
use serde_json::Value;

/// The folder of the golden cases.
pub fn golden_dir() -> PathBuf {
    match std::env::var_os("GLMV_GOLDEN_DIR") {
        Some(dir) => dir.into(),
        None => concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/golden").into(),
    }
}

/// The cases of the given kinds; at least one of each.
pub fn cases(kinds: &[&str]) -> Vec<Value> {
    let path = golden_dir().join("cases.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let all: Value = serde_json::from_str(&text).expect("cases.json is JSON");
    let cases = all["cases"].as_array().expect("a list of cases").iter();
    let cases: Vec<Value> = cases
        .filter(|c| kinds.contains(&string(&c["kind"])))
        .cloned()
        .collect();
    for kind in kinds {
        assert!(
            cases.iter().any(|c| c["kind"] == *kind),
            "no case of kind {kind}"
        );
    }
    cases
}

/// The processor of a case's checkpoint.
pub fn processor(case: &Value) -> Processor {
    let dir = golden_dir().join(string(&case["model"]));
    Processor::from_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()))
}

pub fn string(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("expected a string, found {value}"))
}

pub fn list(value: &Value) -> &[Value] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("expected a list, found {value}"))
}

pub fn unsigned(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("expected a number, found {value}"))
}

pub fn ids(value: &Value) -> Vec<u32> {
    list(value)
        .iter()
        .map(|v| u32::try_from(unsigned(v)).expect("an id"))
        .collect()
}

/// The tensors of a case: shape and raw bytes.
pub struct Tensors(HashMap<String, (Vec<usize>, Vec<u8>)>);

impl Tensors {
    pub fn of(case: &Value) -> Self {
        let bytes = std::fs::read(golden_dir().join(string(&case["file"]))).expect("tensor file");
        let file = SafeTensors::deserialize(&bytes).expect("safetensors");
        let entry = |(name, t): (String, safetensors::tensor::TensorView)| {
            (name, (t.shape().to_vec(), t.data().to_vec()))
        };
        Self(file.tensors().into_iter().map(entry).collect())
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn shape(&self, name: &str) -> &[usize] {
        &self.0[name].0
    }

    pub fn u8(&self, name: &str) -> &[u8] {
        &self.0[name].1
    }

    pub fn f32(&self, name: &str) -> Vec<f32> {
        let values = self.0[name].1.chunks_exact(4);
        values
            .map(|b| f32::from_le_bytes(b.try_into().expect("4 bytes")))
            .collect()
    }

    pub fn u32(&self, name: &str) -> Vec<u32> {
        let values = self.0[name].1.chunks_exact(8);
        let wide = values.map(|b| i64::from_le_bytes(b.try_into().expect("8 bytes")));
        wide.map(|v| u32::try_from(v).expect("not negative"))
            .collect()
    }

    pub fn grids(&self, name: &str) -> Vec<[u32; 3]> {
        self.u32(name)
            .chunks_exact(3)
            .map(|g| [g[0], g[1], g[2]])
            .collect()
    }
}

pub fn modality_ids(modality: &[Modality]) -> Vec<u32> {
    modality.iter().map(|&m| m as u32).collect()
}

/// Bit equality of floats, with the worst place in the error.
pub fn same_bits(got: &[f32], want: &[f32]) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{} values instead of {}", got.len(), want.len()));
    }
    let differing = got
        .iter()
        .zip(want)
        .filter(|(g, w)| g.to_bits() != w.to_bits())
        .count();
    let worst = got
        .iter()
        .zip(want)
        .map(|(g, w)| (g - w).abs())
        .fold(0.0_f32, f32::max);
    match differing {
        0 => Ok(()),
        n => Err(format!(
            "{n} of {} values differ, by {worst:e} at most",
            want.len()
        )),
    }
}

/// Checks that `check` accepts `values` and rejects them with the middle one changed by 1 %.
pub fn with_control(values: &[f32], what: &str, check: impl Fn(&[f32]) -> Result<(), String>) {
    check(values).unwrap_or_else(|e| panic!("{what}: {e}"));
    let mut perturbed = values.to_vec();
    let middle = perturbed.len() / 2;
    perturbed[middle] = perturbed[middle] * 1.01 + 1e-3;
    assert!(
        check(&perturbed).is_err(),
        "{what}: the comparison accepts a wrong value"
    );
}
