//! What goes wrong in a run: nothing to learn from, jumps of the gradient or of the policy, and rewards
//! that are hacked.

use crate::Error;
use glmv_reward::watch::{Outcome, Watch, WatchConfig};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Norms that a new one is held against, and how many there must be.
const NORMS: usize = 20;
const FEW: usize = 5;

/// What an alarm of the watch on reward hacking does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnAlarm {
    /// A pause of the watch saves and ends the run; a warning is noted.
    #[default]
    Pause,
    /// Both are noted.
    Warn,
    /// Nothing is watched.
    Off,
}

/// The `[guard]` section of a recipe.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuardConfig {
    /// Iterations in a row without a group that has a gradient, after which the run ends. Default 20.
    pub idle: u64,
    /// Times the median of the last 20 norms, from which on a gradient is noted. Default 10.
    pub grad_spike: f64,
    /// Mean k3 estimate of KL(rollout, trainer) of an update in nats per token, from which on it is
    /// noted. Default 0.1.
    pub kl_spike: f64,
    /// What the watch on reward hacking does: pause, warn or off. Default pause.
    pub hacking: OnAlarm,
    /// Thresholds of that watch.
    pub watch: WatchConfig,
}

impl Default for GuardConfig {
    fn default() -> Self {
        GuardConfig {
            idle: 20,
            grad_spike: 10.0,
            kl_spike: 0.1,
            hacking: OnAlarm::Pause,
            watch: WatchConfig::default(),
        }
    }
}

impl GuardConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        if self.idle == 0 {
            return Err("guard.idle = 0: must be at least 1".into());
        }
        for (key, value, least) in [
            ("grad_spike", self.grad_spike, 1.0),
            ("kl_spike", self.kl_spike, 0.0),
        ] {
            if !(value.is_finite() && value > least) {
                return Err(format!("guard.{key} = {value}: must be above {least}"));
            }
        }
        Watch::new(self.watch.clone()).map_err(|e| format!("guard.watch: {e}"))?;
        Ok(())
    }
}

/// What a checkpoint keeps of a guard; the watch reads its own log again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct GuardState {
    norms: VecDeque<f64>,
    /// Iterations in a row without a gradient.
    pub idle: u64,
}

/// What a guard says of an iteration.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub warnings: Vec<String>,
    /// Why the run should end now.
    pub pause: Option<String>,
}

/// Watches a run.
#[derive(Debug)]
pub(super) struct Guard {
    config: GuardConfig,
    state: GuardState,
    watch: Watch,
}

impl Guard {
    /// A guard that goes on from `state` and the lines that its watch has seen.
    ///
    /// # Errors
    /// [`Error::Setting`] for thresholds that cannot be, [`Error::Other`] for a damaged log.
    pub fn new(config: GuardConfig, state: GuardState, log: &str) -> Result<Self, Error> {
        let watch = Watch::new(config.watch.clone()).map_err(|e| Error::Setting {
            key: "guard.watch".into(),
            reason: e.to_string(),
        })?;
        let mut guard = Guard {
            config,
            state,
            watch,
        };
        for line in log.lines() {
            let seen = guard.watch.push_line(line);
            seen.map_err(|e| Error::Other(format!("the log of the watch: {e}")))?;
        }
        Ok(guard)
    }

    pub fn state(&self) -> &GuardState {
        &self.state
    }

    /// Takes note of an iteration: the norms and KLs of its updates, and its line for the watch.
    ///
    /// # Errors
    /// [`Error::Other`] for a line that the watch refuses.
    pub fn look(
        &mut self,
        updates: impl IntoIterator<Item = (f64, Option<f64>)>,
        line: &str,
    ) -> Result<Said, Error> {
        let mut said = Said::default();
        let mut has_learnt = false;
        for (norm, kl) in updates {
            has_learnt = true;
            said.warnings.extend(self.spike(norm));
            if let Some(kl) = kl.filter(|kl| *kl > self.config.kl_spike) {
                let most = self.config.kl_spike;
                said.warnings.push(format!(
                    "the policy was {kl:.3} nats per token away from its rollouts (guard.kl_spike {most})"
                ));
            }
        }
        self.state.idle = match has_learnt {
            true => 0,
            false => self.state.idle + 1,
        };
        if self.state.idle >= self.config.idle {
            said.pause = Some(format!(
                "{} iterations in a row without a group to learn from: all right, all wrong, or \
                 without a counted token",
                self.state.idle
            ));
        }
        self.hacking(line, &mut said)?;
        Ok(said)
    }

