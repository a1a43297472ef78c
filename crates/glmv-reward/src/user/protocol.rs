//! The lines of the protocol: writing requests, reading replies strictly.

use serde::{Deserialize, Serialize};

use super::{RewardSample, UserError};
use crate::judge::net::excerpt;

pub(super) const PROTOCOL: &str = "glmv-reward";
pub(super) const VERSION: u32 = 1;

/// First line of both sides.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Handshake {
    protocol: String,
    version: u32,
}

/// One sample with its number.
#[derive(Serialize)]
pub(super) struct Request<'a> {
    pub(super) id: u64,
    pub(super) sample: &'a RewardSample,
}

/// One reply as it stands on the wire.
#[derive(Deserialize)]
pub(super) struct RawReply {
    id: u64,
    reward: Option<f64>,
    error: Option<String>,
}

/// The reply to the request `id`.
#[derive(Debug, PartialEq)]
pub(super) struct Reply {
    pub(super) id: u64,
    pub(super) score: Result<f32, UserError>,
}

/// The handshake line, with its line end.
pub(super) fn handshake() -> Vec<u8> {
    format!("{{\"protocol\":\"{PROTOCOL}\",\"version\":{VERSION}}}\n").into_bytes()
}

/// Checks the child's handshake.
///
/// # Errors
/// With what was found instead.
pub(super) fn check_handshake(line: &str) -> Result<(), String> {
    let found: Handshake = serde_json::from_str(line)
        .map_err(|_| format!("its first line is no handshake: \"{}\"", excerpt(line, 120)))?;
    if found.protocol == PROTOCOL && found.version == VERSION {
        return Ok(());
    }
    Err(format!(
        "it speaks {} {}, this program speaks {PROTOCOL} {VERSION}",
        excerpt(&found.protocol, 40),
        found.version
    ))
}

/// Reads a reply line.
///
/// # Errors
/// If the line is no reply, which is the child's fault and not the sample's.
pub(super) fn parse_reply(line: &str) -> Result<Reply, UserError> {
    let raw: RawReply = serde_json::from_str(line).map_err(|error| not_json(line, &error))?;
    raw.check(line)
}

impl RawReply {
    /// The reply, if it has exactly one of `reward` and `error`; `context` is quoted if not.
    pub(super) fn check(self, context: &str) -> Result<Reply, UserError> {
        let score = match (self.reward, self.error) {
            (Some(reward), None) => finite(reward),
            (None, Some(message)) => Err(UserError::Declined {
                message: excerpt(&message, 500),
            }),
            (Some(_), Some(_)) => return Err(protocol("both `reward` and `error`", context)),
            (None, None) => return Err(protocol("neither `reward` nor `error`", context)),
        };
        Ok(Reply { id: self.id, score })
    }
}

fn finite(reward: f64) -> Result<f32, UserError> {
    #[expect(clippy::cast_possible_truncation, reason = "checked below")]
    let short = reward as f32;
    if short.is_finite() {
        return Ok(short);
    }
    Err(UserError::NotFinite {
        value: reward.to_string(),
    })
}

/// JSON has no NaN, but the JSON writers of some languages write it.
pub(super) fn not_json(text: &str, error: &serde_json::Error) -> UserError {
    let literal = ["NaN", "Infinity", "nan", "inf"].into_iter().find(|word| {
        text.contains(&format!("\"reward\": {word}"))
            || text.contains(&format!("\"reward\":{word}"))
    });
    match literal {
        Some(word) => UserError::NotFinite {
            value: word.to_owned(),
        },
        None if error.to_string().starts_with("number out of range") => UserError::NotFinite {
            value: excerpt(text, 120),
        },
        None => protocol(&format!("not a reply ({error})"), text),
    }
}

pub(super) fn protocol(reason: &str, context: &str) -> UserError {
    UserError::Protocol {
        reason: reason.to_owned(),
        excerpt: excerpt(context, 120),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(line: &str) -> Result<f32, UserError> {
        parse_reply(line).and_then(|reply| reply.score)
    }

    #[test]
    fn replies_hold_a_reward_or_an_error() {
        assert_eq!(
            parse_reply("{\"id\": 3, \"reward\": -0.5, \"note\": 1}").map(|r| r.id),
            Ok(3)
        );
        assert_eq!(score("{\"id\":0,\"reward\":1}"), Ok(1.0));
        assert_eq!(
            score("{\"id\":0,\"error\":\"no reference\"}"),
            Err(UserError::Declined {
                message: "no reference".to_owned()
            })
        );
        for bad in [
            "",
            "0.5",
            "{}",
            "{\"id\":0}",
            "{\"id\":0,\"reward\":null}",
            "{\"id\":0,\"reward\":1,\"error\":\"x\"}",
            "{\"id\":-1,\"reward\":1}",
            "{\"id\":0,\"reward\":\"1\"}",
            "{\"id\":0,\"reward\":1} {}",
        ] {
            let error = parse_reply(bad).expect_err(bad);
            assert!(
                matches!(error, UserError::Protocol { .. }),
                "{bad}: {error}"
            );
        }
    }

    #[test]
    fn no_number_that_is_not_finite_gets_through() {
        for bad in ["NaN", "Infinity", "-Infinity", "1e39", "-1e39", "1e999"] {
            let error = score(&format!("{{\"id\": 0, \"reward\": {bad}}}")).expect_err(bad);
            let is_typed = matches!(error, UserError::NotFinite { .. });
            assert!(is_typed || bad == "-Infinity", "{bad}: {error}");
        }
    }

    #[test]
    fn another_version_is_refused() {
        let own = String::from_utf8(handshake()).expect("text");
        assert_eq!(check_handshake(own.trim()), Ok(()));
        let other = "{\"protocol\":\"glmv-reward\",\"version\":2}";
        assert!(
            check_handshake(other)
                .expect_err("version 2")
                .contains("glmv-reward 2")
        );
        assert!(
            check_handshake("Loading model…")
                .expect_err("text")
                .contains("Loading")
        );
    }
}
