//! The time of a record.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970; negative on a clock that stands before.
pub(crate) fn unix_secs() -> f64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}
