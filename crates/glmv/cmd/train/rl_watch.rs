//! What a rewarded run shows: metrics per domain, rollouts with their pictures, notes, and when to
//! stop.

use crate::session;
use anyhow::Context as _;
use glmv_monitor::{Completion, Level, Monitor, Picture, RolloutGroup, Values};
use glmv_processor::{ImageSource, Part};
use glmv_rl::advantage::{Normalise, of_group};
use glmv_rl::curriculum::Tier;
use glmv_train::Error;
use glmv_train::rl::{Agreement, Examined, Group, Iteration, Learnt, ReplayId, RlWatch, Tasks};
use std::path::{Path, PathBuf};

/// Groups of an iteration that go to the viewer.
const SHOWN_GROUPS: usize = 4;
/// Name of the file in a run's folder that ends the run.
const STOP: &str = "STOP";

/// Records a run.
pub(super) struct Report {
    monitor: Monitor,
    folder: PathBuf,
    last: u64,
    held_out: Option<Examined>,
}

fn other(error: impl std::fmt::Display) -> Error {
    Error::Other(error.to_string())
}

impl Report {
    pub(super) fn new(monitor: Monitor, folder: &Path) -> Self {
        Report {
            last: monitor.last_step().unwrap_or(0),
            monitor,
            folder: folder.to_path_buf(),
            held_out: None,
        }
    }

    /// Notes something.
    pub(super) fn note(&mut self, at: u64, level: Level, text: &str) -> Result<(), Error> {
        self.monitor.note(at, level, text).map_err(other)
    }

    /// Notes what ended the run, if it still can.
    pub(super) fn failed(&mut self, error: &Error) {
        if let Err(second) = self.note(self.last, Level::Error, &error.to_string()) {
            eprintln!("note: the failure could not be recorded: {second}");
        }
    }

    /// Writes the report.
    pub(super) fn finish(mut self) -> anyhow::Result<PathBuf> {
        if let Some(examined) = self.held_out.take() {
            // No iteration follows that would record it; one that does, after a resume, takes its place.
            let mut values = Values::new();
            held_out(&mut values, &examined);
            let last = self.monitor.step(self.last + 1, &values);
            last.context("cannot record the last held-out accuracy")?;
        }
        self.monitor.finish().context("cannot write the report")
    }
}

impl RlWatch for Report {
    fn phase(&mut self, name: &str, done: u64, total: u64) {
        self.monitor.phase(name, done, total);
    }

    fn agreed(&mut self, agreement: &Agreement) -> Result<(), Error> {
        let Agreement {
            tokens,
            workers,
            mean_kl,
            max_difference,
            ..
        } = agreement;
        let of = match workers.as_slice() {
            [_] | [] => String::new(),
            several => format!(" of workers {}", several.join(", ")),
        };
        let text = format!(
            "rollout and trainer agree over {tokens} tokens{of}: mean KL {mean_kl:.1e}, largest \
             difference {max_difference:.1e} nats"
        );
        self.note(self.last, Level::Info, &text)
    }

    fn iteration(&mut self, iteration: &Iteration, tasks: &Tasks) -> Result<(), Error> {
        let at = iteration.iteration;
        self.last = at;
        let mut values = values(iteration);
        if let Some(examined) = self.held_out.take() {
            held_out(&mut values, &examined);
        }
        self.monitor.step(at, &values).map_err(other)?;
        let groups = iteration.groups.iter().take(SHOWN_GROUPS);
        let shown: Vec<RolloutGroup> = groups
            .map(|group| shown(group, tasks, at, &iteration.weights))
            .collect();
        self.monitor.rollouts(at, &shown).map_err(other)
    }

    fn examined(&mut self, iteration: u64, examined: &Examined) -> Result<(), Error> {
        if let Some(accuracy) = examined.all.accuracy {
            let text = format!(
                "held-out accuracy {:.1} % over {} tasks after iteration {iteration}",
                100.0 * accuracy,
                examined.all.tasks
            );
            self.note(iteration, Level::Info, &text)?;
        }
        // Recorded with the next iteration, as steps are written once.
        self.held_out = Some(examined.clone());
        Ok(())
    }

    fn saved(&mut self, iteration: u64, dir: &Path) -> Result<(), Error> {
        self.monitor.sync().map_err(other)?;
        self.note(
            iteration,
            Level::Info,
            &format!("checkpoint {}", dir.display()),
        )
    }

