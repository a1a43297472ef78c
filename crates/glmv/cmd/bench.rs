//! `glmv bench`: tokens per second of a checkpoint, medians over repetitions.

use crate::args::BenchArgs;
use crate::session;
use anyhow::{Context, bail};
use burn::tensor::Tensor;
use glmv_kernels::device::{Info, read};
use glmv_model::{Batch, Glm4v, Pixels, Probe, Sequences};
use serde::Serialize;
use std::process::ExitCode;
use std::time::Instant;

#[derive(Serialize)]
struct Report {
    device: String,
    dtype: String,
    prompt_tokens: usize,
    new_tokens: usize,
    repetitions: usize,
    load_s: f64,
    /// Vision tower and projector over one square picture of `image_tokens` tokens.
    image_tokens: usize,
    vision_s: f64,
    prefill_tok_s: f64,
    /// First prefill of the process, shader compilation included.
    first_prefill_s: f64,
    decode_tok_s: f64,
    /// Our WGSL dispatches per decoded token; Burn's own kernels are not in it.
    dispatches_per_token: Option<f64>,
    dispatches_per_layer: Option<f64>,
}

/// Runs the subcommand.
pub fn run(args: &BenchArgs) -> anyhow::Result<ExitCode> {
    if args.reps == 0 || args.prompt_tokens == 0 || args.new_tokens == 0 {
        bail!("--reps, --prompt-tokens and --new-tokens must be positive");
    }
    let start = Instant::now();
    let selected = session::open(args.device.device.into())?;
    let model = session::load_model(&args.model, &selected, args.device.precision(), args.json)?;
    let load_s = start.elapsed().as_secs_f64();
    let limit = model.config().text.max_position_embeddings;
    if args.prompt_tokens + args.new_tokens > limit {
        bail!(
            "{} + {} tokens exceed the context of {limit}",
            args.prompt_tokens,
            args.new_tokens
        );
    }
    let report = measure(args, &model, &selected.info, load_s)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    Ok(ExitCode::SUCCESS)
}

/// Token ids spread over the vocabulary; none of them is a placeholder.
fn prompt(model: &Glm4v, len: usize) -> Sequences {
    let config = model.config();
    let special = [config.image_token_id, config.video_token_id];
    let vocab = config.text.vocab_size as u32;
    let ids = (0u32..).map(|i| i.wrapping_mul(2_654_435_761) % vocab);
    let ids: Vec<u32> = ids.filter(|id| !special.contains(id)).take(len).collect();
    let row: Vec<i64> = (0..len as i64).collect();
    Sequences {
        batch: 1,
        seq: len,
        modality: vec![0; len],
        input_ids: ids,
        positions: [row.clone(), row.clone(), row].concat(),
        padding: vec![0],
    }
}

fn measure(args: &BenchArgs, model: &Glm4v, device: &Info, load_s: f64) -> anyhow::Result<Report> {
    let sequences = prompt(model, args.prompt_tokens);
    let step = |id: u32, at: usize| Sequences {
        batch: 1,
        seq: 1,
        modality: vec![0],
        input_ids: vec![id],
        positions: vec![at as i64; 3],
        padding: vec![0],
    };
    let (mut prefills, mut decodes) = (Vec::new(), Vec::new());
    let mut dispatches = 0;
    for _ in 0..=args.reps {
        let mut cache = model.new_cache(args.prompt_tokens + args.new_tokens)?;
        let forward = |sequences: &Sequences, cache: &mut _| -> anyhow::Result<Vec<f32>> {
            let batch = Batch {
                sequences,
                images: None,
                videos: None,
            };
            let hidden = model.forward(&batch, Some(cache), &mut Probe::off())?;
            let last: Tensor<2> = model.select_rows(hidden, &[sequences.seq - 1]);
            Ok(read(model.logits(last))?)
        };
        let start = Instant::now();
        forward(&sequences, &mut cache)?;
        prefills.push(start.elapsed().as_secs_f64());
        glmv_kernels::reset_launches();
        let start = Instant::now();
        for i in 0..args.new_tokens {
            let id = sequences.input_ids[i % sequences.seq];
            forward(&step(id, args.prompt_tokens + i), &mut cache)?;
        }
        decodes.push(start.elapsed().as_secs_f64());
        dispatches = glmv_kernels::launches();
    }
    let (image_tokens, vision_s) = vision(args, model)?;
    // The first round compiles the shaders and is reported by itself.
    let first_prefill_s = prefills.remove(0);
    decodes.remove(0);
    let per_token = dispatches as f64 / args.new_tokens as f64;
    let counted = device.backend != "cpu";
    Ok(Report {
        device: format!("{} ({})", device.name, device.driver),
        dtype: model.precision().name().to_string(),
        prompt_tokens: args.prompt_tokens,
        new_tokens: args.new_tokens,
        repetitions: args.reps,
        load_s,
        image_tokens,
        vision_s,
        prefill_tok_s: args.prompt_tokens as f64 / median(&mut prefills)?,
        first_prefill_s,
        decode_tok_s: args.new_tokens as f64 / median(&mut decodes)?,
        dispatches_per_token: counted.then_some(per_token),
        dispatches_per_layer: counted.then(|| per_token / model.config().text.num_layers as f64),
    })
}

/// Tokens of the picture and the median time of its encoding.
fn vision(args: &BenchArgs, model: &Glm4v) -> anyhow::Result<(usize, f64)> {
    let v = &model.config().vision;
    let side = (v.grid_side / v.spatial_merge_size * v.spatial_merge_size).max(2);
    let values: Vec<f32> = (0..side * side * v.patch_len())
        .map(|i| (i % 251) as f32 / 125.5 - 1.0)
        .collect();
    let grids = [[1, u32::try_from(side)?, u32::try_from(side)?]];
    let mut times = Vec::new();
    for _ in 0..=args.reps {
        let start = Instant::now();
        let features = model.encode(
            Pixels {
                values: &values,
                grids: &grids,
            },
            &mut Probe::off(),
        )?;
        read(features.slice([0..1, 0..1]))?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.remove(0);
    Ok((
        side * side / (v.spatial_merge_size * v.spatial_merge_size),
        median(&mut times)?,
    ))
}

fn median(times: &mut [f64]) -> anyhow::Result<f64> {
    times.sort_by(f64::total_cmp);
    times
        .get(times.len() / 2)
        .copied()
        .context("nothing was measured")
}

fn print(r: &Report) {
    println!("device    {}, {}", r.device, r.dtype);
    println!("load      {:.2} s", r.load_s);
    println!(
        "vision    {:.3} s for {} tokens",
        r.vision_s, r.image_tokens
    );
    println!(
        "prefill   {:.1} tokens/s at {} tokens",
        r.prefill_tok_s, r.prompt_tokens
    );
    println!(
        "          {:.2} s the first time, shader compilation included",
        r.first_prefill_s
    );
    println!(
        "decode    {:.2} tokens/s over {} tokens",
        r.decode_tok_s, r.new_tokens
    );
    if let (Some(token), Some(layer)) = (r.dispatches_per_token, r.dispatches_per_layer) {
        println!("launches  {token:.1} of our kernels per token, {layer:.1} per layer");
    }
}
