//! The state of one sequence's sampling: parameters, and how many draws it has taken.

use crate::{Choice, Error, Pick, Sampled, SamplingParams, SplitMix64, choose};

/// Chooses tokens for one sequence.
///
/// Every drawn token takes exactly one draw; greedy and forced ones take none. Draw `n` of a stream
/// is a function of seed, stream and `n`, so a sequence's tokens do not depend on its company.
#[derive(Debug, Clone)]
pub struct Sampler {
    params: SamplingParams,
    rng: SplitMix64,
    draws: u64,
}

impl Sampler {
    /// A sampler that draws from stream 0 of the seed.
    ///
    /// # Errors
    /// [`Error::Parameter`] if `params` does not validate.
    pub fn new(params: SamplingParams) -> Result<Self, Error> {
        Self::with_stream(params, 0)
    }

    /// A sampler with draws of its own for the same seed: one stream per sequence of a batch.
    ///
    /// # Errors
    /// [`Error::Parameter`] if `params` does not validate.
    pub fn with_stream(params: SamplingParams, stream: u64) -> Result<Self, Error> {
        params.validate()?;
        let rng = SplitMix64::with_stream(params.seed, stream);
        Ok(Self {
            params,
            rng,
            draws: 0,
        })
    }

    /// The parameters given.
    pub fn params(&self) -> &SamplingParams {
        &self.params
    }

    /// How the next token is to be chosen, behind the ids seen so far (prompt and completion).
    /// The same until [`Sampler::chosen`].
    pub fn choice<'a>(&'a self, history: &'a [u32]) -> Choice<'a> {
        let pick = match self.params.temperature {
            0.0 => Pick::Best,
            _ => Pick::Draw(self.rng.draw(self.draws)),
        };
        let params = &self.params;
        Choice {
            params,
            pick,
            history,
        }
    }

    /// A choice that is made already, for the token's log-probability.
    pub fn forced(&self, token: u32) -> Choice<'_> {
        Choice {
            params: &self.params,
            pick: Pick::Forced(token),
            history: &[],
        }
    }

    /// Takes note that the [`Sampler::choice`] was made: the next one is another.
    pub fn chosen(&mut self) {
        self.draws += 1;
    }

    /// Chooses a token from `logits` `[vocab]`, given the ids seen so far (prompt and completion,
    /// used by the repetition penalty only).
    ///
    /// # Errors
    /// Those of [`choose`]; the next call draws the same number then.
    pub fn sample(&mut self, logits: &[f32], history: &[u32]) -> Result<Sampled, Error> {
        let sampled = choose(logits, &self.choice(history))?;
        self.chosen();
        Ok(sampled)
    }
}
