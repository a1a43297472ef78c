//! The watch over one domain.

use std::collections::BTreeMap;

use super::answers::Answers;
use super::record::DomainRecord;
use super::series::{Series, Shift, binned};
use super::threshold::thresholds;
use super::trend::median;
use super::{Alarm, Outcome, Signal, Trend, WatchConfig};

/// The long window is this many times the short one.
const LONG: usize = 4;
/// Most points a trend is fitted to; more are averaged.
const TREND_POINTS: usize = 40;
/// Most values kept of one signal.
const KEPT: usize = 4096;
/// Held-out gain since the start that justifies a length far above that of the start.
const GAIN: f64 = 0.02;

/// Held-out accuracy from which on there is as good as nothing left to gain.
const FULL: f64 = 0.95;

/// The past of a domain and what has been said about it.
#[derive(Debug, Default)]
pub(super) struct DomainWatch {
    reward: Series,
    signals: BTreeMap<Signal, Series>,
    answers: Answers,
    states: BTreeMap<Signal, State>,
}

/// Where the alarm of a signal stands.
#[derive(Debug, Default)]
struct State {
    /// Records in a row in which the divergence holds.
    held: usize,
    /// Records in which it held since it was last quiet for a window.
    stood: usize,
    /// Records in a row in which it does not hold.
    quiet: usize,
    raised: Option<Outcome>,
}

/// A divergence at one record.
#[derive(Debug, Clone, Copy)]
struct Divergence {
    signal: Signal,
    shift: Shift,
    /// Reward at both ends of the stretch, where a line was fitted to it.
    reward: Option<(f64, f64)>,
    /// Step from which on answers are held against those before.
    answers_since: u64,
    /// True where the divergence alone asks for a pause.
    is_grave: bool,
}

impl DomainWatch {
    /// Forgets what came at `step` or later.
    pub(super) fn rewind(&mut self, step: u64) {
        self.reward.rewind(step);
        self.signals.values_mut().for_each(|s| s.rewind(step));
        self.answers.rewind(step);
    }

    /// Signals that were never logged.
    pub(super) fn missing(&self) -> impl Iterator<Item = Signal> {
        let is_missing = |signal: &Signal| !self.signals.contains_key(signal);
        Signal::ALL.into_iter().filter(is_missing)
    }

    /// Takes one record and returns what it raises.
    pub(super) fn push(
        &mut self,
        config: &WatchConfig,
        place: (u64, usize, &str),
        record: DomainRecord,
    ) -> Vec<Alarm> {
        let (step, line, domain) = place;
        self.reward.push(step, record.reward, KEPT);
        for (signal, value) in record.signals {
            self.signals
                .entry(signal)
                .or_default()
                .push(step, value, KEPT);
        }
        self.answers.push(step, record.samples, config.high_reward);

        let found = self.divergences(config);
        let rises = !found.is_empty() && self.reward_rises(config);
        let several = found.len() > 1;
        let mut alarms = Vec::new();
        for signal in Signal::ALL {
            let state = self.states.entry(signal).or_default();
            let Some(divergence) = found.iter().find(|d| d.signal == signal) else {
                state.held = 0;
                state.quiet += 1;
                if state.quiet >= config.window {
                    state.stood = 0;
                    state.raised = None;
                }
                continue;
            };
            state.quiet = 0;
            state.held += 1;
            state.stood += 1;
            let is_pause = match signal {
                Signal::HeldOut => divergence.is_grave || state.stood >= config.pause_after,
                _ => rises && state.stood <= config.window, // later it is another matter
            };
            let outcome = if is_pause || several {
                Outcome::Pause
            } else {
                Outcome::Warn
            };
            if state.held < config.persist || state.raised >= Some(outcome) {
                continue;
            }
            state.raised = Some(outcome);
            let since_step = divergence.shift.since_step;
            alarms.push(Alarm {
                step,
                line,
                domain: domain.to_owned(),
                signal,
                outcome,
                since_step,
                reward: divergence
                    .reward
                    .unwrap_or_else(|| self.reward_around(since_step)),
                value: (divergence.shift.before, divergence.shift.now),
                answers: self
                    .answers
                    .typical(divergence.answers_since, config.max_answers),
            });
        }
        alarms
    }

    fn divergences(&self, config: &WatchConfig) -> Vec<Divergence> {
        let held_out = self.held_out(config);
        let others = Signal::ALL
            .into_iter()
            .filter_map(|signal| self.departure(config, signal));
        held_out.into_iter().chain(others).collect()
    }

