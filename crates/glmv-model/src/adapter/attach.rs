//! Adapters into a loaded model, and its dropout.

use super::experts::{self, ExpertLora};
use super::lora::{self, Lora};
use super::noise::{Noise, of_name};
use super::peft::Stored;
use super::walk::{Visit, walk};
use super::{AdapterConfig, AdapterModule, ExpertPart, Side, adapter_modules};
use crate::{Error, Glm4v, Linear, Moe};
use burn::tensor::{DType, Device, Tensor, TensorData};
use glmv_kernels::device::max_tensor_bytes;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The values of one factor of a module's update.
type Fill<'a> = &'a mut dyn FnMut(&AdapterModule, Side) -> Result<Vec<f32>, Error>;

impl Glm4v {
    /// The model with a new adapter that changes nothing yet: A uniform in ±1/√in by the seed and the
    /// module's name, B zero. The weights stay as they are, floats or codes.
    ///
    /// # Errors
    /// [`Error::Adapter`] for a config out of range, a target that is no module, or a model that has an
    /// adapter already.
    ///
    /// Source: PEFT's `LoraLayer.reset_lora_parameters` (Kaiming uniform with a = √5).
    pub fn with_adapter(self, config: AdapterConfig) -> Result<Self, Error> {
        let (seed, rank) = (config.seed, config.rank);
        let mut fill = |module: &AdapterModule, side: Side| {
            let len = side.shape(module.shape, rank).iter().product();
            Ok(match side {
                Side::A => uniform(len, module.shape[1], of_name(seed, &module.name)),
                Side::B => vec![0.0; len],
            })
        };
        attach(self, config, &mut fill)
    }

    /// The model with the adapter that lies in `dir` as PEFT writes them. `seed` is that of its
    /// dropout, if it is trained on.
    ///
    /// # Errors
    /// [`Error::File`] that names the file and the tensor or key: unknown keys and modules, wrong
    /// shapes, a factor without its other; [`Error::Adapter`] as [`Glm4v::with_adapter`].
    pub fn with_adapter_from(self, dir: &Path, seed: u64) -> Result<Self, Error> {
        let stored = Stored::open(dir, &adapter_modules(self.config()))?;
        let config = AdapterConfig {
            seed,
            ..stored.config.clone()
        };
        attach(self, config, &mut |module, side| {
            stored.values(module, side)
        })
    }

    /// What the model's adapter is; `None` without one.
    pub fn adapter(&self) -> Option<&AdapterConfig> {
        self.adapter.as_deref()
    }

    /// A copy that shares the weights and drops inputs of the adapter by `seed`, or nothing: for one
    /// training pass, whose parts all drop the same.
    pub fn with_dropout(&self, seed: Option<u64>) -> Self {
        struct Dropping(Option<u64>);
        impl Visit for Dropping {
            fn linear(&mut self, _: &[(String, usize)], linear: &mut Linear) -> Result<(), Error> {
                let loras = linear.adapters.iter_mut();
                loras.for_each(|lora| lora.drop_by(self.0));
                Ok(())
            }
            fn experts(&mut self, _: &str, moe: &mut Moe) -> Result<(), Error> {
                let stacks = moe.adapters.iter_mut();
                stacks.for_each(|stack| stack.drop_by(self.0));
                Ok(())
            }
        }
        let mut model = self.clone();
        match walk(&mut model, &mut Dropping(seed)) {
            Ok(()) => model,
            Err(error) => unreachable!("nothing here fails: {error}"),
        }
    }
}

/// Uniform in ±1/√inputs.
fn uniform(len: usize, inputs: usize, seed: u64) -> Vec<f32> {
    let bound = (inputs.max(1) as f32).sqrt().recip();
    let mut rng = StdRng::seed_from_u64(seed);
    let draw = |_| (2.0 * rng.random::<f32>() - 1.0) * bound;
    (0..len).map(draw).collect()
}

fn attach(mut model: Glm4v, config: AdapterConfig, fill: Fill<'_>) -> Result<Glm4v, Error> {
    config.check()?;
    let fail = |reason: String| Err(Error::Adapter { reason });
    if model.adapter.is_some() {
        return fail("the model has one already".into());
    }
    let modules = adapter_modules(model.config());
    let chosen = config.target.choose(&modules)?;
    let shared = (model.config().text.moe.as_ref()).map_or(0, |moe| moe.num_shared_experts);
    if shared > 1
        && let Some(module) = (chosen.iter()).find(|m| m.name.contains(".shared_experts."))
    {
        let name = &module.name;
        return fail(format!(
            "{name} is {shared} shared experts in one, which cannot have an adapter"
        ));
    }
    let mut places = Places {
        chosen: chosen.iter().map(|m| (m.name.as_str(), *m)).collect(),
        config: &config,
        fill,
        placed: 0,
    };
    walk(&mut model, &mut places)?;
    assert_eq!(places.placed, chosen.len(), "modules without a place");
    model.adapter = Some(Arc::new(config));
    Ok(model)
}

