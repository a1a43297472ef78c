//! A judge that generates here: the program plugs its engine in through [`Generate`], so that this
//! crate needs no Burn.

use super::http::parsed;
use super::net::Counters;
use super::{CallStats, Judge, JudgeError, JudgeRequest, Judgement, Message, TokenUsage};

/// One prompt for the engine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GenerateRequest<'a> {
    /// The prompt.
    pub messages: &'a [Message],
    /// Sampling temperature; 0 is greedy.
    pub temperature: f32,
    /// Most tokens to generate; none leaves it to the engine.
    pub max_tokens: Option<u32>,
    /// 1 for the first attempt; a part of the seed, so that another attempt may differ.
    pub attempt: u32,
}

/// What the engine generated for one prompt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Generated {
    /// The text, without special tokens of the template.
    pub text: String,
    /// True if it ended at the token limit.
    pub cut_off: bool,
    /// Tokens spent.
    pub usage: TokenUsage,
}

/// Generates text for many prompts at once; one result per prompt, in order. Closures of the same
/// shape are generators too.
pub trait Generate: Send + Sync {
    /// The text of every prompt, or a message why there is none.
    fn generate(&self, prompts: &[GenerateRequest<'_>]) -> Vec<Result<Generated, String>>;
}

impl<F> Generate for F
where
    F: Fn(&[GenerateRequest<'_>]) -> Vec<Result<Generated, String>> + Send + Sync,
{
    fn generate(&self, prompts: &[GenerateRequest<'_>]) -> Vec<Result<Generated, String>> {
        self(prompts)
    }
}

/// Judges with an engine of this process.
#[derive(Debug)]
pub struct LocalJudge<G> {
    name: String,
    generator: G,
    max_attempts: u32,
    counters: Counters,
}

impl<G: Generate> LocalJudge<G> {
    /// A judge that gives every request up to `max_attempts` (at least 1) generations. With
    /// temperature 0 a further attempt helps only if the generator makes use of its number.
    pub fn new(name: impl Into<String>, generator: G, max_attempts: u32) -> Self {
        Self {
            name: name.into(),
            generator,
            max_attempts: max_attempts.max(1),
            counters: Counters::default(),
        }
    }

    /// One attempt for the requests at `indices`.
    fn attempt(
        &self,
        requests: &[JudgeRequest],
        indices: &[usize],
        attempt: u32,
    ) -> Vec<Result<Judgement, JudgeError>> {
        let prompts: Vec<_> = indices
            .iter()
            .map(|&index| GenerateRequest {
                messages: &requests[index].messages,
                temperature: requests[index].temperature,
                max_tokens: requests[index].max_tokens,
                attempt,
            })
            .collect();
        let generated = self.generator.generate(&prompts);
        if generated.len() != prompts.len() {
            let reason = format!("{} texts for {} prompts", generated.len(), prompts.len());
            return prompts
                .iter()
                .map(|_| Err(self.failed(reason.clone())))
                .collect();
        }
        indices
            .iter()
            .zip(generated)
            .map(|(&index, generated)| self.read(&requests[index], generated))
            .collect()
    }

    fn read(
        &self,
        request: &JudgeRequest,
        generated: Result<Generated, String>,
    ) -> Result<Judgement, JudgeError> {
        let generated = generated.map_err(|reason| self.failed(reason))?;
        self.counters.update(|stats| {
            stats.prompt_tokens += generated.usage.prompt_tokens;
            stats.completion_tokens += generated.usage.completion_tokens;
        });
        if generated.cut_off {
            return Err(JudgeError::CutOff {
                judge: self.name.clone(),
                finish_reason: "length".to_owned(),
            });
        }
        parsed(&self.name, request.form, generated.text, generated.usage)
    }

    fn failed(&self, reason: String) -> JudgeError {
        JudgeError::Generate {
            judge: self.name.clone(),
            reason,
        }
    }
}

impl<G: Generate> Judge for LocalJudge<G> {
    fn name(&self) -> &str {
        &self.name
    }

    fn judge(&self, request: &JudgeRequest) -> Result<Judgement, JudgeError> {
        self.judge_batch(std::slice::from_ref(request))
            .pop()
            .unwrap_or_else(|| Err(self.failed("no result".to_owned())))
    }

    fn judge_batch(&self, requests: &[JudgeRequest]) -> Vec<Result<Judgement, JudgeError>> {
        let mut results: Vec<Option<Result<Judgement, JudgeError>>> = vec![None; requests.len()];
        let mut open: Vec<usize> = (0..requests.len()).collect();
        let mut attempt = 1;
        while !open.is_empty() {
            let mut again = Vec::new();
            for (&index, result) in open.iter().zip(self.attempt(requests, &open, attempt)) {
                self.counters.attempt(attempt > 1);
                match result {
                    Err(error) => {
                        self.counters.failed_attempt(error.kind());
                        if attempt < self.max_attempts && error.kind().is_passing() {
                            again.push(index);
                        } else {
                            use super::net::CallFailure;
                            results[index] = Some(Err(error.after_attempts(attempt)));
                        }
                    }
                    Ok(judgement) => results[index] = Some(Ok(judgement)),
                }
            }
            open = again;
            attempt += 1;
        }
        results
            .into_iter()
            .map(|result| {
                let result = result.unwrap_or_else(|| Err(self.failed("no result".to_owned())));
                self.counters
                    .call(result.as_ref().err().map(JudgeError::kind));
                result
            })
            .collect()
    }

    fn stats(&self) -> CallStats {
        self.counters.snapshot()
    }
}
