//! A model back to the hub layout: sharded safetensors with an index, per-expert tensor names,
//! f32 byte-equal to what was loaded. Every file is written beside its place and then renamed.

use crate::export::sources;
use crate::schema::{TensorSpec, tensors};
use crate::{Error, Glm4v};
use half::{bf16, f16};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::Path;

/// Element type of the written matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreAs {
    F32,
    F16,
    BF16,
}

impl StoreAs {
    pub(crate) fn name(self) -> &'static str {
        match self {
            StoreAs::F32 => "F32",
            StoreAs::F16 => "F16",
            StoreAs::BF16 => "BF16",
        }
    }

    pub(crate) fn bytes(self) -> usize {
        match self {
            StoreAs::F32 => 4,
            StoreAs::F16 | StoreAs::BF16 => 2,
        }
    }

    pub(crate) fn encode(self, values: &[f32], out: &mut Sink<'_>) -> Result<(), Error> {
        for v in values {
            match self {
                StoreAs::F32 => out.put(&v.to_le_bytes())?,
                StoreAs::F16 => out.put(&f16::from_f32(*v).to_le_bytes())?,
                StoreAs::BF16 => out.put(&bf16::from_f32(*v).to_le_bytes())?,
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

/// Values of a tensor of 4-byte elements.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    Floats(Vec<f32>),
    Words(Vec<u32>),
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Values::Floats(values) => values.len(),
            Values::Words(words) => words.len(),
        }
    }
}

/// A tensor to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTensor {
    pub name: String,
    pub shape: Vec<usize>,
    /// Words instead of f32.
    pub words: bool,
}

/// Writes tensors of any names and shapes into `dir` (created; must hold no weights yet), as [`save`]
/// does; `fill` gives the values of the tensor with the given number.
///
/// # Errors
/// As [`save`]; [`Error::Shape`] if `fill` gives another number of values than the shape has, and
/// [`Error::Dtype`] for those of another kind.
pub fn write_values(
    dir: &Path,
    tensors: &[NewTensor],
    max_shard_bytes: u64,
    fill: &mut dyn FnMut(usize) -> Result<Values, Error>,
) -> Result<(), Error> {
    let items: Vec<Item> = (tensors.iter())
        .map(|tensor| {
            Item::plain(Entry {
                name: tensor.name.clone(),
                dtype: if tensor.words { "U32" } else { "F32" }.to_string(),
                shape: tensor.shape.clone(),
                bytes: tensor.shape.iter().product::<usize>() * StoreAs::F32.bytes(),
            })
        })
        .collect();
    write_items(dir, &items, &[], max_shard_bytes, &mut |i, sink| {
        let NewTensor { name, shape, words } = &tensors[i];
        let values = fill(i)?;
        if values.len() != shape.iter().product::<usize>() {
            return Err(Error::Shape {
                name: name.clone(),
                found: vec![values.len()],
                expected: shape.clone(),
            });
        }
        match (&values, words) {
            (Values::Floats(values), false) => StoreAs::F32.encode(values, sink),
            (Values::Words(values), true) => {
                let mut words = values.iter();
                words.try_for_each(|word| sink.put(&word.to_le_bytes()))
            }
            _ => Err(Error::Dtype {
                name: name.clone(),
                found: "values of the other kind".to_string(),
            }),
        }
    })
}

/// Writes f32 tensors of any names and shapes; see [`write_values`].
///
/// # Errors
/// As [`write_values`].
pub fn write_floats(
    dir: &Path,
    tensors: &[(String, Vec<usize>)],
    max_shard_bytes: u64,
    fill: &mut dyn FnMut(usize) -> Result<Vec<f32>, Error>,
) -> Result<(), Error> {
    let tensors: Vec<NewTensor> = (tensors.iter())
        .map(|(name, shape)| NewTensor {
            name: name.clone(),
            shape: shape.clone(),
            words: false,
        })
        .collect();
    write_values(dir, &tensors, max_shard_bytes, &mut |i| {
        fill(i).map(Values::Floats)
    })
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
    let items: Vec<Item> = specs.iter().map(|spec| item(spec, store)).collect();
    let metadata = [("format", "pt")];
    write_items(dir, &items, &metadata, max_shard_bytes, &mut |i, sink| {
        let spec = &specs[i];
        let values = fill(spec)?;
        if values.len() != spec.len() {
            let (found, expected) = (vec![values.len()], spec.shape.clone());
            return Err(Error::Shape {
                name: spec.name.clone(),
                found,
                expected,
            });
        }
        store_of(spec, store).encode(&values, sink)
    })
}

fn store_of(spec: &TensorSpec, store: StoreAs) -> StoreAs {
    if spec.always_f32() {
        StoreAs::F32
    } else {
        store
    }
}

fn item(spec: &TensorSpec, store: StoreAs) -> Item {
    let store = store_of(spec, store);
    Item::plain(Entry {
        name: spec.name.clone(),
        dtype: store.name().to_string(),
        shape: spec.shape.clone(),
        bytes: spec.len() * store.bytes(),
    })
}

/// One tensor of a file.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) dtype: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: usize,
}

/// Tensors that stand together, in order, with a line for the metadata of their file.
pub(crate) struct Item {
    pub(crate) entries: Vec<Entry>,
    pub(crate) metadata: Option<(String, String)>,
}

impl Item {
    pub(crate) fn plain(entry: Entry) -> Self {
        Item {
            entries: vec![entry],
            metadata: None,
        }
    }

