//! Bounding boxes in an answer: text in, boxes in 0–1000 coordinates out; called by the command
//! line (`--draw-boxes`, `--json`) and by whoever scores grounding.

use serde::Serialize;
use serde_json::Value;

#[cfg(test)]
mod tests;

/// A box in thousandths of the image's width and height, origin at the top left.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BBox {
    /// Left edge, 0..=1000.
    pub x1: f32,
    /// Top edge, 0..=1000.
    pub y1: f32,
    /// Right edge, 0..=1000, greater than `x1`.
    pub x2: f32,
    /// Bottom edge, 0..=1000, greater than `y1`.
    pub y2: f32,
    /// The object's name, where the answer gave one next to the box.
    pub label: Option<String>,
}

impl BBox {
    /// A box of `[x1, y1, x2, y2]`; `None` if a number is outside 0..=1000 or the box is empty.
    pub fn new([x1, y1, x2, y2]: [f32; 4], label: Option<String>) -> Option<Self> {
        let inside = [x1, y1, x2, y2].iter().all(|v| (0.0..=1000.0).contains(v));
        (inside && x1 < x2 && y1 < y2).then_some(Self {
            x1,
            y1,
            x2,
            y2,
            label,
        })
    }
}

/// What [`parse_boxes`] found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ParsedBoxes {
    /// Valid boxes, in the order of the text.
    pub boxes: Vec<BBox>,
    /// Four-number groups that are no valid box: outside 0..=1000, or of no area.
    pub ignored: usize,
}

impl ParsedBoxes {
    fn add(&mut self, coordinates: [f32; 4], label: Option<String>) {
        match BBox::new(coordinates, label) {
            Some(bbox) => self.boxes.push(bbox),
            None => self.ignored += 1,
        }
    }
}

/// Keys of an object whose value is a box or a list of boxes.
const BOX_KEYS: [&str; 6] = ["bbox_2d", "box_2d", "bbox", "box", "bboxes", "boxes"];
/// Keys of an object whose value names it.
const LABEL_KEYS: [&str; 3] = ["label", "name", "category"];

/// Finds the boxes of an answer, inside and outside of box markers.
///
/// Forms: `[x1,y1,x2,y2]`, lists of it, `(x1,y1),(x2,y2)`, `(x1,y1,x2,y2)`, and objects such as
/// `{"bbox_2d": [x1,y1,x2,y2], "label": "cat"}` (single quotes are accepted). Groups of another
/// size are not boxes and are not counted. Source: GLM-V paper (arXiv 2507.01006), appendix B:
/// "bracket styles vary; 0..1000".
pub fn parse_boxes(text: &str) -> ParsedBoxes {
    let mut found = ParsedBoxes::default();
    let mut at = 0;
    while let Some(offset) = text[at..].find(['{', '[', '(']) {
        at += offset;
        let rest = &text[at..];
        at += if let Some((value, len)) = object_at(rest) {
            collect(&value, &mut found);
            len
        } else if let Some((coordinates, len)) = box_at(rest) {
            found.add(coordinates, None);
            len
        } else {
            1 // all three brackets are one byte long
        };
    }
    found
}

/// A JSON object at the start of `text`, and its length in bytes.
fn object_at(text: &str) -> Option<(Value, usize)> {
    if !text.starts_with('{') {
        return None;
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    if let Some(Ok(value)) = values.next() {
        return Some((value, values.byte_offset()));
    }
    // Python's way of printing: single quotes. Only flat objects, up to the next brace.
    let len = 2 + text[1..]
        .find(['{', '}'])
        .filter(|&at| text[1 + at..].starts_with('}'))?;
    let value = serde_json::from_str(&text[..len].replace('\'', "\"")).ok()?;
    Some((value, len))
}

/// Walks an object: boxes under the known keys, then whatever is nested.
fn collect(value: &Value, found: &mut ParsedBoxes) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(map) => {
            let label = LABEL_KEYS.iter().find_map(|key| map.get(*key)?.as_str());
            for (key, item) in map {
                if BOX_KEYS.contains(&key.as_str()) {
                    add_value(item, label, found);
                } else {
                    collect(item, found);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The value of a box key: four numbers, a list of such, or an object again.
fn add_value(value: &Value, label: Option<&str>, found: &mut ParsedBoxes) {
    let Value::Array(items) = value else {
        return collect(value, found);
    };
    let numbers: Option<Vec<f32>> = items
        .iter()
        .map(|item| item.as_f64().map(|v| v as f32))
        .collect();
    match numbers.as_deref() {
        Some(&[x1, y1, x2, y2]) => found.add([x1, y1, x2, y2], label.map(str::to_owned)),
        Some(_) => {}
        None => items.iter().for_each(|item| add_value(item, label, found)),
    }
}

/// A box in brackets at the start of `text`, and its length in bytes.
fn box_at(text: &str) -> Option<([f32; 4], usize)> {
    let mut scan = Scan { text, at: 0 };
    if scan.skip('[') {
        let numbers = scan.numbers(']')?;
        return Some((numbers.try_into().ok()?, scan.at));
    }
    if !scan.skip('(') {
        return None;
    }
    let first = scan.numbers(')')?;
    if let [x1, y1] = first[..] {
        scan.skip(',');
        let second = scan.skip('(').then(|| scan.numbers(')'))??;
        let [x2, y2] = second[..] else { return None };
        return Some(([x1, y1, x2, y2], scan.at));
    }
    Some((first.try_into().ok()?, scan.at))
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl Scan<'_> {
    /// Skips white space and then `wanted`; true if it was there.
    fn skip(&mut self, wanted: char) -> bool {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start();
        let found = trimmed.starts_with(wanted);
        if found {
            self.at += rest.len() - trimmed.len() + wanted.len_utf8();
        }
        found
    }

    /// Numbers separated by commas up to `close`; at most 4, so that long lists cost nothing.
    fn numbers(&mut self, close: char) -> Option<Vec<f32>> {
        let mut numbers = Vec::with_capacity(4);
        while numbers.len() < 4 {
            numbers.push(self.number()?);
            if self.skip(close) {
                return Some(numbers);
            }
            if !self.skip(',') {
                return None;
            }
        }
        None
    }

    fn number(&mut self) -> Option<f32> {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start();
        let is_number = |c: char| c.is_ascii_digit() || c == '.' || c == '-';
        let len = trimmed.find(|c| !is_number(c)).unwrap_or(trimmed.len());
        self.at += rest.len() - trimmed.len() + len;
        trimmed[..len].parse().ok()
    }
}
