//! Actions in a browser, as WebVoyager has them: `CLICK(point=(214, 100), element_info='Dinners')`,
//! and the older `Click [5]` on numbered marks.

use super::Ruling;
use super::edit_distance::subsequence_ratio;

/// Score of the right element at another point, and of the least that such an action scores.
const ELSEWHERE: f64 = 0.05;

/// An action.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// `CLICK`.
    Click(Point, Option<String>),
    /// `TYPE`: point and text.
    Type(Point, String),
    /// `KEY_PRESS`, lower case.
    Key(String),
    /// `SCROLL_UP`, `SCROLL_DOWN`: point, down, distance.
    Scroll(Point, bool, Option<String>),
    /// `ANSWER`.
    Answer(String),
    /// `Click [5]`.
    ClickMark(u32),
    /// `Type [5]; [text]`.
    TypeMark(u32, String),
    /// `Key; [Enter]`, lower case.
    KeyMark(String),
    /// `Scroll [5]; [down]`, `Scroll [WINDOW]; [down]`: mark, down.
    ScrollMark(Option<u32>, bool),
    /// `Wait`, `GoBack`, `Google`, `Bing`.
    Plain(&'static str),
    /// `ANSWER; <content>…</content>`.
    AnswerMark(String),
}

type Point = (u32, u32);

/// Reads one action; several, or text around it, are none.
pub fn read(text: &str) -> Option<Action> {
    let text = text.trim();
    let text = text.strip_prefix("Action:").unwrap_or(text).trim();
    call(text).or_else(|| marked(text))
}

fn call(text: &str) -> Option<Action> {
    let (name, rest) = text.split_once('(')?;
    let mut rest = rest.strip_suffix(')')?.trim();
    let (mut point, mut info, mut value, mut distance) = (None, None, None, None);
    while !rest.is_empty() {
        let (key, tail) = rest.split_once('=')?;
        let tail = tail.trim_start();
        let (argument, tail) = if let Some(body) = tail.strip_prefix('\'') {
            let end = closing_quote(body)?;
            (body[..end].replace("\\'", "'"), &body[end + 1..])
        } else {
            let close = match tail.chars().next()? {
                '(' => tail.find(')')? + 1,
                '[' => tail.rfind(']')? + 1,
                _ => tail.find(',').unwrap_or(tail.len()),
            };
            (tail[..close].to_owned(), &tail[close..])
        };
        match key.trim() {
            "point" => point = Some(numbers(&argument)?),
            "element_info" => info = Some(argument),
            "text" | "key" | "content" => value = Some(argument),
            "distance" => distance = Some(argument.trim().to_owned()),
            "box" => {}
            _ => return None,
        }
        rest = tail.trim_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix(',')?.trim_start();
        }
    }
    Some(match name.trim() {
        "CLICK" => Action::Click(point?, info),
        "TYPE" => Action::Type(point?, value.unwrap_or_default()),
        "KEY_PRESS" => Action::Key(value?.to_lowercase()),
        "SCROLL_DOWN" => Action::Scroll(point?, true, distance),
        "SCROLL_UP" => Action::Scroll(point?, false, distance),
        "ANSWER" => Action::Answer(value?),
        _ => return None,
    })
}

/// The quote that ends a string: the first one that a comma, a bracket or the end follows.
fn closing_quote(body: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        if c == '\'' && !escaped {
            let tail = body[at + 1..].trim_start();
            if tail.is_empty() || tail.starts_with([',', ')']) {
                return Some(at);
            }
        }
        escaped = c == '\\' && !escaped;
    }
    None
}

fn numbers(text: &str) -> Option<Point> {
    let (x, y) = text
        .trim()
        .strip_prefix('(')?
        .strip_suffix(')')?
        .split_once(',')?;
    let whole = |s: &str| s.trim().parse::<u32>().ok();
    Some((whole(x)?, whole(y)?))
}

fn marked(text: &str) -> Option<Action> {
    for name in ["Wait", "GoBack", "Google", "Bing"] {
        if text.trim_end_matches('.') == name {
            return Some(Action::Plain(name));
        }
    }
    let parts = |body: &str| -> Vec<String> {
        let cut = body
            .split_once([';', ' '])
            .map_or_else(|| vec![body], |(a, b)| vec![a, b]);
        let bare = |p: &str| {
            let p = p.trim().trim_start_matches(';').trim();
            p.strip_prefix('[')
                .and_then(|p| p.strip_suffix(']'))
                .unwrap_or(p)
                .to_owned()
        };
        cut.into_iter()
            .map(bare)
            .filter(|p| !p.is_empty())
            .collect()
    };
    let body = |name: &str| {
        text.strip_prefix(name)
            .filter(|b| b.starts_with([' ', ';']))
            .map(str::trim)
    };
    if let Some(body) = body("ANSWER") {
        let content = body
            .trim_start_matches(';')
            .trim()
            .strip_prefix("<content>")?;
        return Some(Action::AnswerMark(
            content.strip_suffix("</content>")?.into(),
        ));
    }
    if let Some(body) = body("Click") {
        let [mark] = parts(body).try_into().ok()?;
        return mark.parse().ok().map(Action::ClickMark);
    }
    if let Some(body) = body("Type") {
        let [mark, text] = parts(body).try_into().ok()?;
        return Some(Action::TypeMark(mark.parse().ok()?, text));
    }
    if let Some(body) = body("Key") {
        let body = body.trim_start_matches(';').trim();
        let key = body
            .strip_prefix('[')
            .and_then(|p| p.strip_suffix(']'))
            .unwrap_or(body);
        return (!key.is_empty()).then(|| Action::KeyMark(key.to_lowercase()));
    }
    let [mark, direction] = parts(body("Scroll")?).try_into().ok()?;
    let mark = if mark == "WINDOW" {
        None
    } else {
        Some(mark.parse().ok()?)
    };
    match direction.as_str() {
        "down" => Some(Action::ScrollMark(mark, true)),
        "up" => Some(Action::ScrollMark(mark, false)),
        _ => None,
    }
}

