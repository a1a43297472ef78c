//! What completions are worth: the rules of the task's domain, a judge where no rule decides, and a
//! reward of the user's own for the data sources that have one.
//! What fails leaves a completion without a reward, which is counted and not trained on. Without a judge
//! what no rule decides is wrong: a completion that is left out has no disadvantage over one that is
//! right, and a policy learns to give answers that cannot be judged.

use super::rollout::mixed;
use super::{Group, Tasks};
use crate::Error;
use glmv_reward::Verdict;
use glmv_reward::judge::{Judge, JudgeRequest};
use glmv_reward::user::{RewardSample, UserReward, checked_scores};
use std::collections::BTreeMap;

/// How many completions no rule decided, and nobody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Undecided {
    /// Without a reward: the judge or the user's reward failed.
    pub failed: usize,
    /// Wrong, for there is no judge.
    pub wrong: usize,
}

impl std::ops::AddAssign for Undecided {
    fn add_assign(&mut self, other: Self) {
        self.failed += other.failed;
        self.wrong += other.wrong;
    }
}

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
    /// Rules alone: what none of them decides is wrong.
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

    /// Judges all completions of `groups`; returns how many no rule decided, nor anybody else.
    ///
    /// # Errors
    /// [`Error::Task`] for a truth that its domain cannot read.
    pub fn judge(
        &self,
        groups: &mut [Group],
        tasks: &Tasks,
        iteration: u64,
    ) -> Result<Undecided, Error> {
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
        let wrong = self.ask(groups, tasks);
        let all = groups.iter().flat_map(|group| &group.members);
        let failed = all.filter(|member| member.reward.is_none()).count();
        if let Some(seed) = self.shuffle {
            deal(groups, mixed(seed, iteration));
        }
        Ok(Undecided { failed, wrong })
    }

    /// Asks the judge about every verdict that needs one; without a judge they are wrong, and counted.
    fn ask(&self, groups: &mut [Group], tasks: &Tasks) -> usize {
        let places = self.open(groups, tasks);
        let Some(judge) = &self.judge else {
            for &place in &places {
                settle(groups, tasks, place, 0.0, "no rule accepts it");
            }
            return places.len();
        };
        let requests: Vec<JudgeRequest> = places
            .iter()
            .map(|&place| request(groups, tasks, place))
            .collect();
        let judgements = judge.judge_batch(&requests);
        for (place, judgement) in places.into_iter().zip(judgements) {
            // A judge that failed is counted by the judge, and by the completions without a reward.
            let Ok(judgement) = judgement else { continue };
            let score = f64::from(judgement.verdict.reward());
            settle(groups, tasks, place, score, judge.name());
        }
        0
    }

    /// Group and member of every verdict that a judge is to complete.
    fn open(&self, groups: &[Group], tasks: &Tasks) -> Vec<[usize; 2]> {
        let mut places = Vec::new();
        for (at, group) in groups.iter().enumerate() {
            if self.users.contains_key(&tasks.row(group.task).data_source) {
                continue;
            }
            let members = group.members.iter().enumerate();
            let open = members.filter(|(_, m)| m.verdict.as_ref().is_some_and(|v| v.needs_judge));
            places.extend(open.map(|(member, _)| [at, member]));
        }
        places
    }
}

/// What the judge is asked about a completion.
fn request(groups: &[Group], tasks: &Tasks, [at, member]: [usize; 2]) -> JudgeRequest {
    let group = &groups[at];
    let (row, scorer) = (tasks.row(group.task), tasks.scorer(group.task));
    let question = question(&row.prompt);
    let verdict = group.members[member].verdict.as_ref();
    let answer = verdict.and_then(|verdict| verdict.extracted.as_deref());
    let answer = answer.unwrap_or_default();
    let request = JudgeRequest::new(&question, answer, &row.reference);
    match scorer.judge_prompt(&question, answer, &row.reference) {
        Some(prompt) => request.with_user_message(prompt),
        None => request,
    }
}

