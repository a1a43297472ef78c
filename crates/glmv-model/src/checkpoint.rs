//! A checkpoint folder as published: `model.safetensors` or the shards of
//! `model.safetensors.index.json`, memory-mapped, with every tensor findable by name.

use crate::codes::StoredCodes;
use crate::quantise;
use crate::random::Synthetic;
use crate::{Config, Error, Precision};
use glmv_quant::Format;
use memmap2::Mmap;
use safetensors::tensor::{Dtype, Metadata, SafeTensors};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

struct Shard {
    path: PathBuf,
    map: Mmap,
    metadata: Metadata,
    data_start: usize,
}

/// Opened shards; dropping it unmaps them.
pub struct Checkpoint {
    shards: Vec<Shard>,
    /// Random tensors instead of shards.
    synthetic: Option<Synthetic>,
    /// Tensor name → shard, or number of the random tensor.
    names: BTreeMap<String, usize>,
    /// Quantised tensor → its codes.
    formats: BTreeMap<String, Format>,
    /// Codes of the decoder, if the checkpoint is quantised.
    precision: Option<Precision>,
    /// Storage of the vision tower in a quantised checkpoint.
    vision: Option<Precision>,
}

/// One tensor as it lies in the file.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    pub dtype: Dtype,
    pub shape: &'a [usize],
    /// Little-endian elements.
    pub bytes: &'a [u8],
}

