//! The strict grammar of a judge's reply.
//!
//! Allowed is free text (also a leading `<think>…</think>`) whose **last line that is not empty** is
//! the verdict and nothing else:
//!
//! ```text
//! line    = { "*" | "_" | "#" | ">" | space } [ label ":" ] value [ "." ]
//! label   = [ "final" ] ( "verdict" | "judgement" | "judgment" | "score" | "answer" | "result" )
//! value   = word, or a word inside one of  <|begin_of_box|>…<|end_of_box|>  \boxed{…}
//!           <answer>…</answer>  **…**  `…`  "…"  '…'  […]  (…)
//! word    = for Binary: 1 1.0 right correct yes true | 0 0.0 wrong incorrect no false
//!           for Score:  a decimal number in 0..=1, or a JSON object with the member "score"
//! ```
//!
//! A number inside a sentence is no verdict ("ratio 11.0 so 0.0" is an error), nor is a reply with
//! two different verdict lines.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a judge may say.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The answer is right.
    Right,
    /// The answer is wrong.
    Wrong,
    /// A score in 0..=1.
    Score(f32),
}

impl Verdict {
    /// The reward in 0..=1.
    pub fn reward(self) -> f32 {
        match self {
            Self::Right => 1.0,
            Self::Wrong => 0.0,
            Self::Score(score) => score,
        }
    }

    /// True if `form` asks for a verdict of this kind.
    pub(crate) fn has_form(self, form: VerdictForm) -> bool {
        match self {
            Self::Right | Self::Wrong => form == VerdictForm::Binary,
            Self::Score(score) => form == VerdictForm::Score && (0.0..=1.0).contains(&score),
        }
    }
}

/// The form a verdict must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictForm {
    /// Right or wrong.
    Binary,
    /// A number in 0..=1.
    Score,
}

/// Why a reply holds no verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerdictError {
    /// Nothing but white space.
    #[error("the reply is empty")]
    Empty,
    /// `<think>` without `</think>`: the model never came to its verdict.
    #[error("the reply ends while thinking")]
    Thinking,
    /// The last line is something else than a verdict.
    #[error("the last line is not a verdict")]
    NoVerdict,
    /// The score is a number outside of 0..=1.
    #[error("the score {0} is not in 0..=1")]
    OutOfRange(String),
    /// Two lines are verdicts and differ.
    #[error("the reply holds two different verdicts")]
    Contradiction,
}

impl VerdictForm {
    /// Name for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Binary => "right or wrong",
            Self::Score => "a score",
        }
    }

    /// A sentence for the end of a judge's prompt that asks for what [`Self::parse`] accepts.
    pub fn instruction(self) -> &'static str {
        match self {
            Self::Binary => {
                "End your reply with a line that holds only \"Verdict: 1\" if the answer is right, \
                 or only \"Verdict: 0\" if it is wrong."
            }
            Self::Score => {
                "End your reply with a line that holds only \"Score: \" and a number between 0 and 1."
            }
        }
    }

    /// The verdict of a reply, by the grammar of this module.
    ///
    /// # Errors
    /// [`VerdictError`] if the reply does not hold exactly one verdict, at its end.
    pub fn parse(self, reply: &str) -> Result<Verdict, VerdictError> {
        let text = without_thinking(reply)?.trim();
        if text.is_empty() {
            return Err(VerdictError::Empty);
        }
        if self == Self::Score
            && let Some(score) = json_score(text)
        {
            return score;
        }
        let mut lines = text.lines().rev().filter(|line| !line.trim().is_empty());
        let last = lines.next().unwrap_or_default();
        let verdict = self.line(last)?.ok_or(VerdictError::NoVerdict)?;
        for line in lines {
            // An earlier bare number may be a step of the reasoning; a labelled one is a verdict.
            if label_of(line).is_some()
                && let Ok(Some(other)) = self.line(line)
                && other != verdict
            {
                return Err(VerdictError::Contradiction);
            }
        }
        Ok(verdict)
    }

    /// The verdict of one line, if it is a verdict line.
    fn line(self, line: &str) -> Result<Option<Verdict>, VerdictError> {
        if self == Self::Score
            && let Some(score) = json_score(line.trim())
        {
            return score.map(Some);
        }
        let value = label_of(line).unwrap_or(line);
        let word = bare(value).to_lowercase();
        match self {
            Self::Binary => Ok(binary_word(&word)),
            Self::Score => score_word(&word),
        }
    }
}

