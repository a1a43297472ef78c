//! One completion while it runs.

use crate::Error;
use crate::blocks::Key;
use crate::completion::{Completion, FinishReason, Token};
use crate::prompt::Prompt;
use crate::request::RequestId;
use burn::tensor::Tensor;
use glmv_model::BlockId;
use glmv_sampling::{Choice, Sampled, Sampler, SamplingParams, ThinkBudget};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A sample of a request: its tokens, how many of them are in the KV pool, and in which blocks.
///
/// What comes next follows from the counts: parts of the prompt while `computed` lies in it; then,
/// after a preemption, the tokens generated before it once more; then the last token.
#[derive(Debug)]
pub(crate) struct Sequence {
    pub request: RequestId,
    pub sample: usize,
    pub prompt: Arc<Prompt>,
    /// Digests of the prompt's full blocks.
    pub keys: Arc<Vec<Key>>,
    /// Prompt and completion.
    pub tokens: Vec<u32>,
    /// Tokens whose keys and values are in the pool.
    pub computed: usize,
    pub table: Vec<BlockId>,
    /// Blocks of the table whose content the bookkeeping knows.
    pub registered: usize,
    /// Samples of the same prompt that wait for its prefill.
    pub followers: usize,
    /// Logits `[1, vocab]` behind the prompt, of a follower that has not begun.
    pub pending: Option<Arc<Tensor<2>>>,
    /// Features of the prompt's visuals, while its prefill needs them.
    pub features: BTreeMap<usize, Tensor<2>>,
    pub stream: u64,
    sampler: Sampler,
    budget: ThinkBudget,
    limit: usize,
    pub out: Completion,
}

impl Sequence {
    /// A sequence of which nothing is computed.
    ///
    /// # Errors
    /// [`Error::Sampling`] for parameters out of range.
    pub fn new(
        request: RequestId,
        prompt: Arc<Prompt>,
        keys: Arc<Vec<Key>>,
        (params, stream): (SamplingParams, u64),
        budget: ThinkBudget,
        limit: usize,
        out: Completion,
    ) -> Result<Self, Error> {
        Ok(Sequence {
            request,
            sample: 0,
            tokens: prompt.inputs.input_ids.clone(),
            prompt,
            keys,
            computed: 0,
            table: Vec::new(),
            registered: 0,
            followers: 0,
            pending: None,
            features: BTreeMap::new(),
            stream,
            sampler: Sampler::with_stream(params, stream)?,
            budget,
            limit,
            out,
        })
    }

    /// Another sample of the same prompt; nothing may have been generated of this one.
    ///
    /// # Errors
    /// As [`Sequence::new`].
    pub fn follower(&self, sample: usize) -> Result<Self, Error> {
        let stream = self.stream + sample as u64;
        let params = self.sampler.params().clone();
        let out = Completion {
            token_ids: Vec::new(),
            logprobs: Vec::new(),
            forced: Vec::new(),
            finish_reason: FinishReason::Length,
            usage: self.out.usage,
        };
        let (prompt, keys) = (self.prompt.clone(), self.keys.clone());
        let (params, budget) = ((params, stream), self.budget.clone());
        let mut new = Self::new(self.request, prompt, keys, params, budget, self.limit, out)?;
        new.sample = sample;
        Ok(new)
    }

    /// Tokens of the prompt.
    pub fn prompt_len(&self) -> usize {
        self.prompt.len()
    }

    /// True while parts of the prompt are not in the pool.
    pub fn in_prompt(&self) -> bool {
        self.computed < self.prompt_len()
    }

    /// Tokens that have to run before the next one can be sampled; 0 while the prompt's logits are
    /// awaited.
    pub fn lacking(&self) -> usize {
        self.tokens.len() - self.computed
    }

    /// How the next token is to be chosen from the logits behind the last.
    pub fn choice(&self) -> Choice<'_> {
        match self.budget.forced() {
            Some(token) => self.sampler.forced(token),
            None => self.sampler.choice(&self.tokens),
        }
    }

    /// Takes the token that its [`Sequence::choice`] came to; true if it was the last one.
    pub fn advance(&mut self, sampled: Sampled) -> (Token, bool) {
        let Sampled { token, logprob } = sampled;
        let forced = self.budget.forced();
        if forced.is_none() {
            self.sampler.chosen();
        }
        self.budget.observe(token);
        let index = self.out.token_ids.len();
        if forced.is_some() {
            self.out.forced.push(index);
        }
        self.tokens.push(token);
        self.out.token_ids.push(token);
        self.out.logprobs.push(logprob);
        self.out.usage.completion_tokens += 1;
        let stop = self.sampler.params().stops_at(token);
        if stop {
            self.out.finish_reason = FinishReason::Stop;
        }
        let token = Token {
            request: self.request,
            sample: self.sample,
            index,
            token,
            logprob,
            forced: forced.is_some(),
            stop,
        };
        (token, stop || index + 1 >= self.limit)
    }
}
