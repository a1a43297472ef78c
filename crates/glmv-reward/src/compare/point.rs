//! Points `(x, y)`: in a box, or near another point.

use super::bbox::Box4;
use super::literal::{self, Literal};

/// The one point of a text: `[x, y]`, `(x, y)`, `[[x, y]]`, or such a thing under a name; two
/// numbers and no more.
pub fn read(text: &str) -> Option<[f64; 2]> {
    let text = text.trim();
    if let Some(value) = literal::parse(text) {
        return pair(&value, 0);
    }
    let open = text.find(['(', '['])?;
    let close = text.rfind([')', ']'])?;
    let inside = text.get(open + 1..close)?;
    let mut numbers = inside
        .split(',')
        .map(|n| super::number::decimal(n).map(|n| n.value.to_f64()));
    let point = [numbers.next()??, numbers.next()??];
    numbers.next().is_none().then_some(point)
}

fn pair(value: &Literal, depth: usize) -> Option<[f64; 2]> {
    if depth > 3 {
        return None;
    }
    match value {
        Literal::List(items) => match items.as_slice() {
            [Literal::Number(x), Literal::Number(y)] => Some([x.to_f64(), y.to_f64()]),
            [inner] => pair(inner, depth + 1),
            _ => None,
        },
        Literal::Map(entries) => {
            let mut found = entries.iter().filter(|(name, _)| name.contains("point"));
            let point = pair(&found.next()?.1, depth + 1);
            found.next().is_none().then_some(point)?
        }
        Literal::Text(_) | Literal::Number(_) | Literal::Bool(_) | Literal::Null => None,
    }
}

/// True where the point lies in the box, edges included.
pub fn inside([x, y]: [f64; 2], b: &Box4) -> bool {
    (b[0]..=b[2]).contains(&x) && (b[1]..=b[3]).contains(&y)
}

/// Distance of two points.
pub fn distance([ax, ay]: [f64; 2], [bx, by]: [f64; 2]) -> f64 {
    (ax - bx).hypot(ay - by)
}

/// Closeness of a click: `1 - 0.2 d / 20` up to distance 20, then `1 - d / 50`, not below 0.
pub fn closeness(a: [f64; 2], b: [f64; 2]) -> f64 {
    let d = distance(a, b);
    if d <= 20.0 {
        1.0 - 0.2 * d / 20.0
    } else {
        (1.0 - d / 50.0).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ways_to_write_a_point() {
        for text in [
            "[5, 7]",
            "(5, 7)",
            "[[5,7]]",
            "click (5,7)",
            r#"{"point": [5, 7]}"#,
            "(5.0, 7)",
        ] {
            assert_eq!(read(text), Some([5.0, 7.0]), "{text}");
        }
        for text in [
            "",
            "5, 7",
            "[5]",
            "[1,2,3]",
            "(1,2) (3,4)",
            "(a, b)",
            "][",
            ")(",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn closeness_falls_with_distance(d in 0.0..100.0_f64, more in 0.0..50.0_f64) {
            let at = |d: f64| closeness([d, 0.0], [0.0, 0.0]);
            prop_assert!(at(d + more) <= at(d) && (0.0..=1.0).contains(&at(d)));
        }
    }
}