/// The reply after `</think>`, where it starts with thinking.
fn without_thinking(reply: &str) -> Result<&str, VerdictError> {
    match reply.rsplit_once("</think>") {
        Some((_, rest)) => Ok(rest),
        None if reply.trim_start().starts_with("<think>") => Err(VerdictError::Thinking),
        None => Ok(reply),
    }
}

fn is_emphasis(c: char) -> bool {
    c.is_whitespace() || matches!(c, '*' | '_')
}

/// What may stand before the first word of a line: emphasis, headings, quotes.
fn is_decoration(c: char) -> bool {
    is_emphasis(c) || matches!(c, '#' | '>')
}

/// What follows the label and its colon, if the line starts with one.
fn label_of(line: &str) -> Option<&str> {
    let (label, value) = line
        .trim_start_matches(is_decoration)
        .split_once([':', '：'])?;
    let label = label.trim_end_matches(is_emphasis).to_lowercase();
    let label = label.strip_prefix("final ").unwrap_or(&label).trim();
    [
        "verdict",
        "judgement",
        "judgment",
        "score",
        "answer",
        "result",
    ]
    .contains(&label)
    .then_some(value)
}

/// The word of a verdict line without emphasis, quotes and boxes.
fn bare(value: &str) -> &str {
    const PAIRS: [(&str, &str); 8] = [
        ("<|begin_of_box|>", "<|end_of_box|>"),
        ("\\boxed{", "}"),
        ("<answer>", "</answer>"),
        ("`", "`"),
        ("\"", "\""),
        ("'", "'"),
        ("[", "]"),
        ("(", ")"),
    ];
    let mut word = value.trim_start_matches(is_decoration).trim();
    for _ in 0..4 {
        word = word
            .trim_matches(is_emphasis)
            .trim_end_matches(['.', '。'])
            .trim_end_matches(is_emphasis);
        let inner = PAIRS.iter().find_map(|(open, close)| {
            word.strip_prefix(open)
                .and_then(|rest| rest.strip_suffix(close))
        });
        match inner {
            Some(inner) => word = inner.trim(),
            None => break,
        }
    }
    word
}

fn binary_word(word: &str) -> Option<Verdict> {
    match word {
        "1" | "1.0" | "right" | "correct" | "yes" | "true" => Some(Verdict::Right),
        "0" | "0.0" | "wrong" | "incorrect" | "no" | "false" => Some(Verdict::Wrong),
        _ => None,
    }
}

/// A plain decimal number in 0..=1; signs, exponents and "nan" are no scores.
fn score_word(word: &str) -> Result<Option<Verdict>, VerdictError> {
    let plain = word.len() <= 20
        && word.starts_with(|c: char| c.is_ascii_digit())
        && word.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let Some(score) = plain.then(|| word.parse::<f32>().ok()).flatten() else {
        return Ok(None);
    };
    in_range(f64::from(score), word).map(Some)
}

fn in_range(score: f64, text: &str) -> Result<Verdict, VerdictError> {
    if (0.0..=1.0).contains(&score) {
        #[expect(clippy::cast_possible_truncation, reason = "in 0..=1")]
        return Ok(Verdict::Score(score as f32));
    }
    Err(VerdictError::OutOfRange(text.to_owned()))
}

/// The member `score` of a reply that is one JSON object, also in a code fence; `None` if the text
/// is no such object.
fn json_score(text: &str) -> Option<Result<Verdict, VerdictError>> {
    let text = match text.strip_prefix("```") {
        Some(rest) => rest
            .strip_prefix("json")
            .unwrap_or(rest)
            .strip_suffix("```")?,
        None => text,
    };
    let object: serde_json::Map<String, Value> = serde_json::from_str(text.trim()).ok()?;
    let score = object.get("score")?.as_f64()?;
    Some(in_range(score, &score.to_string()))
}

#[cfg(test)]
mod tests;
