//! How tokens and samples are averaged into one loss. The sizes are those of the whole batch, so
//! that the shares of micro-steps and of workers add up.

/// Sizes of a batch that the averages divide by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchSize {
    /// Samples, with or without a counted token.
    pub samples: usize,
    /// Samples with at least one counted token.
    pub counted_samples: usize,
    /// Counted tokens.
    pub tokens: usize,
}

impl BatchSize {
    /// The sizes of a batch, from the number of counted tokens of each sample.
    pub fn of(counted: impl IntoIterator<Item = usize>) -> Self {
        let mut size = Self::default();
        for tokens in counted {
            size.samples += 1;
            size.counted_samples += usize::from(tokens > 0);
            size.tokens += tokens;
        }
        size
    }

    /// The sizes of a batch, from the masks of its samples.
    pub fn of_masks<'a>(masks: impl IntoIterator<Item = &'a [bool]>) -> Self {
        Self::of(
            masks
                .into_iter()
                .map(|mask| mask.iter().filter(|&&m| m).count()),
        )
    }
}

/// How tokens and samples are averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregation {
    /// The mean within a sample, then over samples with a counted token (GLM-V's choice: the same
    /// reward as per token, and more stable; arXiv 2507.01006, §5.3).
    PerSample,
    /// The mean within a sample, then over all samples: an empty one counts as 0.
    PerSampleAll,
    /// The mean over all counted tokens (DAPO).
    PerToken,
    /// The sum over `samples * length` (Dr. GRPO).
    ConstantLength {
        /// Longest completion, tokens.
        length: usize,
    },
}

impl Aggregation {
    /// What each counted token of a sample with `counted` of them weighs; 0 without any.
    pub fn weight(&self, counted: usize, size: &BatchSize) -> f64 {
        if counted == 0 {
            return 0.0;
        }
        let divisor = match *self {
            Self::PerSample => counted as f64 * size.counted_samples as f64,
            Self::PerSampleAll => counted as f64 * size.samples as f64,
            Self::PerToken => size.tokens as f64,
            Self::ConstantLength { length } => size.samples as f64 * length as f64,
        };
        1.0 / divisor.max(1.0)
    }

    /// What the loss of a micro-step, averaged over itself, weighs in the loss of the batch: its
    /// share of the count that this aggregation averages over (samples, or tokens).
    ///
    /// `sum_m share(m) * loss(m) = loss(batch)`, and the same for gradients, if the parts are a
    /// partition of the batch.
    pub fn share(&self, part: &BatchSize, batch: &BatchSize) -> f64 {
        let (part, batch) = match self {
            Self::PerSample => (part.counted_samples, batch.counted_samples),
            Self::PerSampleAll | Self::ConstantLength { .. } => (part.samples, batch.samples),
            Self::PerToken => (part.tokens, batch.tokens),
        };
        if batch == 0 {
            0.0
        } else {
            part as f64 / batch as f64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: [usize; 4] = [4, 0, 1, 3];

    #[test]
    fn exact_weights() {
        let size = BatchSize::of(BATCH);
        assert_eq!((size.samples, size.counted_samples, size.tokens), (4, 3, 8));
        let weights = |aggregation: Aggregation| BATCH.map(|n| aggregation.weight(n, &size));
        let third = 1.0 / 3.0;
        assert_eq!(
            weights(Aggregation::PerSample),
            [1.0 / 12.0, 0.0, third, 1.0 / 9.0]
        );
        assert_eq!(
            weights(Aggregation::PerSampleAll),
            [1.0 / 16.0, 0.0, 0.25, 1.0 / 12.0]
        );
        assert_eq!(weights(Aggregation::PerToken), [0.125, 0.0, 0.125, 0.125]);
        let constant = Aggregation::ConstantLength { length: 10 };
        assert_eq!(weights(constant), [0.025, 0.0, 0.025, 0.025]);
    }

    #[test]
    fn exact_shares() {
        let (size, part) = (BatchSize::of(BATCH), BatchSize::of([4, 0]));
        let shares = [
            (Aggregation::PerSample, 1.0 / 3.0),
            (Aggregation::PerSampleAll, 0.5),
            (Aggregation::PerToken, 0.5),
            (Aggregation::ConstantLength { length: 10 }, 0.5),
        ];
        for (aggregation, want) in shares {
            assert_eq!(aggregation.share(&part, &size), want, "{aggregation:?}");
            assert_eq!(aggregation.share(&part, &BatchSize::of([])), 0.0);
        }
    }
}