    fn spike(&mut self, norm: f64) -> Option<String> {
        let mut sorted: Vec<f64> = self.state.norms.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
        if norm.is_finite() {
            self.state.norms.push_back(norm);
            if self.state.norms.len() > NORMS {
                self.state.norms.pop_front();
            }
        }
        let is_spike = sorted.len() >= FEW && norm > self.config.grad_spike * median;
        is_spike.then(|| {
            let times = norm / median.max(f64::MIN_POSITIVE);
            format!("the gradient's norm {norm:.3} is {times:.1} times the median of the last")
        })
    }

    fn hacking(&mut self, line: &str, said: &mut Said) -> Result<(), Error> {
        if self.config.hacking == OnAlarm::Off {
            return Ok(());
        }
        let alarms = self.watch.push_line(line);
        let alarms = alarms.map_err(|e| Error::Other(format!("the watch: {e}")))?;
        for alarm in alarms {
            let ends = alarm.outcome == Outcome::Pause && self.config.hacking == OnAlarm::Pause;
            match ends {
                true => said.pause = Some(alarm.to_string()),
                false => said.warnings.push(alarm.to_string()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"step": 1, "domains": {}}"#;

    fn guard(config: GuardConfig) -> Guard {
        Guard::new(config, GuardState::default(), "").unwrap()
    }

    #[test]
    fn spikes_and_idleness_are_noticed() {
        let mut guard = guard(GuardConfig {
            idle: 2,
            ..GuardConfig::default()
        });
        let line = |step: u64| format!("{{\"step\": {step}, \"domains\": {{}}}}");
        for step in 1..=6 {
            let said = guard.look([(1.0, Some(0.01))], &line(step)).unwrap();
            assert!(said.warnings.is_empty() && said.pause.is_none());
        }
        let said = guard.look([(11.0, Some(0.2))], &line(7)).unwrap();
        assert_eq!(said.warnings.len(), 2, "{:?}", said.warnings);
        assert!(guard.look([], &line(8)).unwrap().pause.is_none());
        let said = guard.look([], &line(9)).unwrap();
        assert!(said.pause.unwrap().contains("2 iterations"));
        assert!(
            guard
                .look([(1.0, None)], &line(10))
                .unwrap()
                .pause
                .is_none()
        );
    }

    #[test]
    fn a_hacked_reward_ends_the_run_unless_it_may_not() {
        let lines: Vec<String> = (0..200u64)
            .map(|step| {
                let (reward, held_out) = (0.3 + 0.003 * step as f64, 0.4 - 0.001 * step as f64);
                format!(
                    "{{\"step\": {step}, \"domains\": {{\"a\": {{\"reward\": {reward}, \
                     \"held_out_accuracy\": {held_out}}}}}}}"
                )
            })
            .collect();
        let ends = |hacking: OnAlarm| {
            let mut guard = guard(GuardConfig {
                hacking,
                ..GuardConfig::default()
            });
            let said = lines.iter().map(|l| guard.look([(1.0, None)], l).unwrap());
            let said: Vec<Said> = said.collect();
            let warned = said.iter().any(|s| !s.warnings.is_empty());
            (said.iter().any(|s| s.pause.is_some()), warned)
        };
        assert!(ends(OnAlarm::Pause).0);
        assert_eq!(ends(OnAlarm::Warn), (false, true));
        assert_eq!(ends(OnAlarm::Off), (false, false));
        let log = lines.join("\n");
        let resumed = Guard::new(GuardConfig::default(), GuardState::default(), &log).unwrap();
        assert_eq!(resumed.watch.report().outcome, Outcome::Pause);
        assert!(Guard::new(GuardConfig::default(), GuardState::default(), LINE).is_ok());
    }
}
