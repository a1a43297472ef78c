//! The first change of a recipe with which training would fit.

use super::{StateFormat, TrainPlan, TrainSettings};
use crate::config::Config;
use crate::plan::{Advice, Change, WeightFormat};

/// Shortest sequence that is worth proposing, in tokens.
const SHORTEST: usize = 256;

impl TrainPlan {
    /// The first change with which training of `config` fits `available` bytes, tried in this order:
    /// recompute of the tower, of the layers too, 8-bit states, both, and with both ever shorter
    /// sequences; with an adapter also a base of codes. `None` if nothing helps.
    pub fn advise(config: &Config, settings: &TrainSettings, available: u64) -> Option<Advice> {
        let candidates = candidates(settings).into_iter().filter(|c| c != settings);
        candidates
            .map(|candidate| (TrainPlan::new(config, &candidate), candidate))
            .find(|(plan, _)| plan.fits(available))
            .map(|(plan, candidate)| Advice {
                changes: changes(settings, &candidate),
                device_bytes: plan.device_bytes(),
                host_bytes: plan.host_bytes(),
            })
    }
}

fn candidates(settings: &TrainSettings) -> Vec<TrainSettings> {
    let with = |change: &dyn Fn(&mut TrainSettings)| {
        let mut changed = settings.clone();
        change(&mut changed);
        changed
    };
    let again = |s: &mut TrainSettings| (s.recompute, s.recompute_vision) = (true, true);
    let mut list = vec![
        with(&|s| s.recompute_vision = true),
        with(&again),
        with(&|s| s.states = StateFormat::Blocks),
        with(&|s| {
            again(s);
            s.states = StateFormat::Blocks;
        }),
    ];
    if settings.adapter.is_some() {
        list.extend([WeightFormat::Q8, WeightFormat::Q4].map(|base| {
            with(&|s| {
                again(s);
                s.adapter.iter_mut().for_each(|adapter| adapter.base = base);
            })
        }));
    }
    let mut parts = 2;
    while settings.tokens / parts >= SHORTEST {
        list.push(with(&|s| {
            again(s);
            s.states = StateFormat::Blocks;
            s.tokens = settings.tokens / parts;
            s.counted = settings.counted.div_ceil(parts);
            s.patches = settings.patches.div_ceil(parts);
        }));
        parts *= 2;
    }
    list
}

fn changes(from: &TrainSettings, to: &TrainSettings) -> Vec<Change> {
    let mut list = Vec::new();
    let mut note = |changed: bool, value: String| {
        if changed {
            list.push(Change {
                flag: "--set",
                value,
            });
        }
    };
    note(
        from.recompute != to.recompute,
        "train.recompute=layer".into(),
    );
    // By itself the tower does as the layers do.
    note(
        from.recompute_vision != to.recompute_vision,
        "train.recompute_vision=layer".into(),
    );
    let states = format!("train.adamw.states={}", to.states.name());
    note(from.states != to.states, states);
    let base = |s: &TrainSettings| s.adapter.as_ref().map(|a| a.base);
    if let Some(format) = base(to) {
        let value = format!("adapter.base={}", format.name());
        note(base(from) != base(to), value);
    }
    note(
        from.tokens != to.tokens,
        format!("data.sequence={}", to.tokens),
    );
    list
}
