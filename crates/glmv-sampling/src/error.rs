//! The crate's error type.

/// What can go wrong between logits and a token.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A sampling parameter outside its range.
    #[error("{name} = {value} is not allowed: it must be {expected}")]
    Parameter {
        /// Name of the parameter, as in [`crate::SamplingParams`].
        name: &'static str,
        /// The value given.
        value: String,
        /// The allowed range, in words.
        expected: &'static str,
    },
    /// `generation_config.json` is not the JSON object it should be.
    #[error("generation_config.json cannot be read: {reason}")]
    GenerationConfig {
        /// The parser's message, with line and column.
        reason: String,
    },
    /// A logit is NaN or +inf: the model or a kernel produced garbage.
    #[error("logit {index} of {vocab} is {value}: no token can be chosen")]
    BadLogit {
        /// Index of the first bad logit, which is the token id.
        index: usize,
        /// Length of the row.
        vocab: usize,
        /// The value found.
        value: f32,
    },
    /// Every logit is -inf: no token is allowed.
    #[error("all {vocab} logits are -inf (indices 0..{vocab}): no token can be chosen")]
    NoCandidate {
        /// Length of the row.
        vocab: usize,
    },
    /// The row of logits has no elements.
    #[error("the row of logits is empty: it must hold one value per vocabulary entry")]
    EmptyLogits,
    /// A row longer than tokens can be drawn from.
    #[error("a row of {vocab} logits is too long: the limit is {limit}")]
    VocabTooLarge {
        /// Length of the row.
        vocab: usize,
        /// Longest row.
        limit: usize,
    },
    /// A token id that the row of logits does not cover.
    #[error("token id {id} is outside of the vocabulary of {vocab}")]
    TokenOutOfRange {
        /// The id.
        id: u32,
        /// Length of the row.
        vocab: usize,
    },
    /// A thinking budget was asked of a tokenizer without an end-of-thinking token.
    #[error(
        "a think budget of {budget} tokens needs a `</think>` token, and the tokenizer has none"
    )]
    NoCloseToken {
        /// The budget asked for, tokens.
        budget: usize,
    },
}