impl Checkpoint {
    /// Maps the shards of `dir` and reads their headers.
    ///
    /// # Errors
    /// Names the file: missing folder or shard, malformed index, broken header, truncated data, a
    /// tensor in two shards or in another shard than the index says.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let fail = |path: &Path, reason: String| Error::File {
            path: path.to_path_buf(),
            reason,
        };
        if !dir.is_dir() {
            return Err(fail(dir, "no such folder".to_string()));
        }
        let index = dir.join("model.safetensors.index.json");
        let single = dir.join("model.safetensors");
        let (files, promised) = if index.is_file() {
            read_index(&index)?
        } else if single.is_file() {
            (vec!["model.safetensors".to_string()], BTreeMap::new())
        } else {
            let reason = "neither model.safetensors.index.json nor model.safetensors is here";
            return Err(fail(dir, reason.to_string()));
        };
        let mut shards = Vec::new();
        let mut names = BTreeMap::new();
        for file in &files {
            let shard = open_shard(&dir.join(file))?;
            for name in shard.metadata.tensors().into_keys() {
                if names.insert(name.clone(), shards.len()).is_some() {
                    return Err(fail(
                        &shard.path,
                        format!("tensor {name} is also in another shard"),
                    ));
                }
            }
            shards.push(shard);
        }
        for (name, file) in promised {
            let found = names.get(&name).map(|s| &shards[*s].path);
            if found != Some(&dir.join(&file)) {
                return Err(fail(
                    &index,
                    format!("says that {name} is in {file}, where it is not"),
                ));
            }
        }
        Self::of_shards(shards, names)
    }

    /// Maps one file of tensors and reads its header.
    ///
    /// # Errors
    /// As [`Checkpoint::open`], of this file.
    pub fn open_file(path: &Path) -> Result<Self, Error> {
        let shard = open_shard(path)?;
        let names = shard.metadata.tensors().into_keys();
        let names = names.map(|name| (name, 0)).collect();
        Self::of_shards(vec![shard], names)
    }

    fn of_shards(shards: Vec<Shard>, names: BTreeMap<String, usize>) -> Result<Self, Error> {
        let mut checkpoint = Checkpoint {
            shards,
            synthetic: None,
            names,
            formats: BTreeMap::new(),
            precision: None,
            vision: None,
        };
        checkpoint.read_formats()?;
        Ok(checkpoint)
    }

    /// A checkpoint of `config` with random weights that lies nowhere: matrices normal with
    /// deviation 0.02, norms 1, biases 0, in the type the configuration names. All matrices are
    /// windows of one block of values, so the host holds about the largest tensor. For benches.
    pub fn random(config: &Config, seed: u64) -> Self {
        let synthetic = Synthetic::new(config, seed);
        Checkpoint {
            shards: Vec::new(),
            names: synthetic.names(),
            synthetic: Some(synthetic),
            formats: BTreeMap::new(),
            precision: None,
            vision: None,
        }
    }

    /// What the metadata of the shards says about codes.
    fn read_formats(&mut self) -> Result<(), Error> {
        for shard in &self.shards {
            let Some(notes) = shard.metadata.metadata() else {
                continue;
            };
            if notes.get("format").map(String::as_str) != Some(quantise::FORMAT) {
                continue;
            }
            let fail = |reason: String| Error::Shard {
                path: shard.path.clone(),
                reason,
            };
            let version = notes.get("version").map_or("none", String::as_str);
            if version != quantise::VERSION {
                let ours = quantise::VERSION;
                return Err(fail(format!(
                    "layout version {version} of quantised weights, this build reads {ours}"
                )));
            }
            for (key, value) in notes {
                match key.as_str() {
                    "format" | "version" => (),
                    "weights" => {
                        self.precision = Some(named(value).ok_or_else(|| fail(unknown(value)))?)
                    }
                    "vision" => {
                        self.vision = Some(named(value).ok_or_else(|| fail(unknown(value)))?)
                    }
                    tensor => {
                        let format = value.parse().map_err(|_| fail(unknown(value)))?;
                        self.formats.insert(tensor.to_string(), format);
                    }
                }
            }
        }
        Ok(())
    }

    /// Codes of the decoder's weights; `None` for a checkpoint of floats.
    pub fn precision(&self) -> Option<Precision> {
        self.precision
    }

    /// Storage of the vision tower's matrices in a quantised checkpoint.
    pub fn vision(&self) -> Option<Precision> {
        self.vision
    }

    /// The quantised tensor `name` of the given shape; `None` if it is not stored as codes.
    ///
    /// # Errors
    /// [`Error::Codes`] if codes, scales and metadata do not fit the shape.
    pub(crate) fn codes(
        &self,
        name: &str,
        shape: &[usize],
    ) -> Result<Option<StoredCodes<'_>>, Error> {
        let Some(codes) = self.get(&format!("{name}.codes")) else {
            return Ok(None);
        };
        let fail = |reason: String| Error::Codes {
            name: format!("tensor {name}"),
            reason,
        };
        let scales = self.get(&format!("{name}.scales"));
        let scales = scales.ok_or_else(|| fail("has codes but no scales".to_string()))?;
        let format = self.formats.get(name).copied();
        let format = format.ok_or_else(|| fail("the metadata names no format".to_string()))?;
        let cols = shape.last().copied().unwrap_or(0);
        let rows = shape.iter().product::<usize>() / cols.max(1);
        let parts = [
            ("codes", &codes, format.code_words(cols)),
            ("scales", &scales, format.scale_words(cols)),
        ];
        for (part, stored, per_row) in parts {
            if stored.shape != [rows, per_row] || stored.dtype != Dtype::U32 {
                let (dtype, found) = (stored.dtype, stored.shape);
                return Err(fail(format!(
                    "{part} are {dtype:?} {found:?}, {format} of {shape:?} needs U32 [{rows}, {per_row}]"
                )));
            }
        }
        Ok(Some(StoredCodes {
            format,
            cols,
            codes: codes.bytes,
            scales: scales.bytes,
        }))
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// True if the checkpoint holds `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// Bytes of all tensors in the files.
    pub fn total_bytes(&self) -> u64 {
        if let Some(synthetic) = &self.synthetic {
            return synthetic.total_bytes();
        }
        self.shards
            .iter()
            .map(|s| (s.map.len() - s.data_start) as u64)
            .sum()
    }

    /// The tensor called `name`, if it is there.
    pub fn get(&self, name: &str) -> Option<Stored<'_>> {
        let at = *self.names.get(name)?;
        if let Some(synthetic) = &self.synthetic {
            return Some(synthetic.get(at));
        }
        let shard = &self.shards[at];
        let info = shard.metadata.info(name)?;
        let (start, end) = info.data_offsets;
        let bytes = &shard.map[shard.data_start + start..shard.data_start + end];
        Some(Stored {
            dtype: info.dtype,
            shape: &info.shape,
            bytes,
        })
    }
}

