//! Samples that are longer than a sequence: refused, left out or cut, but never cut inside of a
//! picture or video. Called by the loader and by the check.

use serde::{Deserialize, Serialize};

use crate::encode::Encoded;
use crate::error::{Error, RowError};

/// What becomes of a sample that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LongPolicy {
    /// It is an error.
    Error,
    /// It is left out, and counted.
    Drop,
    /// Its end is cut off, and counted. A picture or video that does not fit goes whole, with all
    /// that follows; if nothing to learn is left, the sample is left out.
    Cut,
}

/// A sample that fits, or not.
#[derive(Debug, Clone, PartialEq)]
pub enum Fit {
    /// It fitted.
    Whole(Encoded),
    /// It was cut.
    Cut {
        /// What is left.
        encoded: Encoded,
        /// Tokens cut off.
        tokens: usize,
        /// Pictures and videos cut off.
        visuals: usize,
    },
    /// It is left out.
    Dropped,
}

/// Makes a sample fit into `max_tokens`.
///
/// # Errors
/// [`Error::Row`] with [`RowError::TooLong`] under [`LongPolicy::Error`].
pub fn fit(mut encoded: Encoded, max_tokens: usize, policy: LongPolicy) -> Result<Fit, Error> {
    let tokens = encoded.input_ids.len();
    if tokens <= max_tokens {
        return Ok(Fit::Whole(encoded));
    }
    match policy {
        LongPolicy::Error => Err(encoded
            .place
            .error(RowError::TooLong { tokens, max_tokens })),
        LongPolicy::Drop => Ok(Fit::Dropped),
        LongPolicy::Cut => {
            let inside =
                |span: &std::ops::Range<usize>| span.start < max_tokens && max_tokens < span.end;
            let mut spans = encoded.visuals.iter().map(|visual| &visual.span);
            let cut = spans
                .find(|span| inside(span))
                .map_or(max_tokens, |s| s.start);
            let before = encoded.visuals.len();
            encoded.visuals.retain(|visual| visual.span.end <= cut);
            encoded.input_ids.truncate(cut);
            encoded.modality.truncate(cut);
            encoded.loss_mask.truncate(cut);
            if !encoded.loss_mask.contains(&true) {
                return Ok(Fit::Dropped);
            }
            Ok(Fit::Cut {
                tokens: tokens - cut,
                visuals: before - encoded.visuals.len(),
                encoded,
            })
        }
    }
}
