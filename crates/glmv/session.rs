//! What every subcommand that runs the model shares: device choice, loading with a progress bar,
//! and Ctrl-C.

use crate::args::DeviceArgs;
use crate::fit;
use anyhow::Context;
use glmv_engine::{Engine, Precision};
use glmv_kernels::device::{Choice, Info, Selected, select};
use glmv_model::{Checkpoint, Config, Glm4v, LoadOptions, Loader};
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

/// Prompt length whose pipelines are built while loading, in tokens.
const WARM_CHUNK: usize = 256;

/// Loads the checkpoint folder `dir`, with a bar on stderr unless `quiet` or not a terminal.
pub fn load(dir: &Path, args: &DeviceArgs, vision: bool, quiet: bool) -> anyhow::Result<Session> {
    let start = Instant::now();
    let selected = open(args.device.into())?;
    let options = options(storage(dir, args.precision())?, args);
    check_precision(&selected, options.precision)?;
    // A folder that cannot be read is left to the loader, which says what is wrong with it.
    if let Ok(config) = Config::from_dir(dir) {
        check_experts(&selected, &config, options)?;
        fit::refuse(&config, &selected.info, options, args.memory)?;
    }
    let mut engine = with_bar(quiet, "loading", |progress| {
        Engine::load(dir, &selected.device, options, progress)
            .with_context(|| format!("cannot load {}", dir.display()))
    })?;
    note_skipped(&engine.skipped);
    if let Some(adapter) = &args.adapter {
        let model = adapted(engine.model().clone(), adapter)?;
        engine.set_model(model)?;
    }
    warm_up(engine.model(), WARM_CHUNK, vision, quiet)?;
    Ok(Session {
        engine,
        device: selected.info,
        load_s: start.elapsed().as_secs_f64(),
    })
}

/// Where the weights come from.
pub enum Source<'a> {
    /// A checkpoint folder.
    Folder(&'a Path),
    /// Random weights of a configuration file.
    Random(&'a Path, Box<Config>),
}

/// A model without tokenizer or templates.
pub struct Loaded {
    pub model: Glm4v,
    pub device: Info,
    /// The folder or the configuration file.
    pub name: String,
    pub load_s: f64,
    pub warm_up_s: f64,
}

/// Loads only the weights; then builds the pipelines of a prefill of `chunk` tokens, if given, and
/// with `vision` of a picture.
pub fn load_model(
    source: &Source<'_>,
    args: &DeviceArgs,
    chunk: Option<usize>,
    vision: bool,
    quiet: bool,
) -> anyhow::Result<Loaded> {
    let start = Instant::now();
    let selected = open(args.device.into())?;
    let precision = match source {
        Source::Folder(dir) => storage(dir, args.precision())?,
        Source::Random(..) => args.precision().unwrap_or(Precision::F32),
    };
    let options = options(precision, args);
    check_precision(&selected, options.precision)?;
    let (path, config) = match source {
        Source::Folder(dir) => (*dir, Config::from_dir(dir)?),
        Source::Random(path, config) => (*path, config.as_ref().clone()),
    };
    check_experts(&selected, &config, options)?;
    fit::refuse(&config, &selected.info, options, args.memory)?;
    let (model, skipped) = with_bar(quiet, "loading", |progress| {
        let checkpoint = match source {
            Source::Folder(dir) => Checkpoint::open(dir)?,
            Source::Random(_, config) => Checkpoint::random(config, 0),
        };
        let loader = Loader::new(&checkpoint, &selected.device, options.precision, progress);
        let first = config
            .text
            .num_layers
            .saturating_sub(options.experts_on_host);
        Glm4v::from_loader(config, &loader.with_experts_on_host(first))
            .with_context(|| format!("cannot load {}", path.display()))
    })?;
    note_skipped(&skipped);
    let model = match &args.adapter {
        Some(adapter) => adapted(model, adapter)?,
        None => model,
    };
    let load_s = start.elapsed().as_secs_f64();
    let start = Instant::now();
    if let Some(chunk) = chunk {
        warm_up(&model, chunk, vision, quiet)?;
    }
    Ok(Loaded {
        model,
        device: selected.info,
        name: path.display().to_string(),
        load_s,
        warm_up_s: start.elapsed().as_secs_f64(),
    })
}

/// The model with the adapter of a folder.
fn adapted(model: Glm4v, adapter: &Path) -> anyhow::Result<Glm4v> {
    let loaded = model.with_adapter_from(adapter, 0);
    loaded.with_context(|| format!("cannot use {}", adapter.display()))
}

/// Builds the pipelines behind a spinner.
fn warm_up(model: &Glm4v, chunk: usize, vision: bool, quiet: bool) -> anyhow::Result<()> {
    let bar = ProgressBar::with_draw_target(Some(0), target(quiet));
    bar.set_style(ProgressStyle::with_template(
        "building pipelines {spinner}",
    )?);
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    let built = model.warm_up(chunk, vision);
    bar.finish_and_clear();
    built.context("cannot build the pipelines")
}

fn target(quiet: bool) -> ProgressDrawTarget {
    match quiet {
        true => ProgressDrawTarget::hidden(),
        false => ProgressDrawTarget::stderr(),
    }
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

/// Refuses a storage that the device has not.
pub fn check_precision(selected: &Selected, precision: Precision) -> anyhow::Result<()> {
    let info = &selected.info;
    if precision == Precision::F16 && info.backend != "cpu" && !info.shader_f16 {
        anyhow::bail!(
            "{} has no 16-bit floats in shaders: use --dtype f32",
            info.name
        );
    }
    Ok(())
}

fn check_experts(selected: &Selected, config: &Config, options: LoadOptions) -> anyhow::Result<()> {
    let asked = options.experts_on_host;
    if asked == 0 {
        return Ok(());
    }
    if selected.info.backend == "cpu" {
        anyhow::bail!("--experts-on-host: on the CPU device all weights are in host memory");
    }
    fit::check_expert_layers(config, asked)
}

fn options(precision: Precision, args: &DeviceArgs) -> LoadOptions {
    LoadOptions {
        precision,
        experts_on_host: args.experts_on_host,
    }
}

/// Runs `load` with a bar on stderr unless `quiet` or not a terminal.
pub fn with_bar<T>(
    quiet: bool,
    what: &'static str,
    load: impl FnOnce(&dyn Fn(u64, u64)) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let bar = ProgressBar::with_draw_target(None, target(quiet));
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

/// A bar on stderr over `total` of something, if that is a terminal.
pub fn count_bar(total: u64, what: &'static str) -> anyhow::Result<ProgressBar> {
    let bar = ProgressBar::with_draw_target(Some(total), target(false));
    bar.set_style(ProgressStyle::with_template(
        "{msg} {bar:32} {pos}/{len} {eta}",
    )?);
    bar.set_message(what);
    Ok(bar)
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

/// Installs a Ctrl-C handler for work that stops at a good place: the first time asks for it, the
/// second ends the program.
pub fn handle_stop() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(INTERRUPTED));
        }
        eprintln!("\nstopping after this step; press Ctrl-C again to stop now");
    })
    .context("cannot install the Ctrl-C handler")
}

/// True once [`handle_stop`]'s Ctrl-C was pressed.
pub fn stop_asked() -> bool {
    STOP.load(Ordering::SeqCst)
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
