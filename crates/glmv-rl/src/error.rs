//! The crate's error type.

/// What can go wrong between rewards and a step of the optimiser.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A recipe that cannot be read: no TOML, an unknown key, a value of the wrong type.
    #[error("{file}: {reason}")]
    Toml {
        /// The recipe.
        file: String,
        /// The parser's message, with line and column.
        reason: String,
    },
    /// A recipe with a value that is not allowed.
    #[error("{file}{}: {key} = {value} is not allowed: it must be {expected}", at(*line))]
    Recipe {
        /// The recipe.
        file: String,
        /// Line of the key, from 1; `None` where the value is a default.
        line: Option<usize>,
        /// Section and name of the key.
        key: String,
        /// The value.
        value: String,
        /// What is allowed, in words.
        expected: &'static str,
    },
    /// A setting that is not allowed, where no recipe file is at hand.
    #[error("{key} = {value} is not allowed: it must be {expected}")]
    Setting {
        /// Section and name of the key.
        key: &'static str,
        /// The value.
        value: String,
        /// What is allowed, in words.
        expected: &'static str,
    },
    /// Two lists that belong together differ in length.
    #[error("{what} of sample {sample}: {found} values, expected {expected}")]
    Length {
        /// The list.
        what: &'static str,
        /// Index of the sample or group.
        sample: usize,
        /// Its length.
        found: usize,
        /// The length of the other lists.
        expected: usize,
    },
    /// A number that is NaN or infinite, or makes one.
    #[error("{what} of sample {sample}, token {token} is {value}: it must be finite")]
    NotFinite {
        /// What it is.
        what: &'static str,
        /// Index of the sample or group.
        sample: usize,
        /// Index of the token in the sample; 0 where the number belongs to the whole sample.
        token: usize,
        /// The value found.
        value: f64,
    },
    /// A term of the loss needs values that were not given.
    #[error("sample {sample} has no {what}, which {needed_by} needs")]
    Missing {
        /// The values.
        what: &'static str,
        /// Index of the sample.
        sample: usize,
        /// The setting that asks for them.
        needed_by: &'static str,
    },
    /// A pass@k that is not defined.
    #[error("pass@{k} of {right} right among {samples}: needs 1 <= k <= samples, right <= samples")]
    PassAtK {
        /// Samples drawn.
        samples: u64,
        /// Right ones among them.
        right: u64,
        /// k.
        k: u64,
    },
    /// Tasks that a curriculum cannot work with.
    #[error("task {id:?}: {reason}")]
    Task {
        /// Its id.
        id: String,
        /// What is wrong.
        reason: String,
    },
    /// Fewer tasks than a step needs.
    #[error("a step of {batch} groups needs as many tasks, and there are {tasks}")]
    TooFewTasks {
        /// Groups of a step.
        batch: usize,
        /// Tasks there are.
        tasks: usize,
    },
    /// The domains of the mixture and of the tasks do not fit.
    #[error("domain {domain:?} {reason}")]
    Domain {
        /// Its name.
        domain: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A call of a curriculum that is out of turn.
    #[error("iteration {iteration}: {reason}")]
    OutOfTurn {
        /// The curriculum's iteration.
        iteration: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// Results of a task that was not asked for, or more of them than were asked for.
    #[error("{found} results of task {task} came back, {asked} were asked for")]
    Unasked {
        /// Index of the task.
        task: usize,
        /// Results that came.
        found: usize,
        /// Results that were asked for.
        asked: usize,
    },
    /// A saved curriculum that cannot be read.
    #[error("saved curriculum: {reason}")]
    State {
        /// The parser's message.
        reason: String,
    },
    /// A saved curriculum that belongs to other tasks.
    #[error(
        "the saved curriculum belongs to other tasks: task {index} was {saved:?}, now {found:?}"
    )]
    OtherTasks {
        /// Index of the first that differs.
        index: usize,
        /// Its id when saved; `None` where there were fewer.
        saved: Option<String>,
        /// Its id now; `None` where there are fewer.
        found: Option<String>,
    },
    /// A sample that no micro-step can hold.
    #[error("sample {sample} has {length} tokens, a micro-step holds {capacity}")]
    TooLong {
        /// Index of the sample.
        sample: usize,
        /// Its length, tokens.
        length: usize,
        /// Tokens of a micro-step.
        capacity: usize,
    },
    /// A completion that the thinking budget could not have made.
    #[error("token {index} of the completion is {found}, where the budget forces {expected}")]
    NotForced {
        /// Index of the token.
        index: usize,
        /// Its id.
        found: u32,
        /// The id that is forced there.
        expected: u32,
    },
    /// Rollout and trainer disagree about the same weights.
    #[error(
        "rollout and trainer differ before the first update: mean k3-KL {mean_kl:.3e} (bound \
         {bound_mean_kl:.1e}), largest |difference of log p| {max_difference:.3e} (bound \
         {bound_max_difference}) at sample {sample}, token {token}, over {tokens} tokens"
    )]
    Mismatch {
        /// Mean k3 estimate of the KL divergence, nats per token.
        mean_kl: f64,
        /// Its bound.
        bound_mean_kl: f64,
        /// Largest |difference of log-probabilities|, nats.
        max_difference: f64,
        /// Its bound, in words where there is none.
        bound_max_difference: String,
        /// Sample with the largest difference.
        sample: usize,
        /// Token with the largest difference.
        token: usize,
        /// Tokens compared.
        tokens: usize,
    },
    /// Nothing to compare.
    #[error("no token was compared, so nothing is known about {what}")]
    NothingMeasured {
        /// What was asked.
        what: &'static str,
    },
    /// A thinking budget that cannot be kept.
    #[error(transparent)]
    Sampling(#[from] glmv_sampling::Error),
}

fn at(line: Option<usize>) -> String {
    line.map_or(String::new(), |line| format!(":{line}"))
}

/// Fails with [`Error::Setting`] unless `is_allowed`.
pub(crate) fn require(
    is_allowed: bool,
    key: &'static str,
    value: impl std::fmt::Display,
    expected: &'static str,
) -> Result<(), Error> {
    match is_allowed {
        true => Ok(()),
        false => Err(Error::Setting {
            key,
            value: value.to_string(),
            expected,
        }),
    }
}
