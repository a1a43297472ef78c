//! Checkpoints of codes: which tensors are stored how, the words of one weight while it is put
//! together, and the command that writes a quantised checkpoint. The file layout is in
//! `docs/quantisation.md`.

use crate::cast::{decode, to_half};
use crate::checkpoint::{Checkpoint, Stored};
use crate::codes::{CHUNK, Words};
use crate::config::Config;
use crate::random::{SIDE_FILES, copy_side_files};
use crate::schema::{TensorSpec, VISUAL, tensors};
use crate::writer::{Entry, Item, Sink, write_items};
use crate::{Error, Precision, Progress};
use glmv_quant::{BLOCK, Format};
use safetensors::tensor::Dtype;
use std::ops::Range;
use std::path::Path;

/// Value of `format` in the metadata of a shard, and of `quant_method` in config.json.
pub(crate) const FORMAT: &str = "glmv-quant";
/// Version of the layout.
pub(crate) const VERSION: &str = "1";

/// What a quantised checkpoint holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantisation {
    /// Codes of the decoder's matrices, the experts, the embedding and the head.
    pub weights: Format,
    /// The vision tower's and the projector's matrices: [`Precision::F16`], or codes.
    pub vision: Precision,
}

/// How one tensor is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Store {
    /// As it is.
    Keep,
    F16,
    Codes(Format),
}

impl Quantisation {
    fn of(self, spec: &TensorSpec, config: &Config) -> Store {
        let frozen = spec.shape.len() == 1
            || spec.name.ends_with("mlp.gate.weight")
            || spec.name.ends_with("position_embedding.weight");
        if frozen {
            return Store::Keep;
        }
        let precision = match spec.name.starts_with(VISUAL) {
            // The convolutions: the loader rearranges their values.
            true if spec.shape.len() > 2 => self.vision.float(),
            true => self.vision,
            false => self.weights.into(),
        };
        match precision.format() {
            Some(_) if splits_blocks(spec, config) => Store::Keep,
            Some(format) => Store::Codes(format),
            None => Store::F16,
        }
    }
}

/// True for the matrix whose columns the loader shares out over several experts, where a block would
/// lie in two of them.
fn splits_blocks(spec: &TensorSpec, config: &Config) -> bool {
    spec.name.ends_with("shared_experts.down_proj.weight")
        && config.text.moe.as_ref().is_some_and(|moe| {
            moe.num_shared_experts > 1 && !moe.expert_width.is_multiple_of(BLOCK)
        })
}

/// Writes a quantised copy of the checkpoint folder `source` into `out` (created; must hold no
/// weights yet): every weight as the loader would quantise it, the configuration with a
/// `quantization_config`, and the tokenizer and processor files. Holds one tensor at a time.
///
/// # Errors
/// As [`Checkpoint::open`]; [`Error::Quantise`] for weights that no code can hold; [`Error::Codes`]
/// for a checkpoint that is quantised already.
pub fn quantise_checkpoint(
    source: &Path,
    out: &Path,
    quantisation: Quantisation,
    max_shard_bytes: u64,
    progress: Progress<'_>,
) -> Result<(), Error> {
    let config = Config::from_dir(source)?;
    let checkpoint = Checkpoint::open(source)?;
    if checkpoint.precision().is_some() {
        return Err(Error::Codes {
            name: source.display().to_string(),
            reason: "is quantised already: start from the original".to_string(),
        });
    }
    let specs = tensors(&config);
    let stored: Vec<Source<'_>> = specs
        .iter()
        .map(|spec| Source::find(&checkpoint, spec))
        .collect::<Result<_, _>>()?;
    let stores: Vec<Store> = specs
        .iter()
        .map(|spec| quantisation.of(spec, &config))
        .collect();
    let items: Vec<Item> = (0..specs.len())
        .map(|i| item(&specs[i], stores[i], &stored[i]))
        .collect();
    let metadata = [("format", FORMAT), ("version", VERSION)]
        .into_iter()
        .chain([
            ("weights", quantisation.weights.name()),
            ("vision", quantisation.vision.name()),
        ]);
    let total = checkpoint.total_bytes();
    let mut done = 0;
    let metadata: Vec<(&str, &str)> = metadata.collect();
    write_items(out, &items, &metadata, max_shard_bytes, &mut |i, sink| {
        stored[i].write(&specs[i], stores[i], sink)?;
        done += stored[i].bytes as u64;
        progress(done, total);
        Ok(())
    })?;
    write_config(source, out, quantisation)?;
    copy_side_files(source, out, &SIDE_FILES)
}

/// Where a hub tensor's values are in the source: under its own name, or a run of a fused stack.
pub(crate) struct Source<'a> {
    stored: Stored<'a>,
    name: String,
    elements: Range<usize>,
    bytes: usize,
}

impl<'a> Source<'a> {
    pub(crate) fn find(checkpoint: &'a Checkpoint, spec: &TensorSpec) -> Result<Self, Error> {
        let (name, start, shape) = match checkpoint.contains(&spec.name) {
            true => (spec.name.clone(), 0, None),
            false => fused(spec).ok_or_else(|| missing(&spec.name))?,
        };
        let stored = checkpoint.get(&name).ok_or_else(|| missing(&spec.name))?;
        // Of a fused stack, the experts may be any number; the rest of the shape must agree.
        let found = match &shape {
            Some(_) => &stored.shape[stored.shape.len().min(1)..],
            None => stored.shape,
        };
        let expected = shape.unwrap_or_else(|| spec.shape.clone());
        let elements = start..start + spec.len();
        if found != expected || elements.end > stored.shape.iter().product() {
            return Err(Error::Shape {
                name,
                found: stored.shape.to_vec(),
                expected,
            });
        }
        let width = stored.width(&name)?;
        Ok(Source {
            stored,
            name,
            bytes: elements.len() * width,
            elements,
        })
    }

