//! Whether a plan fits, and the first change of its settings with which it would.

use super::{CacheFormat, Plan, Settings, WeightFormat};
use crate::config::Config;
use serde::Serialize;

/// Shortest context that is worth proposing, in tokens.
const SHORTEST_CTX: usize = 1024;
/// Shortest prefill chunk that is worth proposing, in tokens.
const SHORTEST_CHUNK: usize = 32;

/// A changed setting, as the command line spells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    pub flag: &'static str,
    pub value: String,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.flag, self.value)
    }
}

/// Settings with which a plan fits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advice {
    pub changes: Vec<Change>,
    pub device_bytes: u64,
    pub host_bytes: u64,
}

impl Plan {
    /// True if the device's `available` bytes and its buffers hold the plan.
    pub fn fits(&self, available: u64) -> bool {
        let splits = self.sharded.iter().all(|s| s.shards.is_some());
        self.device_bytes() <= available && self.too_large.is_none() && splits
    }

    /// The first change with which `config` fits `available` bytes, tried in this order: a shorter
    /// prefill chunk, a shorter context, a narrower cache, narrower weights, experts of the last
    /// layers in host memory, then narrower weights with the shortest context and experts on the
    /// host. `None` if nothing helps.
    pub fn advise(config: &Config, settings: &Settings, available: u64) -> Option<Advice> {
        candidates(config, settings)
            .into_iter()
            .map(|candidate| (Plan::new(config, &candidate), candidate))
            .find(|(plan, _)| plan.fits(available))
            .map(|(plan, candidate)| Advice {
                changes: changes(settings, &candidate),
                device_bytes: plan.device_bytes(),
                host_bytes: plan.host_bytes(),
            })
    }
}

fn candidates(config: &Config, settings: &Settings) -> Vec<Settings> {
    let mut list = Vec::new();
    let with = |change: &dyn Fn(&mut Settings)| {
        let mut changed = settings.clone();
        change(&mut changed);
        changed
    };
    let halvings = |from: usize, least: usize| {
        std::iter::successors(Some(from / 2), |v| Some(v / 2)).take_while(move |v| *v >= least)
    };
    for chunk in halvings(settings.chunk.min(settings.ctx), SHORTEST_CHUNK) {
        list.push(with(&|s| s.chunk = chunk));
    }
    for ctx in halvings(settings.ctx, SHORTEST_CTX) {
        list.push(with(&|s| s.ctx = ctx));
    }
    for kv in CacheFormat::ALL.into_iter().filter(|kv| *kv > settings.kv) {
        list.push(with(&|s| s.kv = kv));
    }
    let narrower: Vec<WeightFormat> = WeightFormat::ALL
        .into_iter()
        .filter(|w| *w > settings.weights)
        .collect();
    for weights in &narrower {
        list.push(with(&|s| narrow(s, *weights)));
    }
    let last: Vec<WeightFormat> = [settings.weights].into_iter().chain(narrower).collect();
    let expert_layers = config.text.moe.as_ref().map_or(0, |m| {
        config
            .text
            .num_layers
            .saturating_sub(m.first_k_dense_replace)
    });
    for weights in last {
        for layers in 1..=expert_layers {
            list.push(with(&|s| {
                if weights != s.weights {
                    narrow(s, weights);
                    s.ctx = s.ctx.min(SHORTEST_CTX);
                }
                s.experts_on_host = s.experts_on_host.max(layers);
            }));
        }
        list.push(with(&|s| {
            if weights != s.weights {
                narrow(s, weights);
            }
            s.ctx = s.ctx.min(SHORTEST_CTX);
            s.chunk = s.chunk.min(SHORTEST_CHUNK);
        }));
    }
    list
}

fn narrow(settings: &mut Settings, weights: WeightFormat) {
    settings.weights = weights;
    settings.vision = settings.vision.max(WeightFormat::F16.min(weights));
    settings.kv = settings.kv.max(CacheFormat::F16);
}

fn changes(from: &Settings, to: &Settings) -> Vec<Change> {
    let mut list = Vec::new();
    let mut note = |changed: bool, flag, value: String| {
        if changed {
            list.push(Change { flag, value });
        }
    };
    note(
        from.weights != to.weights,
        "--dtype",
        to.weights.name().into(),
    );
    note(from.kv != to.kv, "--kv-dtype", to.kv.name().into());
    note(from.ctx != to.ctx, "--ctx", to.ctx.to_string());
    note(from.chunk != to.chunk, "--chunk", to.chunk.to_string());
    note(
        from.experts_on_host != to.experts_on_host,
        "--experts-on-host",
        to.experts_on_host.to_string(),
    );
    list
}
