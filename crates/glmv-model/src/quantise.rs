//! Checkpoints of codes: which tensors are stored how, the words of one weight while it is put
//! together, and the command that writes a quantised checkpoint. The file layout is in
//! `docs/quantisation.md`.

use crate::cast::{decode, to_half};
use crate::checkpoint::{Checkpoint, Stored};
use crate::config::Config;
use crate::random::{SIDE_FILES, copy_side_files};
use crate::schema::{TensorSpec, VISUAL, tensors};
use crate::writer::{Entry, Item, Sink, write_items};
use crate::{Error, Precision, Progress};
use glmv_quant::{BLOCK, Format};
use rayon::prelude::*;
use std::ops::Range;
use std::path::Path;

/// Value of `format` in the metadata of a shard, and of `quant_method` in config.json.
pub(crate) const FORMAT: &str = "glmv-quant";
/// Version of the layout.
pub(crate) const VERSION: &str = "1";
/// Weights that are widened to f32 at a time.
const CHUNK: usize = 1 << 20;

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

/// Codes and scales of a weight, filled row by row.
pub(crate) struct Words {
    format: Format,
    cols: usize,
    codes: Vec<u32>,
    scales: Vec<u32>,
}

impl Words {
    pub(crate) fn with_capacity(format: Format, rows: usize, cols: usize) -> Self {
        Words {
            format,
            cols,
            codes: Vec::with_capacity(rows * format.code_words(cols)),
            scales: Vec::with_capacity(rows * format.scale_words(cols)),
        }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Appends the rows `values`.
    ///
    /// # Errors
    /// [`Error::Quantise`] names `name`.
    pub(crate) fn quantise(&mut self, name: &str, values: &[f32]) -> Result<(), Error> {
        let rows = values.len() / self.cols.max(1);
        let packed =
            glmv_quant::quantise(self.format, values, rows, self.cols).map_err(|source| {
                let name = name.to_string();
                Error::Quantise { name, source }
            })?;
        self.codes.extend_from_slice(packed.codes());
        self.scales.extend_from_slice(packed.scales());
        Ok(())
    }

    pub(crate) fn into_parts(self) -> (Vec<u32>, Vec<u32>) {
        (self.codes, self.scales)
    }
}

/// One quantised tensor as it lies in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredCodes<'a> {
    pub(crate) format: Format,
    pub(crate) cols: usize,
    /// Little-endian words.
    pub(crate) codes: &'a [u8],
    pub(crate) scales: &'a [u8],
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| u32::from_le_bytes(*b))
}

impl StoredCodes<'_> {
    /// Appends columns `cols` of rows `rows` to `out`.
    ///
    /// # Errors
    /// [`Error::Codes`] if `out` is of another format, if the columns cut a block, or for a scale
    /// that is no finite number.
    pub(crate) fn append(
        &self,
        name: &str,
        rows: Range<usize>,
        cols: Range<usize>,
        out: &mut Words,
    ) -> Result<(), Error> {
        let fail = |reason: String| Error::Codes {
            name: name.to_string(),
            reason,
        };
        if out.format != self.format {
            let (found, asked) = (self.format, out.format);
            return Err(fail(format!(
                "the file holds {found}, {asked} was asked for: quantise the original again"
            )));
        }
        let whole = cols == (0..self.cols);
        let aligned = |at: usize| at.is_multiple_of(BLOCK) || at == self.cols;
        if !aligned(cols.start) || !aligned(cols.end) {
            return Err(fail(format!("columns {cols:?} cut a block of {BLOCK}")));
        }
        let (code_row, scale_row) = (
            4 * self.format.code_words(self.cols),
            4 * self.format.scale_words(self.cols),
        );
        let blocks = cols.start / BLOCK..cols.end.div_ceil(BLOCK);
        let block_bytes = 4 * self.format.block_words();
        let first = out.scales.len();
        for row in rows {
            let codes = &self.codes[row * code_row..][..code_row];
            let scales = &self.scales[row * scale_row..][..scale_row];
            if whole {
                out.codes.extend(words(codes));
                out.scales.extend(words(scales));
                continue;
            }
            let run = blocks.start * block_bytes..blocks.end * block_bytes;
            out.codes.extend(words(&codes[run]));
            let halves = scales[2 * blocks.start..2 * blocks.end].as_chunks::<2>().0;
            out.scales.extend(halves.chunks(2).map(|pair| {
                let low = u32::from(u16::from_le_bytes(pair[0]));
                let high = pair.get(1).map_or(0, |h| u32::from(u16::from_le_bytes(*h)));
                low | high << 16
            }));
        }
        // An f16 is infinite or no number where its exponent is all ones.
        let finite = |word: &u32| [*word, word >> 16].iter().all(|h| h & 0x7c00 != 0x7c00);
        match out.scales[first..].par_iter().all(finite) {
            true => Ok(()),
            false => Err(fail("a scale is infinite or no number".to_string())),
        }
    }

    /// Appends the values of columns `cols` of rows `rows` to `out`.
    ///
    /// # Errors
    /// As [`StoredCodes::append`].
    pub(crate) fn dequantise(
        &self,
        name: &str,
        rows: Range<usize>,
        cols: Range<usize>,
        out: &mut Vec<f32>,
    ) -> Result<(), Error> {
        let step = (CHUNK / cols.len().max(1)).max(1);
        for start in rows.clone().step_by(step) {
            let run = start..(start + step).min(rows.end);
            let mut taken = Words::with_capacity(self.format, run.len(), cols.len());
            let count = run.len();
            self.append(name, run, cols.clone(), &mut taken)?;
            let (codes, scales) = taken.into_parts();
            let shape = [count, cols.len()];
            let view = glmv_quant::View::new(self.format, shape, &codes, &scales);
            let view = view.map_err(|source| Error::Quantise {
                name: name.to_string(),
                source,
            })?;
            out.extend(view.dequantise());
        }
        Ok(())
    }
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
struct Source<'a> {
    stored: Stored<'a>,
    name: String,
    elements: Range<usize>,
    bytes: usize,
}

impl<'a> Source<'a> {
    fn find(checkpoint: &'a Checkpoint, spec: &TensorSpec) -> Result<Self, Error> {
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

    fn values(&self, range: Range<usize>) -> Result<Vec<f32>, Error> {
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
