//! Boxes, points, actions and time intervals.

use super::Task;
use crate::lab::rng::Rng;

fn place(rng: &mut Rng) -> [i64; 4] {
    let (x, y) = (rng.int(10, 700), rng.int(10, 700));
    [x, y, x + rng.int(80, 200), y + rng.int(80, 200)]
}

fn written(boxes: &[[i64; 4]]) -> String {
    let boxes: Vec<_> = boxes
        .iter()
        .map(|b| format!("[{}, {}, {}, {}]", b[0], b[1], b[2], b[3]))
        .collect();
    format!("[{}]", boxes.join(", "))
}

fn moved(b: [i64; 4], by: i64) -> [i64; 4] {
    [b[0] + by, b[1], b[2] + by, b[3]]
}

/// One to three boxes that do not touch.
pub fn boxes(rng: &mut Rng) -> Task {
    let count = rng.int(1, 3);
    let truth: Vec<[i64; 4]> = (0..count)
        .map(|i| {
            let (x, y) = (10 + 320 * i, rng.int(10, 600));
            [x, y, x + rng.int(120, 300), y + rng.int(100, 300)]
        })
        .collect();
    let near: Vec<_> = truth.iter().map(|b| moved(*b, rng.int(-8, 8))).collect();
    let turned: Vec<_> = truth.iter().rev().copied().collect();
    let spray: Vec<_> = (0..20)
        .map(|i| [i * 45, i * 45, i * 45 + 60, i * 45 + 60])
        .collect();
    let doubled: Vec<_> = truth.iter().flat_map(|b| [*b, *b, *b]).collect();
    let objects: Vec<_> = truth
        .iter()
        .map(|b| serde_json::json!({"bbox_2d": b, "label": "x"}))
        .collect();
    Task::new("Where are they?", written(&truth), false)
        .right([
            written(&near),
            written(&turned),
            format!("They are at {}.", written(&truth)),
            serde_json::json!(objects).to_string(),
        ])
        .wrong([
            written(&[[0, 0, 1000, 1000]]),
            written(&spray),
            written(&doubled),
            "[1, 2, 3]".into(),
            "on the left".into(),
            "[[900, 900, 100, 100]]".into(),
        ])
}

/// One element of a screen.
pub fn target(rng: &mut Rng) -> Task {
    let b = place(rng);
    let (x, y) = ((b[0] + b[2]) / 2, (b[1] + b[3]) / 2);
    Task::new("Where is the button?", written(&[b]), false)
        .right([
            format!("[{x}, {y}]"),
            format!("({x}, {y})"),
            written(&[moved(b, 2)]),
            format!("click ({x}, {y})"),
        ])
        .wrong([
            format!("[{}, {y}]", b[2] + 5),
            written(&[moved(b, 220)]),
            written(&[[0, 0, 1000, 1000]]),
            written(&[b, moved(b, 1)]),
            "the button".into(),
        ])
}

/// One action on a phone.
pub fn mobile(rng: &mut Rng) -> Task {
    let b = place(rng);
    let text = rng.pick(&["Personal Finance Tracker", "weather tomorrow", "上海天气"]);
    let action = |kind: &str, text: &str, b: [i64; 4]| {
        serde_json::json!({"action_type": kind, "text": text, "override": true, "box_2d": [b]})
            .to_string()
    };
    let truth = action("input_text", text, b);
    let python = truth.replace('"', "'").replace("true", "True");
    let turned = format!(
        "{{\"box_2d\": {}, \"override\": true, \"text\": \"{text}\", \"action_type\": \"input_text\"}}",
        written(&[b])
    );
    Task::new("Type the text.", truth.clone(), false)
        .right([
            python.clone(),
            turned,
            truth.replace(',', ", "),
            action("input_text", text, moved(b, 1)),
        ])
        .wrong([
            action("click", text, b),
            action("input_text", text, moved(b, 230)),
            action("input_text", "0123456789", b),
            python.replace("True", "False"),
            "{}".into(),
            format!("{truth}{truth}"),
            format!("{{{truth}}}"),
            action("input_text", text, [0, 0, 999, 999]),
        ])
}

