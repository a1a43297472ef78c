//! What a method says about one sample, before averaging: the interface of the files of methods.

use std::fmt::Debug;

/// The counted tokens of one sample. All lists but [`Row::at`] are as long as `at`.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Tokens of the sample, counted or not.
    pub len: usize,
    /// Which of them count.
    pub at: Vec<usize>,
    /// Log-probabilities under the weights that learn.
    pub logprobs: Vec<f64>,
    /// `log p - log p_old`.
    pub log_ratio: Vec<f64>,
    /// Log-probabilities under the reference weights, if given.
    pub reference: Option<Vec<f64>>,
    /// Entropies, if given.
    pub entropy: Option<Vec<f64>>,
    /// Advantage of the sample.
    pub advantage: f64,
}

/// `J` of one sample's counted tokens and its slope.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Terms {
    /// `J_t`, to be made large.
    pub value: Vec<f64>,
    /// `d (sum_t' J_t') / d logprobs_t`.
    pub slope: Vec<f64>,
    /// Tokens whose gradient the lower clip takes away or bounds.
    pub clipped_low: usize,
    /// Tokens whose gradient the upper clip takes away or bounds.
    pub clipped_high: usize,
}

/// A method's objective per token.
///
/// All tokens of a sample weigh the same in the loss ([`super::Aggregation`]), therefore a method
/// whose ratio belongs to the whole sequence fits as well: its `J_t` are equal.
pub trait Surrogate: Debug + Send + Sync {
    /// `J` and its slope for the counted tokens of a sample.
    fn terms(&self, row: &Row) -> Terms;
}
