//! Load a checkpoint and write it back in the hub's layout: for f32 every tensor has the same bytes.
//!
//!     cargo run --example weights_roundtrip [-- MODEL_DIR]

use anyhow::{Context, Result, ensure};
use glmv::kernels::device::{Choice, select};
use glmv::model::{Checkpoint, Glm4v, Precision, StoreAs, save};
use std::path::PathBuf;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/golden/glm4v_moe-f32");
/// Largest shard in bytes; the hub's own are about 5 GB.
const MAX_SHARD_BYTES: u64 = 1 << 20;

fn main() -> Result<()> {
    let source = std::env::args_os()
        .nth(1)
        .map_or_else(|| MODEL.into(), PathBuf::from);
    let device = select(Choice::Auto)?.device;
    let (model, skipped) = Glm4v::load(&source, &device, Precision::F32, &|_, _| {})?;
    for name in &skipped {
        println!("not loaded, not written: {name}");
    }

    let target = tempfile::tempdir().context("no temporary folder")?;
    save(&model, target.path(), StoreAs::F32, MAX_SHARD_BYTES)?;
    let config = source.join("config.json");
    std::fs::copy(&config, target.path().join("config.json"))
        .with_context(|| format!("cannot copy {}", config.display()))?;

    let (before, after) = (Checkpoint::open(&source)?, Checkpoint::open(target.path())?);
    let mut equal = 0;
    for name in before.names() {
        let Some(written) = after.get(name) else {
            ensure!(skipped.iter().any(|s| s == name), "{name} was not written");
            continue;
        };
        let stored = before.get(name).context("a listed tensor is there")?;
        ensure!(stored.shape == written.shape, "{name} changed its shape");
        // A bf16 or f16 file comes back as f32: other bytes, same values.
        if stored.dtype == written.dtype {
            ensure!(stored.bytes == written.bytes, "{name} changed its values");
            equal += 1;
        }
    }
    let total = before.names().count();
    println!("{equal} of {total} tensors are byte-equal, none is missing");
    Ok(())
}
