//! The devices of a training run: the model on each of them, and the trainer with its workers.

use crate::args::SupervisedArgs;
use crate::session;
use anyhow::Context as _;
use glmv_engine::Precision;
use glmv_kernels::device::Selected;
use glmv_model::Glm4v;
use glmv_train::{AdapterRecipe, Trainer, TrainerConfig, Worker};
use std::path::Path;

/// A model from the checkpoint folder `dir`, stored as `base`, on a device.
pub(super) fn model_on(selected: &Selected, dir: &Path, base: Precision) -> anyhow::Result<Glm4v> {
    session::check_precision(selected, base)?;
    let (model, skipped) = session::with_bar(false, "loading", |progress| {
        Glm4v::load(dir, &selected.device, base, progress)
            .with_context(|| format!("cannot load {}", dir.display()))
    })?;
    if let Some(first) = skipped.first() {
        eprintln!(
            "note: {} tensors are not trained and will not be saved, first {first}",
            skipped.len()
        );
    }
    Ok(model)
}

/// What a run trains, on any device.
struct Start<'a> {
    args: &'a SupervisedArgs,
    /// The run's last checkpoint.
    saved: Option<&'a Path>,
    adapter: Option<&'a AdapterRecipe>,
}

impl Start<'_> {
    /// The model as in the last checkpoint, or as it starts.
    fn on(&self, selected: &Selected) -> anyhow::Result<Glm4v> {
        let origin = &self.args.model;
        match self.adapter {
            // Beside an adapter the weights are those of the start.
            Some(adapter) => {
                let model = model_on(selected, origin, adapter.base.into())?;
                adapter.attach(model, self.saved).context("adapter")
            }
            None => model_on(selected, self.saved.unwrap_or(origin), Precision::F32),
        }
    }
}

/// The trainer of a run on its device, with a worker for each of `--workers`.
pub(super) fn trainer(
    args: &SupervisedArgs,
    saved: Option<&Path>,
    adapter: Option<&AdapterRecipe>,
    config: &TrainerConfig,
) -> anyhow::Result<Trainer> {
    let start = Start {
        args,
        saved,
        adapter,
    };
    let selected = session::open(args.device.into())?;
    // Opened before anything is loaded: a name that does not exist costs nothing then.
    let open = |worker: &crate::args::WorkerArg| session::open(worker.device.into());
    let others = args.workers.iter().map(open);
    let others: Vec<Selected> = others.collect::<Result<_, _>>().context("--workers")?;
    let mut trainer = Trainer::new(start.on(&selected)?, config.clone())?;
    let mut workers = Vec::with_capacity(others.len());
    for (at, (worker, other)) in args.workers.iter().zip(&others).enumerate() {
        let name = format!("{} ({})", at + 1, worker.device);
        workers.push(match other.device == selected.device {
            true => Worker::sharing(name, worker.share),
            false => Worker::with_replica(name, worker.share, start.on(other)?),
        });
    }
    trainer.employ(&format!("0 ({})", args.device), workers)?;
    Ok(trainer)
}

/// The workers of a run, for its notes; empty without any.
pub(super) fn describe(args: &SupervisedArgs) -> String {
    let names = args.workers.iter().map(|w| w.device.to_string());
    match names.collect::<Vec<_>>() {
        names if names.is_empty() => String::new(),
        names => format!("; on {} with {}", args.device, names.join(", ")),
    }
}