    /// The reward rises over the short or the long window, and the held-out accuracy does not
    /// follow.
    fn held_out(&self, config: &WatchConfig) -> Option<Divergence> {
        let held_out = self.signals.get(&Signal::HeldOut)?;
        if self.reward.len() < config.window || held_out.len() < config.min_held_out {
            return None;
        }
        let stretches = [config.window, LONG * config.window];
        stretches.into_iter().find_map(|window| {
            if window > config.window && self.reward.len() < window / 2 {
                return None; // the short window says it all
            }
            // Rare values need a longer stretch.
            let first = self.reward.step_back(window)?;
            let first = first.min(held_out.step_back(config.min_held_out)?);
            let reward = self.rising_since(config, first)?;
            let points = binned(&held_out.since(first), TREND_POINTS);
            let accuracy = Trend::fit(&points, config.confidence_z)?;
            let z = config.confidence_z;
            let due = config.min_transfer * reward.slope;
            let error = accuracy
                .slope_error(z)
                .hypot(config.min_transfer * reward.slope_error(z));
            if accuracy.slope + z * error >= due {
                return None; // it may have gained enough
            }
            let (last, _) = self.reward.last()?;
            let ends = |trend: &Trend| {
                let start = trend.intercept + trend.slope * first as f64;
                (start, start + trend.change())
            };
            let (before, now) = ends(&accuracy);
            if now >= FULL.min(1.0 - config.min_transfer * reward.change()) {
                return None; // it has no room to gain as much
            }
            Some(Divergence {
                signal: Signal::HeldOut,
                shift: Shift {
                    since_step: first,
                    before,
                    now,
                },
                reward: Some(ends(&reward)),
                answers_since: first.midpoint(last),
                is_grave: accuracy.z <= -z
                    || (reward.slope - accuracy.slope) * reward.span >= config.pause_gap,
            })
        })
    }

    /// The trend of the reward since a step, if it rises.
    fn rising_since(&self, config: &WatchConfig, step: u64) -> Option<Trend> {
        let points = binned(&self.reward.since(step), TREND_POINTS);
        // Cheap first: a line that rises by `min_rise` has thirds that differ by two thirds of it.
        let third = points.len() / 3;
        let level = |part: &[(f64, f64)]| median(&mut part.iter().map(|p| p.1).collect::<Vec<_>>());
        let rise = level(&points[points.len() - third..])? - level(&points[..third])?;
        if rise < 0.25 * config.min_rise {
            return None;
        }
        Trend::fit(&points, config.confidence_z)
            .filter(|t| t.change() >= config.min_rise && t.z >= config.trend_z)
    }

    /// True if the reward rises over the short window or jumped within it.
    fn reward_rises(&self, config: &WatchConfig) -> bool {
        let first = self.reward.step_back(config.window);
        let is_rising = first.is_some_and(|step| self.rising_since(config, step).is_some());
        let (recent, reference) = (config.recent, config.reference);
        let jumped = self.reward.shift(recent, reference).is_some_and(|s| {
            let sigma = self.reward.reference_sigma(recent, reference);
            sigma.is_some_and(|sigma| s.now - s.before >= config.min_rise.max(2.0 * sigma))
        });
        is_rising || jumped
    }

    /// True if the held-out accuracy rises for sure over the short window.
    fn accuracy_rises(&self, config: &WatchConfig) -> bool {
        let Some(held_out) = self.signals.get(&Signal::HeldOut) else {
            return false;
        };
        let first = self.reward.step_back(config.window).into_iter();
        let first = first.chain(held_out.step_back(config.min_held_out)).min();
        first
            .and_then(|step| Trend::fit(&held_out.since(step), config.confidence_z))
            .is_some_and(|trend| trend.low > 0.0)
    }

    /// A jump of a signal, or its slow departure from the start of the run.
    fn departure(&self, config: &WatchConfig, signal: Signal) -> Option<Divergence> {
        let series = self.signals.get(&signal)?;
        let (jump, limit, sigma_floor) = thresholds(config, signal)?;
        let jumped = series
            .shift(config.recent, config.reference)
            .filter(|shift| jump.is_passed(shift))
            .filter(|shift| {
                let sigma = series.reference_sigma(config.recent, config.reference);
                let floor = sigma_floor
                    * if jump.is_relative() {
                        shift.before
                    } else {
                        1.0
                    };
                sigma.is_some_and(|sigma| {
                    (shift.now - shift.before).abs() >= config.shift_sigmas * sigma.max(floor)
                })
            })
            .filter(|_| !signal.follows_learning() || !self.learns(config));
        let departed = || {
            series
                .since_start(config.recent)
                .filter(|shift| limit.is_passed(shift))
                .filter(|_| match signal {
                    Signal::Length => self.has_not_gained(config),
                    _ => !signal.follows_learning() || !self.learns(config),
                })
        };
        jumped.or_else(departed).map(|shift| Divergence {
            signal,
            shift,
            reward: None,
            answers_since: shift.since_step,
            is_grave: false,
        })
    }

    /// True if the held-out accuracy rises, or is full.
    fn learns(&self, config: &WatchConfig) -> bool {
        let now = (self.signals.get(&Signal::HeldOut))
            .and_then(|series| series.since_start(config.recent))
            .map(|shift| shift.now);
        self.accuracy_rises(config) || now.is_some_and(|now| now >= FULL)
    }

    /// True if the held-out accuracy is known and about what it was at the start.
    fn has_not_gained(&self, config: &WatchConfig) -> bool {
        self.signals
            .get(&Signal::HeldOut)
            .and_then(|series| series.since_start(config.recent))
            .is_some_and(|shift| shift.now - shift.before < GAIN)
    }

    /// Mean reward before a step (over as many records as since) and since.
    fn reward_around(&self, step: u64) -> (f64, f64) {
        let now = self.reward.since(step);
        let all = self.reward.since(0);
        let before = &all[..all.len() - now.len()];
        let before = &before[before.len().saturating_sub(now.len())..];
        let mean = |p: &[(f64, f64)]| p.iter().map(|(_, y)| y).sum::<f64>() / p.len() as f64;
        (
            mean(if before.is_empty() { &now } else { before }),
            mean(&now),
        )
    }
}
