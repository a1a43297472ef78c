//! What the dashboard knows.

use std::collections::VecDeque;

use crate::{Sample, Values};

/// Values of a curve that are kept.
const CURVE_LEN: usize = 4096;
/// Steps over which the rate is taken.
const RATE_STEPS: usize = 32;

/// What is drawn.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// What is trained.
    pub title: String,
    /// The last step that is done.
    pub step: u64,
    /// Steps of the whole run.
    pub total_steps: Option<u64>,
    /// Seconds since this process began.
    pub elapsed_secs: f64,
    /// Curves by name, oldest value first.
    pub curves: Vec<(String, Vec<f64>)>,
    /// Tokens per second of the last step.
    pub tokens_per_sec: Option<f64>,
    /// Bytes in use at the last step.
    pub memory_bytes: Option<f64>,
    /// Name, count and total of the step's running part.
    pub phase: Option<(String, u64, u64)>,
    /// Name and text of the last sample.
    pub sample: Option<(String, String)>,
    /// Time and number of the last steps.
    recent: VecDeque<(f64, u64)>,
}

impl State {
    /// Before the first step, or after `step` of a run that is resumed.
    pub(crate) fn new(title: &str, step: u64, total_steps: Option<u64>, curves: &[String]) -> Self {
        Self {
            title: title.to_owned(),
            step,
            total_steps,
            curves: curves
                .iter()
                .map(|name| (name.clone(), Vec::new()))
                .collect(),
            recent: VecDeque::from([(0.0, step)]),
            ..Self::default()
        }
    }

    /// Takes in the values of a step that ended at `elapsed_secs`.
    pub(crate) fn take_step(&mut self, step: u64, elapsed_secs: f64, values: &Values) {
        self.step = step;
        self.elapsed_secs = elapsed_secs;
        self.phase = None;
        for (name, curve) in &mut self.curves {
            curve.extend(values.get(name));
            if curve.len() > CURVE_LEN {
                curve.drain(..CURVE_LEN / 2);
            }
        }
        self.tokens_per_sec = values.get("rate/tokens_per_sec").or(self.tokens_per_sec);
        self.memory_bytes = values.get("memory/bytes").or(self.memory_bytes);
        self.recent.push_back((elapsed_secs, step));
        if self.recent.len() > RATE_STEPS {
            self.recent.pop_front();
        }
    }

    /// Takes in a sample.
    pub(crate) fn take_sample(&mut self, sample: &Sample) {
        self.sample = Some((sample.name.clone(), sample.text.clone()));
    }

    /// Steps per second over the last steps; `None` before there are any.
    #[must_use]
    pub fn steps_per_sec(&self) -> Option<f64> {
        let (first, last) = (self.recent.front()?, self.recent.back()?);
        let rate = last.1.saturating_sub(first.1) as f64 / (last.0 - first.0);
        Some(rate).filter(|rate| rate.is_finite() && *rate > 0.0)
    }

    /// Seconds that are left; `None` where nobody can know.
    #[must_use]
    pub fn eta_secs(&self) -> Option<f64> {
        let left = self.total_steps?.saturating_sub(self.step);
        Some(left as f64 / self.steps_per_sec()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_steps() {
        let mut state = State::new("t", 10, Some(100), &["loss".to_owned()]);
        assert_eq!((state.steps_per_sec(), state.eta_secs()), (None, None));
        for step in 11..=60 {
            let secs = if step <= 20 { 1.0 } else { 0.5 };
            let at = state.elapsed_secs + secs;
            state.take_step(step, at, &Values::from([("loss", 1.0)]));
        }
        assert_eq!(
            (state.steps_per_sec(), state.eta_secs()),
            (Some(2.0), Some(20.0))
        );
        assert_eq!(state.curves[0].1.len(), 50);
    }
}
