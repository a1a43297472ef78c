//! An adapter added to the weights of a checkpoint, in files: `W + scale · B A`, tensor by tensor; and the
//! mean of the weights of several checkpoints.

use super::peft::Stored;
use super::{AdapterModule, Side, adapter_modules};
use crate::quantise::Source;
use crate::random::{SIDE_FILES, copy_side_files};
use crate::schema::{TensorSpec, tensors};
use crate::writer::{Entry, Item, StoreAs, write_items};
use crate::{Checkpoint, Config, Error, Progress};
use rayon::prelude::*;
use safetensors::tensor::Dtype;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How a merged checkpoint is written.
#[derive(Clone, Copy, Debug)]
pub struct MergeOptions {
    /// Type of the weights; that of each tensor in the base without it, f32 for codes.
    pub store: Option<StoreAs>,
    /// Widens the weights of quantised checkpoints.
    pub dequantise: bool,
    /// Largest file, in bytes.
    pub max_shard_bytes: u64,
}

/// Writes the checkpoint `base` with the adapter in `adapter`, if any, added to its weights into `out`,
/// which must not exist. Sums are f32; one tensor at a time is in memory. Without an adapter the weights
/// are only stored anew.
///
/// # Errors
/// [`Error::File`] for an `out` that exists and for an adapter that does not fit; [`Error::Codes`] for a
/// quantised base that is not to be widened; as [`Checkpoint::open`].
pub fn merge_adapter(
    base: &Path,
    adapter: Option<&Path>,
    out: &Path,
    options: MergeOptions,
    progress: Progress<'_>,
) -> Result<(), Error> {
    merged(base, (adapter, &[]), out, options, progress)
}

/// Writes the mean of the weights of `base` and of `others` into `out`, which must not exist: a uniform soup
/// (Wortsman et al., arXiv 2203.05482), and with one other, `base` being what that was trained from, WiSE-FT
/// halfway (arXiv 2109.01903). A folder that is named twice counts twice. Sums are f32; one tensor of each is
/// in memory at a time. Everything but the weights is that of `base`.
///
/// # Errors
/// [`Error::File`] for an `out` that exists and for one of `others` whose tensors are not those of `base`;
/// [`Error::Codes`] for a quantised one that is not to be widened; as [`Checkpoint::open`].
pub fn average_checkpoints(
    base: &Path,
    others: &[PathBuf],
    out: &Path,
    options: MergeOptions,
    progress: Progress<'_>,
) -> Result<(), Error> {
    merged(base, (None, others), out, options, progress)
}

fn merged(
    base: &Path,
    (adapter, others): (Option<&Path>, &[PathBuf]),
    out: &Path,
    options: MergeOptions,
    progress: Progress<'_>,
) -> Result<(), Error> {
    if out.exists() {
        let reason = "exists already; name a folder that does not".to_string();
        return Err(fail(out, reason));
    }
    let config = Config::from_dir(base)?;
    let specs = tensors(&config);
    let checkpoint = open(base, options)?;
    let other = |dir: &PathBuf| {
        let same = |(a, b): (&TensorSpec, &TensorSpec)| a.name == b.name && a.shape == b.shape;
        let theirs = tensors(&Config::from_dir(dir)?);
        if theirs.len() != specs.len() || !theirs.iter().zip(&specs).all(same) {
            let reason = format!("its tensors are not those of {}", base.display());
            return Err(fail(dir, reason));
        }
        open(dir, options)
    };
    let others = others.iter().map(other).collect::<Result<Vec<_>, _>>()?;
    let modules = adapter_modules(&config);
    let stored = adapter.map(|dir| Stored::open(dir, &modules)).transpose()?;
    let merging = Merging {
        adapter: stored,
        modules: modules.iter().map(|m| (m.name.as_str(), m)).collect(),
        checkpoint: &checkpoint,
        others,
        options,
    };
    let written = merging.write(&specs, out, progress);
    let written = written.and_then(|()| write_config(base, out, options.store));
    let written = written.and_then(|()| copy_side_files(base, out, &SIDE_FILES));
    if written.is_err() {
        // The first error matters more than what is left of the folder, which was not there before.
        let _ = std::fs::remove_dir_all(out);
    }
    written
}

/// A checkpoint whose weights may be computed with.
fn open(dir: &Path, options: MergeOptions) -> Result<Checkpoint, Error> {
    let checkpoint = Checkpoint::open(dir)?;
    if checkpoint.precision().is_some() && !options.dequantise {
        return Err(Error::Codes {
            name: dir.display().to_string(),
            reason:
                "is quantised, and codes cannot take up what is added: merge into the original, or \
                     ask for the codes to be widened"
                    .to_string(),
        });
    }
    Ok(checkpoint)
}

fn fail(path: &Path, reason: String) -> Error {
    Error::File {
        path: path.to_path_buf(),
        reason,
    }
}

struct Merging<'a> {
    adapter: Option<Stored>,
    modules: BTreeMap<&'a str, &'a AdapterModule>,
    checkpoint: &'a Checkpoint,
    others: Vec<Checkpoint>,
    options: MergeOptions,
}

