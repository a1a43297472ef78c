use super::*;
use crate::{Sample, Values};

const VIEW: View = View {
    width: 72,
    height: 24,
    colors: false,
};

fn state() -> State {
    let curves = ["loss/train", "reward/mean"].map(str::to_owned);
    let mut state = State::new("toy run", 0, Some(8), &curves);
    for step in 1..=4_u32 {
        let mut values = Values::from([("loss/train", 4.0 / f64::from(step))]);
        values
            .set("rate/tokens_per_sec", 1500.0)
            .set("memory/bytes", 3.0 * 1024.0 * 1024.0);
        state.take_step(u64::from(step), f64::from(step) * 2.0, &values);
    }
    state
}

#[test]
fn a_frame_has_everything() {
    let mut state = state();
    state.phase = Some(("rollout".to_owned(), 3, 12));
    state.take_sample(&Sample {
        name: "eval/0".to_owned(),
        text: "A red\nsquare.".to_owned(),
        ..Sample::default()
    });
    let expected = [
        "toy run",
        "━━━━━━━━━━━━┄┄┄┄┄┄┄┄┄┄┄┄ 4/8 50 %   8s, 8s left",
        "━━━┄┄┄┄┄┄┄┄┄ rollout 3/12",
        "0.5000 step/s   1500 token/s   3.0 MiB",
        "loss/train      1.000  █▃▂▁",
        "sample eval/0",
        "  A red square.",
    ];
    assert_eq!(render(&state, VIEW), expected);
}

#[test]
fn a_frame_fits_any_terminal() {
    let mut state = state();
    state.title = "宽".repeat(200);
    state.take_sample(&Sample {
        name: "x".repeat(100),
        text: "日本語 text \x1b[31m".repeat(50),
        ..Sample::default()
    });
    for (width, height) in [(1, 1), (2, 3), (10, 4), (40, 10), (200, 50)] {
        for colors in [false, true] {
            let lines = render(
                &state,
                View {
                    width,
                    height,
                    colors,
                },
            );
            assert!(lines.len() < height.max(1), "{width} x {height}");
            for line in &lines {
                assert!(measure_text_width(line) < width, "{width}: {line}");
                assert!(!line.contains('\n') && !line.contains("\x1b[31m"));
                assert_eq!(line.contains('\x1b'), colors && line.contains("\x1b["));
            }
        }
    }
}

#[test]
fn without_an_end_there_is_no_bar() {
    let mut state = state();
    state.total_steps = None;
    assert_eq!(render(&state, VIEW)[1], "step 4   8s");
}

#[test]
fn colours_are_only_added() {
    let painted = render(
        &state(),
        View {
            colors: true,
            ..VIEW
        },
    );
    let stripped: Vec<_> = painted
        .iter()
        .map(|l| console::strip_ansi_codes(l).into_owned())
        .collect();
    assert_ne!(painted, stripped);
    assert_eq!(stripped, render(&state(), VIEW));
}
