//! From stored tensors to Burn parameters: cast, check, shard, upload, and account for every name.

mod weights;

use crate::cast::{decode, to_half};
use crate::checkpoint::{Checkpoint, Stored};
use crate::config::Config;
use crate::options::host_device;
use crate::schema::{LANGUAGE, VISUAL};
use crate::{Error, Precision, WeightParam};
use burn::module::Param;
use burn::tensor::{DType, Device, Tensor, TensorData};
use glmv_kernels::Weight;
use glmv_kernels::device::max_tensor_bytes;
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
    vision: Precision,
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
            vision: match checkpoint.vision().filter(|v| v.format().is_some()) {
                Some(codes) if precision.format().is_some() => codes,
                _ => float_on(device, precision),
            },
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

    /// Stores the matrices of the vision tower and the projector, but for the two convolutions, as
    /// `precision` instead of f16 (f32 in an f32 model).
    pub fn with_vision(mut self, precision: Precision) -> Self {
        self.vision = precision;
        self
    }

    /// How the tensor `name` is stored on the device, if it is a matrix.
    fn storage(&self, name: &str) -> Precision {
        match name.starts_with(VISUAL) {
            true => self.vision,
            false => self.precision,
        }
    }

    /// Storage of the decoder's matrices.
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
        stored.width(name)?;
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

    /// A convolution of the vision side, as floats, whose values `map` rearranges into a matrix.
    ///
    /// # Errors
    /// As [`Loader::f32`].
    pub fn mapped<const D: usize>(
        &self,
        name: &str,
        stored_shape: &[usize],
        shape: [usize; D],
        map: impl Fn(Vec<f32>) -> Vec<f32>,
    ) -> Result<Vec<WeightParam<D>>, Error> {
        let stored = self.stored(name, stored_shape)?;
        let values = map(decode(&stored, 0..stored.shape.iter().product(), name)?);
        self.read(stored.bytes.len() as u64);
        let float = float_on(self.device, self.vision);
        let tensor = self.upload(values, shape, float, name)?;
        Ok(vec![Weight::Float(tensor).into()])
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
            Precision::F16 | Precision::Q8 | Precision::Q4 => {
                let halves = to_half(&values, name)?;
                drop(values);
                (TensorData::new(halves, shape), DType::F16)
            }
        };
        // Weights stay: each has an allocation of its own size outside the pages of activations.
        let device = self.device;
        let tensor = device
            .memory_persistent_allocations(data, |data| Tensor::from_data(data, (device, dtype)));
        self.settle(bytes, name)?;
        Ok(tensor)
    }

    /// Bounds what the host holds for the device: without a wait the queue keeps every copy.
    fn settle(&self, bytes: u64, name: &str) -> Result<(), Error> {
        self.pending.set(self.pending.get() + bytes);
        if self.pending.get() > IN_FLIGHT {
            self.pending.set(0);
            self.device.sync().map_err(|e| {
                let reason = format!("uploading {name}: {e:?}");
                glmv_kernels::device::Error::Read { reason }
            })?;
            glmv_kernels::device::check()?;
        }
        Ok(())
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

/// What `precision` stores as floats on `device`: f32 where it has no f16.
pub(crate) fn float_on(device: &Device, precision: Precision) -> Precision {
    match precision.float() {
        Precision::F16 if precision != Precision::F16 && !device.supports_dtype(DType::F16) => {
            Precision::F32
        }
        float => float,
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
