//! Adapters on disk as PEFT has them: `adapter_config.json` beside `adapter_model.safetensors`, whose
//! tensors are called `base_model.model.MODULE.lora_A.weight` and `…lora_B.weight`. Experts are modules
//! of their own there, `….mlp.experts.3.gate_proj`.

use super::json::{read_config, write_config};
use super::walk::{Visit, walk};
use super::{AdapterConfig, AdapterModule, Side, Targets};
use crate::writer::{Entry, Item, StoreAs, write_file};
use crate::{Checkpoint, Error, Glm4v, Linear, Moe};
use burn::tensor::{Tensor, s};
use glmv_kernels::device::read;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
const PREFIX: &str = "base_model.model.";

fn fail(path: &Path, reason: impl ToString) -> Error {
    Error::File {
        path: path.to_path_buf(),
        reason: reason.to_string(),
    }
}

fn tensor(module: &str, side: Side) -> String {
    format!("{PREFIX}{module}.{}.weight", side.name())
}

/// An adapter's folder, checked against the modules of a model.
pub(crate) struct Stored {
    /// Its targets are the names of the modules it has.
    pub(crate) config: AdapterConfig,
    path: PathBuf,
    file: Checkpoint,
    modules: BTreeSet<String>,
}

impl Stored {
    /// Reads the config and the header of the weights.
    ///
    /// # Errors
    /// [`Error::File`] that names the file and the key or tensor.
    pub(crate) fn open(dir: &Path, modules: &[AdapterModule]) -> Result<Self, Error> {
        let path = dir.join(CONFIG);
        let text = std::fs::read_to_string(&path).map_err(|e| fail(&path, e))?;
        let config = read_config(&text).map_err(|reason| fail(&path, reason))?;
        let chosen = config.target.choose(modules);
        let chosen = chosen.map_err(|e| fail(&path, e))?;
        let path = dir.join(WEIGHTS);
        let file = Checkpoint::open_file(&path)?;
        let found = found(&file, modules).map_err(|reason| fail(&path, reason))?;
        complete(&found, &chosen).map_err(|reason| fail(&path, reason))?;
        let names = found.keys().map(|name| name.to_string());
        let stored = Stored {
            config: AdapterConfig {
                target: Targets::Names(names.clone().collect()),
                ..config
            },
            modules: names.collect(),
            file,
            path,
        };
        for module in found.values() {
            for side in Side::BOTH {
                stored.check(module, side)?;
            }
        }
        Ok(stored)
    }

    /// True if the adapter stands beside this module.
    pub(crate) fn has(&self, module: &str) -> bool {
        self.modules.contains(module)
    }

    fn check(&self, module: &AdapterModule, side: Side) -> Result<(), Error> {
        let name = tensor(&module.name, side);
        let stored = self.file.get(&name);
        let shape = stored.map_or(&[][..], |stored| stored.shape);
        let expected = side.shape(module.shape, self.config.rank);
        match shape == expected {
            true => Ok(()),
            false => Err(fail(
                &self.path,
                format!(
                    "tensor {name} has shape {shape:?}, a module of {:?} at rank {} needs {expected:?}",
                    module.shape, self.config.rank
                ),
            )),
        }
    }

    /// The values of one factor.
    ///
    /// # Errors
    /// [`Error::File`] that names the tensor, for what is no number.
    pub(crate) fn values(&self, module: &AdapterModule, side: Side) -> Result<Vec<f32>, Error> {
        let values = self.file.floats(&tensor(&module.name, side));
        values
            .map(|(values, _)| values)
            .map_err(|e| fail(&self.path, e))
    }
}

type Found<'a> = BTreeMap<&'a str, &'a AdapterModule>;

/// The modules that the file's tensors belong to, each with both factors.
fn found<'a>(file: &Checkpoint, modules: &'a [AdapterModule]) -> Result<Found<'a>, String> {
    let known: Found<'a> = modules.iter().map(|m| (m.name.as_str(), m)).collect();
    let mut found = BTreeMap::new();
    for name in file.names() {
        let unknown = |why: &str| Err(format!("tensor {name} {why}"));
        let part = name.strip_prefix(PREFIX).and_then(|rest| {
            let of = |side: Side| rest.strip_suffix(&format!(".{}.weight", side.name()));
            Side::BOTH.into_iter().find_map(of)
        });
        let Some(part) = part else {
            return unknown("is no factor of a LoRA");
        };
        let Some((key, module)) = known.get_key_value(part) else {
            return unknown("belongs to no linear module of this model");
        };
        found.insert(*key, *module);
    }
    for name in found.keys() {
        for side in Side::BOTH {
            let wanted = tensor(name, side);
            if !file.contains(&wanted) {
                return Err(format!("tensor {wanted} is missing"));
            }
        }
    }
    match found.is_empty() {
        true => Err("holds no tensor".into()),
        false => Ok(found),
    }
}

