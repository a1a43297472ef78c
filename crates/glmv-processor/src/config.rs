//! Reading a checkpoint's JSON files, with errors that name the file and the key. Called by
//! everything that is made `from_dir`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::Error;
use crate::patches::{Normalizer, PatchGeometry};

/// A parsed JSON file, or an object inside one, that remembers where it came from.
#[derive(Debug, Clone)]
pub(crate) struct JsonFile {
    pub path: PathBuf,
    pub value: Value,
}

/// The text of `path`, `None` when there is no such file.
pub(crate) fn read_text(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

/// The JSON in `path`, `None` when there is no such file.
pub(crate) fn read_json(path: &Path) -> Result<Option<JsonFile>, Error> {
    let Some(text) = read_text(path)? else {
        return Ok(None);
    };
    let value = serde_json::from_str(&text).map_err(|source| Error::Json {
        path: path.to_owned(),
        source,
    })?;
    Ok(Some(JsonFile {
        path: path.to_owned(),
        value,
    }))
}

/// The JSON in `dir/name`; an error when there is no such file.
pub(crate) fn require_json(dir: &Path, name: &str) -> Result<JsonFile, Error> {
    read_json(&dir.join(name))?.ok_or_else(|| Error::MissingFile {
        dir: dir.to_owned(),
        wanted: name.to_owned(),
    })
}

impl JsonFile {
    /// The value of a dotted key; `None` when absent or null.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let found = key.split('.').try_fold(&self.value, |v, part| v.get(part));
        found.filter(|v| !v.is_null())
    }

    /// The error for a key that is absent or holds something else than `expected`.
    pub fn wrong(&self, key: &str, expected: &str) -> Error {
        Error::Config {
            path: self.path.clone(),
            key: key.to_owned(),
            expected: expected.to_owned(),
            found: self
                .get(key)
                .map_or_else(|| "nothing".to_owned(), Value::to_string),
        }
    }

    /// A positive integer, or `default` when the key is absent.
    pub fn positive(&self, key: &str, default: u64) -> Result<u64, Error> {
        match self.get(key) {
            None => Ok(default),
            Some(v) => match v.as_u64() {
                Some(n) if n > 0 => Ok(n),
                _ => Err(self.wrong(key, "a positive integer")),
            },
        }
    }

    /// A positive finite number, or `default` when the key is absent.
    pub fn positive_float(&self, key: &str, default: f64) -> Result<f64, Error> {
        match self.get(key) {
            None => Ok(default),
            Some(v) => match v.as_f64() {
                Some(x) if x > 0.0 && x.is_finite() => Ok(x),
                _ => Err(self.wrong(key, "a positive number")),
            },
        }
    }

    /// A token id that must be present.
    pub fn token_id(&self, key: &str) -> Result<u32, Error> {
        let id = self
            .get(key)
            .and_then(Value::as_u64)
            .and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| self.wrong(key, "a token id"))
    }

    fn channels(&self, key: &str, default: [f64; 3]) -> Result<[f64; 3], Error> {
        let Some(value) = self.get(key) else {
            return Ok(default);
        };
        let numbers: Option<Vec<f64>> = value
            .as_array()
            .and_then(|a| a.iter().map(Value::as_f64).collect());
        numbers
            .and_then(|v| v.try_into().ok())
            .ok_or_else(|| self.wrong(key, "three numbers"))
    }
}

/// The settings that picture and video preprocessing share.
#[derive(Debug, Clone)]
pub(crate) struct VisualConfig {
    pub geometry: PatchGeometry,
    pub normalizer: Normalizer,
    pub min_pixels: u64,
    pub max_pixels: u64,
}

impl VisualConfig {
    /// Reads the settings; absent keys take the values of the HF class, `max_pixels` the one given.
    pub fn from_json(file: &JsonFile, max_pixels: u64) -> Result<Self, Error> {
        for key in ["do_resize", "do_rescale", "do_normalize", "do_convert_rgb"] {
            if file.get(key).is_some_and(|v| v != &Value::Bool(true)) {
                return Err(file.wrong(key, "true (the model is trained with this step)"));
            }
        }
        let side = |key: &str, default: u64| match file.positive(key, default)? {
            n if n <= 1024 => Ok(u32::try_from(n).unwrap_or(1024)),
            _ => Err(file.wrong(key, "at most 1024")),
        };
        let geometry = PatchGeometry {
            patch_size: side("patch_size", 14)?,
            temporal_patch_size: side("temporal_patch_size", 2)?,
            merge_size: side("merge_size", 2)?,
        };
        let mean = file.channels("image_mean", [0.481_454_66, 0.457_827_5, 0.408_210_73])?;
        let std = file.channels("image_std", [0.268_629_54, 0.261_302_58, 0.275_777_11])?;
        if std.iter().any(|&s| s <= 0.0) {
            return Err(file.wrong("image_std", "three positive numbers"));
        }
        let rescale = file.positive_float("rescale_factor", 1.0 / 255.0)?;
        let min_pixels = file.positive("size.shortest_edge", 12_544)?;
        let max_pixels = file.positive("size.longest_edge", max_pixels)?;
        if min_pixels > max_pixels {
            return Err(file.wrong(
                "size.shortest_edge",
                &format!("at most size.longest_edge = {max_pixels}"),
            ));
        }
        Ok(Self {
            geometry,
            normalizer: Normalizer::new(mean, std, rescale),
            min_pixels,
            max_pixels,
        })
    }
}

/// The preprocessor settings of a checkpoint: `dir/name`, else the object `key` of
/// `dir/processor_config.json` (as transformers 5 writes it).
pub(crate) fn preprocessor(dir: &Path, name: &str, key: &str) -> Result<JsonFile, Error> {
    if let Some(file) = read_json(&dir.join(name))? {
        return Ok(file);
    }
    if let Some(file) = read_json(&dir.join("processor_config.json"))?
        && let Some(value) = file.get(key)
    {
        return Ok(JsonFile {
            value: value.clone(),
            path: file.path,
        });
    }
    let wanted = format!("{name} (nor the key `{key}` in processor_config.json)");
    Err(Error::MissingFile {
        dir: dir.to_owned(),
        wanted,
    })
}
