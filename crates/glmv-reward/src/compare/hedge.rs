//! Answers that avoid an answer: vague words, several answers, a span around the truth.
//!
//! The GLM-V paper (§5, arXiv 2507.01006) reports what a policy learns where these pass: "a correct
//! number between 0 and 10", "a velocity very close to the speed of light".

use super::string::fold;
use super::{choice, number, range, words};

/// Phrases that name no definite value; a truth that has the phrase itself is no reason.
const PHRASES: [&str; 60] = [
    "between",
    "in the range",
    "within the range",
    "ranging from",
    "close to",
    "near to",
    "less than",
    "greater than",
    "more than",
    "fewer than",
    "larger than",
    "smaller than",
    "at least",
    "at most",
    "up to",
    "no more than",
    "not exactly",
    "somewhere",
    "something like",
    "some number",
    "some value",
    "some positive",
    "a number",
    "a value",
    "a positive number",
    "a certain",
    "a correct",
    "the correct",
    "correct answer",
    "correct number",
    "correct value",
    "right answer",
    "right number",
    "the answer to the question",
    "any number",
    "any value",
    "one of the",
    "either",
    "not sure",
    "unsure",
    "unknown",
    "cannot be determined",
    "can not be determined",
    "i don't know",
    "it depends",
    "depends on",
    "several",
    "many",
    "a few",
    "之间",
    "介于",
    "接近",
    "某个",
    "正确的",
    "正确答案",
    "不确定",
    "无法确定",
    "至少",
    "至多",
    "其中之一",
];

/// True where the truth is a definite value, so that a vague answer to it is no answer: a number,
/// a choice, a short formula or quantity; not prose, not an inequality or a range.
pub fn is_definite(truth: &str) -> bool {
    let truth = truth.trim();
    if truth.is_empty() || truth.contains(['<', '>', '≤', '≥', '~', '≈']) || truth.contains("\\le")
    {
        return false;
    }
    let tokens = truth.split_whitespace().count();
    let digits = truth.contains(|c: char| c.is_ascii_digit());
    let one_symbol = truth.chars().count() <= 2;
    (digits && tokens <= 4 && truth.len() <= 80)
        || one_symbol
        || words::read(truth).is_some()
        || choice::read(truth).is_some()
        || number::read(truth).is_some()
}

/// The vague phrase in an answer to a definite truth.
pub fn vague(answer: &str, truth: &str) -> Option<&'static str> {
    if answer.chars().count() < 3 || !answer.contains(|c: char| c.is_alphabetic()) {
        return None;
    }
    let (answer, truth) = (fold(answer), fold(truth));
    PHRASES
        .into_iter()
        .find(|phrase| has_word(&answer, phrase) && !has_word(&truth, phrase))
}

/// True where `phrase` stands in `text` with no letter beside it.
fn has_word(text: &str, phrase: &str) -> bool {
    text.match_indices(phrase).any(|(at, _)| {
        let letter = |c: char| c.is_ascii_alphanumeric();
        let before = text[..at].chars().next_back().is_some_and(letter);
        let after = text[at + phrase.len()..].chars().next().is_some_and(letter);
        !phrase.is_ascii() || (!before && !after)
    })
}

/// What separates alternatives, and whether the sign alone shows that they are such.
const SEPARATORS: [(&str, bool); 13] = [
    (" or ", true),
    ("或者", true),
    ("或", true),
    ("\n", true),
    (";", true),
    ("；", true),
    ("|", true),
    (" and ", false),
    ("、", false),
    ("，", false),
    (",", false),
    ("/", false),
    (" ", false),
];