    fn bytes(&self) -> usize {
        self.entries.iter().map(|e| e.bytes).sum()
    }
}

/// The file being written.
pub(crate) struct Sink<'a> {
    path: &'a Path,
    out: BufWriter<File>,
    written: usize,
}

impl Sink<'_> {
    /// Appends bytes of the current item.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.written += bytes.len();
        self.out.write_all(bytes).map_err(|e| fail(self.path, e))
    }
}

fn fail(path: &Path, reason: impl ToString) -> Error {
    Error::File {
        path: path.to_path_buf(),
        reason: reason.to_string(),
    }
}

type Emit<'a> = &'a mut dyn FnMut(usize, &mut Sink<'_>) -> Result<(), Error>;

/// Writes `items` in order into shards of at most `max_shard_bytes`; `emit` puts the bytes of the
/// item with the given number.
pub(crate) fn write_items(
    dir: &Path,
    items: &[Item],
    metadata: &[(&str, &str)],
    max_shard_bytes: u64,
    emit: Emit<'_>,
) -> Result<(), Error> {
    std::fs::create_dir_all(dir).map_err(|e| fail(dir, e))?;
    for name in ["model.safetensors", "model.safetensors.index.json"] {
        if dir.join(name).exists() {
            let reason = "exists already; choose an empty folder";
            return Err(fail(&dir.join(name), reason));
        }
    }
    let shards = split(items, max_shard_bytes);
    let mut index = BTreeMap::new();
    let mut total = 0;
    for (i, shard) in shards.iter().enumerate() {
        let file = match shards.len() {
            1 => "model.safetensors".to_string(),
            n => format!("model-{:05}-of-{n:05}.safetensors", i + 1),
        };
        let partial = dir.join(format!(".{file}.partial"));
        let result = write_shard(&partial, items, shard.clone(), metadata, emit);
        if let Err(error) = result {
            // The original error matters more than a left-over file.
            let _ = std::fs::remove_file(&partial);
            return Err(error);
        }
        let path = dir.join(&file);
        std::fs::rename(&partial, &path).map_err(|e| fail(&path, e))?;
        for entry in items[shard.clone()].iter().flat_map(|item| &item.entries) {
            index.insert(entry.name.clone(), file.clone());
            total += entry.bytes as u64;
        }
    }
    if shards.len() > 1 {
        let path = dir.join("model.safetensors.index.json");
        let json = serde_json::json!({"metadata": {"total_size": total}, "weight_map": index});
        std::fs::write(&path, format!("{json:#}\n")).map_err(|e| fail(&path, e))?;
    }
    Ok(())
}

/// Writes `items` in order into the one file `path`, which must not exist; `emit` as in
/// [`write_items`].
pub(crate) fn write_file(
    path: &Path,
    items: &[Item],
    metadata: &[(&str, &str)],
    emit: Emit<'_>,
) -> Result<(), Error> {
    if path.exists() {
        return Err(fail(path, "exists already"));
    }
    let partial = path.with_extension("partial");
    if let Err(error) = write_shard(&partial, items, 0..items.len(), metadata, emit) {
        // The original error matters more than a left-over file.
        let _ = std::fs::remove_file(&partial);
        return Err(error);
    }
    std::fs::rename(&partial, path).map_err(|e| fail(path, e))
}

/// Runs of items that make one file each.
fn split(items: &[Item], max: u64) -> Vec<Range<usize>> {
    let mut shards = Vec::new();
    let (mut start, mut size) = (0, 0u64);
    for (i, item) in items.iter().enumerate() {
        let bytes = item.bytes() as u64;
        if size > 0 && size + bytes > max {
            shards.push(start..i);
            (start, size) = (i, 0);
        }
        size += bytes;
    }
    shards.push(start..items.len());
    shards
}

fn write_shard(
    path: &Path,
    items: &[Item],
    shard: Range<usize>,
    metadata: &[(&str, &str)],
    emit: Emit<'_>,
) -> Result<(), Error> {
    let items = &items[shard.start..shard.end];
    let mut notes = serde_json::Map::new();
    for (key, value) in metadata {
        notes.insert((*key).to_string(), serde_json::json!(value));
    }
    for (key, value) in items.iter().filter_map(|item| item.metadata.as_ref()) {
        notes.insert(key.clone(), serde_json::json!(value));
    }
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".to_string(), serde_json::Value::Object(notes));
    let mut offset = 0;
    for entry in items.iter().flat_map(|item| &item.entries) {
        let end = offset + entry.bytes;
        let value = serde_json::json!({
            "dtype": entry.dtype, "shape": entry.shape, "data_offsets": [offset, end]
        });
        header.insert(entry.name.clone(), value);
        offset = end;
    }
    let mut text = serde_json::Value::Object(header).to_string();
    // The data starts at a multiple of 8, as the format recommends.
    text.push_str(&" ".repeat(text.len().next_multiple_of(8) - text.len()));
    let mut sink = Sink {
        path,
        out: BufWriter::new(File::create(path).map_err(|e| fail(path, e))?),
        written: 0,
    };
    sink.put(&(text.len() as u64).to_le_bytes())?;
    sink.put(text.as_bytes())?;
    for (i, item) in items.iter().enumerate() {
        sink.written = 0;
        emit(shard.start + i, &mut sink)?;
        assert_eq!(sink.written, item.bytes(), "{}", item.entries[0].name);
    }
    sink.out.flush().map_err(|e| fail(path, e))?;
    sink.out.get_ref().sync_all().map_err(|e| fail(path, e))
}
