//! What completions are worth: the rules of the task's domain, a judge where no rule decides, and a
//! reward of the user's own for the data sources that have one.
//! What fails leaves a completion without a reward, which is counted and not trained on.

use super::rollout::mixed;
use super::{Group, Tasks};
use crate::Error;
use glmv_reward::Verdict;
use glmv_reward::judge::{Judge, JudgeRequest};
use glmv_reward::user::{RewardSample, UserReward, checked_scores};
use std::collections::BTreeMap;

/// Rewards completions.
#[derive(Default)]
pub struct Rewards {
    judge: Option<Box<dyn Judge>>,
    /// By data source.
    users: BTreeMap<String, Box<dyn UserReward>>,
    /// Seed of a control experiment's dealing.
    shuffle: Option<u64>,
}

impl std::fmt::Debug for Rewards {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rewards")
            .field("judge", &self.judge.as_ref().map(|judge| judge.name()))
            .field("users", &self.users.keys())
            .field("shuffle", &self.shuffle)
            .finish()
    }
}

impl Rewards {
    /// Rules alone.
    pub fn of_rules() -> Self {
        Rewards::default()
    }

    /// Asks `judge` where no rule decides.
    #[must_use]
    pub fn with_judge(self, judge: Box<dyn Judge>) -> Self {
        Rewards {
            judge: Some(judge),
            ..self
        }
    }

    /// Scores the well-formed completions of a data source by `reward`, 0 to 1, in place of the rules of
    /// its domain; grammar and style remain those of the reward config.
    #[must_use]
    pub fn with_user(mut self, source: impl Into<String>, reward: Box<dyn UserReward>) -> Self {
        self.users.insert(source.into(), reward);
        self
    }

    /// Deals the rewards out anew among the completions, by `seed`: a control experiment.
    #[must_use]
    pub fn shuffled(self, seed: u64) -> Self {
        Rewards {
            shuffle: Some(seed),
            ..self
        }
    }

    /// Judges all completions of `groups`; returns how many could not be.
    ///
    /// # Errors
    /// [`Error::Task`] for a truth that its domain cannot read.
    pub fn judge(
        &self,
        groups: &mut [Group],
        tasks: &Tasks,
        iteration: u64,
    ) -> Result<usize, Error> {
        for group in groups.iter_mut() {
            let (row, scorer) = (tasks.row(group.task), tasks.scorer(group.task));
            for member in &mut group.members {
                let verdict = scorer.completion(&member.text, &row.reference);
                let verdict = verdict.map_err(|e| Error::Task {
                    place: row.place.to_string(),
                    reason: e.to_string(),
                })?;
                member.reward = verdict.reward;
                member.verdict = Some(verdict);
            }
        }
        for (source, reward) in &self.users {
            score(groups, tasks, source, reward.as_ref());
        }
        self.ask(groups, tasks);
        let all = groups.iter().flat_map(|group| &group.members);
        let unjudged = all.filter(|member| member.reward.is_none()).count();
        if let Some(seed) = self.shuffle {
            deal(groups, mixed(seed, iteration));
        }
        Ok(unjudged)
    }

    /// Asks the judge about every verdict that needs one.
    fn ask(&self, groups: &mut [Group], tasks: &Tasks) {
        let Some(judge) = &self.judge else { return };
        let (mut places, mut requests) = (Vec::new(), Vec::new());
        for (at, group) in groups.iter().enumerate() {
            let (row, scorer) = (tasks.row(group.task), tasks.scorer(group.task));
            if self.users.contains_key(&row.data_source) {
                continue;
            }
            let question = question(&row.prompt);
            for (member_at, member) in group.members.iter().enumerate() {
                let Some(verdict) = member.verdict.as_ref().filter(|v| v.needs_judge) else {
                    continue;
                };
                let answer = verdict.extracted.as_deref().unwrap_or_default();
                let request = JudgeRequest::new(&question, answer, &row.reference);
                let prompt = scorer.judge_prompt(&question, answer, &row.reference);
                requests.push(match prompt {
                    Some(prompt) => request.with_user_message(prompt),
                    None => request,
                });
                places.push((at, member_at));
            }
        }
        let judgements = judge.judge_batch(&requests);
        for ((at, member_at), judgement) in places.into_iter().zip(judgements) {
            // A judge that failed is counted by the judge, and by the completions without a reward.
            let Ok(judgement) = judgement else { continue };
            let scorer = tasks.scorer(groups[at].task);
            let member = &mut groups[at].members[member_at];
            if let Some(verdict) = member.verdict.take() {
                let score = f64::from(judgement.verdict.reward());
                let verdict = scorer.settle(verdict, score, judge.name());
                member.reward = verdict.reward;
                member.verdict = Some(verdict);
            }
        }
    }
}

/// Scores the well-formed completions of a data source by a reward of the user's own.
fn score(groups: &mut [Group], tasks: &Tasks, source: &str, reward: &dyn UserReward) {
    let (mut places, mut samples) = (Vec::new(), Vec::new());
    for (at, group) in groups.iter_mut().enumerate() {
        let row = tasks.row(group.task);
        if row.data_source != source {
            continue;
        }
        for (member_at, member) in group.members.iter_mut().enumerate() {
            let well_formed = |v: &&mut Verdict| v.format_ok && v.parts.style > 0.0;
            let Some(verdict) = member.verdict.as_mut().filter(well_formed) else {
                continue;
            };
            // What the rules say is not asked for.
            (verdict.needs_judge, verdict.reward, verdict.parts.accuracy) = (true, None, None);
            member.reward = None;
            places.push((at, member_at));
            samples.push(RewardSample {
                data_source: source.to_owned(),
                question: question(&row.prompt),
                response: member.text.clone(),
                extracted: verdict.extracted.clone(),
                ground_truth: row.reference.clone(),
                meta: serde_json::Map::default(),
            });
        }
    }
    for ((at, member_at), score) in places.into_iter().zip(checked_scores(reward, &samples)) {
        let Ok(score) = score else { continue };
        let scorer = tasks.scorer(groups[at].task);
        let member = &mut groups[at].members[member_at];
        if let Some(verdict) = member.verdict.take() {
            let verdict = scorer.settle(verdict, f64::from(score), "the user's reward");
            member.reward = verdict.reward;
            member.verdict = Some(verdict);
        }
    }
}

/// The texts of a prompt.
fn question(conversation: &glmv_processor::Conversation) -> String {
    let parts = conversation.messages.iter().flat_map(|m| &m.parts);
    let texts = parts.filter_map(|part| match part {
        glmv_processor::Part::Text(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// Deals the rewards that there are among the completions that have one (Fisher and Yates).
fn deal(groups: &mut [Group], seed: u64) {
    let all = groups.iter_mut().flat_map(|group| &mut group.members);
    let mut rewards: Vec<&mut Option<f64>> = all
        .map(|member| &mut member.reward)
        .filter(|reward| reward.is_some())
        .collect();
    for last in (1..rewards.len()).rev() {
        let other = (mixed(seed, last as u64) % (last as u64 + 1)) as usize;
        if other != last {
            let (low, high) = rewards.split_at_mut(last);
            std::mem::swap(low[other], high[0]);
        }
    }
}
