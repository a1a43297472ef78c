use proptest::prelude::*;

use super::*;

/// Coordinates and label of each box, and the number of ignored ones.
type Parsed = (Vec<([f32; 4], Option<String>)>, usize);

fn parse(text: &str) -> Parsed {
    let found = parse_boxes(text);
    let boxes = found
        .boxes
        .into_iter()
        .map(|b| ([b.x1, b.y1, b.x2, b.y2], b.label))
        .collect();
    (boxes, found.ignored)
}

fn plain(boxes: &[[f32; 4]]) -> Parsed {
    (boxes.iter().map(|b| (*b, None)).collect(), 0)
}

const A: [f32; 4] = [10.0, 20.0, 300.0, 400.0];
const B: [f32; 4] = [0.0, 0.0, 1000.0, 999.5];

#[test]
fn every_bracket_style_is_read() {
    for text in [
        "[10,20,300,400]",
        "The cat is at <|begin_of_box|>[[10, 20, 300, 400]]<|end_of_box|>.",
        "(10,20),(300,400)",
        "( 10, 20 ) ( 300, 400 )",
        "(10, 20, 300, 400)",
        "[(10,20),(300,400)]",
        "<|box_start|>(10,20),(300,400)<|box_end|>",
        "x [1, 2] y [1,2,3,4,5] z [10,20,300,400]",
        "é{🦀 [10,20,300,400",
        r#"{"bbox_2d": [10, 20, 300, 400]}"#,
    ] {
        let want = if text.ends_with("400") {
            plain(&[])
        } else {
            plain(&[A])
        };
        assert_eq!(parse(text), want, "{text}");
    }
    assert_eq!(parse("[[10,20,300,400], [0,0,1000,999.5]]"), plain(&[A, B]));
    assert_eq!(
        parse("(10,20),(300,400);(0,0),(1000,999.5)"),
        plain(&[A, B])
    );
    assert_eq!(parse("(10,20) is a point, [1] a list"), plain(&[]));
}

#[test]
fn labels_come_from_objects() {
    let cat = |label: &str| (vec![(A, Some(label.to_owned()))], 0);
    for text in [
        r#"{"bbox_2d": [10, 20, 300, 400], "label": "cat"}"#,
        r#"```json [{"label": "cat", "bbox_2d": [10, 20, 300, 400]}]```"#,
        r#"{'bbox': [10, 20, 300, 400], 'label': 'cat'}"#,
        r#"{"objects": [{"name": "cat", "box": [[10, 20, 300, 400]]}], "colour": [1, 2, 3, 4]}"#,
    ] {
        assert_eq!(parse(text), cat("cat"), "{text}");
    }
    let text = r#"{"bbox_2d": [10, 20, 300, 400], "label": "a } [1,2,3,4] \" b"}"#;
    assert_eq!(parse(text), cat("a } [1,2,3,4] \" b"));
    let broken = r#"{"bbox_2d": [10, 20, 300, 400], "label": "cut of"#;
    assert_eq!(parse(broken), plain(&[A]), "a box survives a cut object");
}

#[test]
fn impossible_boxes_are_counted() {
    for text in [
        "[300,20,10,400]",
        "[1,2,1,4]",
        "[1,2,3,1000.5]",
        "[-1,2,3,4]",
        "(5,5),(5,9)",
    ] {
        assert_eq!(parse(text), (vec![], 1), "{text}");
    }
    let huge = format!("[1,2,3,{}]", "9".repeat(60));
    assert_eq!(parse(&huge), (vec![], 1));
    let text = r#"{"bbox_2d": [300, 20, 10, 400]} [10,20,300,400] [0,0,0,0]"#;
    assert_eq!(parse(text), (vec![(A, None)], 2));
    let braces = "{".repeat(200_000);
    assert_eq!(
        parse(&braces),
        plain(&[]),
        "long garbage takes no quadratic time"
    );
    assert_eq!(parse("[1,2,3,--4] [1,,2,3] [.,.,.,.]"), plain(&[]));
}

proptest! {
    /// Any text is read without a panic, and whatever comes out is a valid box.
    #[test]
    fn any_text_is_safe(text in r#"[\[\](){}",:'.0-9 \-bxé]{0,200}"#) {
        for b in parse_boxes(&text).boxes {
            prop_assert_eq!(BBox::new([b.x1, b.y1, b.x2, b.y2], b.label.clone()), Some(b));
        }
    }

    /// What is written is read.
    #[test]
    fn round_trip(x1 in 0_u32..999, y1 in 0_u32..999, w in 1_u32..500, h in 1_u32..500, style in 0..4) {
        let (x2, y2) = ((x1 + w).min(1000), (y1 + h).min(1000));
        let text = match style {
            0 => format!("at [{x1}, {y1}, {x2}, {y2}]."),
            1 => format!("[[{x1},{y1},{x2},{y2}]]"),
            2 => format!("({x1},{y1}),({x2},{y2})"),
            _ => format!(r#"{{"bbox_2d":[{x1},{y1},{x2},{y2}]}}"#),
        };
        prop_assert_eq!(parse(&text), plain(&[[x1 as f32, y1 as f32, x2 as f32, y2 as f32]]));
    }
}