impl Checkpoint {
    /// Values of the float tensor `name`, each checked to be finite, with its shape.
    ///
    /// # Errors
    /// [`Error::MissingTensor`], [`Error::Dtype`] or [`Error::NotFinite`].
    pub fn floats(&self, name: &str) -> Result<(Vec<f32>, Vec<usize>), Error> {
        let stored = self.get(name).ok_or_else(|| Error::MissingTensor {
            name: name.to_string(),
            more: String::new(),
        })?;
        stored.width(name)?;
        let len = stored.shape.iter().product();
        let values = crate::cast::decode(&stored, 0..len, name)?;
        Ok((values, stored.shape.to_vec()))
    }

    /// The u32 tensor `name`, with its shape.
    ///
    /// # Errors
    /// [`Error::MissingTensor`] or [`Error::Dtype`].
    pub fn words(&self, name: &str) -> Result<(Vec<u32>, Vec<usize>), Error> {
        let stored = self.get(name).ok_or_else(|| Error::MissingTensor {
            name: name.to_string(),
            more: String::new(),
        })?;
        if stored.dtype != Dtype::U32 {
            return Err(Error::Dtype {
                name: name.to_string(),
                found: format!("{:?}", stored.dtype),
            });
        }
        let words = stored.bytes.chunks_exact(4);
        let words = words.map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        Ok((words.collect(), stored.shape.to_vec()))
    }
}

fn named(name: &str) -> Option<Precision> {
    Precision::ALL.into_iter().find(|p| p.name() == name)
}

fn unknown(value: &str) -> String {
    format!("unknown storage {value:?} in the metadata, expected f16, q8 or q4")
}

impl Stored<'_> {
    /// Bytes of one element.
    ///
    /// # Errors
    /// [`Error::Dtype`] for anything but f32, f16 and bf16.
    pub(crate) fn width(&self, name: &str) -> Result<usize, Error> {
        match self.dtype {
            Dtype::F32 => Ok(4),
            Dtype::F16 | Dtype::BF16 => Ok(2),
            other => Err(Error::Dtype {
                name: name.to_string(),
                found: format!("{other:?}"),
            }),
        }
    }
}

fn open_shard(path: &Path) -> Result<Shard, Error> {
    let fail = |reason: String| Error::File {
        path: path.to_path_buf(),
        reason,
    };
    let file = File::open(path).map_err(|e| fail(e.to_string()))?;
    if file.metadata().map_err(|e| fail(e.to_string()))?.len() < 8 {
        let reason = "shorter than the 8-byte header length".to_string();
        return Err(Error::Shard {
            path: path.to_path_buf(),
            reason,
        });
    }
    #[expect(
        unsafe_code,
        reason = "the one memory map of the project: weights exceed RAM"
    )]
    // SAFETY: the map is read-only and private to this struct; a file that another process
    // truncates while it is mapped is outside what a reader can defend against.
    let map = unsafe { Mmap::map(&file) }.map_err(|e| fail(e.to_string()))?;
    let (header, metadata) = SafeTensors::read_metadata(&map).map_err(|e| Error::Shard {
        path: path.to_path_buf(),
        reason: e.to_string(),
    })?;
    Ok(Shard {
        path: path.to_path_buf(),
        map,
        metadata,
        data_start: header + 8,
    })
}

type Index = (Vec<String>, BTreeMap<String, String>);

/// File names in order, and tensor → file.
fn read_index(path: &Path) -> Result<Index, Error> {
    let fail = |reason: String| Error::File {
        path: path.to_path_buf(),
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|e| fail(e.to_string()))?;
    let map = json.get("weight_map").and_then(|m| m.as_object());
    let map = map.ok_or_else(|| fail("has no weight_map object".to_string()))?;
    let mut promised = BTreeMap::new();
    for (name, file) in map {
        let file = file
            .as_str()
            .ok_or_else(|| fail(format!("{name}: file name is no string")))?;
        if Path::new(file).components().count() != 1 || file.contains("..") {
            return Err(fail(format!("{name}: {file} is not a file of this folder")));
        }
        promised.insert(name.clone(), file.to_string());
    }
    let mut files: Vec<String> = promised.values().cloned().collect();
    files.sort();
    files.dedup();
    if files.is_empty() {
        return Err(fail("weight_map is empty".to_string()));
    }
    Ok((files, promised))
}
