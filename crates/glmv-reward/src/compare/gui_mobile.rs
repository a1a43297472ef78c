//! Actions on a phone: one JSON object, as AndroidWorld and the GLM-V agent prompt have it.

use super::Ruling;
use super::bbox;
use super::edit_distance::subsequence_ratio;
use super::literal::{self, Literal};

/// Largest coordinate of an action's box.
const SIDE: i128 = 999;

/// Reads an action: an object in JSON or Python notation.
pub fn read(text: &str) -> Option<Vec<(String, Literal)>> {
    match literal::parse(text.trim())? {
        Literal::Map(entries) => Some(entries),
        _ => None,
    }
}

/// `[[x1, y1, x2, y2]]` with whole numbers from 0 to 999 in order.
fn action_box(value: &Literal) -> Option<bbox::Box4> {
    let Literal::List(outer) = value else {
        return None;
    };
    let Some(Literal::List(inner)) = outer.first() else {
        return None;
    };
    let mut sides = [0.0; 4];
    if inner.len() != 4 {
        return None;
    }
    for (side, item) in sides.iter_mut().zip(inner) {
        let Literal::Number(n) = item else {
            return None;
        };
        let n = n.as_int().filter(|n| (0..=SIDE).contains(n))?;
        *side = n as f64;
    }
    (sides[0] <= sides[2] && sides[1] <= sides[3]).then_some(sides)
}

/// Compares two actions: the same keys, and the product over the keys of 1 for equal values,
/// LCS over the longer length for `text`, IoU for `box_2d`, and 0 for anything else.
///
/// # Errors
/// If the truth is no action, or its box is none.
pub fn compare(answer: &str, truth: &str) -> Result<Ruling, String> {
    let truth = read(truth).ok_or("it is not an action object")?;
    let Some(answer) = read(answer) else {
        return Ok(Ruling::wrong("not an action object"));
    };
    let value = |key: &str| answer.iter().find(|(name, _)| name == key).map(|(_, v)| v);
    if answer.len() != truth.len() {
        return Ok(Ruling::wrong("other keys than the true action"));
    }
    let mut score = 1.0;
    for (key, expected) in &truth {
        let Some(given) = value(key) else {
            return Ok(Ruling::wrong(format!("the action has no key {key:?}")));
        };
        let part = if given == expected {
            1.0
        } else {
            match (key.as_str(), given, expected) {
                ("text", Literal::Text(given), Literal::Text(expected)) => {
                    subsequence_ratio(given, expected)
                }
                ("box_2d", given, expected) => {
                    let expected =
                        action_box(expected).ok_or("its box_2d is not [[x1, y1, x2, y2]]")?;
                    match action_box(given) {
                        Some(given) => bbox::iou(&given, &expected),
                        None => return Ok(Ruling::wrong("box_2d is not [[x1, y1, x2, y2]]")),
                    }
                }
                _ => return Ok(Ruling::wrong(format!("another value of {key:?}"))),
            }
        };
        score *= part;
    }
    Ok(Ruling::score(score, "product of the scores of the keys"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_values_and_boxes() {
        let truth = r#"{"action_type": "click", "box_2d": [[503,580,718,702]]}"#;
        let score = |answer: &str| compare(answer, truth).expect("a true action").score;
        assert_eq!(score(truth), Some(1.0));
        assert_eq!(
            score("{'box_2d': [[0503,580,718,702]], 'action_type': 'click'}"),
            Some(1.0)
        );
        let half = score(r#"{"action_type": "click", "box_2d": [[503,480,718,602]]}"#);
        assert!(half.is_some_and(|s| s > 0.0 && s < 0.2));
        for answer in [
            "",
            "{}",
            "[]",
            "click",
            r#"{"action_type": "click"}"#,
            r#"{"action_type": "click", "box_2d": []}"#,
            r#"{"action_type": "click", "box_2d": [[503,580,718.5,702]]}"#,
            r#"{"action_type": "click", "box_2d": [[503,580,718,1702]]}"#,
            r#"{"action_type": "click", "box_2d": [503,580,718,702]}"#,
            r#"{"action_type": "wait", "box_2d": [[503,580,718,702]]}"#,
        ] {
            assert_eq!(score(answer), Some(0.0), "{answer}");
        }
        assert!(compare("{}", "click").is_err());
    }

    proptest! {
        #[test]
        fn an_action_equals_itself(text in "[a-zA-Z0-9 '\"\\\\中]{0,20}", b in prop::array::uniform4(0_u32..999)) {
            let (x1, x2) = (b[0].min(b[1]), b[0].max(b[1]));
            let action = serde_json::json!({"action_type": "input_text", "text": text, "box_2d": [[x1, b[2].min(b[3]), x2, b[2].max(b[3])]]}).to_string();
            prop_assert_eq!(compare(&action, &action).expect("an action").score, Some(1.0));
        }
    }
}
