//! Boxes `[x1, y1, x2, y2]` in thousandths, intersection over union, and their matching.

use super::literal::{self, Literal};

/// Largest coordinate.
pub const SIDE: f64 = 1000.0;
/// Most boxes of one answer.
pub const MAX_BOXES: usize = 400;

/// A box: left, top, right, bottom.
pub type Box4 = [f64; 4];

/// True for coordinates within 0..=1000, in order, with an area.
pub fn valid(b: &Box4) -> bool {
    b.iter().all(|x| (0.0..=SIDE).contains(x)) && b[0] < b[2] && b[1] < b[3]
}

/// Intersection over union; 0 where either has no area.
pub fn iou(a: &Box4, b: &Box4) -> f64 {
    let area = |b: &Box4| (b[2] - b[0]).max(0.0) * (b[3] - b[1]).max(0.0);
    let width = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let height = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    let common = width * height;
    let union = area(a) + area(b) - common;
    if union > 0.0 { common / union } else { 0.0 }
}

/// Pairs of answer and truth with IoU above `tau`, each box in one pair at most: the best pair
/// first, then the best of what is left.
pub fn matches(answer: &[Box4], truth: &[Box4], tau: f64) -> Vec<(usize, usize, f64)> {
    let mut pairs = Vec::new();
    for (i, a) in answer.iter().enumerate().filter(|(_, a)| valid(a)) {
        for (j, t) in truth.iter().enumerate() {
            let overlap = iou(a, t);
            if overlap > tau {
                pairs.push((i, j, overlap));
            }
        }
    }
    pairs.sort_by(|x, y| y.2.total_cmp(&x.2).then((x.0, x.1).cmp(&(y.0, y.1))));
    let (mut used, mut taken) = (vec![false; answer.len()], vec![false; truth.len()]);
    pairs.retain(|(i, j, _)| {
        let free = !used[*i] && !taken[*j];
        if free {
            (used[*i], taken[*j]) = (true, true);
        }
        free
    });
    pairs
}

/// Matched boxes over the larger of the two counts (GLM-V paper, table 1: boxes with IoU above τ
/// over total boxes). Two empty lists agree.
pub fn reward(answer: &[Box4], truth: &[Box4], tau: f64) -> f64 {
    let total = answer.len().max(truth.len());
    if total == 0 {
        return 1.0;
    }
    matches(answer, truth, tau).len() as f64 / total as f64
}

/// The boxes of a text: `[x1,y1,x2,y2]`, a list of them, or objects with such a list.
///
/// Any text may stand around them, but every bracket with numbers must be a box of four: a list of
/// three is `None`, and so are more than [`MAX_BOXES`] boxes. A text without brackets has no boxes.
pub fn read(text: &str) -> Option<Vec<Box4>> {
    let mut boxes = Vec::new();
    if let Some(value) = literal::parse(text.trim()) {
        collect(&value, &mut boxes, 0)?;
        return (boxes.len() <= MAX_BOXES).then_some(boxes);
    }
    let mut rest = text;
    while let Some(at) = rest.find('[') {
        rest = &rest[at..];
        let end = rest.find(']')?;
        if let Some(value) = literal::parse(&rest[..=end]) {
            collect(&value, &mut boxes, 0)?;
            rest = &rest[end + 1..];
        } else {
            // The bracket before this one's content, or text in brackets.
            let inner = rest[1..end].trim_start();
            if inner.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
                return None;
            }
            rest = &rest[1..];
        }
        if boxes.len() > MAX_BOXES {
            return None;
        }
    }
    Some(boxes)
}

fn collect(value: &Literal, boxes: &mut Vec<Box4>, depth: usize) -> Option<()> {
    if depth > 4 {
        return None;
    }
    match value {
        Literal::List(items) if items.iter().any(|i| matches!(i, Literal::Number(_))) => {
            let mut coordinates = [0.0; 4];
            if items.len() != 4 {
                return None;
            }
            for (slot, item) in coordinates.iter_mut().zip(items) {
                let Literal::Number(n) = item else {
                    return None;
                };
                *slot = n.to_f64();
            }
            boxes.push(coordinates);
        }
        Literal::List(items) => {
            items
                .iter()
                .try_for_each(|item| collect(item, boxes, depth + 1))?;
        }
        Literal::Map(entries) => {
            let named = |name: &str| name.contains("box") || name.contains("coord");
            for (_, item) in entries.iter().filter(|(name, _)| named(name)) {
                collect(item, boxes, depth + 1)?;
            }
        }
        Literal::Text(_) | Literal::Number(_) | Literal::Bool(_) | Literal::Null => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ways_to_write_boxes() {
        let one = vec![[100.0, 100.0, 200.0, 200.0]];
        for text in [
            "[100,100,200,200]",
            "[[100, 100, 200, 200]]",
            "The cat is at [100,100,200,200].",
            r#"[{"bbox_2d": [100,100,200,200], "label": "cat"}]"#,
            r#"{"box_2d": [[100,100,200,200]]}"#,
            "cat: [[100,100,200,200]]",
        ] {
            assert_eq!(read(text), Some(one.clone()), "{text}");
        }
        assert_eq!(read("[0,0,1,1], [2,2,3,3]").map(|b| b.len()), Some(2));
        assert_eq!(read("[]"), Some(Vec::new()));
        assert_eq!(read("no box"), Some(Vec::new()));
        for text in [
            "[1,2,3]",
            "[1,2,3,4,5]",
            "[[1,2,3,4],[5,6]]",
            "5",
            "[1, x, 2, 3]",
            "[1,2,3,4",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    fn any_box() -> impl Strategy<Value = Box4> {
        (
            0.0..900.0_f64,
            0.0..900.0_f64,
            1.0..100.0_f64,
            1.0..100.0_f64,
        )
            .prop_map(|(x, y, w, h)| [x, y, x + w, y + h])
    }

    proptest! {
        #[test]
        fn overlap_is_symmetric_and_bounded(a in any_box(), b in any_box()) {
            prop_assert!((0.0..=1.0).contains(&iou(&a, &b)));
            prop_assert_eq!(iou(&a, &b), iou(&b, &a));
            prop_assert!((iou(&a, &a) - 1.0).abs() < 1e-12);
        }

        #[test]
        fn order_does_not_matter_and_doubles_do_not_pay(boxes in prop::collection::vec(any_box(), 1..8), turn in 0_usize..8) {
            let mut turned = boxes.clone();
            turned.rotate_left(turn % boxes.len());
            prop_assert!((reward(&turned, &boxes, 0.5) - 1.0).abs() < 1e-12);
            turned.push(boxes[0]);
            prop_assert!(reward(&turned, &boxes, 0.5) < 1.0);
        }
    }
}
