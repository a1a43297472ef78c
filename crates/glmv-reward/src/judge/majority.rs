//! Several judges, one verdict.

use std::sync::Arc;

use serde::Deserialize;

use super::net::{Counters, parallel_map};
use super::{
    CallStats, Judge, JudgeError, JudgeRequest, Judgement, TokenUsage, Verdict, VerdictForm,
};

/// What as many votes for right as for wrong mean; only possible with an even number of votes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TieRule {
    /// The answer is wrong: a reward needs more than half of the votes.
    #[default]
    Wrong,
    /// No verdict: an error.
    Error,
    /// The vote of the first judge of the list that answered.
    First,
}

/// How scores are combined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreRule {
    /// The arithmetic mean.
    #[default]
    Mean,
    /// The middle score; of an even number, the mean of the two in the middle.
    Median,
}

/// The rule of a [`Majority`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MajorityRule {
    /// Judges that must answer, at least 1. Default: more than half of them.
    pub quorum: Option<usize>,
    /// What a tie means.
    pub tie: TieRule,
    /// How scores are combined.
    pub score: ScoreRule,
}

/// Asks all its judges at the same time and counts the votes of those that answered: right or wrong
/// needs more than half of the votes. A judge that failed has no vote.
pub struct Majority {
    name: String,
    judges: Vec<Arc<dyn Judge>>,
    quorum: usize,
    rule: MajorityRule,
    counters: Counters,
}

impl Majority {
    /// A vote of `judges`.
    ///
    /// # Errors
    /// Without judges, or if the quorum is 0 or more than there are.
    pub fn new(judges: Vec<Arc<dyn Judge>>, rule: MajorityRule) -> Result<Self, JudgeError> {
        let quorum = rule.quorum.unwrap_or(judges.len() / 2 + 1);
        if quorum == 0 || quorum > judges.len() {
            return Err(JudgeError::Config {
                field: "quorum",
                reason: format!("{quorum} of {} judges cannot answer", judges.len()),
            });
        }
        let names: Vec<_> = judges.iter().map(|judge| judge.name()).collect();
        Ok(Self {
            name: format!("majority({}; {rule:?})", names.join(", ")),
            judges,
            quorum,
            rule,
            counters: Counters::default(),
        })
    }

    /// The verdict of the votes on one request.
    fn count(
        &self,
        form: VerdictForm,
        votes: Vec<Result<Judgement, JudgeError>>,
    ) -> Result<Judgement, JudgeError> {
        let mut cast = Vec::new();
        let mut reasons = Vec::new();
        let mut raw = String::new();
        let mut usage = TokenUsage::default();
        for (judge, vote) in self.judges.iter().zip(votes) {
            let vote = vote.and_then(|judgement| checked(judge.name(), form, judgement));
            match vote {
                Ok(judgement) => {
                    cast.push(judgement.verdict);
                    usage.prompt_tokens += judgement.usage.prompt_tokens;
                    usage.completion_tokens += judgement.usage.completion_tokens;
                    raw.push_str(&format!("[{}]\n{}\n", judge.name(), judgement.raw));
                }
                Err(error) => reasons.push(format!("{}: {error}", judge.name())),
            }
        }
        if cast.len() < self.quorum {
            return Err(JudgeError::NoQuorum {
                votes: cast.len(),
                judges: self.judges.len(),
                quorum: self.quorum,
                reasons,
            });
        }
        let verdict = match form {
            VerdictForm::Binary => self.majority(&cast)?,
            VerdictForm::Score => Verdict::Score(combined(self.rule.score, &cast)),
        };
        Ok(Judgement {
            verdict,
            raw,
            usage,
        })
    }

    fn majority(&self, cast: &[Verdict]) -> Result<Verdict, JudgeError> {
        let right = cast.iter().filter(|v| **v == Verdict::Right).count();
        let wrong = cast.len() - right;
        match right.cmp(&wrong) {
            std::cmp::Ordering::Greater => Ok(Verdict::Right),
            std::cmp::Ordering::Less => Ok(Verdict::Wrong),
            std::cmp::Ordering::Equal => match self.rule.tie {
                TieRule::Wrong => Ok(Verdict::Wrong),
                TieRule::Error => Err(JudgeError::Tie { right, wrong }),
                TieRule::First => Ok(cast[0]), // the quorum is at least 1
            },
        }
    }
}

/// The judgement if its verdict has the form asked for.
fn checked(judge: &str, form: VerdictForm, judgement: Judgement) -> Result<Judgement, JudgeError> {
    if judgement.verdict.has_form(form) {
        return Ok(judgement);
    }
    Err(JudgeError::WrongForm {
        judge: judge.to_owned(),
        form: form.name(),
        found: format!("{:?}", judgement.verdict),
    })
}

/// Mean or median of at least one score.
fn combined(rule: ScoreRule, cast: &[Verdict]) -> f32 {
    let mut scores: Vec<f32> = cast.iter().map(|verdict| verdict.reward()).collect();
    scores.sort_by(f32::total_cmp);
    let middle = match rule {
        ScoreRule::Mean => &scores[..],
        ScoreRule::Median => &scores[(scores.len() - 1) / 2..=scores.len() / 2],
    };
    let sum: f64 = middle.iter().map(|score| f64::from(*score)).sum();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the mean of numbers in 0..=1"
    )]
    return (sum / middle.len() as f64) as f32;
}

impl Judge for Majority {
    fn name(&self) -> &str {
        &self.name
    }

    fn judge(&self, request: &JudgeRequest) -> Result<Judgement, JudgeError> {
        let votes = parallel_map(&self.judges, self.judges.len(), |_, judge| {
            judge.judge(request)
        });
        let result = self.count(request.form, votes);
        self.counters
            .call(result.as_ref().err().map(JudgeError::kind));
        result
    }

    fn judge_batch(&self, requests: &[JudgeRequest]) -> Vec<Result<Judgement, JudgeError>> {
        let votes = parallel_map(&self.judges, self.judges.len(), |_, judge| {
            judge.judge_batch(requests)
        });
        let mut votes: Vec<_> = votes.into_iter().map(Vec::into_iter).collect();
        let counted = requests.iter().map(|request| {
            let of_request = votes.iter_mut().map(|v| v.next().unwrap_or_else(missing));
            let of_request = of_request.collect();
            let result = self.count(request.form, of_request);
            self.counters
                .call(result.as_ref().err().map(JudgeError::kind));
            result
        });
        counted.collect()
    }

    /// Calls and failures are those of the vote; attempts, retries and tokens those of the judges.
    fn stats(&self) -> CallStats {
        let mut sum = CallStats::default();
        for judge in &self.judges {
            sum.add(&judge.stats());
        }
        let own = self.counters.snapshot();
        sum.calls = own.calls;
        sum.failures = own.failures;
        sum
    }
}

fn missing() -> Result<Judgement, JudgeError> {
    Err(JudgeError::Generate {
        judge: "batch".to_owned(),
        reason: "fewer results than requests".to_owned(),
    })
}
