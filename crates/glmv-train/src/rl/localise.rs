//! Where two ways through the same model part: layer by layer over one token, then kernel by kernel.

use super::Group;
use crate::visual::encode;
use crate::{Error, Micro, Sample};
use burn::module::Module;
use burn::tensor::s;
use glmv_engine::Engine;
use glmv_kernels::device::{read, read_int};
use glmv_kernels::{Op, with_twins};
use glmv_model::{Glm4v, Probe};

/// Share of a layer's largest value from which on two runs of it differ: well above what the order of
/// summation does in f32, well below what moves a log-probability by a thousandth.
const DIFFERS: f32 = 1e-4;
/// A kernel makes the difference if its twin leaves less than this share of it.
const CURED: f32 = 0.1;

/// A router's choice that is not the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flip {
    /// Place among the mixture-of-experts layers.
    pub layer: usize,
    /// Experts of the rollout, and of the trainer.
    pub experts: [Vec<i64>; 2],
}

/// Where rollout and trainer part.
#[derive(Clone, Debug)]
pub struct Divergence {
    /// Largest difference over the largest value, behind the embedding, then behind each layer.
    pub distances: Vec<f32>,
    /// The first of them that differs: 0 is the embedding, i + 1 layer i; `None` where only the
    /// output head can.
    pub first: Option<usize>,
    /// Kernels whose twin makes the difference vanish.
    pub kernels: Vec<Op>,
    /// The first layer whose router chose otherwise.
    pub flip: Option<Flip>,
}

impl std::fmt::Display for Divergence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.first {
            None => write!(
                f,
                "all layers agree, so the output head or the sampler differs"
            )?,
            Some(0) => write!(f, "first difference: embedding ({:.1e})", self.distances[0])?,
            Some(at) => {
                let (layer, far) = (at - 1, self.distances[at]);
                write!(
                    f,
                    "first difference: decoder layer {layer} ({far:.1e} of its values)"
                )?;
            }
        }
        if !self.kernels.is_empty() {
            let names: Vec<&str> = self.kernels.iter().map(|op| op.name()).collect();
            let names = names.join(",");
            write!(f, "; it vanishes with GLMV_KERNELS=twin:{names}")?;
        }
        if let Some(Flip { layer, experts }) = &self.flip {
            let [rollout, trainer] = experts;
            write!(
                f,
                "; expert layer {layer} routes to {rollout:?} in the rollout, {trainer:?} in training"
            )?;
        }
        Ok(())
    }
}

/// What each layer made of a token, and which experts it went to.
struct Trace {
    /// Behind the embedding, then behind each layer.
    hidden: Vec<Vec<f32>>,
    experts: Vec<Vec<i64>>,
}

/// Compares the engine with the trainer's model on the last token of a group's prompt with `tokens`
/// behind it.
///
/// # Errors
/// [`Error::Engine`], [`Error::Model`], [`Error::Device`].
pub(super) fn localise(
    engine: &Engine,
    model: &Glm4v,
    group: &Group,
    tokens: &[u32],
) -> Result<Divergence, Error> {
    let trained = of_trainer(model, group, tokens)?;
    let rolled = of_engine(engine, group, tokens)?;
    let distances = distances(&rolled, &trained);
    let first = distances
        .iter()
        .position(|far| far.is_nan() || *far > DIFFERS);
    let worst = |distances: &[f32]| distances.iter().copied().fold(0.0, f32::max);
    let mut kernels = Vec::new();
    if first.is_some() {
        for op in Op::ALL.into_iter().filter(|op| of_a_forward(*op)) {
            let cured = with_twins(&[op], || of_engine(engine, group, tokens))?;
            if worst(&self::distances(&cured, &trained)) < CURED * worst(&distances) {
                kernels.push(op);
            }
        }
    }
    let pairs = rolled.experts.iter().zip(&trained.experts).enumerate();
    let mut flips = pairs.filter(|(_, (a, b))| a != b);
    let flip = flips.next().map(|(layer, (a, b))| Flip {
        layer,
        experts: [a.clone(), b.clone()],
    });
    Ok(Divergence {
        distances,
        first,
        kernels,
        flip,
    })
}

fn of_a_forward(op: Op) -> bool {
    !matches!(op, Op::AdamW | Op::Sample | Op::TokenLogprobs)
}

/// Largest difference over the largest value, per layer.
fn distances(a: &Trace, b: &Trace) -> Vec<f32> {
    let far = |(a, b): (&Vec<f32>, &Vec<f32>)| {
        let size = b.iter().fold(1e-12f32, |most, v| most.max(v.abs()));
        let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
        // NaN counts as a difference.
        differences.fold(0.0, |most: f32, d| if d <= most { most } else { d }) / size
    };
    a.hidden.iter().zip(&b.hidden).map(far).collect()
}

fn of_engine(engine: &Engine, group: &Group, tokens: &[u32]) -> Result<Trace, Error> {
    let mut probe = Probe::of_everything();
    let row = engine.trace((*group.inputs).clone(), tokens, &mut probe)?;
    let layers = engine.model().language_model.layers.len();
    let names = (0..layers).map(|layer| format!("hidden_after_layer_{layer}"));
    let mut hidden = Vec::new();
    for name in std::iter::once("inputs_embeds".to_owned()).chain(names) {
        if let Some(values) = probe.get(&name) {
            hidden.push(read(values.slice(s![row..row + 1, ..]))?);
        }
    }
    Ok(Trace {
        hidden,
        experts: experts(&mut probe, row)?,
    })
}

fn of_trainer(model: &Glm4v, group: &Group, tokens: &[u32]) -> Result<Trace, Error> {
    let model = model.valid();
    let micro = micro(&model, group, tokens)?;
    let pass = model.packed_pass(&micro.packed)?;
    let row = micro.tokens() - 1;
    let mut probe = Probe::of_routing();
    let mut x = model.packed_embed(&micro.packed, micro.spread(encode(&model, &micro)?))?;
    let mut hidden = vec![read(x.clone().slice(s![row..row + 1, ..]))?];
    for index in 0..model.language_model.layers.len() {
        x = model.packed_layer(index, x, &pass, &mut probe)?;
        hidden.push(read(x.clone().slice(s![row..row + 1, ..]))?);
    }
    Ok(Trace {
        hidden,
        experts: experts(&mut probe, row)?,
    })
}

fn micro(model: &Glm4v, group: &Group, tokens: &[u32]) -> Result<Micro, Error> {
    let inputs = &group.inputs;
    let visuals = |patches: &Option<glmv_processor::VisualPatches>| match patches {
        Some(patches) => (patches.pixel_values.clone(), patches.grid_thw.clone()),
        None => (Vec::new(), Vec::new()),
    };
    let input_ids = [inputs.input_ids.as_slice(), tokens].concat();
    let mut modality: Vec<u8> = inputs.modality.iter().map(|m| *m as u8).collect();
    modality.resize(input_ids.len(), 0);
    let sample = Sample {
        counted: vec![false; input_ids.len()],
        input_ids,
        modality,
        weight: 1.0,
        images: visuals(&inputs.images),
        videos: visuals(&inputs.videos),
    };
    let merge = model.config().vision.spatial_merge_size as u32;
    Micro::new([&sample], merge)
}

/// The experts of one row, in ascending order, by mixture-of-experts layer.
fn experts(probe: &mut Probe, row: usize) -> Result<Vec<Vec<i64>>, Error> {
    let mut all = Vec::new();
    for layer in probe.take_routing() {
        let mut ids = read_int(layer.ids.slice(s![row..row + 1, ..]))?;
        ids.sort_unstable();
        all.push(ids);
    }
    Ok(all)
}
