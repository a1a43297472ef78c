//! What a model needs against what the device has: the refusal of `glmv run` and `glmv bench` before
//! anything is loaded, and the verdict of `glmv inspect --plan`.

use glmv_kernels::device::{Capacity, Info};
use glmv_model::plan::{Advice, BufferRules, Plan, Section, Settings, Sharded};
use glmv_model::{Config, LoadOptions};
use serde::Serialize;

/// A training run that the device cannot hold; exit code 2.
#[derive(Debug)]
pub struct DoesNotFit(pub String);

impl std::fmt::Display for DoesNotFit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DoesNotFit {}

/// A plan with the device's memory beside it.
#[derive(Debug, Serialize)]
pub struct Fit {
    pub plan: Plan,
    pub memory: Capacity,
    /// `None` where the memory is unknown and no buffer limit stands against it.
    pub fits: Option<bool>,
    /// The first change with which it would fit.
    pub advice: Option<Advice>,
}

impl Fit {
    /// Plans `config` and compares it with `memory`.
    pub fn new(config: &Config, settings: &Settings, memory: Capacity) -> Self {
        let plan = Plan::new(config, settings);
        let available = memory.bytes.unwrap_or(u64::MAX);
        let fits = plan.fits(available);
        Fit {
            advice: match fits {
                true => None,
                false => Plan::advise(config, settings, available),
            },
            fits: match memory.bytes {
                None if fits => None,
                _ => Some(fits),
            },
            memory,
            plan,
        }
    }

    /// Why the model cannot run and what to change; `None` if nothing stands against it.
    pub fn refusal(&self) -> Option<String> {
        if self.fits != Some(false) {
            return None;
        }
        let plan = &self.plan;
        let needed = plan.device_bytes();
        let parts: Vec<String> = SECTIONS
            .iter()
            .map(|s| format!("{} {}", s.name(), bytes(plan.section_bytes(*s))))
            .collect();
        let mut text = format!(
            "the model needs {} on the device ({})",
            bytes(needed),
            parts.join(", ")
        );
        match self.memory.bytes {
            Some(available) if available < needed => {
                let source = &self.memory.source;
                text += &format!(", available are {}: {source}", bytes(available));
            }
            _ => {
                let plan = &self.plan;
                let (large, sharded) = (plan.too_large.as_ref(), &plan.sharded);
                text += &buffer_reason(plan.settings.buffers, large, sharded);
            }
        }
        match &self.advice {
            Some(advice) => {
                let changes: Vec<String> = advice.changes.iter().map(ToString::to_string).collect();
                let (changes, needs) = (changes.join(" "), bytes(advice.device_bytes));
                text += &format!(". It fits with {changes}, which needs {needs}");
                if advice.host_bytes > 0 {
                    text += &format!(" and {} of host memory", bytes(advice.host_bytes));
                }
            }
            None => text += ". No setting makes it fit",
        }
        Some(text)
    }
}

/// Which tensor the device's buffers cannot hold; nothing if they hold all.
pub fn buffer_reason(
    buffers: BufferRules,
    too_large: Option<&Sharded>,
    sharded: &[Sharded],
) -> String {
    let unsplit = sharded.iter().find(|s| s.shards.is_none());
    match too_large.or(unsplit) {
        Some(s) => format!(
            "; one tensor of {} ({}) exceeds the device's buffer limit of {}",
            bytes(s.bytes),
            s.name,
            bytes(buffers.limit)
        ),
        None => String::new(),
    }
}

/// Sections of an inference plan, in the order of reports.
pub const SECTIONS: [Section; 4] = [
    Section::Weights,
    Section::Cache,
    Section::Activations,
    Section::Workspace,
];

/// Buffer rules of a device.
pub fn buffers(info: &Info) -> BufferRules {
    match info.backend.as_str() {
        "cpu" => BufferRules::host(),
        _ => BufferRules {
            limit: info.max_buffer_bytes,
            alignment: info.buffer_alignment,
            paged: true,
        },
    }
}

/// The device's memory, or what the user says it is.
pub fn capacity(info: &Info, stated: Option<u64>) -> Capacity {
    match stated {
        Some(bytes) => Capacity {
            bytes: Some(bytes),
            source: "as --memory says".to_string(),
        },
        None => info.memory.clone(),
    }
}

/// Context of the smallest use that [`refuse`] plans for, in tokens.
const LEAST_CTX: usize = 1024;
/// Prefill pass of the same.
const LEAST_CHUNK: usize = 128;

/// Fails if not even a short conversation with a model of `config` fits the device.
pub fn refuse(
    config: &Config,
    info: &Info,
    options: LoadOptions,
    memory: Option<u64>,
) -> anyhow::Result<()> {
    let ctx = LEAST_CTX.min(config.text.max_position_embeddings);
    let mut settings = Settings::new(options.precision.into(), ctx, buffers(info));
    settings.vision = settings.weights;
    settings.chunk = LEAST_CHUNK;
    settings.experts_on_host = options.experts_on_host;
    match Fit::new(config, &settings, capacity(info, memory)).refusal() {
        Some(reason) => anyhow::bail!(reason),
        None => Ok(()),
    }
}

/// Fails if `config` has fewer layers with experts than `asked`.
pub fn check_expert_layers(config: &Config, asked: usize) -> anyhow::Result<()> {
    let text = &config.text;
    let layers = text.moe.as_ref().map_or(0, |m| {
        text.num_layers.saturating_sub(m.first_k_dense_replace)
    });
    if asked > layers {
        anyhow::bail!("--experts-on-host {asked}: the model has {layers} layers with experts");
    }
    Ok(())
}

/// A size for people.
pub fn bytes(n: u64) -> String {
    match n {
        0..1_048_576 => format!("{:.1} KiB", n as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", n as f64 / 1_048_576.0),
        _ => format!("{:.2} GiB", n as f64 / 1_073_741_824.0),
    }
}