    /// Type of the values in the file.
    pub(crate) fn dtype(&self) -> Dtype {
        self.stored.dtype
    }

    pub(crate) fn values(&self, range: Range<usize>) -> Result<Vec<f32>, Error> {
        let first = self.elements.start;
        decode(
            &self.stored,
            first + range.start..first + range.end,
            &self.name,
        )
    }

    fn write(&self, spec: &TensorSpec, store: Store, sink: &mut Sink<'_>) -> Result<(), Error> {
        let len = self.elements.len();
        let chunks = |step: usize| (0..len).step_by(step).map(move |i| i..(i + step).min(len));
        match store {
            Store::Keep => {
                // Checked like every weight, and then copied.
                self.values(0..len)?;
                let width = self.bytes / len.max(1);
                let start = self.elements.start * width;
                sink.put(&self.stored.bytes[start..start + self.bytes])
            }
            Store::F16 => {
                for chunk in chunks(CHUNK) {
                    let halves = to_half(&self.values(chunk)?, &spec.name)?;
                    let bytes: Vec<u8> = halves.iter().flat_map(|h| h.to_le_bytes()).collect();
                    sink.put(&bytes)?;
                }
                Ok(())
            }
            Store::Codes(format) => {
                let cols = spec.shape.last().copied().unwrap_or(1);
                let mut words = Words::with_capacity(format, len / cols, cols);
                for chunk in chunks((CHUNK / cols).max(1) * cols) {
                    words.quantise(&spec.name, &self.values(chunk)?)?;
                }
                let (codes, scales) = words.into_parts();
                for run in [codes, scales].iter().flat_map(|part| part.chunks(CHUNK)) {
                    let bytes: Vec<u8> = run.iter().flat_map(|w| w.to_le_bytes()).collect();
                    sink.put(&bytes)?;
                }
                Ok(())
            }
        }
    }
}

fn missing(name: &str) -> Error {
    Error::MissingTensor {
        name: name.to_string(),
        more: String::new(),
    }
}

/// The fused stack that holds an expert's tensor: its name, the first element, and the shape of one
/// expert in it.
fn fused(spec: &TensorSpec) -> Option<(String, usize, Option<Vec<usize>>)> {
    let (prefix, rest) = spec.name.split_once(".experts.")?;
    let (index, part) = rest.split_once('.')?;
    let index: usize = index.parse().ok()?;
    let [rows, cols] = spec.shape[..] else {
        return None;
    };
    let (name, top, of) = match part {
        "gate_proj.weight" => ("gate_up_proj", 0, 2 * rows),
        "up_proj.weight" => ("gate_up_proj", rows, 2 * rows),
        "down_proj.weight" => ("down_proj", 0, rows),
        _ => return None,
    };
    let start = (index * of + top) * cols;
    Some((
        format!("{prefix}.experts.{name}"),
        start,
        Some(vec![of, cols]),
    ))
}

/// What the header says of a tensor.
fn item(spec: &TensorSpec, store: Store, source: &Source<'_>) -> Item {
    let entry = |name: String, dtype: String, shape: Vec<usize>, bytes: usize| Entry {
        name,
        dtype,
        shape,
        bytes,
    };
    match store {
        Store::Keep => {
            let dtype = format!("{:?}", source.stored.dtype);
            let whole = entry(spec.name.clone(), dtype, spec.shape.clone(), source.bytes);
            Item::plain(whole)
        }
        Store::F16 => {
            let (shape, bytes) = (spec.shape.clone(), 2 * spec.len());
            Item::plain(entry(spec.name.clone(), "F16".to_string(), shape, bytes))
        }
        Store::Codes(format) => {
            let cols = spec.shape.last().copied().unwrap_or(1);
            let rows = spec.len() / cols;
            let part = |part: &str, per_row: usize| {
                let name = format!("{}.{part}", spec.name);
                let shape = vec![rows, per_row];
                entry(name, "U32".to_string(), shape, 4 * rows * per_row)
            };
            Item {
                entries: vec![
                    part("codes", format.code_words(cols)),
                    part("scales", format.scale_words(cols)),
                ],
                metadata: Some((spec.name.clone(), format.name().to_string())),
            }
        }
    }
}

fn write_config(source: &Path, out: &Path, quantisation: Quantisation) -> Result<(), Error> {
    let path = source.join("config.json");
    let fail = |path: &Path, reason: String| Error::File {
        path: path.to_path_buf(),
        reason,
    };
    let text = std::fs::read_to_string(&path).map_err(|e| fail(&path, e.to_string()))?;
    let mut json: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| fail(&path, e.to_string()))?;
    json["quantization_config"] = serde_json::json!({
        "quant_method": FORMAT,
        "version": VERSION,
        "weights": quantisation.weights.name(),
        "vision": quantisation.vision.name(),
        "block_size": BLOCK,
    });
    let target = out.join("config.json");
    std::fs::write(&target, format!("{json:#}\n")).map_err(|e| fail(&target, e.to_string()))
}