/// True where the answer lists several answers and the truth is one.
///
/// Several numbers, number words or choices are a list however they are separated. Other text is
/// one where a part is the truth and "or", a semicolon or a line end divides it; with `commas`, also
/// where commas make three parts or more.
pub fn several(answer: &str, truth: &str, commas: bool) -> bool {
    if number::read(answer).is_some() || choice::read(truth).is_some_and(|c| c.letters.len() > 1) {
        return false;
    }
    SEPARATORS.iter().any(|(separator, strong)| {
        if truth.contains(separator) && *separator != " " || !answer.contains(separator) {
            return false;
        }
        let parts: Vec<&str> = answer
            .split(separator)
            .map(str::trim)
            .filter(|p| !p.is_empty())
            .collect();
        if parts.len() < 2 || parts.len() > 200 {
            return parts.len() > 200;
        }
        let plain = |p: &&str| number::decimal(p).is_some() || words::read(p).is_some();
        let single = |p: &&str| {
            choice::read(p).is_some_and(|c| c.letters.len() == 1 && c.upper && !c.with_text)
        };
        let weak = matches!(*separator, "/" | " ");
        if (!weak && parts.iter().all(plain) && !is_plural(truth))
            || (parts.iter().all(single) && choice::read(truth).is_some())
        {
            return true;
        }
        let truth = fold(truth);
        let has_truth = parts.iter().any(|p| fold(p) == truth);
        let list = *strong || *separator == "/" || (commas && parts.len() > 2 && !weak);
        has_truth && list && !weak_slash(separator, &truth)
    })
}

fn weak_slash(separator: &str, truth: &str) -> bool {
    separator == " " || (separator == "/" && truth.chars().count() < 2)
}

/// True for a truth that is a list of numbers itself.
fn is_plural(truth: &str) -> bool {
    let parts = truth
        .split([',', ';', '，', '、', ' '])
        .filter(|p| !p.is_empty());
    number::read(truth).is_none()
        && parts
            .filter(|p| p.contains(|c: char| c.is_ascii_digit()))
            .count()
            > 1
}

/// Why the answer avoids a definite truth, if it does.
///
/// `spans`: `5-9` is a range and not a difference; `commas`: as for [`several`].
pub fn reason(answer: &str, truth: &str, spans: bool, commas: bool) -> Option<String> {
    let definite = is_definite(truth);
    if definite && let Some(phrase) = vague(answer, truth) {
        return Some(format!("names no definite answer: {phrase:?}"));
    }
    if definite && range::is_span(answer, spans) && !range::is_span(truth, true) {
        return Some("a range where one value was asked for".into());
    }
    several(answer, truth, commas).then(|| "lists several answers where one was asked for".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_hacks_of_the_paper_are_seen() {
        for (answer, truth) in [
            ("a correct number between 0 and 10", "7"),
            ("a velocity very close to the speed of light", "0.99c"),
            ("a velocity very close to the speed of light", "2.97e8 m/s"),
            ("some number", "3"),
            ("3 or 4", "3"),
            ("3, 4, 5", "4"),
            ("3；4", "4"),
            ("5 to 9", "7"),
            ("5~9", "7"),
            ("at least 3", "3"),
            ("either A or B", "A"),
            ("A, B", "A"),
            ("cat or dog", "cat"),
            ("cat; dog", "dog"),
            ("cat\ndog", "dog"),
            ("cat, dog, bird", "dog"),
            ("介于0和10之间", "7"),
            ("three or four", "3"),
            ("the correct answer", "B"),
        ] {
            assert!(
                reason(answer, truth, false, true).is_some(),
                "{answer} for {truth}"
            );
        }
        assert!(reason("5-9", "7", true, true).is_some());
    }

    #[test]
    fn plain_answers_are_no_hedges() {
        for (answer, truth) in [
            ("7", "7"),
            ("1,234", "1234"),
            ("about 7", "7"),
            ("x > 3", "x>3"),
            ("3, 4", "3, 4"),
            ("{3, 4}", "{3,4}"),
            ("less than 5", "less than 5"),
            ("Paris, France", "Paris"),
            ("near the door", "close to the door"),
            ("3 m/s", "3 m/s"),
            ("1/2", "0.5"),
            ("salt and pepper", "salt and pepper"),
            ("(1, 2)", "(1,2)"),
            ("twenty one", "21"),
            ("A, C", "AC"),
            ("black and white", "black"),
        ] {
            assert_eq!(
                reason(answer, truth, false, true),
                None,
                "{answer} for {truth}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_number_is_never_a_hedge(n in -10_000_i32..10_000, truth in -10_000_i32..10_000) {
            prop_assert_eq!(reason(&n.to_string(), &truth.to_string(), true, true), None);
            let listed = format!("{n}, {}", n + 1);
            prop_assert!(reason(&listed, &truth.to_string(), true, true).is_some());
        }

        #[test]
        fn any_text_has_a_reason_or_none(a in "\\PC{0,40}", b in "\\PC{0,20}") {
            let _ = reason(&a, &b, true, true);
        }
    }
}
