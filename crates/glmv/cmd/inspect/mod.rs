//! `glmv inspect`: what a checkpoint folder holds and needs; `--plan` compares with the device;
//! `--new` writes a random one.

pub mod plan;

use crate::args::InspectArgs;
use crate::fit::bytes;
use anyhow::Context;
use glmv_model::config::{Family, TextConfig};
use glmv_model::schema::{Part, tensors};
use glmv_model::{Checkpoint, Config, RandomOptions, Spread, write_random};
use glmv_processor::Tokenizer;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

/// Runs the subcommand.
pub fn run(args: &InspectArgs) -> anyhow::Result<ExitCode> {
    if let (Some(config), Some(out)) = (&args.new, &args.out) {
        let options = RandomOptions {
            seed: args.seed,
            spread: match args.scaled {
                true => Spread::Scaled,
                false => Spread::Hf,
            },
            like: args.like.as_deref(),
        };
        let config = write_random(config, out, options)?;
        let count: usize = tensors(&config).iter().map(|t| t.len()).sum();
        println!(
            "{}: {} random parameters, seed {}",
            out.display(),
            millions(count),
            args.seed
        );
        return Ok(ExitCode::SUCCESS);
    }
    let path = args.path.as_deref().context("name a checkpoint folder")?;
    if args.plan {
        return plan::run(path, &args.planned);
    }
    if path.is_file() {
        let name = path.display();
        anyhow::bail!("{name} is no folder: for a configuration alone add --plan");
    }
    describe(path)?;
    Ok(ExitCode::SUCCESS)
}

fn millions(count: usize) -> String {
    format!("{:.2} M", count as f64 / 1e6)
}

fn describe(dir: &Path) -> anyhow::Result<()> {
    let config = Config::from_dir(dir)?;
    let checkpoint = Checkpoint::open(dir)?;
    let family = match config.family {
        Family::Glm4v => "GLM-4.1V (glm4v, dense)",
        Family::Glm4vMoe => "GLM-4.5V (glm4v_moe, mixture of experts)",
    };
    println!("{}: {family}", dir.display());
    architecture(&config);
    parts(&config);
    files(&config, &checkpoint);
    memory(&config);
    special_tokens(dir, &config)
}

fn architecture(config: &Config) {
    let (t, v) = (&config.text, &config.vision);
    println!(
        "decoder   {} layers, hidden {}, {} heads over {} key heads of {}, vocabulary {}, context {}",
        t.num_layers,
        t.hidden_size,
        t.num_heads,
        t.num_kv_heads,
        t.head_dim,
        t.vocab_size,
        t.max_position_embeddings
    );
    if let Some(moe) = &t.moe {
        println!(
            "experts   {} of width {}, {} per token, {} shared, first {} layers dense",
            moe.num_experts,
            moe.expert_width,
            moe.top_k,
            moe.num_shared_experts,
            moe.first_k_dense_replace
        );
    }
    println!(
        "vision    {} blocks, hidden {}, {} heads, patches of {} px, {} frames per patch",
        v.depth, v.hidden_size, v.num_heads, v.patch_size, v.temporal_patch_size
    );
}

fn parts(config: &Config) {
    let specs = tensors(config);
    let total: usize = specs.iter().map(|t| t.len()).sum();
    println!("parameters {} in {} tensors", millions(total), specs.len());
    for part in Part::ALL {
        let count: usize = specs
            .iter()
            .filter(|t| t.part == part)
            .map(|t| t.len())
            .sum();
        if count > 0 {
            println!("  {:<10}{:>14}", part.name(), millions(count));
        }
    }
}

fn files(config: &Config, checkpoint: &Checkpoint) {
    let mut dtypes: BTreeMap<String, usize> = BTreeMap::new();
    for name in checkpoint.names() {
        if let Some(stored) = checkpoint.get(name) {
            *dtypes.entry(format!("{:?}", stored.dtype)).or_default() += 1;
        }
    }
    let dtypes: Vec<String> = dtypes.iter().map(|(d, n)| format!("{n} x {d}")).collect();
    let stated = config.dtype.as_deref().unwrap_or("not stated");
    println!(
        "stored    {} ({}), config says {stated}",
        bytes(checkpoint.total_bytes()),
        dtypes.join(", ")
    );
}

/// Device memory of the weights: matrices in the chosen type, one-dimensional tensors and the
/// router in f32.
fn memory(config: &Config) {
    let specs = tensors(config);
    let kv_per_token = 2 * config.text.num_layers * config.text.num_kv_heads * config.text.head_dim;
    for (name, size) in [("f32", 4u64), ("f16", 2)] {
        let weights: u64 = specs
            .iter()
            .map(|t| {
                t.len() as u64
                    * if kept_f32(&t.name, t.shape.len()) {
                        4
                    } else {
                        size
                    }
            })
            .sum();
        let context = kv_per_token as u64 * size * context(&config.text);
        println!(
            "memory    {name}: weights {}, KV cache {} per 1024 tokens, {} for the whole context",
            bytes(weights),
            bytes(kv_per_token as u64 * size * 1024),
            bytes(context)
        );
    }
}

fn context(text: &TextConfig) -> u64 {
    text.max_position_embeddings as u64
}

fn kept_f32(name: &str, rank: usize) -> bool {
    rank == 1 || name.ends_with("mlp.gate.weight") || name.contains("position_embedding")
}

fn special_tokens(dir: &Path, config: &Config) -> anyhow::Result<()> {
    let path = dir.join("tokenizer.json");
    if !path.is_file() {
        println!("tokens    no tokenizer.json here");
        return Ok(());
    }
    let tokenizer = Tokenizer::from_file(&path)?;
    println!(
        "tokens    tokenizer of {}, stops {:?}",
        tokenizer.vocab_size(),
        config.text.eos_token_ids
    );
    for token in [
        "<|image|>",
        "<|video|>",
        "<|begin_of_image|>",
        "<|end_of_image|>",
        "<|begin_of_video|>",
        "<|end_of_video|>",
        "<think>",
        "</think>",
        "<answer>",
        "</answer>",
        "<|begin_of_box|>",
        "<|end_of_box|>",
        "<|user|>",
        "<|assistant|>",
        "<|observation|>",
        "<|endoftext|>",
    ] {
        if let Some(id) = tokenizer.id(token) {
            println!("  {token:<22}{id:>8}");
        }
    }
    Ok(())
}
