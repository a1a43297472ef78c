//! Actions on a computer: `left_click(start_box='[100, 200]')`, as OSWorld and the GLM-V agent
//! prompt have them.

use super::Ruling;
use super::point::closeness;
use super::similarity::typed;

/// Every action; the last five have nothing to compare.
const ACTIONS: [&str; 15] = [
    "left_click",
    "right_click",
    "middle_click",
    "left_double_click",
    "hover",
    "left_drag",
    "scroll",
    "type",
    "key",
    "hotkey",
    "WAIT",
    "DONE",
    "FAIL",
    "wait",
    "finished",
];
/// Steps of a scroll that names none.
const DEFAULT_STEPS: f64 = 5.0;

/// A call: name and arguments; strings have lost their quotes.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The action.
    pub name: String,
    arguments: Vec<(String, Argument)>,
}

#[derive(Debug, Clone, PartialEq)]
enum Argument {
    Text(String),
    Bare(String),
}

/// Reads `name(key='text', key=number)` and nothing else.
pub fn read(text: &str) -> Option<Call> {
    let text = text.trim();
    let open = text.find('(')?;
    let name = &text[..open];
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(word) {
        return None;
    }
    let mut rest = text[open + 1..].trim_start();
    let mut arguments = Vec::new();
    loop {
        if let Some(end) = rest.strip_prefix(')') {
            let call = Call {
                name: name.into(),
                arguments,
            };
            return end.trim().is_empty().then_some(call);
        }
        if !arguments.is_empty() {
            rest = rest.strip_prefix(',')?.trim_start();
        }
        let equals = rest.find('=')?;
        let key = rest[..equals].trim();
        if arguments.len() > 20 || key.is_empty() || !key.chars().all(word) {
            return None;
        }
        rest = rest[equals + 1..].trim_start();
        let value = if rest.starts_with('\'') {
            let (value, tail) = quoted(rest)?;
            rest = tail;
            Argument::Text(value)
        } else {
            let end = rest.find([',', ')'])?;
            let value = rest[..end].trim().to_owned();
            rest = &rest[end..];
            Argument::Bare(value)
        };
        arguments.push((key.to_owned(), value));
        rest = rest.trim_start();
    }
}

/// A string in single quotes, with `\'` and `\\`; a quote inside of it is part of it unless a comma
/// or a bracket follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if matches!(chars.peek(), Some((_, '\'' | '\\'))) => {
                out.push(chars.next()?.1);
            }
            '\'' => {
                let tail = text[at + 1..].trim_start();
                if tail.starts_with([',', ')']) {
                    return Some((out, &text[at + 1..]));
                }
                out.push('\'');
            }
            c => out.push(c),
        }
    }
    None
}

impl Call {
    fn text(&self, key: &str) -> Option<&str> {
        self.arguments
            .iter()
            .find(|(name, _)| name == key)
            .and_then(|(_, value)| match value {
                Argument::Text(text) => Some(text.as_str()),
                Argument::Bare(_) => None,
            })
    }

    fn number(&self, key: &str) -> Option<f64> {
        let (_, value) = self.arguments.iter().find(|(name, _)| name == key)?;
        let (Argument::Bare(text) | Argument::Text(text)) = value;
        text.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse().ok())?
    }

    /// `'[x, y]'`.
    fn place(&self, key: &str) -> Option<[f64; 2]> {
        let inside = self
            .text(key)?
            .trim()
            .strip_prefix('[')?
            .strip_suffix(']')?;
        let (x, y) = inside.split_once(',')?;
        let whole = |s: &str| {
            let s = s.trim();
            let fits = (1..=6).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
            fits.then(|| s.parse().ok())?
        };
        Some([whole(x)?, whole(y)?])
    }
}

