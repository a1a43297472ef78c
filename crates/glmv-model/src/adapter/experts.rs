//! The adapters of a layer's experts: one pair per expert, stacked, run by the products per expert.

use super::noise::{Noise, of_name};
use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};
use glmv_kernels::expert_linear;

/// Which of an expert's matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Gate,
    Up,
    Down,
}

impl Part {
    pub(crate) const ALL: [Part; 3] = [Part::Gate, Part::Up, Part::Down];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Part::Gate => "gate_proj",
            Part::Up => "up_proj",
            Part::Down => "down_proj",
        }
    }
}

/// `scale · B[e] A[e] drop(x)` for neighbouring experts of one layer.
#[derive(Module, Debug)]
pub struct ExpertLora {
    /// `[experts, rank, in]`.
    pub lora_a: Param<Tensor<3>>,
    /// `[experts, out, rank]`.
    pub lora_b: Param<Tensor<3>>,
    #[module(skip)]
    place: Place,
}

/// What a stack belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The modules' names on the hub, in order.
    pub(crate) names: Vec<String>,
    pub(crate) part: Part,
    /// Number of the first expert.
    pub(crate) first: usize,
    pub(crate) scale: f32,
    pub(crate) noise: Noise,
}

impl ExpertLora {
    pub(crate) fn new(lora_a: Tensor<3>, lora_b: Tensor<3>, place: Place) -> Self {
        ExpertLora {
            lora_a: Param::from_tensor(lora_a),
            lora_b: Param::from_tensor(lora_b),
            place,
        }
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.place.names
    }

    pub(crate) fn part(&self) -> Part {
        self.place.part
    }

    /// Drops by this seed of a pass, or nothing.
    pub(crate) fn drop_by(&mut self, seed: Option<u64>) {
        let name = self.place.names.first().map_or("", String::as_str);
        self.place.noise.seed = seed.map(|seed| of_name(seed, name));
    }

    /// What it adds to each slot, zeros for slots of other experts.
    ///
    /// # Shapes
    /// `x` and `ids` as [`expert_linear`] takes them → `[slots, out]`.
    pub(crate) fn delta(&self, x: Tensor<2>, ids: Tensor<2, Int>) -> Tensor<2> {
        let (x, first) = (self.place.noise.apply(x), self.place.first);
        let low = expert_linear(x, ids.clone(), self.lora_a.val(), first);
        expert_linear(low, ids, self.lora_b.val(), first) * self.place.scale
    }
}
