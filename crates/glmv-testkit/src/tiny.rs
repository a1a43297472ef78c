//! Small checkpoint folders with one thing wrong, for tests of bad input: a golden checkpoint is
//! copied to a temporary folder and then broken.

use std::path::{Path, PathBuf};

use half::{bf16, f16};
use serde_json::Value;

use crate::raw::dtype_size;
use crate::{Error, RawSafetensors, RawTensor};

#[cfg(test)]
mod tests;

/// A copy of a checkpoint folder, removed when dropped.
#[derive(Debug)]
pub struct CheckpointCopy {
    dir: tempfile::TempDir,
}

impl CheckpointCopy {
    /// Copies the files of `source` (no folders in it).
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn of(source: &Path) -> Result<Self, Error> {
        let dir = tempfile::tempdir().map_err(Error::io(std::env::temp_dir()))?;
        for entry in std::fs::read_dir(source).map_err(Error::io(source))? {
            let from = entry.map_err(Error::io(source))?.path();
            let Some(name) = from.file_name().filter(|_| from.is_file()) else {
                continue;
            };
            let to = dir.path().join(name);
            // Not fs::copy: the source may be read-only, the copy must not be.
            let bytes = std::fs::read(&from).map_err(Error::io(&from))?;
            std::fs::write(&to, bytes).map_err(Error::io(&to))?;
        }
        Ok(Self { dir })
    }

