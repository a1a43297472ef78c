//! A model back to the hub layout: sharded safetensors with an index, per-expert tensor names,
//! f32 byte-equal to what was loaded. Every file is written beside its place and then renamed.

use crate::export::sources;
use crate::schema::{TensorSpec, tensors};
use crate::{Error, Glm4v};
use half::{bf16, f16};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Element type of the written matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreAs {
    F32,
    F16,
    BF16,
}

impl StoreAs {
    fn name(self) -> &'static str {
        match self {
            StoreAs::F32 => "F32",
            StoreAs::F16 => "F16",
            StoreAs::BF16 => "BF16",
        }
    }

    fn bytes(self) -> usize {
        match self {
            StoreAs::F32 => 4,
            StoreAs::F16 | StoreAs::BF16 => 2,
        }
    }

    fn encode(self, values: &[f32], out: &mut impl Write) -> std::io::Result<()> {
        for v in values {
            match self {
                StoreAs::F32 => out.write_all(&v.to_le_bytes())?,
                StoreAs::F16 => out.write_all(&f16::from_f32(*v).to_le_bytes())?,
                StoreAs::BF16 => out.write_all(&bf16::from_f32(*v).to_le_bytes())?,
            }
        }
        Ok(())
    }
}

/// Writes the weights of `model` into `dir` (created; must hold no weights yet), shards of at most
/// `max_shard_bytes`, and `model.safetensors.index.json` when there is more than one.
///
/// # Errors
/// [`Error::File`] when `dir` cannot be written or already holds a checkpoint.
pub fn save(model: &Glm4v, dir: &Path, store: StoreAs, max_shard_bytes: u64) -> Result<(), Error> {
    let sources = sources(model);
    write_sharded(
        dir,
        &tensors(model.config()),
        store,
        max_shard_bytes,
        &mut |spec| {
            let source = sources
                .get(&spec.name)
                .ok_or_else(|| Error::MissingTensor {
                    name: spec.name.clone(),
                    more: " (the loaded model has none)".to_string(),
                })?;
            source.values()
        },
    )
}

type Fill<'a> = &'a mut dyn FnMut(&TensorSpec) -> Result<Vec<f32>, Error>;

/// Writes `specs` in order, values from `fill`, one tensor in memory at a time.
pub(crate) fn write_sharded(
    dir: &Path,
    specs: &[TensorSpec],
    store: StoreAs,
    max_shard_bytes: u64,
    fill: Fill<'_>,
) -> Result<(), Error> {
    let fail = |path: &Path, reason: String| Error::File {
        path: path.to_path_buf(),
        reason,
    };
    std::fs::create_dir_all(dir).map_err(|e| fail(dir, e.to_string()))?;
    for name in ["model.safetensors", "model.safetensors.index.json"] {
        if dir.join(name).exists() {
            return Err(fail(
                &dir.join(name),
                "exists already; choose an empty folder".to_string(),
            ));
        }
    }
    let shards = split(specs, store, max_shard_bytes);
    let mut index = BTreeMap::new();
    let mut total = 0u64;
    for (i, shard) in shards.iter().enumerate() {
        let file = match shards.len() {
            1 => "model.safetensors".to_string(),
            n => format!("model-{:05}-of-{n:05}.safetensors", i + 1),
        };
        let partial = dir.join(format!(".{file}.partial"));
        let result = write_shard(&partial, shard, store, fill);
        if let Err(error) = result {
            // The original error matters more than a left-over file.
            let _ = std::fs::remove_file(&partial);
            return Err(error);
        }
        let path = dir.join(&file);
        std::fs::rename(&partial, &path).map_err(|e| fail(&path, e.to_string()))?;
        for spec in shard {
            index.insert(spec.name.clone(), file.clone());
            total += (spec.len() * store_of(spec, store).bytes()) as u64;
        }
    }
    if shards.len() > 1 {
        let path = dir.join("model.safetensors.index.json");
        let json = serde_json::json!({"metadata": {"total_size": total}, "weight_map": index});
        std::fs::write(&path, format!("{json:#}\n")).map_err(|e| fail(&path, e.to_string()))?;
    }
    Ok(())
}

fn store_of(spec: &TensorSpec, store: StoreAs) -> StoreAs {
    if spec.always_f32() {
        StoreAs::F32
    } else {
        store
    }
}

fn split(specs: &[TensorSpec], store: StoreAs, max: u64) -> Vec<Vec<&TensorSpec>> {
    let mut shards: Vec<Vec<&TensorSpec>> = vec![Vec::new()];
    let mut size = 0u64;
    for spec in specs {
        let bytes = (spec.len() * store_of(spec, store).bytes()) as u64;
        if size > 0 && size + bytes > max {
            shards.push(Vec::new());
            size = 0;
        }
        size += bytes;
        if let Some(last) = shards.last_mut() {
            last.push(spec);
        }
    }
    shards
}

fn write_shard(
    path: &Path,
    specs: &[&TensorSpec],
    store: StoreAs,
    fill: Fill<'_>,
) -> Result<(), Error> {
    let fail = |e: std::io::Error| Error::File {
        path: path.to_path_buf(),
        reason: e.to_string(),
    };
    let mut header = serde_json::Map::new();
    header.insert(
        "__metadata__".to_string(),
        serde_json::json!({"format": "pt"}),
    );
    let mut offset = 0;
    for spec in specs {
        let store = store_of(spec, store);
        let end = offset + spec.len() * store.bytes();
        let entry = serde_json::json!({
            "dtype": store.name(), "shape": spec.shape, "data_offsets": [offset, end]
        });
        header.insert(spec.name.clone(), entry);
        offset = end;
    }
    let mut text = serde_json::Value::Object(header).to_string();
    // The data starts at a multiple of 8, as the format recommends.
    text.push_str(&" ".repeat(text.len().next_multiple_of(8) - text.len()));
    let mut out = BufWriter::new(File::create(path).map_err(fail)?);
    out.write_all(&(text.len() as u64).to_le_bytes())
        .map_err(fail)?;
    out.write_all(text.as_bytes()).map_err(fail)?;
    for spec in specs {
        let values = fill(spec)?;
        if values.len() != spec.len() {
            let (found, expected) = (vec![values.len()], spec.shape.clone());
            return Err(Error::Shape {
                name: spec.name.clone(),
                found,
                expected,
            });
        }
        store_of(spec, store)
            .encode(&values, &mut out)
            .map_err(fail)?;
    }
    out.flush().map_err(fail)?;
    out.get_ref().sync_all().map_err(fail)
}