/// One action on a computer.
pub fn computer(rng: &mut Rng) -> Task {
    let (x, y) = (rng.int(60, 900), rng.int(60, 900));
    match rng.int(0, 3) {
        0 => {
            let text = rng.pick(&[
                "Hello World!",
                "ls -la /tmp",
                "monthly report",
                "你好，世界",
            ]);
            Task::new("Type.", format!("type(content='{text}')"), false)
                .right([
                    format!("type(content='{text} ')"),
                    format!("type( content='{text}' )"),
                    format!("type(content='{}')", text.to_uppercase()),
                ])
                .wrong([
                    "type(content='zzzzqqqq')".into(),
                    "type(content='')".into(),
                    format!("key(keys='{text}')"),
                    format!("type(content='{text}'"),
                    format!("type(content='{text}') DONE()"),
                ])
        }
        1 => Task::new("Press.", "key(keys='ctrl+s')", false)
            .right(["key(keys='Ctrl+S')", "key(keys='CTRL+S')"])
            .wrong([
                "key(keys='ctrl+x')",
                "hotkey(keys='ctrl+s')",
                "key()",
                "ctrl+s",
            ]),
        2 => Task::new(
            "Scroll.",
            format!("scroll(start_box='[{x}, {y}]', direction='down', step=5)"),
            false,
        )
        .right([
            format!("scroll(start_box='[{x}, {y}]', direction='down')"),
            format!(
                "scroll(start_box='[{},{y}]', direction='down', step=5)",
                x + 2
            ),
        ])
        .wrong([
            format!("scroll(start_box='[{x}, {y}]', direction='up', step=5)"),
            format!("scroll(start_box='[{x}, {y}]', direction='down', step=15)"),
            format!(
                "scroll(start_box='[{}, {y}]', direction='down', step=5)",
                x - 55
            ),
        ]),
        _ => {
            let kind = rng.pick(&["left_click", "right_click", "left_double_click", "hover"]);
            Task::new("Click.", format!("{kind}(start_box='[{x}, {y}]')"), false)
                .right([
                    format!("{kind}(start_box='[{x},{y}]', element_info='OK')"),
                    format!("{kind}(start_box='[{}, {}]')", x + 3, y - 4),
                ])
                .wrong([
                    format!("{kind}(start_box='[{}, {y}]')", x - 48),
                    format!("middle_click(start_box='[{x}, {y}]')"),
                    format!("{kind}(start_box='[{x}]')"),
                    format!("{kind}(start_box='[{x}, {y}]'"),
                    format!("({x}, {y})"),
                    "WAIT()".into(),
                ])
        }
    }
}

/// One action in a browser.
pub fn web(rng: &mut Rng) -> Task {
    let (x, y) = (rng.int(10, 900), rng.int(10, 900));
    match rng.int(0, 3) {
        0 => Task::new(
            "Type.",
            format!("TYPE(point=({x}, {y}), text='green tea', element_info='Search')"),
            false,
        )
        .right([
            format!("TYPE(point=({x},{y}), text='green tea')"),
            format!("TYPE(point=({x}, {y}), text='green tea', box=[[1,2,3,4]])"),
        ])
        .wrong([
            format!("TYPE(point=({x}, {y}), text='zzz')"),
            format!("CLICK(point=({x}, {y}))"),
            format!("TYPE(point=({x}, {y}))"),
        ]),
        1 => {
            let n = rng.int(1, 60);
            Task::new("Click.", format!("Click [{n}]"), false)
                .right([format!("Click {n}"), format!(" Click [{n}] ")])
                .wrong([
                    format!("Click [{}]", n + 1),
                    format!("Type [{n}]; [x]"),
                    "Wait".into(),
                    "GoBack".into(),
                ])
        }
        2 => Task::new("Answer.", "ANSWER(content='The Blue Door')", false).wrong([
            "ANSWER(content='zzzz')",
            "ANSWER(content='')",
            "KEY_PRESS(key='Enter')",
        ]),
        _ => Task::new(
            "Click.",
            format!("CLICK(point=({x}, {y}), element_info='Menu')"),
            false,
        )
        .right([
            format!("CLICK(point=({x},{y}))"),
            format!("CLICK(point=({x}, {y}), box=[[1,2,3,4]], element_info='Menu')"),
        ])
        .wrong([
            format!("CLICK(point=({}, {y}), element_info='Menu')", x + 1),
            format!("CLICK(point=({}, {y}))", x + 1),
            format!("CLICK(point=({x}, {y})) CLICK(point=(1, 1))"),
            format!("SCROLL_DOWN(point=({x}, {y}), distance=1)"),
        ]),
    }
}

/// When something happens.
pub fn interval(rng: &mut Rng) -> Task {
    let (start, length) = (rng.int(0, 400), rng.int(20, 90));
    let end = start + length;
    let clock = |s: i64| format!("{:02}:{:02}", s / 60, s % 60);
    Task::new("When does it happen?", format!("[{start}, {end}]"), false)
        .right([
            format!("{start} - {end}"),
            format!("from {start}s to {end}s"),
            format!("{}-{}", clock(start), clock(end)),
            format!("{start}.0 to {end}.5 seconds"),
        ])
        .wrong([
            format!("[{}, {}]", end + 1, end + length),
            "[0, 5000]".into(),
            format!("{start}"),
            format!("[{end}, {start}]"),
            format!("{start}, {}, {end}", start + 1),
            "at the end".into(),
        ])
}
