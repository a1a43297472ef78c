//! The adapter of one linear module.

use super::noise::{Noise, of_name};
use burn::module::{Module, Param};
use burn::tensor::{Tensor, s};
use glmv_kernels::linear;
use std::ops::Range;

/// `scale · B A drop(x)`, added to those rows of a linear layer that are one module on the hub.
#[derive(Module, Debug)]
pub struct Lora {
    /// `[rank, in]`.
    pub lora_a: Param<Tensor<2>>,
    /// `[rows, rank]`.
    pub lora_b: Param<Tensor<2>>,
    #[module(skip)]
    place: Place,
}

/// What an adapter belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The module's name on the hub.
    pub(crate) name: String,
    /// First of its rows in the layer.
    pub(crate) top: usize,
    pub(crate) scale: f32,
    pub(crate) noise: Noise,
}

impl Lora {
    pub(crate) fn new(lora_a: Tensor<2>, lora_b: Tensor<2>, place: Place) -> Self {
        Lora {
            lora_a: Param::from_tensor(lora_a),
            lora_b: Param::from_tensor(lora_b),
            place,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.place.name
    }

    /// Its rows in the layer.
    pub(crate) fn rows(&self) -> Range<usize> {
        self.place.top..self.place.top + self.lora_b.dims()[0]
    }

    /// Drops by this seed of a pass, or nothing.
    pub(crate) fn drop_by(&mut self, seed: Option<u64>) {
        self.place.noise.seed = seed.map(|seed| of_name(seed, &self.place.name));
    }

    /// What it adds to rows `rows` of the layer, which are among its own.
    ///
    /// # Shapes
    /// `x` `[.., in]` → `[.., rows.len()]`.
    pub(crate) fn delta<const D: usize>(&self, x: Tensor<D>, rows: Range<usize>) -> Tensor<D> {
        let b = self.lora_b.val();
        let b = match rows == self.rows() {
            true => b,
            false => b.slice(s![rows.start - self.place.top..rows.end - self.place.top]),
        };
        let low = linear(self.place.noise.apply(x), self.lora_a.val(), None);
        linear(low, b, None) * self.place.scale
    }
}
