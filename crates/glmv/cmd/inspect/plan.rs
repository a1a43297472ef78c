//! `glmv inspect --plan`: bytes per part, compared with the device.

use crate::args::PlanArgs;
use crate::fit::{self, Fit, SECTIONS, bytes};
use anyhow::{Context, bail};
use glmv_kernels::device::{Info, describe};
use glmv_model::Config;
use glmv_model::plan::{Plan, Settings};
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;

#[derive(Serialize)]
struct Report<'a> {
    model: String,
    device: &'a Info,
    needed_bytes: u64,
    host_bytes: u64,
    #[serde(flatten)]
    fit: &'a Fit,
}

/// Prints the plan of a checkpoint folder or a config.json; exit code 1 if it does not fit.
pub fn run(path: &Path, args: &PlanArgs) -> anyhow::Result<ExitCode> {
    let config = read_config(path)?;
    let info = describe(args.device.into())?;
    let settings = settings(&config, &info, args)?;
    let fit = Fit::new(&config, &settings, fit::capacity(&info, args.memory));
    if args.json {
        let report = Report {
            model: path.display().to_string(),
            device: &info,
            needed_bytes: fit.plan.device_bytes(),
            host_bytes: fit.plan.host_bytes(),
            fit: &fit,
        };
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(path, &info, &fit);
    }
    match fit.refusal() {
        Some(reason) => bail!(reason),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// The configuration of a folder, or the file itself.
pub fn read_config(path: &Path) -> anyhow::Result<Config> {
    if path.is_dir() {
        return Ok(Config::from_dir(path)?);
    }
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    Ok(Config::from_json(&text, &name)?)
}

fn settings(config: &Config, info: &Info, args: &PlanArgs) -> anyhow::Result<Settings> {
    let positive = [
        ("--ctx", args.ctx),
        ("--batch", args.batch),
        ("--chunk", args.chunk),
    ];
    if let Some((flag, _)) = positive.iter().find(|(_, v)| *v == 0) {
        bail!("{flag} must be positive");
    }
    let text = &config.text;
    if args.ctx > text.max_position_embeddings {
        let limit = text.max_position_embeddings;
        bail!("--ctx {} exceeds the model's context of {limit}", args.ctx);
    }
    fit::check_expert_layers(config, args.experts_on_host)?;
    let mut settings = Settings::new(args.dtype.into(), args.ctx, fit::buffers(info));
    if let Some(kv) = args.kv_dtype {
        settings.kv = kv.into();
    }
    settings.batch = args.batch;
    settings.chunk = args.chunk;
    settings.image = args.image;
    settings.experts_on_host = args.experts_on_host;
    Ok(settings)
}

fn print(path: &Path, info: &Info, fit: &Fit) {
    let (plan, s) = (&fit.plan, &fit.plan.settings);
    println!(
        "model     {}, {:.2} M parameters",
        path.display(),
        plan.parameters as f64 / 1e6
    );
    println!("device    {} ({})", info.name, info.backend);
    let image = s
        .image
        .map_or(String::new(), |[w, h]| format!(", picture {w} x {h}"));
    println!(
        "plan      weights {}, cache {}, {} tokens x {}, prefill in {}s{image}",
        s.weights.name(),
        s.kv.name(),
        s.ctx,
        s.batch,
        s.chunk.min(s.ctx)
    );
    for section in SECTIONS {
        println!(
            "{:<28}{:>14}",
            section.name(),
            bytes(plan.section_bytes(section))
        );
        items(plan, section);
    }
    println!(
        "{:<28}{:>14}",
        "needed on the device",
        bytes(plan.device_bytes())
    );
    if plan.host_bytes() > 0 {
        println!(
            "{:<28}{:>14}",
            "needed in host memory",
            bytes(plan.host_bytes())
        );
    }
    let available = fit.memory.bytes.map_or("unknown".to_string(), bytes);
    println!("{:<28}{available:>14}  {}", "available", fit.memory.source);
    for tensor in &plan.sharded {
        let shards = match tensor.shards {
            Some(n) => format!("split over {n} buffers"),
            None => "cannot be split".to_string(),
        };
        println!(
            "sharded   {} of {}: {shards}",
            tensor.name,
            bytes(tensor.bytes)
        );
    }
    if fit.fits.is_none() {
        println!("unknown   whether it fits: give the device's memory with --memory");
    }
}

fn items(plan: &Plan, section: glmv_model::plan::Section) {
    for item in plan.items.iter().filter(|i| i.section == section) {
        let host = match item.host_bytes {
            0 => String::new(),
            n => format!("  + {} in host memory", bytes(n)),
        };
        println!(
            "  {:<22}{:<4}{:>14}{host}",
            item.name,
            item.format,
            bytes(item.device_bytes)
        );
    }
}
