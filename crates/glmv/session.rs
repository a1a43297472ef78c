//! What every subcommand that runs the model shares: device choice, loading with a progress bar,
//! and Ctrl-C.

use anyhow::Context;
use glmv_engine::{Engine, Precision};
use glmv_kernels::device::{Choice, Info, Selected, select};
use glmv_model::{Checkpoint, Glm4v};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// A loaded engine with where it runs and how long loading took.
pub struct Session {
    pub engine: Engine,
    pub device: Info,
    pub load_s: f64,
}

/// Opens the device; tells on stderr what the user may not expect.
pub fn open(choice: Choice) -> anyhow::Result<Selected> {
    let selected = select(choice)?;
    if let Some(note) = &selected.note {
        eprintln!("note: {note}");
    }
    Ok(selected)
}

/// Loads the checkpoint folder `dir`, with a bar on stderr unless `quiet` or not a terminal.
pub fn load(
    dir: &Path,
    choice: Choice,
    precision: Option<Precision>,
    quiet: bool,
) -> anyhow::Result<Session> {
    let start = Instant::now();
    let selected = open(choice)?;
    let precision = storage(dir, precision)?;
    check_precision(&selected, precision)?;
    let engine = with_bar(quiet, "loading", |progress| {
        Engine::load(dir, &selected.device, precision, progress)
            .with_context(|| format!("cannot load {}", dir.display()))
    })?;
    note_skipped(&engine.skipped);
    Ok(Session {
        engine,
        device: selected.info,
        load_s: start.elapsed().as_secs_f64(),
    })
}

/// Loads only the weights of `dir`; no tokenizer or templates are needed.
pub fn load_model(
    dir: &Path,
    selected: &Selected,
    precision: Option<Precision>,
    quiet: bool,
) -> anyhow::Result<Glm4v> {
    let precision = storage(dir, precision)?;
    check_precision(selected, precision)?;
    let (model, skipped) = with_bar(quiet, "loading", |progress| {
        Glm4v::load(dir, &selected.device, precision, progress)
            .with_context(|| format!("cannot load {}", dir.display()))
    })?;
    note_skipped(&skipped);
    Ok(model)
}

/// The storage asked for; without one that of a quantised checkpoint, else f32.
fn storage(dir: &Path, asked: Option<Precision>) -> anyhow::Result<Precision> {
    if let Some(precision) = asked {
        return Ok(precision);
    }
    let checkpoint = Checkpoint::open(dir);
    let checkpoint = checkpoint.with_context(|| format!("cannot load {}", dir.display()))?;
    Ok(checkpoint.precision().unwrap_or(Precision::F32))
}

fn check_precision(selected: &Selected, precision: Precision) -> anyhow::Result<()> {
    let info = &selected.info;
    if precision == Precision::F16 && info.backend != "cpu" && !info.shader_f16 {
        anyhow::bail!(
            "{} has no 16-bit floats in shaders: use --dtype f32",
            info.name
        );
    }
    Ok(())
}

/// Runs `load` with a bar on stderr unless `quiet` or not a terminal.
pub fn with_bar<T>(
    quiet: bool,
    what: &'static str,
    load: impl FnOnce(&dyn Fn(u64, u64)) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let bar = ProgressBar::with_draw_target(
        None,
        match quiet {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        },
    );
    let style = "{msg} {bar:32} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";
    bar.set_style(ProgressStyle::with_template(style)?);
    bar.set_message(what);
    let loaded = load(&|done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    loaded
}

fn note_skipped(skipped: &[String]) {
    if let Some(first) = skipped.first() {
        let count = skipped.len();
        eprintln!(
            "note: {count} tensors of multi-token-prediction layers are not used, first {first}"
        );
    }
}

/// Exit code after Ctrl-C, as shells report it.
pub const INTERRUPTED: u8 = 130;

static GENERATING: AtomicBool = AtomicBool::new(false);
static STOP: AtomicBool = AtomicBool::new(false);

/// Installs the Ctrl-C handler: while tokens come it asks the generation to stop, so that the text
/// so far is kept; at any other time, or the second time, it ends the program.
pub fn handle_ctrl_c() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {
        if !GENERATING.load(Ordering::SeqCst) || STOP.swap(true, Ordering::SeqCst) {
            eprintln!();
            std::process::exit(i32::from(INTERRUPTED));
        }
    })
    .context("cannot install the Ctrl-C handler")
}

/// Marks a generation as running while it lives.
pub struct Interruptible;

impl Interruptible {
    pub fn start() -> Self {
        STOP.store(false, Ordering::SeqCst);
        GENERATING.store(true, Ordering::SeqCst);
        Interruptible
    }

    /// True once Ctrl-C was pressed.
    pub fn stopped(&self) -> bool {
        STOP.load(Ordering::SeqCst)
    }
}

impl Drop for Interruptible {
    fn drop(&mut self) {
        GENERATING.store(false, Ordering::SeqCst);
    }
}
