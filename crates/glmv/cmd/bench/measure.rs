//! The measurements: start, memory, launches, and the timed settings in turn.

use super::report::{MemoryRow, Report, Row, Spread, Start, Work};
use super::subject::{Picture, Rows};
use crate::args::BenchArgs;
use crate::fit;
use crate::session::Loaded;
use glmv_kernels::device::{Info, Memory, memory};
use glmv_kernels::{QueueLog, counts};
use glmv_model::plan::{Plan, Section, Settings, WeightPart};
use glmv_model::{Config, Glm4v};
use std::time::Instant;

/// Tokens of the short decode behind the first measurements.
const SHORT_DECODE: usize = 8;

fn seconds(work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64())
}

/// Everything that is timed over and over.
enum Setting<'a> {
    Prefill(Rows<'a>),
    Decode(Rows<'a>, usize),
    Encode(Picture, usize),
}

/// Runs all measurements of `args` on a loaded model.
pub fn measure(args: &BenchArgs, sides: &[usize], loaded: &Loaded) -> anyhow::Result<Report> {
    let (model, info) = (&loaded.model, &loaded.device);
    let prompt = args.pp.max(1);
    let (cold, warm, one_sequence) = first_token(model, prompt)?;
    let start = Start {
        load_s: loaded.load_s,
        warm_up_s: loaded.warm_up_s,
        first_token_cold_s: cold,
        first_token_warm_s: warm,
        start_to_first_token_s: loaded.load_s + loaded.warm_up_s + cold,
    };
    let plan = plan_of(model, info, prompt);
    let work = match one_sequence {
        Some(_) => Some(launches(model, prompt, &plan)?),
        None => None,
    };
    let (mut settings, left_out) = settings(args, sides, model, info)?;
    let times = in_turn(args, model, &mut settings)?;
    Ok(Report {
        model: loaded.name.clone(),
        device: info.clone(),
        dtype: format!("{:?}", args.device.dtype).to_lowercase(),
        pp: args.pp,
        tg: args.tg,
        repetitions: args.reps,
        start,
        memory: MemoryRow {
            planned_bytes: plan.device_bytes(),
            one_sequence,
            whole_run: memory(&model.device()),
        },
        work,
        rows: rows(args, &settings, times),
        left_out,
    })
}

/// The first prefill of the process and a later one, then a short decode; what that held.
fn first_token(model: &Glm4v, prompt: usize) -> anyhow::Result<(f64, f64, Option<Memory>)> {
    let mut rows = Rows::new(model, 1, prompt, SHORT_DECODE)?;
    let cold = seconds(|| rows.prefill())?;
    for _ in 0..SHORT_DECODE {
        rows.step()?;
    }
    let held = memory(&model.device());
    let warm = seconds(|| rows.prefill())?;
    Ok((cold, warm, held))
}

fn plan_of(model: &Glm4v, info: &Info, prompt: usize) -> Plan {
    let ctx = prompt + SHORT_DECODE;
    let mut settings = Settings::new(model.precision().into(), ctx, fit::buffers(info));
    settings.vision = settings.weights;
    settings.block = 1;
    Plan::new(model.config(), &settings)
}

fn launches(model: &Glm4v, prompt: usize, plan: &Plan) -> anyhow::Result<Work> {
    let mut rows = Rows::new(model, 1, prompt, 2 * SHORT_DECODE)?;
    let (done, prefill) = counts(|| rows.prefill());
    done?;
    let mut steps_of = || (0..SHORT_DECODE).try_for_each(|_| rows.step());
    let (done, decode) = counts(&mut steps_of);
    done?;
    let queue = match QueueLog::install() {
        Some(log) => {
            let (done, queue) = log.counts(&model.device(), &mut steps_of)?;
            done?;
            Some(queue)
        }
        None => None,
    };
    let steps = SHORT_DECODE as f64;
    Ok(Work {
        steps: SHORT_DECODE,
        layers: model.config().text.num_layers,
        dispatches_per_token: decode.dispatches as f64 / steps,
        bytes_read_per_token: decode.bytes_read as f64 / steps,
        weight_bytes_per_token: touched(model.config(), plan),
        decode,
        prefill,
        queue,
    })
}

/// Bytes of the weights that one decoded token reads: all of the decoder but the experts that are
/// not chosen, and the head; one row of the embedding.
fn touched(config: &Config, plan: &Plan) -> u64 {
    let share = config
        .text
        .moe
        .as_ref()
        .map_or(1.0, |m| m.top_k as f64 / m.num_experts as f64);
    let vision = [WeightPart::Vision.name(), WeightPart::Projector.name()];
    let weights = plan.items.iter().filter(|i| i.section == Section::Weights);
    let bytes = weights.map(|item| {
        let all = (item.device_bytes + item.host_bytes) as f64;
        match item.name.as_str() {
            name if vision.contains(&name) => 0.0,
            name if name == WeightPart::Experts.name() => all * share,
            name if name == WeightPart::Embedding.name() && !config.tie_word_embeddings => {
                all / config.text.vocab_size as f64
            }
            _ => all,
        }
    });
    bytes.sum::<f64>() as u64
}

fn settings<'a>(
    args: &BenchArgs,
    sides: &[usize],
    model: &'a Glm4v,
    info: &Info,
) -> anyhow::Result<(Vec<Setting<'a>>, Vec<String>)> {
    let (mut list, mut left_out) = (Vec::new(), Vec::new());
    if args.pp > 0 {
        list.push(Setting::Prefill(Rows::new(model, 1, args.pp, 1)?));
    }
    if args.tg > 0 {
        for batch in &args.batch {
            // The prompt is also what decoding starts behind; one token if there is none.
            let rows = Rows::new(model, *batch, args.pp.max(1), args.tg)?;
            list.push(Setting::Decode(rows, *batch));
        }
    }
    for side in sides {
        match too_large(model, info, *side) {
            Some(reason) => left_out.push(reason),
            None => list.push(Setting::Encode(Picture::new(model, *side), *side)),
        }
    }
    Ok((list, left_out))
}