    fn warn(&mut self, iteration: u64, text: &str) -> Result<(), Error> {
        self.note(iteration, Level::Warn, text)
    }

    fn stop(&mut self) -> bool {
        session::stop_asked() || self.folder.join(STOP).exists()
    }
}

/// The numbers of an iteration.
fn values(iteration: &Iteration) -> Values {
    let mut values = Values::new();
    let rewards = iteration.groups.iter().flat_map(|g| &g.members);
    let rewards: Vec<f64> = rewards.filter_map(|m| m.reward).collect();
    if !rewards.is_empty() {
        let mean = rewards.iter().sum::<f64>() / rewards.len() as f64;
        values.set("reward/mean", mean);
    }
    for (name, figures) in &iteration.domains {
        let mut set = |what: &str, value: Option<f64>| {
            if let Some(value) = value {
                values.set_in(&[what, name], value);
            }
        };
        set("domain_reward", figures.reward);
        set("domain_accuracy", figures.accuracy);
        set("domain_well_formed", Some(figures.well_formed));
        set("domain_repetition", Some(figures.repetition));
        set("domain_length", Some(figures.length));
        set("domain_entropy", figures.entropy);
        set("domain_truncated", figures.ends.truncated_rate());
        set("domain_forced", figures.ends.forced_rate());
    }
    let lengths = iteration.groups.iter().flat_map(|g| &g.members);
    let lengths: Vec<f64> = lengths.map(|m| m.tokens.len() as f64).collect();
    values.set_quantiles("length/tokens", &lengths);
    let ends = &iteration.ends;
    for (name, rate) in [
        ("ends/truncated", ends.truncated_rate()),
        ("ends/forced", ends.forced_rate()),
    ] {
        if let Some(rate) = rate {
            values.set(name, rate);
        }
    }
    values.set("reward/unjudged", iteration.undecided.failed as f64);
    values.set("reward/undecided", iteration.undecided.wrong as f64);
    updates(&mut values, &iteration.learnt);
    curriculum(&mut values, iteration);
    let times = &iteration.times;
    let seconds = times.all.max(1e-9);
    values
        .set("time/rollout", times.rollout)
        .set("time/reward", times.reward)
        .set("time/train", times.train)
        .set("time/step", times.all)
        .set("rate/completions_per_sec", lengths.len() as f64 / seconds)
        .set("rate/tokens_per_sec", lengths.iter().sum::<f64>() / seconds);
    values
}

/// Loss, policy and gradients: means over the updates of an iteration.
fn updates(values: &mut Values, learnt: &[Learnt]) {
    let mut mean = |name: &str, of: &dyn Fn(&Learnt) -> Option<f64>| {
        let all: Vec<f64> = learnt.iter().filter_map(of).collect();
        if !all.is_empty() {
            values.set(name, all.iter().sum::<f64>() / all.len() as f64);
        }
    };
    mean("loss/policy", &|one| Some(one.policy_loss));
    mean("loss/kl", &|one| {
        (one.kl_loss != 0.0).then_some(one.kl_loss)
    });
    mean("policy/entropy", &|one| one.metrics.entropy());
    mean("policy/kl_to_rollout", &|one| one.metrics.old_k3());
    mean("policy/kl_to_reference", &|one| one.metrics.reference_k3());
    mean("policy/clipped_low", &|one| {
        Some(one.metrics.clip_fraction_low())
    });
    mean("policy/clipped_high", &|one| {
        Some(one.metrics.clip_fraction_high())
    });
    mean("policy/largest_ratio", &|one| Some(one.metrics.ratio_max));
    mean("grad/norm", &|one| Some(one.report.grad_norm));
    mean("grad/skipped", &|one| {
        Some(f64::from(u8::from(!one.report.applied)))
    });
    mean("rate/learning", &|one| Some(one.report.rate));
    mean("pack/micro_steps", &|one| Some(one.micro_steps as f64));
    mean("pack/utilisation", &|one| Some(one.utilisation));
}