struct Places<'a> {
    chosen: BTreeMap<&'a str, &'a AdapterModule>,
    config: &'a AdapterConfig,
    fill: Fill<'a>,
    placed: usize,
}

impl Places<'_> {
    fn noise(&self) -> Noise {
        Noise {
            rate: self.config.dropout,
            seed: None,
        }
    }

    /// A factor of some modules of one shape, one below the other.
    fn values(&mut self, modules: &[&AdapterModule], side: Side) -> Result<Vec<f32>, Error> {
        let mut all = Vec::new();
        for module in modules {
            let values = (self.fill)(module, side)?;
            let [rows, cols] = side.shape(module.shape, self.config.rank);
            assert_eq!(values.len(), rows * cols, "{}", module.name);
            all.extend(values);
        }
        Ok(all)
    }

    /// One stack over neighbouring experts.
    fn stack(
        &mut self,
        run: &[&AdapterModule],
        (part, first): (ExpertPart, usize),
        device: &Device,
    ) -> Result<ExpertLora, Error> {
        let (rank, shape) = (self.config.rank, run[0].shape);
        let mut factor = |side: Side| -> Result<Tensor<3>, Error> {
            let [rows, cols] = side.shape(shape, rank);
            let values = self.values(run, side)?;
            Ok(upload(values, [run.len(), rows, cols], device))
        };
        let (a, b) = (factor(Side::A)?, factor(Side::B)?);
        self.placed += run.len();
        let place = experts::Place {
            names: run.iter().map(|m| m.name.clone()).collect(),
            part,
            first,
            scale: self.config.scale(),
            noise: self.noise(),
        };
        Ok(ExpertLora::new(a, b, place))
    }
}

impl Visit for Places<'_> {
    fn linear(&mut self, parts: &[(String, usize)], linear: &mut Linear) -> Result<(), Error> {
        let Some(device) = linear.weight.first().map(|w| w.val().device()) else {
            return Ok(());
        };
        let mut top = 0;
        for (name, rows) in parts {
            if let Some(module) = self.chosen.get(name.as_str()).copied() {
                let mut factor = |side: Side| -> Result<Tensor<2>, Error> {
                    let shape = side.shape(module.shape, self.config.rank);
                    Ok(upload(self.values(&[module], side)?, shape, &device))
                };
                let (a, b) = (factor(Side::A)?, factor(Side::B)?);
                self.placed += 1;
                let place = lora::Place {
                    name: name.clone(),
                    top,
                    scale: self.config.scale(),
                    noise: self.noise(),
                };
                linear.adapters.push(Lora::new(a, b, place));
            }
            top += rows;
        }
        Ok(())
    }

    fn experts(&mut self, prefix: &str, moe: &mut Moe) -> Result<(), Error> {
        let Some(device) = moe.down_proj.first().map(|w| w.val().device()) else {
            return Ok(());
        };
        let routed = moe.gate.dims()[0];
        for part in ExpertPart::ALL {
            let name = |e: usize| match e == routed {
                true => format!("{prefix}.shared_experts.{}", part.name()),
                false => format!("{prefix}.experts.{e}.{}", part.name()),
            };
            let found: Vec<(usize, &AdapterModule)> = (0..=routed)
                .filter_map(|e| Some((e, *self.chosen.get(name(e).as_str())?)))
                .collect();
            for run in found.chunk_by(|a, b| a.0 + 1 == b.0) {
                let [out, inner] = run[0].1.shape;
                let each = 4 * (self.config.rank * out.max(inner)) as u64;
                let most = (max_tensor_bytes(&device) / each.max(1)).max(1);
                for piece in run.chunks(usize::try_from(most).unwrap_or(usize::MAX)) {
                    let modules: Vec<&AdapterModule> = piece.iter().map(|p| p.1).collect();
                    let stack = self.stack(&modules, (part, piece[0].0), &device)?;
                    moe.adapters.push(stack);
                }
            }
        }
        Ok(())
    }
}

/// A parameter's first values; it stays, so it has an allocation of its own.
fn upload<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    let data = TensorData::new(values, shape);
    device.memory_persistent_allocations(data, |data| Tensor::from_data(data, (device, DType::F32)))
}