/// Why a picture of this size cannot be encoded on the device.
fn too_large(model: &Glm4v, info: &Info, side: usize) -> Option<String> {
    let mut settings = Settings::new(model.precision().into(), 16, fit::buffers(info));
    settings.image = Some([side, side]);
    let plan = Plan::new(model.config(), &settings);
    plan.too_large.map(|tensor| {
        let (bytes, limit) = (fit::bytes(tensor.bytes), fit::bytes(settings.buffers.limit));
        let name = tensor.name;
        format!("image {side}: {name} of {bytes} exceeds the buffer limit of {limit}")
    })
}

/// Seconds of every repetition of every setting; each repetition goes through all settings.
fn in_turn(
    args: &BenchArgs,
    model: &Glm4v,
    settings: &mut [Setting<'_>],
) -> anyhow::Result<Vec<Vec<f64>>> {
    for setting in settings.iter_mut() {
        match setting {
            Setting::Prefill(rows) => rows.prefill()?,
            Setting::Decode(rows, _) => {
                rows.prefill()?;
                rows.step()?;
            }
            Setting::Encode(picture, _) => picture.encode(model)?,
        }
    }
    let mut times = vec![Vec::new(); settings.len()];
    for _ in 0..args.reps {
        for (setting, times) in settings.iter_mut().zip(&mut times) {
            times.push(match setting {
                Setting::Prefill(rows) => seconds(|| rows.prefill())?,
                Setting::Decode(rows, _) => {
                    rows.rewind();
                    seconds(|| (0..args.tg).try_for_each(|_| rows.step()))?
                }
                Setting::Encode(picture, _) => seconds(|| picture.encode(model))?,
            });
        }
    }
    Ok(times)
}

fn rows(args: &BenchArgs, settings: &[Setting<'_>], times: Vec<Vec<f64>>) -> Vec<Row> {
    let rows = settings.iter().zip(times).filter_map(|(setting, times)| {
        let (test, batch, tokens) = match setting {
            Setting::Prefill(_) => (format!("pp{}", args.pp), 1, args.pp),
            Setting::Decode(_, batch) => (format!("tg{}", args.tg), *batch, batch * args.tg),
            Setting::Encode(picture, side) => (format!("image {side}"), 1, picture.tokens()),
        };
        let rate = times.iter().map(|s| tokens as f64 / s).collect();
        Some(Row {
            test,
            batch,
            tokens_per_second: Spread::of(rate)?,
            seconds: Spread::of(times)?,
        })
    });
    rows.collect()
}