impl Merging<'_> {
    fn write(&self, specs: &[TensorSpec], out: &Path, progress: Progress<'_>) -> Result<(), Error> {
        let stores: Vec<StoreAs> = (specs.iter())
            .map(|spec| self.store(spec))
            .collect::<Result<_, _>>()?;
        let items: Vec<Item> = (specs.iter().zip(&stores))
            .map(|(spec, store)| {
                Item::plain(Entry {
                    name: spec.name.clone(),
                    dtype: store.name().to_string(),
                    shape: spec.shape.clone(),
                    bytes: spec.len() * store.bytes(),
                })
            })
            .collect();
        let total: u64 = specs.iter().map(|spec| spec.len() as u64).sum();
        let (mut done, most) = (0, self.options.max_shard_bytes);
        write_items(out, &items, &[("format", "pt")], most, &mut |i, sink| {
            let values = self.values(&specs[i])?;
            stores[i].encode(&values, sink)?;
            done += values.len() as u64;
            progress(done, total);
            Ok(())
        })
    }

    fn store(&self, spec: &TensorSpec) -> Result<StoreAs, Error> {
        if spec.always_f32() {
            return Ok(StoreAs::F32);
        }
        if let Some(store) = self.options.store {
            return Ok(store);
        }
        if self.checkpoint.codes(&spec.name, &spec.shape)?.is_some() {
            return Ok(StoreAs::F32);
        }
        Ok(match Source::find(self.checkpoint, spec)?.dtype() {
            Dtype::F16 => StoreAs::F16,
            Dtype::BF16 => StoreAs::BF16,
            _ => StoreAs::F32,
        })
    }

    /// The mean of all checkpoints' values with the adapter's added.
    fn values(&self, spec: &TensorSpec) -> Result<Vec<f32>, Error> {
        let mut values = values_of(self.checkpoint, spec)?;
        for other in &self.others {
            let theirs = values_of(other, spec)?;
            values.iter_mut().zip(&theirs).for_each(|(v, t)| *v += t);
        }
        if !self.others.is_empty() {
            let count = (1 + self.others.len()) as f32;
            values.iter_mut().for_each(|v| *v /= count);
        }
        let Some(adapter) = &self.adapter else {
            return Ok(values);
        };
        let module = spec.name.strip_suffix(".weight");
        let module = module.filter(|name| adapter.has(name));
        if let Some(module) = module.and_then(|name| self.modules.get(name)) {
            let a = adapter.values(module, Side::A)?;
            let b = adapter.values(module, Side::B)?;
            let (rank, scale) = (adapter.config.rank, adapter.config.scale());
            add(&mut values, module.shape[1], [&a, &b], rank, scale);
        }
        Ok(values)
    }
}

/// The values of a tensor, wide.
fn values_of(checkpoint: &Checkpoint, spec: &TensorSpec) -> Result<Vec<f32>, Error> {
    match checkpoint.codes(&spec.name, &spec.shape)? {
        Some(codes) => {
            let cols = codes.cols;
            let (rows, mut wide) = (spec.len() / cols.max(1), Vec::with_capacity(spec.len()));
            codes.dequantise(&spec.name, 0..rows, 0..cols, &mut wide)?;
            Ok(wide)
        }
        None => Source::find(checkpoint, spec)?.values(0..spec.len()),
    }
}

/// Adds `scale · B A` to `w` `[out, inner]`.
fn add(w: &mut [f32], inner: usize, [a, b]: [&[f32]; 2], rank: usize, scale: f32) {
    let rows = w.par_chunks_mut(inner).zip(b.par_chunks(rank));
    rows.for_each(|(w, b)| {
        let mut delta = vec![0f32; inner];
        for (factor, a) in b.iter().zip(a.chunks(inner)) {
            delta.iter_mut().zip(a).for_each(|(d, a)| *d += factor * a);
        }
        w.iter_mut().zip(&delta).for_each(|(w, d)| *w += scale * d);
    });
}

/// The base's config, without what says how its codes lie, and with the type of the weights if it is new.
fn write_config(base: &Path, out: &Path, store: Option<StoreAs>) -> Result<(), Error> {
    let path = base.join("config.json");
    let text = std::fs::read_to_string(&path).map_err(|e| fail(&path, e.to_string()))?;
    let mut json: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| fail(&path, e.to_string()))?;
    if let Some(map) = json.as_object_mut() {
        map.shift_remove("quantization_config");
    }
    if let Some(store) = store {
        name_type(&mut json, store);
    }
    let target = out.join("config.json");
    std::fs::write(&target, format!("{json:#}\n")).map_err(|e| fail(&target, e.to_string()))
}

/// Puts the type of the weights in place of the one that a config, or a part of it, tells.
fn name_type(config: &mut serde_json::Value, store: StoreAs) {
    let name = match store {
        StoreAs::F32 => "float32",
        StoreAs::F16 => "float16",
        StoreAs::BF16 => "bfloat16",
    };
    for part in ["", "/text_config", "/vision_config"] {
        for key in ["torch_dtype", "dtype"] {
            let known = config.pointer_mut(part).and_then(|map| map.get_mut(key));
            if let Some(known) = known.filter(|known| known.is_string()) {
                *known = name.into();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_told_where_it_was() {
        let mut config =
            serde_json::json!({"torch_dtype": "bfloat16", "text_config": {"dtype": "x"}});
        name_type(&mut config, StoreAs::F16);
        let want =
            serde_json::json!({"torch_dtype": "float16", "text_config": {"dtype": "float16"}});
        assert_eq!(config, want);
    }

    #[test]
    fn products_are_added_row_by_row() {
        // W 2 x 3, A 2 x 3, B 2 x 2.
        let mut w = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let (a, b) = ([1.0, 0.0, 2.0, 0.0, 1.0, 1.0], [1.0, 2.0, 0.0, -1.0]);
        add(&mut w, 3, [&a, &b], 2, 0.5);
        assert_eq!(w, [1.5, 3.0, 5.0, 4.0, 4.5, 5.5]);
    }
}