/// Completes the verdict of a completion.
fn settle(groups: &mut [Group], tasks: &Tasks, place: [usize; 2], score: f64, why: &str) {
    let [at, member] = place;
    let scorer = tasks.scorer(groups[at].task);
    let member = &mut groups[at].members[member];
    if let Some(verdict) = member.verdict.take() {
        let verdict = scorer.settle(verdict, score, why);
        member.reward = verdict.reward;
        member.verdict = Some(verdict);
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
            places.push([at, member_at]);
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
    for (place, score) in places.into_iter().zip(checked_scores(reward, &samples)) {
        let Ok(score) = score else { continue };
        settle(groups, tasks, place, f64::from(score), "the user's reward");
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

#[cfg(test)]
mod tests {
    use super::super::Member;
    use super::*;
    use glmv_processor::ModelInputs;
    use glmv_reward::RewardSystem;
    use glmv_reward::judge::Scripted;
    use std::sync::Arc;

    /// One task, whose truth is `left`, with these answers.
    fn asked(answers: &[&str]) -> (Vec<Group>, Tasks) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tasks.jsonl");
        let row = r#"{"data_source": "s", "prompt": [{"role": "user", "content": "Where?"}],
            "reward_model": {"style": "rule", "ground_truth": "left"}}"#;
        std::fs::write(&file, row.replace('\n', " ")).unwrap();
        let rewards = "[sources.s]\ndomain = \"spatial\"\n";
        let rewards = RewardSystem::from_toml(rewards, "reward.toml").unwrap();
        let tasks = Tasks::read(&[file], &rewards, &[]).unwrap();
        let member = |answer: &&str| Member {
            sample: 0,
            tokens: Vec::new(),
            logprobs: Vec::new(),
            inserted: Vec::new(),
            is_truncated: false,
            text: format!("<think></think><|begin_of_box|>{answer}<|end_of_box|>"),
            worker: 0,
            device: Arc::from("cpu"),
            verdict: None,
            reward: None,
        };
        let inputs = ModelInputs {
            prompt: String::new(),
            input_ids: Vec::new(),
            modality: Vec::new(),
            images: None,
            videos: None,
        };
        let group = Group {
            task: 0,
            thinking: false,
            inputs: Arc::new(inputs),
            seed: 0,
            members: answers.iter().map(member).collect(),
        };
        (vec![group], tasks)
    }

    fn judged(rewards: &Rewards) -> (Vec<Option<f64>>, Undecided) {
        // Right, its opposite, and what the rules leave to a judge.
        let (mut groups, tasks) = asked(&["left", "right", "above"]);
        let undecided = rewards.judge(&mut groups, &tasks, 0).unwrap();
        let rewards = groups[0].members.iter().map(|member| member.reward);
        (rewards.collect(), undecided)
    }

    #[test]
    fn what_no_rule_decides_is_wrong_without_a_judge() {
        let (rewards, undecided) = judged(&Rewards::of_rules());
        assert_eq!(rewards, [Some(1.0), Some(0.0), Some(0.0)]);
        let one = Undecided {
            failed: 0,
            wrong: 1,
        };
        assert_eq!(undecided, one);
    }

    #[test]
    fn a_judge_decides_it_and_one_that_fails_leaves_it_out() {
        let says = |reply: &'static str| {
            Rewards::of_rules().with_judge(Box::new(Scripted::replies([reply])))
        };
        let (rewards, undecided) = judged(&says("1"));
        assert_eq!(rewards, [Some(1.0), Some(0.0), Some(1.0)]);
        assert_eq!(undecided, Undecided::default());
        let silent = Scripted::replies::<&str>([]);
        let (rewards, undecided) = judged(&Rewards::of_rules().with_judge(Box::new(silent)));
        assert_eq!(rewards, [Some(1.0), Some(0.0), None]);
        assert_eq!((undecided.failed, undecided.wrong), (1, 0));
    }
}
