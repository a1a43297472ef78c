//! `glmv quantize`: weights of 8 or 4 bits, written to a folder; `--report` tells what they cost.

use crate::args::QuantizeArgs;
use crate::session;
use anyhow::{Context, bail, ensure};
use glmv_engine::{
    Conversation, Damage, Engine, Message, ModelInputs, Observation, Part, Precision,
    RenderOptions, Role, SamplingParams, observe,
};
use glmv_kernels::device::Selected;
use glmv_model::{Checkpoint, Config, Glm4v, Loader, Quantisation, quantise_checkpoint};
use glmv_processor::Modality;
use glmv_quant::Format;
use serde::Serialize;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

/// Largest file of a quantised checkpoint, in bytes.
const MAX_SHARD_BYTES: u64 = 4 << 30;
/// Tokens that the f32 model adds to each prompt, so that answers are measured too.
const ANSWER_TOKENS: usize = 32;
/// Prompts without `--prompts`.
const PROMPTS: [&str; 4] = [
    "Hello, who are you?",
    "Write one sentence about the sea.",
    "What is 17 times 23? Think step by step.",
    "请用一句话介绍北京。",
];

#[derive(Serialize)]
struct Report {
    format: &'static str,
    vision: &'static str,
    device: String,
    prompts: usize,
    /// Bytes of the tensors in the original and in the written folder.
    bytes: Option<[u64; 2]>,
    damage: Option<Damage>,
}

/// Runs the subcommand.
pub fn run(args: &QuantizeArgs) -> anyhow::Result<ExitCode> {
    let what = Quantisation {
        weights: args.format.into(),
        vision: args.vision.into(),
    };
    let mut report = Report {
        format: what.weights.name(),
        vision: what.vision.name(),
        device: String::new(),
        prompts: 0,
        bytes: None,
        damage: None,
    };
    if let Some(out) = &args.output {
        session::with_bar(args.json, "quantising", |progress| {
            quantise_checkpoint(&args.input, out, what, MAX_SHARD_BYTES, progress)
                .with_context(|| format!("cannot quantise {}", args.input.display()))
        })?;
        let size = |dir: &Path| Checkpoint::open(dir).map(|c| c.total_bytes());
        report.bytes = Some([size(&args.input)?, size(out)?]);
    }
    if args.report {
        let selected = session::open(args.device.into())?;
        let texts = texts(args)?;
        report.device = selected.info.name.clone();
        report.prompts = texts.len();
        report.damage = Some(damage(args, what, &selected, &texts)?);
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report, args);
    }
    Ok(ExitCode::SUCCESS)
}

fn texts(args: &QuantizeArgs) -> anyhow::Result<Vec<String>> {
    let Some(path) = &args.prompts else {
        return Ok(PROMPTS.map(str::to_string).to_vec());
    };
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<String> = lines.map(str::to_string).collect();
    ensure!(!lines.is_empty(), "{} holds no prompt", path.display());
    Ok(lines)
}

/// Both models one after the other, so that only one is on the device.
fn damage(
    args: &QuantizeArgs,
    what: Quantisation,
    selected: &Selected,
    texts: &[String],
) -> anyhow::Result<Damage> {
    let (prompts, reference) = reference(args, selected, texts)?;
    let model = quantised(args, what, selected)?;
    let observed = observe(&model, &prompts)?;
    Ok(Damage::measure(&reference, &observed)?)
}

/// The prompts with the f32 model's answers, and what it made of them.
fn reference(
    args: &QuantizeArgs,
    selected: &Selected,
    texts: &[String],
) -> anyhow::Result<(Vec<ModelInputs>, Vec<Observation>)> {
    if Checkpoint::open(&args.input)?.precision().is_some() {
        bail!(
            "{} is quantised already: start from the original",
            args.input.display()
        );
    }
    let mut engine = session::with_bar(args.json, "loading", |progress| {
        Engine::load(&args.input, &selected.device, Precision::F32, progress)
            .with_context(|| format!("cannot load {}", args.input.display()))
    })?;
    let options = RenderOptions {
        add_generation_prompt: true,
        ..Default::default()
    };
    let greedy = SamplingParams {
        max_new_tokens: ANSWER_TOKENS,
        temperature: 0.0,
        ..Default::default()
    };
    let mut prompts = Vec::with_capacity(texts.len());
    for text in texts {
        let message = Message::new(Role::User, vec![Part::Text(text.clone())]);
        let mut inputs = engine.prepare(&Conversation::new(vec![message]), &options)?;
        let mut go = |_| ControlFlow::Continue(());
        let (answers, _) =
            engine.generate(&[inputs.clone()], std::slice::from_ref(&greedy), &mut go)?;
        for token in answers.iter().flat_map(|answer| &answer.token_ids) {
            inputs.input_ids.push(*token);
            inputs.modality.push(Modality::Text);
        }
        prompts.push(inputs);
    }
    let observed = observe(engine.model(), &prompts)?;
    Ok((prompts, observed))
}

/// The quantised model: from the folder just written, or quantised while loading.
fn quantised(
    args: &QuantizeArgs,
    what: Quantisation,
    selected: &Selected,
) -> anyhow::Result<Glm4v> {
    let dir = args.output.as_deref().unwrap_or(&args.input);
    let (config, checkpoint) = (Config::from_dir(dir)?, Checkpoint::open(dir)?);
    session::with_bar(args.json, "loading", |progress| {
        let precision = Precision::from(what.weights);
        let loader = Loader::new(&checkpoint, &selected.device, precision, progress);
        let loader = match what.vision.format() {
            Some(Format::Q8 | Format::Q4) => loader.with_vision(what.vision),
            None => loader,
        };
        let loaded = Glm4v::from_loader(config, &loader);
        Ok(loaded
            .with_context(|| format!("cannot load {}", dir.display()))?
            .0)
    })
}

fn print(report: &Report, args: &QuantizeArgs) {
    if let (Some([before, after]), Some(out)) = (report.bytes, &args.output) {
        println!(
            "{}: {}, vision {}, {:.1} MB instead of {:.1} MB",
            out.display(),
            report.format,
            report.vision,
            after as f64 / 1e6,
            before as f64 / 1e6
        );
    }
    let Some(damage) = &report.damage else {
        return;
    };
    println!(
        "{} against f32 on {}: {} prompts, {} tokens",
        report.format, report.device, report.prompts, damage.positions
    );
    println!("argmax agreement  {:.2} %", 100.0 * damage.argmax_agreement);
    println!(
        "KL divergence     mean {:.2e}, largest {:.2e} nats",
        damage.kl_mean, damage.kl_max
    );
    println!("relative error of the hidden states");
    let last = damage.layers.len().saturating_sub(1);
    for (i, error) in damage.layers.iter().enumerate() {
        match i == last {
            true => println!("  final norm      {error:.2e}"),
            false => println!("  after layer {i:<4}{error:.2e}"),
        }
    }
}
