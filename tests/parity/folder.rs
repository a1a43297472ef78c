//! A writable copy of parts of the golden folder.

use glmv_testkit::{RawSafetensors, golden_dir, perturbed};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A copy with some cases, removed when dropped.
pub struct Folder(tempfile::TempDir);

impl Folder {
    /// Copies the cases of these ids with their tensors, media and checkpoints.
    pub fn with(ids: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let folder = Self(dir);
        for part in ["goldens", "media", "cases.json"] {
            copy(&golden_dir().join(part), &folder.path().join(part));
        }
        folder.edit_cases(|cases| cases.retain(|case| ids.iter().any(|id| case["id"] == *id)));
        let cases = folder.cases();
        assert_eq!(cases.len(), ids.len(), "cases {ids:?}");
        for model in cases.iter().filter_map(|case| case["model"].as_str()) {
            copy(&golden_dir().join(model), &folder.path().join(model));
        }
        folder
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    fn cases_file(&self) -> PathBuf {
        self.path().join("cases.json")
    }

    fn file(&self) -> Value {
        let text = fs::read_to_string(self.cases_file()).expect("cases.json");
        serde_json::from_str(&text).expect("JSON")
    }

    /// The entries of `cases.json`.
    pub fn cases(&self) -> Vec<Value> {
        self.file()["cases"].as_array().expect("a list").clone()
    }

    /// Rewrites the entries of `cases.json`.
    pub fn edit_cases(&self, edit: impl FnOnce(&mut Vec<Value>)) {
        let mut file = self.file();
        edit(file["cases"].as_array_mut().expect("a list"));
        fs::write(self.cases_file(), file.to_string()).expect("writable");
    }

    /// Moves the largest element of a tensor, in whichever file of `part` holds it, by 1 %.
    pub fn perturb(&self, part: &str, tensor: &str) {
        let path = self.path().join(part);
        let files = match path.is_dir() {
            true => fs::read_dir(&path)
                .expect("a folder")
                .map(|e| e.expect("an entry").path())
                .collect(),
            false => vec![path],
        };
        for file in files
            .iter()
            .filter(|f| f.extension().is_some_and(|e| e == "safetensors"))
        {
            let mut raw = RawSafetensors::read(file).expect("safetensors");
            let Some(found) = raw.tensors.iter_mut().find(|t| t.name == tensor) else {
                continue;
            };
            assert_eq!(found.dtype, "F32", "{tensor}");
            let (values, _) = found.data.as_chunks::<4>();
            let values: Vec<f32> = values.iter().map(|b| f32::from_le_bytes(*b)).collect();
            let moved = perturbed(&values, 0.01).expect("finite values");
            found.data = moved.iter().flat_map(|v| v.to_le_bytes()).collect();
            return raw.write(file).expect("writable");
        }
        panic!("no tensor {tensor} in {part}");
    }
}

/// Copies a file, or the files of a folder; the source may be read-only, the copy is not.
fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).expect("writable");
        for entry in fs::read_dir(from).expect("a folder") {
            let entry = entry.expect("an entry");
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::write(to, fs::read(from).expect("readable")).expect("writable");
    }
}
