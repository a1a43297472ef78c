//! `glmv bench --train`: forward and backward of one sequence, a whole step, and their memory beside
//! the plan's.

use super::report::Spread;
use super::subject::{Picture, ids};
use crate::args::{BenchArgs, Keeps, StateKind};
use crate::cmd::train::plan::TrainFit;
use crate::fit::{self, bytes};
use crate::session::Loaded;
use burn::module::Module as _;
use glmv_kernels::device::{Info, Memory, memory};
use glmv_model::plan::{AdapterSettings, TrainSettings, Trains};
use glmv_model::{AdapterConfig, Targets};
use glmv_train::{
    AdamWConfig, Balance, Decay, Distribution, Factors, Grads, Groups, Micro, PassOptions,
    Recompute, Sample, Schedule, Scores, States, Trainer, TrainerConfig, gradients,
};
use serde::Serialize;
use std::time::Instant;

/// One timed piece of work.
#[derive(Debug, Serialize)]
pub struct Timed {
    pub seconds: Spread,
    pub tokens_per_second: Spread,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct TrainReport {
    pub model: String,
    pub device: Info,
    /// Tokens of the sequence, and those of them that count.
    pub tokens: usize,
    pub counted: usize,
    pub patches: usize,
    pub recompute: Recompute,
    pub states: States,
    pub repetitions: usize,
    pub loss: f64,
    /// Gradients of the mean cross-entropy.
    pub forward_backward: Timed,
    /// The same and an update of the weights.
    pub step: Timed,
    pub memory: TrainMemory,
    pub plan: TrainFit,
}

#[derive(Debug, Serialize)]
pub struct TrainMemory {
    pub planned_bytes: u64,
    /// The allocator's; `None` on the CPU device.
    pub measured: Option<Memory>,
    /// Largest resident memory of the process, where the system tells.
    pub host_peak_bytes: Option<u64>,
}

/// Measures training of a loaded model.
pub fn measure(args: &BenchArgs, loaded: Loaded) -> anyhow::Result<TrainReport> {
    let sample = sample(&loaded, args.pp, args.picture);
    let config = loaded.model.config().clone();
    let merge = u32::try_from(config.vision.spatial_merge_size)?;
    let micro = Micro::new([&sample], merge)?;
    let patches = sample.images.0.len() / config.vision.patch_len();
    let (recompute, states) = (args.recompute.into(), args.states.into());
    let adapter = args.lora.map(lora);
    let base = loaded.model.precision();
    let planned = (adapter.as_ref())
        .map(|adapter| AdapterSettings::new(&config, adapter, base.into()))
        .transpose()?;
    let model = match adapter {
        Some(adapter) => loaded.model.with_adapter(adapter)?,
        None => loaded.model,
    };
    let mut trainer = Trainer::new(model, settings(recompute, states))?;
    let mut peak = None;
    let (mut note, each) = (
        |now| peak = highest(peak, now),
        -1.0 / micro.counted() as f32,
    );
    let mut loss = 0.0;
    let mut mean = |scores: &Scores| {
        loss = scores.logprobs.iter().map(|p| f64::from(p * each)).sum();
        Ok(Factors::from(vec![each; scores.logprobs.len()]))
    };
    let options = PassOptions {
        recompute,
        recompute_vision: recompute,
        balance: Balance::default(),
        share: 1.0,
        distribution: Distribution::default(),
        dropout: None,
    };
    let device = trainer.model().valid().device();
    let mut passes = Vec::new();
    for _ in 0..=args.reps {
        let (start, mut grads) = (Instant::now(), Grads::new());
        gradients(trainer.model(), &micro, &options, &mut mean, &mut grads)?;
        device.sync()?;
        passes.push(start.elapsed().as_secs_f64());
        note(memory(&device));
    }
    let micros = [micro];
    let mut steps = Vec::new();
    for _ in 0..=args.reps {
        let start = Instant::now();
        trainer.step(&micros, &mut |_, scores| mean(scores))?;
        device.sync()?;
        steps.push(start.elapsed().as_secs_f64());
        note(memory(&device));
    }
    let tokens = micros[0].tokens();
    let plan = TrainSettings {
        tokens,
        counted: micros[0].counted(),
        patches,
        batch: 1,
        recompute: recompute == Recompute::Layer,
        recompute_vision: recompute == Recompute::Layer,
        trains: Trains::ALL,
        adapter: planned,
        rollout: None,
        states: states.into(),
        in_flight: 1,
        buffers: fit::buffers(&loaded.device),
    };
    let capacity = fit::capacity(&loaded.device, args.device.memory);
    let plan = TrainFit::new(&config, &plan, capacity).compared(&config);
    Ok(TrainReport {
        model: loaded.name,
        device: loaded.device,
        tokens,
        counted: micros[0].counted(),
        patches,
        recompute,
        states,
        repetitions: args.reps,
        loss,
        forward_backward: timed(passes, tokens)?,
        step: timed(steps, tokens)?,
        memory: TrainMemory {
            planned_bytes: plan.needed_bytes,
            measured: peak,
            host_peak_bytes: host_peak(),
        },
        plan,
    })
}

/// The repetitions without the first, which builds pipelines.
fn timed(mut seconds: Vec<f64>, tokens: usize) -> anyhow::Result<Timed> {
    seconds.remove(0);
    let rates = seconds.iter().map(|s| tokens as f64 / s).collect();
    let (seconds, rates) = (Spread::of(seconds), Spread::of(rates));
    let (Some(seconds), Some(tokens_per_second)) = (seconds, rates) else {
        anyhow::bail!("no repetition");
    };
    Ok(Timed {
        seconds,
        tokens_per_second,
    })
}

/// The larger peak, with the rest of the later look.
fn highest(before: Option<Memory>, now: Option<Memory>) -> Option<Memory> {
    let now = now?;
    let peak = before.map_or(0, |b| b.peak).max(now.peak);
    Some(Memory { peak, ..now })
}

/// One sequence: a picture if there is a side, then text; every token of the text but the first counts.
fn sample(loaded: &Loaded, tokens: usize, side: Option<u32>) -> Sample {
    let (model, mut sample) = (&loaded.model, Sample::default());
    if let Some(side) = side {
        let picture = Picture::new(model, side as usize);
        sample.input_ids = vec![model.config().image_token_id; picture.tokens()];
        sample.modality = vec![1; picture.tokens()];
        sample.counted = vec![false; picture.tokens()];
        sample.images = picture.into_parts();
    }
    sample.input_ids.extend(ids(model, tokens));
    sample.modality.extend(vec![0; tokens]);
    sample.counted.extend(vec![true; tokens]);
    sample
}

/// Adapters beside every linear module but the head.
fn lora(rank: usize) -> AdapterConfig {
    AdapterConfig {
        target: Targets::Pattern("all-linear".into()),
        rank,
        alpha: rank as f64,
        dropout: 0.0,
        rslora: false,
        seed: 0,
    }
}

fn settings(recompute: Recompute, states: States) -> TrainerConfig {
    TrainerConfig {
        steps: 1000,
        schedule: Schedule {
            rate: 1e-5,
            warmup: 0,
            decay: Decay::Constant,
            floor: 0.0,
        },
        adamw: AdamWConfig {
            states,
            ..AdamWConfig::default()
        },
        groups: Groups::default(),
        balance: Balance::default(),
        recompute,
        recompute_vision: None,
        patience: 1,
    }
}

impl From<Keeps> for Recompute {
    fn from(keeps: Keeps) -> Self {
        match keeps {
            Keeps::None => Recompute::None,
            Keeps::Layer => Recompute::Layer,
        }
    }
}

impl From<StateKind> for States {
    fn from(kind: StateKind) -> Self {
        match kind {
            StateKind::F32 => States::F32,
            StateKind::Blocks => States::Blocks,
        }
    }
}

/// `VmHWM` of this process.
fn host_peak() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|l| l.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    kib.checked_mul(1024)
}

