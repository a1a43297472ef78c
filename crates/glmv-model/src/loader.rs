//! From stored tensors to Burn parameters: cast, check, shard, upload, and account for every name.

use crate::cast::{decode, to_half};
use crate::checkpoint::{Checkpoint, Stored};
use crate::config::Config;
use crate::options::host_device;
use crate::piece::{Piece, within};
use crate::schema::LANGUAGE;
use crate::{Error, Precision};
use burn::module::Param;
use burn::tensor::{DType, Device, Tensor, TensorData};
use glmv_kernels::device::max_tensor_bytes;
use safetensors::tensor::Dtype;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

/// Called with the bytes read so far and in all.
pub type Progress<'a> = &'a dyn Fn(u64, u64);

/// Reads tensors of one checkpoint onto one device. The module constructors ask it for what they
/// need by hub name; [`Loader::finish`] complains about what nobody asked for.
pub struct Loader<'a> {
    checkpoint: &'a Checkpoint,
    device: &'a Device,
    precision: Precision,
    limit: u64,
    used: RefCell<BTreeSet<String>>,
    done: Rc<Cell<u64>>,
    pending: Cell<u64>,
    progress: Progress<'a>,
    /// Loads the experts of the layers from this one on into host memory.
    host: Option<(usize, Box<Loader<'a>>)>,
}

/// Uploads that may be in flight before the loader waits, in bytes.
const IN_FLIGHT: u64 = 16 << 20;

impl<'a> Loader<'a> {
    /// Prepares to load `checkpoint` onto `device` with matrices in `precision`.
    pub fn new(
        checkpoint: &'a Checkpoint,
        device: &'a Device,
        precision: Precision,
        progress: Progress<'a>,
    ) -> Self {
        Loader {
            checkpoint,
            device,
            precision,
            limit: max_tensor_bytes(device),
            used: RefCell::new(BTreeSet::new()),
            done: Rc::new(Cell::new(0)),
            pending: Cell::new(0),
            progress,
            host: None,
        }
    }

    /// Puts the experts of the decoder layers from `first` on into host memory.
    pub fn with_experts_on_host(mut self, first: usize) -> Self {
        let (checkpoint, precision) = (self.checkpoint, self.precision);
        let mut host = Loader::new(checkpoint, host_device(), precision, self.progress);
        host.done = self.done.clone();
        self.host = Some((first, Box::new(host)));
        self
    }