/// The file has what the targets mean and nothing else. Experts may be left out as a whole: PEFT does
/// not reach them where they are stored as stacks.
fn complete(found: &Found<'_>, chosen: &[&AdapterModule]) -> Result<(), String> {
    let expert = |name: &str| name.contains(".mlp.experts.");
    let experts = found.keys().any(|name| expert(name));
    for module in chosen {
        let needed = experts || !expert(&module.name);
        if needed && !found.contains_key(module.name.as_str()) {
            let wanted = tensor(&module.name, Side::A);
            return Err(format!("tensor {wanted} is missing, {CONFIG} targets it"));
        }
    }
    let chosen: BTreeSet<&str> = chosen.iter().map(|m| m.name.as_str()).collect();
    match found.keys().find(|name| !chosen.contains(*name)) {
        Some(name) => {
            let surplus = tensor(name, Side::A);
            Err(format!("tensor {surplus} is of no target in {CONFIG}"))
        }
        None => Ok(()),
    }
}

/// A factor of a module, whole or one of a stack.
enum Held {
    Whole(Tensor<2>),
    OfStack(Tensor<3>, usize),
}

impl Held {
    fn values(&self) -> Result<Vec<f32>, Error> {
        Ok(match self {
            Held::Whole(t) => read(t.clone())?,
            Held::OfStack(t, e) => read(t.clone().slice(s![*e..*e + 1]))?,
        })
    }

    fn shape(&self) -> Vec<usize> {
        match self {
            Held::Whole(t) => t.dims().to_vec(),
            Held::OfStack(t, _) => t.dims()[1..].to_vec(),
        }
    }
}

/// Both factors of every module.
#[derive(Default)]
struct Factors(BTreeMap<String, [Held; 2]>);

impl Visit for Factors {
    fn linear(&mut self, _: &[(String, usize)], linear: &mut Linear) -> Result<(), Error> {
        for lora in &linear.adapters {
            let factors = [&lora.lora_a, &lora.lora_b].map(|t| Held::Whole(t.val()));
            self.0.insert(lora.name().to_string(), factors);
        }
        Ok(())
    }

    fn experts(&mut self, _: &str, moe: &mut Moe) -> Result<(), Error> {
        for stack in &moe.adapters {
            for (e, name) in stack.names().iter().enumerate() {
                let factors = [&stack.lora_a, &stack.lora_b].map(|t| Held::OfStack(t.val(), e));
                self.0.insert(name.clone(), factors);
            }
        }
        Ok(())
    }
}

/// Writes the adapter of `model` into `dir` (created; must hold none yet) as PEFT does, f32. `base`
/// is noted as the model it belongs to.
///
/// # Errors
/// [`Error::Adapter`] if the model has none, [`Error::File`] if a file cannot be written or is there
/// already.
pub fn save_adapter(model: &Glm4v, dir: &Path, base: &Path) -> Result<(), Error> {
    let config = model.adapter().ok_or_else(|| Error::Adapter {
        reason: "the model has none to be saved".into(),
    })?;
    let mut held = Factors::default();
    walk(&mut model.clone(), &mut held)?;
    let factors: Vec<(String, &Held)> = (held.0.iter())
        .flat_map(|(name, both)| {
            let named = Side::BOTH.into_iter().zip(both);
            named.map(move |(side, held)| (tensor(name, side), held))
        })
        .collect();
    let items: Vec<Item> = (factors.iter())
        .map(|(name, held)| {
            let shape = held.shape();
            Item::plain(Entry {
                name: name.clone(),
                dtype: StoreAs::F32.name().to_string(),
                bytes: shape.iter().product::<usize>() * StoreAs::F32.bytes(),
                shape,
            })
        })
        .collect();
    std::fs::create_dir_all(dir).map_err(|e| fail(dir, e))?;
    let path = dir.join(WEIGHTS);
    write_file(&path, &items, &[("format", "pt")], &mut |i, sink| {
        StoreAs::F32.encode(&factors[i].1.values()?, sink)
    })?;
    let names: Vec<&str> = held.0.keys().map(String::as_str).collect();
    let path = dir.join(CONFIG);
    let text = write_config(config, &names, &base.display().to_string());
    std::fs::write(&path, text).map_err(|e| fail(&path, e))
}
