//! What an iteration was, and who looks at it.

use super::{Agreement, Examined, Group, Learnt, Tasks, Undecided, batch};
use crate::Error;
use glmv_reward::compare::language;
use glmv_rl::curriculum::{Report, Selection};
use glmv_rl::forced::EndRates;
use glmv_rl::objective::Truncated;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Answers of a domain that the watch of a step is shown.
const SHOWN_ANSWERS: usize = 16;

/// Wall time of an iteration's parts, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    pub rollout: f64,
    pub reward: f64,
    pub train: f64,
    pub all: f64,
}

/// Means over the completions of a domain.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DomainFigures {
    pub completions: usize,
    /// Of those that have one; `None` without any.
    pub reward: Option<f64>,
    /// What the verifier says of the answers, whatever the reward was made of.
    pub accuracy: Option<f64>,
    /// Shares, 0 to 1.
    pub well_formed: f64,
    pub repetition: f64,
    /// Tokens.
    pub length: f64,
    /// Tokens, without tasks that may be answered with or without thinking and were answered in the rarer
    /// way: how many of them there are says nothing of the policy. `None` where nothing is left.
    pub usual_length: Option<f64>,
    /// Nats per counted token, of what was trained on; `None` where nothing was.
    pub entropy: Option<f64>,
    pub ends: EndRates,
    /// Answers with their rewards and the ids of their tasks.
    answers: Vec<(String, f64, String)>,
}

/// An iteration that is over.
#[derive(Clone, Debug)]
pub struct Iteration {
    /// Its number, from 1.
    pub iteration: u64,
    pub groups: Vec<Group>,
    pub selection: Selection,
    /// By domain.
    pub domains: BTreeMap<String, DomainFigures>,
    pub ends: EndRates,
    /// Completions that no rule decided, nor anybody else.
    pub undecided: Undecided,
    /// Updates of the weights, in order; empty where no group had a gradient.
    pub learnt: Vec<Learnt>,
    pub curriculum: Report,
    /// [`super::fingerprint`] of the weights that the completions were made with.
    pub weights: String,
    pub times: Times,
}

/// Who looks at a run. All calls come from the thread that trains.
pub trait RlWatch {
    /// How far a part of the running iteration is.
    fn phase(&mut self, name: &str, done: u64, total: u64);

    /// After the check of rollout against trainer.
    ///
    /// # Errors
    /// What keeps it from being recorded; the run ends with it.
    fn agreed(&mut self, agreement: &Agreement) -> Result<(), Error>;

    /// After every iteration.
    ///
    /// # Errors
    /// As [`RlWatch::agreed`].
    fn iteration(&mut self, iteration: &Iteration, tasks: &Tasks) -> Result<(), Error>;

    /// After every measurement of held-out accuracy; iteration 0 is before the first.
    ///
    /// # Errors
    /// As [`RlWatch::agreed`].
    fn examined(&mut self, iteration: u64, examined: &Examined) -> Result<(), Error>;

    /// After every checkpoint.
    ///
    /// # Errors
    /// As [`RlWatch::agreed`].
    fn saved(&mut self, iteration: u64, dir: &Path) -> Result<(), Error>;

    /// Something that somebody should look at.
    ///
    /// # Errors
    /// As [`RlWatch::agreed`].
    fn warn(&mut self, iteration: u64, text: &str) -> Result<(), Error>;

    /// True to save and stop before the next iteration.
    fn stop(&mut self) -> bool;
}

/// Figures of every domain of `groups`. `entropies`: of what was trained on, by task: sum of nats and
/// tokens. `thinks`: whether most of the tasks that leave it open are asked with thinking.
pub(super) fn figures(
    groups: &[Group],
    tasks: &Tasks,
    (handling, thinks): (Truncated, bool),
    entropies: &BTreeMap<usize, (f64, usize)>,
) -> BTreeMap<String, DomainFigures> {
    let mut by_domain: BTreeMap<String, Vec<&Group>> = BTreeMap::new();
    for group in groups {
        let domain = tasks.known(group.task).domain.clone();
        by_domain.entry(domain).or_default().push(group);
    }
    let figures = |(name, groups): (String, Vec<&Group>)| {
        let figures = of_domain(&groups, tasks, (handling, thinks), entropies);
        (name, figures)
    };
    by_domain.into_iter().map(figures).collect()
}

