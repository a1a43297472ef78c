//! `glmv merge`: a checkpoint with an adapter added to its weights, averaged with others, or stored in another
//! type, written to a new folder.

use crate::args::MergeArgs;
use crate::session;
use anyhow::Context;
use glmv_model::{MergeOptions, average_checkpoints, merge_adapter};
use std::process::ExitCode;

/// Largest file of a merged checkpoint, in bytes.
const MAX_SHARD_BYTES: u64 = 4 << 30;

/// Runs the subcommand.
pub fn run(args: &MergeArgs) -> anyhow::Result<ExitCode> {
    let options = MergeOptions {
        store: args.store.map(Into::into),
        dequantise: args.dequantize,
        max_shard_bytes: MAX_SHARD_BYTES,
    };
    session::with_bar(false, "merging", |progress| {
        let adapter = args.adapter.as_deref();
        let what = adapter.unwrap_or(&args.model);
        match args.average.as_slice() {
            [] => merge_adapter(&args.model, adapter, &args.out, options, progress),
            others => average_checkpoints(&args.model, others, &args.out, options, progress),
        }
        .with_context(|| format!("cannot merge {}", what.display()))
    })?;
    eprintln!("model {}", args.out.display());
    Ok(ExitCode::SUCCESS)
}