/// What was asked and why.
fn curriculum(values: &mut Values, iteration: &Iteration) {
    let (report, validity) = (&iteration.curriculum, &iteration.selection.validity);
    values.counts(
        "groups/state",
        [
            ("useful", validity.useful as f64),
            ("all right", validity.all_right as f64),
            ("all wrong", validity.all_wrong as f64),
            ("all equal", validity.all_equal as f64),
            ("no tokens", validity.no_tokens as f64),
            ("alone", validity.alone as f64),
        ],
    );
    let tiers = Tier::ALL.map(|tier| {
        let all = report.tiers.values().map(|counts| counts[tier.index()]);
        (tier.name(), all.sum::<usize>() as f64)
    });
    values.counts("curriculum/tiers", tiers);
    values.set("curriculum/completions", report.completions as f64);
    if let Some(expansion) = report.expansion {
        values.set("curriculum/expansion", expansion);
    }
    if !report.cells.is_empty() {
        let shares = report.cells.iter().map(|cell| {
            let place = format!("{} {} {}", cell.domain, cell.sub_domain, cell.tier.name());
            (place, cell.asked as f64)
        });
        let shares: Vec<(String, f64)> = shares.collect();
        values.counts(
            "curriculum/asked",
            shares.iter().map(|(n, v)| (n.as_str(), *v)),
        );
        if let Ok(cells) = serde_json::to_value(&report.cells) {
            values.set_json(&["curriculum_cells"], cells);
        }
    }
}

fn held_out(values: &mut Values, examined: &Examined) {
    if let Some(accuracy) = examined.all.accuracy {
        values.set("held_out/accuracy", accuracy);
    }
    values.set("held_out/well_formed", examined.all.well_formed);
    values.set("held_out/length", examined.all.length);
    for (name, domain) in &examined.domains {
        if let Some(accuracy) = domain.accuracy {
            values.set_in(&["held_out_domain", name], accuracy);
        }
    }
}

/// A group for the viewer.
fn shown(group: &Group, tasks: &Tasks, step: u64, weights: &str) -> RolloutGroup {
    let (row, known) = (tasks.row(group.task), tasks.known(group.task));
    let rewards: Vec<f64> = group.members.iter().filter_map(|m| m.reward).collect();
    let mut advantages = of_group(&rewards, Normalise::Std)
        .unwrap_or_default()
        .into_iter();
    let completions = group.members.iter().map(|member| {
        let id = ReplayId {
            step,
            task: group.task,
            sample: member.sample,
            weights: weights.to_owned(),
        };
        let parts = member.verdict.as_ref().map(|v| {
            let accuracy = v.parts.accuracy.map(|a| ("accuracy".to_owned(), a));
            let rest = [("format", v.parts.format), ("style", v.parts.style)];
            let rest = rest.map(|(name, part)| (name.to_owned(), part));
            accuracy.into_iter().chain(rest).collect()
        });
        let flags = [
            ("truncated", member.is_truncated),
            ("forced", member.inserted.contains(&true)),
            ("unjudged", member.reward.is_none()),
        ];
        Completion {
            text: member.text.clone(),
            num_tokens: member.tokens.len() as u64,
            reward: member.reward,
            parts: parts.unwrap_or_default(),
            advantage: member.reward.and_then(|_| advantages.next()),
            flags: (flags.into_iter())
                .filter(|(_, is_so)| *is_so)
                .map(|(flag, _)| flag.to_owned())
                .collect(),
            replay_id: Some(id.to_string()),
        }
    });
    let parts = || row.prompt.messages.iter().flat_map(|m| &m.parts);
    let texts = parts().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        _ => None,
    });
    let pictures = parts().filter_map(|part| match part {
        Part::Image(source) => picture(source),
        _ => None,
    });
    RolloutGroup {
        domain: known.domain.clone(),
        tier: None,
        prompt: texts.collect::<Vec<_>>().join("\n"),
        pictures: pictures.collect(),
        truth: Some(row.reference.clone()),
        completions: completions.collect(),
    }
}

/// A picture for the viewer; one that it cannot show is left out, the rollout has seen it.
fn picture(source: &ImageSource) -> Option<Picture> {
    match source {
        ImageSource::Path(path) => {
            let bytes = std::fs::read(path).ok()?;
            Picture::from_file_bytes(&bytes).ok()
        }
        ImageSource::Bytes(bytes) => Picture::from_file_bytes(bytes).ok(),
        ImageSource::Rgb(image) => {
            Picture::from_rgb8(image.width(), image.height(), image.as_raw()).ok()
        }
    }
}
