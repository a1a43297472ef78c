//! Time intervals and their overlap.

/// An interval in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Start, seconds.
    pub start: f64,
    /// End, seconds.
    pub end: f64,
}

/// Reads the one interval of a text: exactly two times, start before end.
///
/// Times are seconds (`12.5`, `12.5s`), `mm:ss` or `hh:mm:ss`; anything but a third number may
/// stand around them.
pub fn read(text: &str) -> Option<Interval> {
    let mut times = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let end = at
            + bytes[at..]
                .iter()
                .take_while(|b| b.is_ascii_digit() || matches!(**b, b':' | b'.'))
                .count();
        if at > 0 && bytes[at - 1] == b'-' && times.is_empty() {
            return None;
        }
        times.push(seconds(text[at..end].trim_end_matches([':', '.']))?);
        if times.len() > 2 {
            return None;
        }
        at = end;
    }
    let [start, end] = times.as_slice() else {
        return None;
    };
    (start < end).then_some(Interval {
        start: *start,
        end: *end,
    })
}

fn seconds(text: &str) -> Option<f64> {
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() > 3 || parts.iter().any(|p| p.is_empty() || p.len() > 12) {
        return None;
    }
    let mut total = 0.0;
    for part in &parts {
        let value: f64 = part.parse().ok()?;
        total = total * 60.0 + value;
    }
    Some(total)
}

/// Length of the common part over length of both together.
pub fn overlap(a: Interval, b: Interval) -> f64 {
    let common = (a.end.min(b.end) - a.start.max(b.start)).max(0.0);
    let union = (a.end - a.start) + (b.end - b.start) - common;
    if union > 0.0 { common / union } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ways_to_write_an_interval() {
        for text in [
            "12.5 - 30",
            "[12.5, 30]",
            "from 12.5s to 30s",
            "00:12.5-00:30",
            "12.5 seconds to 30.0 seconds",
            "0:00:12.5 – 0:00:30",
        ] {
            assert_eq!(
                read(text),
                Some(Interval {
                    start: 12.5,
                    end: 30.0
                }),
                "{text}"
            );
        }
        for text in [
            "",
            "12",
            "30-12",
            "1, 2, 3",
            "5 5",
            "1:2:3:4 to 5",
            "-3 to 5",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn overlap_is_symmetric_and_bounded(a in 0.0..99.0_f64, la in 0.1..50.0_f64, b in 0.0..99.0_f64, lb in 0.1..50.0_f64) {
            let (x, y) = (Interval { start: a, end: a + la }, Interval { start: b, end: b + lb });
            prop_assert!((0.0..=1.0).contains(&overlap(x, y)));
            prop_assert!((overlap(x, y) - overlap(y, x)).abs() < 1e-12);
            prop_assert!((overlap(x, x) - 1.0).abs() < 1e-12);
        }
    }
}