/// Compares two actions. Boxes do not count.
///
/// # Errors
/// If the truth is no action.
pub fn compare(answer: &str, truth: &str) -> Result<Ruling, String> {
    let truth = read(truth).ok_or("it is not a web action")?;
    let Some(answer) = read(answer) else {
        return Ok(Ruling::wrong("not a web action"));
    };
    let score = match (&answer, &truth) {
        (Action::Click(a, info), Action::Click(t, true_info)) => {
            if a == t {
                1.0
            } else if info == true_info {
                ELSEWHERE
            } else {
                0.0
            }
        }
        (Action::Type(a, text), Action::Type(t, true_text)) => {
            let alike = subsequence_ratio(text, true_text);
            if a == t {
                alike
            } else if alike > ELSEWHERE {
                0.95 * alike
            } else {
                ELSEWHERE
            }
        }
        (Action::Key(a), Action::Key(t)) if a == t => 1.0,
        (Action::Key(a), Action::Key(t)) => {
            let pair = |a: &str, b: &str| a == "return" && b == "enter";
            if pair(a, t) || pair(t, a) {
                ELSEWHERE
            } else {
                0.0
            }
        }
        (Action::Scroll(a, down, far), Action::Scroll(t, true_down, true_far)) => {
            if a == t && down == true_down {
                distance(far.as_deref(), true_far.as_deref())
            } else {
                0.0
            }
        }
        (Action::Answer(a), Action::Answer(t)) => subsequence_ratio(a, t),
        (Action::AnswerMark(a), Action::AnswerMark(t)) => subsequence_ratio(a, t),
        (Action::TypeMark(a, text), Action::TypeMark(t, true_text)) if a == t => {
            subsequence_ratio(text, true_text)
        }
        (a, t) => f64::from(u8::from(a == t)),
    };
    Ok(Ruling::score(score, "closeness of the actions"))
}

/// `1 - |difference| / larger` of two distances; the same text scores 1.
fn distance(a: Option<&str>, t: Option<&str>) -> f64 {
    if a == t {
        return 1.0;
    }
    let number = |text: Option<&str>| text?.parse::<f64>().ok().filter(|x| x.is_finite());
    let (Some(a), Some(t)) = (number(a), number(t)) else {
        return 0.0;
    };
    let larger = a.abs().max(t.abs());
    if larger == 0.0 {
        1.0
    } else {
        (1.0 - (a - t).abs() / larger).max(0.0)
    }
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
        let click = "CLICK(point=(230, 100), element_info='Dinners')";
        near(click, click, 1.0);
        near(
            "CLICK(point=(230, 100), box=[[1,2,3,4]], element_info='x')",
            click,
            1.0,
        );
        near(
            "CLICK(point=(214,100), box=[[1,2,3,4]], element_info='Dinners')",
            click,
            0.05,
        );
        near("CLICK(point=(214, 100))", click, 0.0);
        near(&format!("{click} {click}"), click, 0.0);
        near(
            "TYPE(point=(1, 1), text='zzz')",
            "TYPE(point=(2, 2), text='abcd')",
            0.05,
        );
        near(
            "TYPE(point=(2, 2), text='it's, (b)')",
            "TYPE(point=(2, 2), text='it's, (b)')",
            1.0,
        );
        near("KEY_PRESS(key='Return')", "KEY_PRESS(key='Enter')", 0.05);
        near(
            "SCROLL_DOWN(point=(2, 1), distance=50)",
            "SCROLL_DOWN(point=(2, 1), distance=0)",
            0.0,
        );
        near(
            "SCROLL_DOWN(point=(2, 1), distance=0.5, element_info='a')",
            "SCROLL_DOWN(point=(2, 1), distance=0.75)",
            0.666_667,
        );
        near("Click [5]", "Click 5", 1.0);
        near("Type [5]; [abcd]", "Type [5]; [abc]", 0.75);
        near("Type [5]; [abc]", "Type [6]; [abc]", 0.0);
        near("Key; [enter]", "Key; [Enter]", 1.0);
        near("Scroll [WINDOW]; [up]", "Scroll [WINDOW]; [down]", 0.0);
        near("Scroll [3]; [down]", "Scroll [3]; [down]", 1.0);
        near("GoBack", "GoBack", 1.0);
        near("Wait", "GoBack", 0.0);
        near(
            "ANSWER; <content>abc</content>",
            "ANSWER; <content>abcd</content>",
            0.75,
        );
        near("Click [5]", "CLICK(point=(1, 1))", 0.0);
        assert!(compare("Wait", "do it").is_err());
    }

    proptest! {
        #[test]
        fn an_action_equals_itself(x in 0_u32..1000, y in 0_u32..1000, text in "[a-z ,()中]{0,20}") {
            for action in [format!("CLICK(point=({x}, {y}))"), format!("TYPE(point=({x}, {y}), text='{text}')"), format!("ANSWER(content='{text}')")] {
                prop_assert_eq!(score(&action, &action), 1.0);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "(CLICK|TYPE|Type|Key|Scroll|ANSWER)?\\PC{0,30}") {
            let _ = read(&text);
        }
    }
}
