//! The golden folder: `cases.json` in, cases with their tensors out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Error, Tensors, Tolerance};

#[cfg(test)]
mod tests;

/// A folder of golden cases.
#[derive(Debug, Clone)]
pub struct GoldenSet {
    dir: PathBuf,
    generator: Map<String, Value>,
    cases: Vec<Case>,
}

/// One case of `cases.json`.
#[derive(Debug, Clone)]
pub struct Case {
    /// Unique name, such as `glm4v.model.image`.
    pub id: String,
    /// What is checked; see the table in `assets/golden/README.md`.
    pub kind: String,
    /// Name of the checkpoint folder the case belongs to; see [`GoldenSet::model_dir`].
    pub model: Option<String>,
    /// The file of tensors, relative to the folder; `None` where all data is in `cases.json`.
    pub file: Option<PathBuf>,
    /// How far results may be from the golden ones.
    pub tolerance: Tolerance,
    /// Types and shapes of the tensors, by name.
    pub tensors: BTreeMap<String, TensorMeta>,
    /// Everything else the entry says (`prompt`, `images`, `rows`, …).
    pub extra: Map<String, Value>,
}

/// Type and shape of a tensor, as `cases.json` gives them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TensorMeta {
    /// Shape.
    pub shape: Vec<usize>,
    /// `float32`, `float64`, `int64` or `uint8`.
    pub dtype: String,
}

/// An entry of `cases.json` that is not a case.
#[derive(Debug)]
pub struct BrokenCase {
    /// Its id, or its number where it has none.
    pub id: String,
    /// Its kind, where it has one.
    pub kind: Option<String>,
    /// What is wrong; always [`Error::Case`].
    pub error: Error,
}

#[derive(Deserialize)]
struct CasesFile {
    format: u32,
    generator: Map<String, Value>,
    cases: Vec<Value>,
}

#[derive(Deserialize)]
struct CaseEntry {
    id: String,
    kind: String,
    model: Option<String>,
    file: Option<PathBuf>,
    tolerance: Value,
    tensors: BTreeMap<String, TensorMeta>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// The version of `cases.json` that this reader knows.
const FORMAT: u32 = 1;

impl GoldenSet {
    /// Reads `dir/cases.json`. Files of tensors are read later, by [`Case::load`].
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Json`], [`Error::Case`] (which names the case).
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let (set, broken) = Self::open_partly(dir)?;
        match broken.into_iter().next() {
            Some(broken) => Err(broken.error),
            None => Ok(set),
        }
    }

    /// As [`GoldenSet::open`], but entries that cannot be understood are handed back beside the
    /// good ones, so that the caller can run the rest and count each of them as a failure.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Json`] where the file as a whole cannot be understood.
    pub fn open_partly(dir: &Path) -> Result<(Self, Vec<BrokenCase>), Error> {
        let path = dir.join("cases.json");
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
        let fail = |reason: String| Error::Json {
            path: path.clone(),
            reason,
        };
        let file: CasesFile = serde_json::from_str(&text).map_err(|e| fail(e.to_string()))?;
        if file.format != FORMAT {
            return Err(fail(format!(
                "format {} (this reader knows {FORMAT})",
                file.format
            )));
        }
        let mut ids = BTreeSet::new();
        let mut cases = Vec::with_capacity(file.cases.len());
        let mut broken = Vec::new();
        for (number, value) in file.cases.into_iter().enumerate() {
            let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
            let id = text("id").unwrap_or_else(|| format!("number {number}"));
            let kind = text("kind");
            let checked = Case::from_json(value).and_then(|case| match ids.insert(id.clone()) {
                true => Ok(case),
                false => Err("the id is there twice".into()),
            });
            match checked {
                Ok(case) => cases.push(case),
                Err(reason) => broken.push(BrokenCase {
                    error: Error::Case {
                        path: path.clone(),
                        case: id.clone(),
                        reason,
                    },
                    id,
                    kind,
                }),
            }
        }
        let set = Self {
            dir: dir.to_owned(),
            generator: file.generator,
            cases,
        };
        Ok((set, broken))
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Versions of what wrote the folder.
    pub fn generator(&self) -> &Map<String, Value> {
        &self.generator
    }

    /// All cases, in the order of the file.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// The cases of one kind, in the order of the file.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Case> {
        self.cases.iter().filter(move |case| case.kind == kind)
    }

    /// The case `id`.
    ///
    /// # Errors
    /// [`Error::NoCase`].
    pub fn case(&self, id: &str) -> Result<&Case, Error> {
        self.cases
            .iter()
            .find(|case| case.id == id)
            .ok_or_else(|| Error::NoCase {
                path: self.dir.join("cases.json"),
                id: id.to_owned(),
            })
    }

    /// Checkpoint folder of a case, if it belongs to one.
    pub fn model_dir(&self, case: &Case) -> Option<PathBuf> {
        case.model.as_ref().map(|model| self.dir.join(model))
    }
}

impl Case {
    fn from_json(value: Value) -> Result<Self, String> {
        let entry: CaseEntry = serde_json::from_value(value).map_err(|e| e.to_string())?;
        let model = entry.model.as_ref().map(Path::new);
        for path in entry.file.as_deref().into_iter().chain(model) {
            if !path
                .components()
                .all(|part| matches!(part, Component::Normal(_)))
            {
                return Err(format!("path {} leaves the folder", path.display()));
            }
        }
        Ok(Self {
            id: entry.id,
            kind: entry.kind,
            model: entry.model,
            file: entry.file,
            tolerance: Tolerance::from_json(&entry.tolerance).map_err(|e| e.to_string())?,
            tensors: entry.tensors,
            extra: entry.extra,
        })
    }

    /// Reads the tensors and checks names, types and shapes against `cases.json`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Safetensors`], [`Error::Tensor`]; [`Error::Case`] for a case
    /// without a file.
    pub fn load(&self, set: &GoldenSet) -> Result<Tensors, Error> {
        let Some(file) = &self.file else {
            let reason = "has no file of tensors".into();
            return Err(Error::Case {
                path: set.dir.join("cases.json"),
                case: self.id.clone(),
                reason,
            });
        };
        let tensors = Tensors::read(&set.dir.join(file))?;
        tensors.check(&self.tensors)?;
        Ok(tensors)
    }
}

/// The folder that parity tests read: `GLMV_GOLDEN_DIR`, else [`workspace_golden_dir`].
pub fn golden_dir() -> PathBuf {
    std::env::var_os("GLMV_GOLDEN_DIR").map_or_else(workspace_golden_dir, PathBuf::from)
}

/// `assets/golden` of the workspace that this crate was built in.
pub fn workspace_golden_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/golden")
}