    /// The copy's folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The `.safetensors` files, by name.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn shards(&self) -> Result<Vec<PathBuf>, Error> {
        let mut shards = Vec::new();
        for entry in std::fs::read_dir(self.path()).map_err(Error::io(self.path()))? {
            let path = entry.map_err(Error::io(self.path()))?.path();
            if path.extension().is_some_and(|ext| ext == "safetensors") {
                shards.push(path);
            }
        }
        shards.sort();
        Ok(shards)
    }

    /// Removes a file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn remove(&self, file: &str) -> Result<(), Error> {
        let path = self.path().join(file);
        std::fs::remove_file(&path).map_err(Error::io(&path))
    }

    /// Cuts the last byte of shard number `shard`.
    ///
    /// # Errors
    /// [`Error::Io`], also for a shard that is not there.
    pub fn truncate_shard(&self, shard: usize) -> Result<(), Error> {
        self.edit_bytes(shard, |bytes| {
            bytes.pop();
        })
    }

    /// Writes another header length into shard number `shard`, for example `1 << 60`.
    ///
    /// # Errors
    /// [`Error::Io`], also for a shard that is not there.
    pub fn set_header_len(&self, shard: usize, len: u64) -> Result<(), Error> {
        self.edit_bytes(shard, |bytes| {
            bytes.splice(0..8.min(bytes.len()), len.to_le_bytes());
        })
    }

    /// Removes a tensor from its shard and from the index.
    ///
    /// # Errors
    /// [`Error::Tensor`] if there is none of this name; [`Error::Io`], [`Error::Json`].
    pub fn drop_tensor(&self, name: &str) -> Result<(), Error> {
        self.edit_shard_of(name, |raw, at| {
            raw.tensors.remove(at);
            Ok(())
        })?;
        self.edit_index(|weight_map| {
            weight_map.remove(name);
        })
    }

    /// Adds an F32 tensor of zeros to the last shard and to the index.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Json`], [`Error::Safetensors`].
    pub fn add_tensor(&self, name: &str, shape: &[usize]) -> Result<(), Error> {
        let shards = self.shards()?;
        let path = shards.last().ok_or_else(|| self.no_shard(0))?;
        let mut raw = RawSafetensors::read(path)?;
        raw.tensors.push(RawTensor {
            name: name.to_owned(),
            dtype: "F32".to_owned(),
            shape: shape.to_vec(),
            data: vec![0; 4 * shape.iter().product::<usize>()],
        });
        raw.write(path)?;
        let file = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        self.edit_index(|weight_map| {
            weight_map.insert(name.to_owned(), Value::String(file));
        })
    }

    /// Gives a tensor another shape; its data is cut or filled up with zeros, so that the file
    /// itself stays valid.
    ///
    /// # Errors
    /// [`Error::Tensor`] if there is none of this name; [`Error::Io`].
    pub fn reshape_tensor(&self, name: &str, shape: &[usize]) -> Result<(), Error> {
        self.edit_shard_of(name, |raw, at| {
            let tensor = &mut raw.tensors[at];
            let size = dtype_size(&tensor.dtype).ok_or(format!("type {}", tensor.dtype))?;
            tensor.shape = shape.to_vec();
            tensor
                .data
                .resize(size * shape.iter().product::<usize>(), 0);
            Ok(())
        })
    }

    /// Puts a NaN at element `index` of a floating-point tensor.
    ///
    /// # Errors
    /// [`Error::Tensor`] if there is no such tensor or element, or it holds no floats;
    /// [`Error::Io`].
    pub fn poison_tensor(&self, name: &str, index: usize) -> Result<(), Error> {
        self.edit_shard_of(name, |raw, at| {
            let tensor = &mut raw.tensors[at];
            let nan = match tensor.dtype.as_str() {
                "F64" => f64::NAN.to_le_bytes().to_vec(),
                "F32" => f32::NAN.to_le_bytes().to_vec(),
                "F16" => f16::NAN.to_le_bytes().to_vec(),
                "BF16" => bf16::NAN.to_le_bytes().to_vec(),
                other => return Err(format!("type {other} has no NaN")),
            };
            let start = index * nan.len();
            let range = start..start + nan.len();
            let place = tensor
                .data
                .get_mut(range)
                .ok_or(format!("has no element {index}"))?;
            place.copy_from_slice(&nan);
            Ok(())
        })
    }

    /// Edits `config.json`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Json`].
    pub fn edit_config(&self, edit: impl FnOnce(&mut Value)) -> Result<(), Error> {
        self.edit_json("config.json", edit)
    }

    /// Edits a JSON file of the folder.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Json`].
    pub fn edit_json(&self, file: &str, edit: impl FnOnce(&mut Value)) -> Result<(), Error> {
        let path = self.path().join(file);
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
        let mut value = serde_json::from_str(&text).map_err(|error| Error::Json {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        edit(&mut value);
        std::fs::write(&path, value.to_string()).map_err(Error::io(&path))
    }

    fn edit_index(
        &self,
        edit: impl FnOnce(&mut serde_json::Map<String, Value>),
    ) -> Result<(), Error> {
        let file = "model.safetensors.index.json";
        if !self.path().join(file).is_file() {
            return Ok(()); // a checkpoint of one shard has no index
        }
        self.edit_json(file, |index| {
            if let Some(weight_map) = index["weight_map"].as_object_mut() {
                edit(weight_map);
            }
        })
    }

    fn edit_bytes(&self, shard: usize, edit: impl FnOnce(&mut Vec<u8>)) -> Result<(), Error> {
        let shards = self.shards()?;
        let path = shards.get(shard).ok_or_else(|| self.no_shard(shard))?;
        let mut bytes = std::fs::read(path).map_err(Error::io(path))?;
        edit(&mut bytes);
        std::fs::write(path, bytes).map_err(Error::io(path))
    }

    /// Edits the shard that holds tensor `name`; the closure gets the tensor's place in it.
    fn edit_shard_of(
        &self,
        name: &str,
        edit: impl FnOnce(&mut RawSafetensors, usize) -> Result<(), String>,
    ) -> Result<(), Error> {
        let fail = |path: &Path, reason| Error::Tensor {
            path: path.to_owned(),
            tensor: name.to_owned(),
            reason,
        };
        for path in self.shards()? {
            let mut raw = RawSafetensors::read(&path)?;
            if let Some(at) = raw.tensors.iter().position(|tensor| tensor.name == name) {
                edit(&mut raw, at).map_err(|reason| fail(&path, reason))?;
                return raw.write(&path);
            }
        }
        Err(fail(self.path(), "is in no shard".into()))
    }

    fn no_shard(&self, shard: usize) -> Error {
        let source = std::io::Error::new(std::io::ErrorKind::NotFound, format!("no shard {shard}"));
        Error::Io {
            path: self.path().to_owned(),
            source,
        }
    }
}