impl TrainReport {
    pub fn markdown(&self) -> String {
        let recompute = match self.recompute {
            Recompute::None => "every activation kept",
            Recompute::Layer => "layers run again",
        };
        let states = fit_states(self.states);
        let mut text = format!(
            "{} on {} ({}, {}); {} tokens, {} counted, {} patches, {recompute}, states {states}; {} \
             repetitions, loss {:.4}\n\n| test | tokens/s | min | max | s |\n|---|---:|---:|---:|---:|\n",
            self.model,
            self.device.name,
            self.device.backend,
            self.device.driver,
            self.tokens,
            self.counted,
            self.patches,
            self.repetitions,
            self.loss
        );
        let rows = [
            ("forward + backward", &self.forward_backward),
            ("step", &self.step),
        ];
        for (name, timed) in rows {
            let (t, s) = (timed.tokens_per_second, timed.seconds.median);
            text += &format!(
                "| {name} | {:.2} | {:.2} | {:.2} | {s:.3} |\n",
                t.median, t.min, t.max
            );
        }
        let m = &self.memory;
        text += &format!(
            "\n| memory | |\n|---|---:|\n| planned | {} |\n",
            bytes(m.planned_bytes)
        );
        if let Some(measured) = m.measured {
            text += &format!("| measured | {} |\n", bytes(measured.peak));
        }
        if let Some(host) = m.host_peak_bytes {
            text += &format!("| process, resident | {} |\n", bytes(host));
        }
        for other in &self.plan.instead {
            text += &format!(
                "| planned {} | {} |\n",
                other.setting,
                bytes(other.needed_bytes)
            );
        }
        text
    }
}

fn fit_states(states: States) -> &'static str {
    glmv_model::plan::StateFormat::from(states).name()
}
