//! How long to wait before the next attempt.

use std::hash::BuildHasher;
use std::time::SystemTime;

use super::EndpointConfig;

/// Seconds to wait after attempt number `attempt` (1 is the first) failed, or `None` if the server
/// asked for a longer wait than is allowed.
///
/// Exponential with jitter: `min(max, base · 2^(attempt - 1)) · (0.5 + 0.5 · jitter)`, at least the
/// server's `Retry-After`. `jitter` is in 0..1.
pub(super) fn delay_secs(
    config: &EndpointConfig,
    attempt: u32,
    retry_after_secs: Option<f64>,
    jitter: f64,
) -> Option<f64> {
    let doublings = attempt.saturating_sub(1).min(63);
    let backoff = (config.backoff_secs * 2_f64.powi(doublings.cast_signed()))
        .min(config.max_backoff_secs)
        * (0.5 + 0.5 * jitter);
    match retry_after_secs {
        Some(asked) if asked > config.max_retry_after_secs => None,
        Some(asked) => Some(backoff.max(asked)),
        None => Some(backoff),
    }
}

/// A `Retry-After` header in seconds from `now`: a number of seconds or an HTTP date (RFC 9110,
/// section 10.2.3); `None` for anything else.
pub(super) fn retry_after_secs(header: &str, now: SystemTime) -> Option<f64> {
    let header = header.trim();
    if header.bytes().all(|b| b.is_ascii_digit()) {
        return header.parse::<u32>().ok().map(f64::from);
    }
    let date = httpdate::parse_http_date(header).ok()?;
    let ahead = date.duration_since(now).unwrap_or_default(); // a date gone by: at once
    Some(ahead.as_secs_f64())
}

/// A number in 0..1 that differs between threads and processes; timing only, so it has no seed.
pub(super) fn jitter() -> f64 {
    let hash = std::hash::RandomState::new().hash_one(0_u8);
    f64::from(u32::try_from(hash >> 32).unwrap_or(0)) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn waits_double_up_to_the_limit_and_jitter_shortens_them() {
        let config = EndpointConfig {
            backoff_secs: 1.0,
            max_backoff_secs: 6.0,
            max_retry_after_secs: 60.0,
            ..EndpointConfig::new("http://h")
        };
        let full: Vec<_> = (1..6)
            .map(|n| delay_secs(&config, n, None, 1.0).expect("allowed"))
            .collect();
        assert_eq!(full, [1.0, 2.0, 4.0, 6.0, 6.0]);
        assert_eq!(delay_secs(&config, 3, None, 0.0), Some(2.0));
        assert_eq!(delay_secs(&config, u32::MAX, None, 1.0), Some(6.0));
        assert_eq!(delay_secs(&config, 1, Some(20.0), 0.5), Some(20.0));
        assert_eq!(delay_secs(&config, 4, Some(1.0), 1.0), Some(6.0));
        assert_eq!(delay_secs(&config, 1, Some(61.0), 0.5), None);
        assert!((0..100).all(|_| (0.0..1.0).contains(&jitter())));
    }

    #[test]
    fn both_forms_of_the_header() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(retry_after_secs(" 7 ", now), Some(7.0));
        let date = "Sun, 06 Nov 1994 08:50:07 GMT";
        assert_eq!(retry_after_secs(date, now), Some(30.0));
        let past = "Sun, 06 Nov 1994 08:00:00 GMT";
        assert_eq!(retry_after_secs(past, now), Some(0.0));
        for bad in ["", "-1", "soon", "1.5", "99999999999"] {
            assert_eq!(retry_after_secs(bad, now), None, "{bad}");
        }
    }
}