    /// The loader that places the experts of decoder layer `layer`.
    pub(crate) fn of_experts(&self, layer: usize) -> &Loader<'a> {
        match &self.host {
            Some((first, host)) if layer >= *first => host,
            _ => self,
        }
    }

    /// Splits tensors above `bytes` instead of the device's own limit.
    pub fn with_limit(mut self, bytes: u64) -> Self {
        self.limit = bytes;
        self
    }

    /// Type of the matrices.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// True if the checkpoint holds `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.checkpoint.contains(name)
    }

    fn stored(&self, name: &str, shape: &[usize]) -> Result<Stored<'a>, Error> {
        let stored = self
            .checkpoint
            .get(name)
            .ok_or_else(|| Error::MissingTensor {
                name: name.to_string(),
                more: String::new(),
            })?;
        if stored.shape != shape {
            let (found, expected) = (stored.shape.to_vec(), shape.to_vec());
            return Err(Error::Shape {
                name: name.to_string(),
                found,
                expected,
            });
        }
        if !matches!(stored.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            let found = format!("{:?}", stored.dtype);
            return Err(Error::Dtype {
                name: name.to_string(),
                found,
            });
        }
        self.used.borrow_mut().insert(name.to_string());
        Ok(stored)
    }

    fn read(&self, bytes: u64) {
        self.done.set(self.done.get() + bytes);
        (self.progress)(self.done.get(), self.checkpoint.total_bytes());
    }

    /// A tensor kept in f32 whatever the precision: norms, biases, tables.
    ///
    /// # Errors
    /// Missing, of another shape or dtype, or not finite.
    pub fn f32<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Param<Tensor<D>>, Error> {
        let stored = self.stored(name, &shape)?;
        let values = decode(&stored, 0..stored.shape.iter().product(), name)?;
        self.read(stored.bytes.len() as u64);
        self.upload(values, shape, Precision::F32, name)
            .map(Param::from_tensor)
    }

    /// An f32 tensor whose values `map` rearranges into another shape before the upload.
    ///
    /// # Errors
    /// As [`Loader::f32`].
    pub fn mapped<const D: usize>(
        &self,
        name: &str,
        stored_shape: &[usize],
        shape: [usize; D],
        map: impl Fn(Vec<f32>) -> Vec<f32>,
    ) -> Result<Vec<Param<Tensor<D>>>, Error> {
        let stored = self.stored(name, stored_shape)?;
        let values = map(decode(&stored, 0..stored.shape.iter().product(), name)?);
        self.read(stored.bytes.len() as u64);
        Ok(vec![Param::from_tensor(self.upload(
            values,
            shape,
            self.precision,
            name,
        )?)])
    }

    /// Several f32 vectors laid end to end, as [`Loader::f32`].
    ///
    /// # Errors
    /// As [`Loader::f32`].
    pub fn f32_joined(&self, parts: &[(String, usize)]) -> Result<Param<Tensor<1>>, Error> {
        let mut values = Vec::new();
        for (name, len) in parts {
            let stored = self.stored(name, &[*len])?;
            values.extend(decode(&stored, 0..*len, name)?);
            self.read(stored.bytes.len() as u64);
        }
        let (len, name) = (values.len(), parts.first().map_or("", |(name, _)| name));
        self.upload(values, [len], Precision::F32, name)
            .map(Param::from_tensor)
    }

    /// A matrix `[rows, cols]` in the model's precision, split by rows into as many shards as the
    /// device's buffer limit needs.
    ///
    /// # Errors
    /// As [`Loader::f32`], and [`Error::TooLarge`] if one row exceeds the limit.
    pub fn matrix(
        &self,
        name: &str,
        [rows, cols]: [usize; 2],
    ) -> Result<Vec<Param<Tensor<2>>>, Error> {
        self.joined(&[Piece::whole(name.to_string(), [rows, cols])])
    }

    /// A matrix of the rows of `pieces`, one below the other, as [`Loader::matrix`].
    ///
    /// # Errors
    /// As [`Loader::matrix`].
    pub fn joined(&self, pieces: &[Piece]) -> Result<Vec<Param<Tensor<2>>>, Error> {
        let rows = pieces.iter().map(|p| p.rows.len()).sum();
        let (name, cols) = pieces.first().map_or(("", 0), |p| (&p.name, p.cols.len()));
        let mut shards = Vec::new();
        for (start, count) in self.split(name, rows, cols)? {
            let mut values = Vec::with_capacity(count * cols);
            for piece in within(pieces, start..start + count) {
                self.take(&piece, &mut values)?;
            }
            let tensor = self.upload(values, [count, cols], self.precision, name)?;
            shards.push(Param::from_tensor(tensor));
        }
        Ok(shards)
    }

    /// A stack `[experts, rows, cols]` of which expert e has the rows of `pieces(e)`. Split by
    /// experts so that `widest` elements per expert fit the buffer limit; stacks of one layer share
    /// `widest` and so their split.
    ///
    /// # Errors
    /// As [`Loader::matrix`].
    pub fn stack(
        &self,
        name: &str,
        pieces: &dyn Fn(usize) -> Vec<Piece>,
        [experts, rows, cols]: [usize; 3],
        widest: usize,
    ) -> Result<Vec<Param<Tensor<3>>>, Error> {
        let size = rows * cols;
        let mut shards = Vec::new();
        for (start, count) in self.split(name, experts, widest.max(size))? {
            let mut values = Vec::with_capacity(count * size);
            for e in start..start + count {
                for piece in pieces(e) {
                    self.take(&piece, &mut values)?;
                }
            }
            let tensor = self.upload(values, [count, rows, cols], self.precision, name)?;
            shards.push(Param::from_tensor(tensor));
        }
        Ok(shards)
    }

    /// Appends the values of `piece` row by row.
    fn take(&self, piece: &Piece, values: &mut Vec<f32>) -> Result<(), Error> {
        let stored = self.stored(&piece.name, &piece.shape)?;
        let width = piece.shape.last().copied().unwrap_or(0);
        if piece.cols.len() == width {
            let range = piece.rows.start * width..piece.rows.end * width;
            values.extend(decode(&stored, range, &piece.name)?);
        } else {
            for row in piece.rows.clone() {
                let range = row * width + piece.cols.start..row * width + piece.cols.end;
                values.extend(decode(&stored, range, &piece.name)?);
            }
        }
        let elements: usize = piece.shape.iter().product();
        let taken = piece.rows.len() * piece.cols.len();
        self.read((taken * (stored.bytes.len() / elements)) as u64);
        Ok(())
    }

    /// Runs (start, count) of `rows` rows of `row_len` elements that fit one buffer each.
    fn split(&self, name: &str, rows: usize, row_len: usize) -> Result<Vec<(usize, usize)>, Error> {
        let row_bytes = (row_len * self.precision.bytes()) as u64;
        if row_bytes > self.limit {
            let (needed, limit) = (row_bytes, self.limit);
            return Err(Error::TooLarge {
                name: name.to_string(),
                needed,
                limit,
            });
        }
        let most = usize::try_from(self.limit / row_bytes)
            .unwrap_or(rows)
            .min(rows)
            .max(1);
        let shards = rows.div_ceil(most);
        let each = rows.div_ceil(shards);
        Ok((0..shards)
            .map(|s| (s * each, each.min(rows - s * each)))
            .collect())
    }

    fn upload<const D: usize>(
        &self,
        values: Vec<f32>,
        shape: [usize; D],
        precision: Precision,
        name: &str,
    ) -> Result<Tensor<D>, Error> {
        let bytes = (values.len() * precision.bytes()) as u64;
        let (data, dtype) = match precision {
            Precision::F32 => (TensorData::new(values, shape), DType::F32),
            Precision::F16 => {
                let halves = to_half(&values, name)?;
                drop(values);
                (TensorData::new(halves, shape), DType::F16)
            }
        };
        // Weights stay: each has an allocation of its own size outside the pages of activations.
        let device = self.device;
        let tensor = device
            .memory_persistent_allocations(data, |data| Tensor::from_data(data, (device, dtype)));
        // Bounds what the host holds for the device: without a wait the queue keeps every copy.
        self.pending.set(self.pending.get() + bytes);
        if self.pending.get() > IN_FLIGHT {
            self.pending.set(0);
            self.device.sync().map_err(|e| {
                let reason = format!("uploading {name}: {e:?}");
                glmv_kernels::device::Error::Read { reason }
            })?;
            glmv_kernels::device::check()?;
        }
        Ok(tensor)
    }

    /// Accounts for every tensor of the file: returns the names of skipped multi-token-prediction
    /// layers (decoder layers beyond `num_hidden_layers`).
    ///
    /// # Errors
    /// [`Error::SurplusTensor`] for any other tensor that nothing loaded.
    pub fn finish(&self, config: &Config) -> Result<Vec<String>, Error> {
        let mut used = self.used.borrow().clone();
        if let Some((_, host)) = &self.host {
            used.extend(host.used.take());
        }
        let unused = self.checkpoint.names().filter(|n| !used.contains(*n));
        let (skipped, surplus): (Vec<&str>, Vec<&str>) =
            unused.partition(|name| beyond_layers(name, config.text.num_layers));
        match surplus.first() {
            Some(name) => Err(Error::SurplusTensor {
                name: name.to_string(),
                count: surplus.len(),
            }),
            None => Ok(skipped.into_iter().map(str::to_string).collect()),
        }
    }
}

fn beyond_layers(name: &str, layers: usize) -> bool {
    name.strip_prefix(LANGUAGE)
        .and_then(|rest| rest.strip_prefix(".layers."))
        .and_then(|rest| rest.split('.').next())
        .and_then(|index| index.parse::<usize>().ok())
        .is_some_and(|index| index >= layers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_decoder_layers_beyond_the_last_are_skipped() {
        assert!(beyond_layers(
            "model.language_model.layers.3.eh_proj.weight",
            3
        ));
        assert!(!beyond_layers(
            "model.language_model.layers.2.eh_proj.weight",
            3
        ));
        assert!(!beyond_layers("model.visual.blocks.3.norm1.weight", 3));
        assert!(!beyond_layers("lm_head.weight", 0));
    }
}