/// Compares two actions.
///
/// Clicks and hover: closeness of the points. Drag: geometric mean of both ends. Scroll: closeness,
/// times the direction, times `1 - |steps difference| / (2 · true steps)`. Type: similarity of the
/// texts. Key: equal but for case. WAIT, DONE, FAIL: equal. Other arguments do not count.
///
/// # Errors
/// If the truth is no action.
pub fn compare(answer: &str, truth: &str) -> Result<Ruling, String> {
    let truth = read(truth).ok_or("it is not an action call")?;
    if !ACTIONS.contains(&truth.name.as_str()) {
        return Err(format!("the action {:?} is not known", truth.name));
    }
    let Some(answer) = read(answer) else {
        return Ok(Ruling::wrong("not an action call"));
    };
    if answer.name != truth.name {
        return Ok(Ruling::wrong("another action"));
    }
    let score = match truth.name.as_str() {
        "left_click" | "right_click" | "middle_click" | "left_double_click" | "hover" => {
            near(&answer, &truth, "start_box")?
        }
        "left_drag" => {
            let ends = near(&answer, &truth, "start_box")?.zip(near(&answer, &truth, "end_box")?);
            ends.map(|(start, end)| (start * end).sqrt())
        }
        "scroll" => scroll(&answer, &truth)?,
        "type" => {
            let expected = truth.text("content").ok_or("it has no content")?;
            answer
                .text("content")
                .map(|content| typed(content, expected))
        }
        "key" | "hotkey" => {
            let expected = truth.text("keys").ok_or("it has no keys")?;
            let same = |keys: &str| keys.to_lowercase() == expected.to_lowercase();
            answer
                .text("keys")
                .map(|keys| f64::from(u8::from(same(keys))))
        }
        _ => Some(1.0),
    };
    Ok(match score {
        Some(score) => Ruling::score(score, "closeness of the actions"),
        None => Ruling::wrong("an argument of the action is missing or malformed"),
    })
}

fn near(answer: &Call, truth: &Call, key: &str) -> Result<Option<f64>, String> {
    let expected = truth.place(key).ok_or_else(|| format!("it has no {key}"))?;
    Ok(answer.place(key).map(|place| closeness(place, expected)))
}

fn scroll(answer: &Call, truth: &Call) -> Result<Option<f64>, String> {
    let Some(place) = near(answer, truth, "start_box")? else {
        return Ok(None);
    };
    let expected = truth.text("direction").ok_or("it has no direction")?;
    let Some(direction) = answer.text("direction") else {
        return Ok(None);
    };
    let steps = match truth.number("step") {
        None => 1.0,
        Some(expected) => {
            let gap = (answer.number("step").unwrap_or(DEFAULT_STEPS) - expected).abs();
            if gap == 0.0 {
                1.0
            } else {
                (1.0 - gap / (2.0 * expected)).max(0.0)
            }
        }
    };
    Ok(Some(if direction == expected {
        place * steps
    } else {
        0.0
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn score(answer: &str, truth: &str) -> f64 {
        compare(answer, truth)
            .expect("a true action")
            .score
            .expect("always decided")
    }

    #[test]
    fn every_action() {
        let near = |answer: &str, truth: &str, expected: f64| {
            assert!(
                (score(answer, truth) - expected).abs() < 1e-5,
                "{answer}: {}",
                score(answer, truth)
            );
        };
        let click = "left_click(start_box='[100, 200]')";
        near(click, click, 1.0);
        near(
            "left_click(start_box='[110,190]', element_info='it's, OK')",
            click,
            0.858_579,
        );
        near("left_click(start_box='[130, 200]')", click, 0.4);
        near("left_click(start_box='[160, 200]')", click, 0.0);
        near("right_click(start_box='[100, 200]')", click, 0.0);
        near("left_click(start_box='[100, 200]'", click, 0.0);
        near("left_click(start_box=[100, 200])", click, 0.0);
        near("left_click()", click, 0.0);
        near(
            "left_click(start_box='[100, 200]') left_click(start_box='[1, 1]')",
            click,
            0.0,
        );
        let drag = "left_drag(start_box='[100, 100]', end_box='[300, 300]')";
        near(
            "left_drag(start_box='[105, 95]', end_box='[295, 305]')",
            drag,
            0.929_289,
        );
        let scroll = "scroll(start_box='[200, 200]', direction='down', step=3)";
        near(
            "scroll(start_box='[200, 200]', direction='down', step=4)",
            scroll,
            0.833_333,
        );
        near(
            "scroll(start_box='[200, 200]', direction='down', step=10)",
            scroll,
            0.0,
        );
        near(
            "scroll(start_box='[200, 200]', direction='down')",
            scroll,
            0.666_667,
        );
        near(
            "type(content='it\\'s (a, b)')",
            "type(content='it's (a, b)')",
            1.0,
        );
        near("key(keys='ctrl+c')", "key(keys='CTRL+C')", 1.0);
        near("DONE()", "DONE()", 1.0);
        near("done()", "DONE()", 0.0);
        assert!(compare("DONE()", "dance()").is_err() && compare("DONE()", "DONE").is_err());
    }

    proptest! {
        #[test]
        fn an_action_equals_itself(x in 0_u32..1000, y in 0_u32..1000, text in "[a-z ,()中]{0,20}") {
            for action in [format!("hover(start_box='[{x}, {y}]')"), format!("type(content='{text}')")] {
                prop_assert_eq!(score(&action, &action), 1.0);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[a-z_]{0,5}\\PC{0,30}") {
            let _ = read(&text);
        }
    }
}