fn of_domain(
    groups: &[&Group],
    tasks: &Tasks,
    (handling, thinks): (Truncated, bool),
    entropies: &BTreeMap<usize, (f64, usize)>,
) -> DomainFigures {
    let members: Vec<_> = groups.iter().flat_map(|g| &g.members).collect();
    let share = |count: usize| count as f64 / members.len().max(1) as f64;
    let verdicts = || members.iter().filter_map(|m| m.verdict.as_ref());
    let known = groups.iter().filter_map(|g| entropies.get(&g.task));
    let (nats, tokens) = known.fold((0.0, 0), |sum, own| (sum.0 + own.0, sum.1 + own.1));
    let mut answers = Vec::new();
    for group in groups {
        for member in &group.members {
            let answer = member.verdict.as_ref().and_then(|v| v.extracted.clone());
            if let (Some(answer), Some(reward)) = (answer, member.reward) {
                answers.push((answer, reward, tasks.known(group.task).id.clone()));
            }
        }
    }
    answers.truncate(SHOWN_ANSWERS);
    let lengths = || {
        groups.iter().flat_map(|group| {
            let is_open = tasks.known(group.task).thinking.is_none();
            let tokens = group.members.iter().map(|m| m.tokens.len());
            tokens.map(move |n| ((is_open, group.thinking), n))
        })
    };
    DomainFigures {
        completions: members.len(),
        reward: mean(members.iter().filter_map(|m| m.reward)),
        accuracy: mean(verdicts().filter_map(|v| v.parts.accuracy)),
        well_formed: share(verdicts().filter(|v| v.format_ok).count()),
        repetition: share(
            members
                .iter()
                .filter(|m| language::repeats(&m.text))
                .count(),
        ),
        length: mean(lengths().map(|(_, n)| n as f64)).unwrap_or_default(),
        usual_length: usual_length(lengths(), thinks),
        entropy: (tokens > 0).then(|| nats / tokens as f64),
        ends: batch::end_rates(groups.iter().copied(), handling),
        answers,
    }
}

/// Mean of the lengths, each with whether its task leaves thinking open and whether it was asked with it,
/// of those that do not leave it open or were asked as `thinks` says.
fn usual_length(lengths: impl Iterator<Item = ((bool, bool), usize)>, thinks: bool) -> Option<f64> {
    let usual = lengths.filter(|((is_open, thinking), _)| !is_open || *thinking == thinks);
    mean(usual.map(|(_, n)| n as f64))
}

pub(super) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, n), value| (sum + value, n + 1));
    (count > 0).then(|| sum / count as f64)
}

impl Iteration {
    /// The line of this iteration for the watch on reward hacking (`glmv_reward::watch`).
    pub fn watch_line(&self, examined: Option<&Examined>) -> Value {
        let domains = self.domains.iter().filter_map(|(name, figures)| {
            let mut line = Map::new();
            line.insert("reward".into(), json!(figures.reward?));
            if let Some(length) = figures.usual_length {
                line.insert("response_length".into(), json!(length));
            }
            line.insert("repetition_rate".into(), json!(figures.repetition));
            line.insert("format_rate".into(), json!(figures.well_formed));
            if let Some(entropy) = figures.entropy {
                line.insert("entropy".into(), json!(entropy));
            }
            let held_out = examined.and_then(|e| e.domains.get(name));
            if let Some(accuracy) = held_out.and_then(|of| of.accuracy) {
                line.insert("held_out_accuracy".into(), json!(accuracy));
            }
            let samples = figures.answers.iter();
            let samples = samples
                .map(|(answer, reward, id)| json!({"answer": answer, "reward": reward, "id": id}));
            line.insert("samples".into(), samples.collect());
            Some((name.clone(), Value::Object(line)))
        });
        let domains: Map<String, Value> = domains.collect();
        json!({"step": self.iteration, "domains": domains})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_many_think_does_not_change_the_length_that_is_watched() {
        let (direct, thinking) = (((true, false), 4), ((true, true), 60));
        let all = |lengths: &[((bool, bool), usize)]| mean(lengths.iter().map(|(_, n)| *n as f64));
        let usual = |lengths: &[_], thinks| usual_length(lengths.iter().copied(), thinks);
        let (few, more) = ([direct, direct, direct], [direct, thinking, direct]);
        assert_ne!(all(&few), all(&more));
        assert_eq!(usual(&few, false), usual(&more, false));
        assert_eq!(usual(&more, true), Some(60.0));
        // Longer answers of the usual way show.
        assert_eq!(usual(&[direct, ((true, false), 8)], false), Some(6.0));
        // What the task itself says counts, and of nothing there is no mean.
        assert_eq!(usual(&[((false, true), 60)], false), Some(60.0));
        assert_eq!(usual(&[thinking], false), None);
    }
}
