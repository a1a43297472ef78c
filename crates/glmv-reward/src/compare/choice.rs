//! Letters of multiple choice: `B`, `(B)`, `B.`, `option B`, `B. Paris`, `A, C`.

use super::Ruling;
use super::string::unwrap;

/// Last letter that names a choice.
const LAST: char = 'H';

/// What a text says about choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The letters, sorted, each once, upper case.
    pub letters: Vec<char>,
    /// Written in upper case.
    pub upper: bool,
    /// Text stood beside the letter.
    pub with_text: bool,
}

fn letter(c: char) -> bool {
    ('A'..=LAST).contains(&c.to_ascii_uppercase())
}

/// Reads one or several choice letters; `None` for any other text.
pub fn read(text: &str) -> Option<Choice> {
    let mut text = unwrap(text);
    for prefix in [
        "option ",
        "choice ",
        "answer ",
        "answer: ",
        "选项",
        "选择",
        "答案是",
        "选",
    ] {
        if let Some(head) = text.get(..prefix.len())
            && head.eq_ignore_ascii_case(prefix)
        {
            text = text[prefix.len()..].trim();
        }
    }
    let text = text.strip_suffix("选项").unwrap_or(text).trim();
    if text.is_empty() || text.len() > 200 {
        return None;
    }
    letters_only(text).or_else(|| labelled(text))
}

/// `B`, `(B)`, `B.`, `A, C`, `A and C`, `ACD`.
fn letters_only(text: &str) -> Option<Choice> {
    let mut found = Vec::new();
    let mut run = 0;
    for part in text.split(|c: char| !c.is_alphabetic()) {
        if part.is_empty() || part == "and" || part == "和" {
            continue;
        }
        if !part.chars().all(letter) {
            return None;
        }
        run = run.max(part.len());
        found.extend(part.chars());
    }
    let joint = |c: char| c.is_alphabetic() || c.is_whitespace() || "()[].,;、，:：。&".contains(c);
    if found.is_empty() || !text.chars().all(joint) {
        return None;
    }
    let upper = found.iter().all(char::is_ascii_uppercase);
    // Joined letters are choices only in upper case and in order: ACD, not BAD or "bed".
    let ordered = found.windows(2).all(|w| w[0] < w[1]);
    if run > 1 && (!upper || !ordered || run != found.len()) {
        return None;
    }
    if found.len() > 1 && !upper {
        return None;
    }
    let mut letters: Vec<char> = found.iter().map(char::to_ascii_uppercase).collect();
    letters.sort_unstable();
    // A letter again and again is no choice.
    if letters.windows(2).any(|w| w[0] == w[1]) {
        return None;
    }
    Some(Choice {
        letters,
        upper,
        with_text: false,
    })
}

/// `B. Paris`, `(B) Paris`, `B: Paris`; several labels are several choices.
fn labelled(text: &str) -> Option<Choice> {
    let chars: Vec<char> = text.chars().collect();
    let mut letters = Vec::new();
    for (i, c) in chars.iter().enumerate() {
        let before = i == 0 || chars[i - 1] == '(' || chars[i - 1].is_whitespace();
        let after = matches!(chars.get(i + 1), Some('.' | ')' | ':' | '：' | '、'));
        let free = chars.get(i + 1).is_none_or(|n| *n != '.')
            || !chars
                .get(i + 2)
                .is_some_and(|n| n.is_alphanumeric() && chars.get(i + 3) == Some(&'.'));
        if c.is_ascii_uppercase() && letter(*c) && before && after && free {
            if letters.is_empty() && i > 1 {
                return None;
            }
            letters.push(*c);
        }
    }
    if letters.is_empty() {
        return None;
    }
    letters.sort_unstable();
    letters.dedup();
    Some(Choice {
        letters,
        upper: true,
        with_text: true,
    })
}

/// Compares where the truth is choice letters; `None` where it is not, or the answer is no choice.
///
/// With `fold`, a single lower-case letter stands for its upper case.
pub fn compare(answer: &str, truth: &str, fold: bool) -> Option<Ruling> {
    let truth = read(truth)?;
    let answer = read(answer)?;
    if truth.letters.len() == 1 && !truth.upper && !fold {
        return None;
    }
    if answer.upper != truth.upper && !fold {
        return None;
    }
    // Where case has a meaning, so have the later letters: F is a force.
    let symbols = |c: &Choice| c.letters.iter().any(|l| *l > 'E');
    if !fold && (symbols(&answer) || symbols(&truth)) {
        return None;
    }
    Some(if answer.letters == truth.letters {
        Ruling::right("the same choice")
    } else if answer.letters.len() > truth.letters.len() {
        Ruling::wrong("names more choices than were asked for")
    } else {
        Ruling::wrong("another choice")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn score(answer: &str, truth: &str) -> Option<f64> {
        compare(answer, truth, true).and_then(|r| r.score)
    }

    #[test]
    fn ways_to_name_a_choice() {
        for answer in [
            "B",
            "(B)",
            "B.",
            "b",
            "option B",
            "Option B",
            "**B**",
            "B. Paris",
            "(B) Paris",
            r"\text{B}",
            "选B",
            "B选项",
            "[B]",
            "B)",
        ] {
            assert_eq!(score(answer, "B"), Some(1.0), "{answer}");
        }
        for answer in [
            "A",
            "A, B",
            "AB",
            "A or B",
            "A. Paris",
            "A. x B. y",
            "(A)(B)",
        ] {
            assert_ne!(score(answer, "B"), Some(1.0), "{answer}");
        }
        assert_eq!(score("A. x  B. y", "B"), Some(0.0));
        assert_eq!(score("C, A", "AC"), Some(1.0));
        assert_eq!(score("A", "AC"), Some(0.0));
        assert_eq!(
            compare("a", "A", false),
            None,
            "alleles and variables have a case"
        );
        assert_eq!(compare("F", "G", false), None, "symbols of physics");
        for text in [
            "cat",
            "bad",
            "BAD",
            "Z",
            "",
            "5",
            "Aa",
            "a, b",
            "A+B",
            "face",
            "I",
            "e.g. this",
            "A A A",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_letter_is_right_only_for_itself(a in 0_u8..8, b in 0_u8..8, form in 0_usize..5) {
            let (a, b) = (char::from(b'A' + a), char::from(b'A' + b));
            let text = [format!("{a}"), format!("({a})"), format!("{a}."), format!("Option {a}"), format!("{a}. some text")];
            prop_assert_eq!(score(&text[form], &b.to_string()), Some(f64::from(u8::from(a == b))));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
            let _ = read(&text);
        }
    }
}
