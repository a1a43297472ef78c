use std::io;
use std::sync::{Arc, Mutex};

use super::*;

/// What was written, one entry per write; fails after `left` of them.
#[derive(Clone)]
struct Recorder {
    writes: Arc<Mutex<Vec<String>>>,
    left: usize,
}

impl Write for Recorder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(1).ok_or(io::ErrorKind::Other)?;
        let text = std::str::from_utf8(bytes).expect("text").to_owned();
        self.writes.lock().expect("not poisoned").push(text);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn dashboard(is_live: bool, left: usize) -> (Dashboard, Recorder) {
    let recorder = Recorder {
        writes: Arc::default(),
        left,
    };
    let out = Box::new(recorder.clone());
    let view = || View {
        width: 60,
        height: 20,
        colors: false,
    };
    let mut dashboard = Dashboard::new(&MonitorConfig {
        display: Display::Silent,
        total_steps: Some(9),
        ..MonitorConfig::default()
    });
    dashboard.screen = match is_live {
        true => Screen::Live {
            out,
            view,
            num_lines: 0,
        },
        false => Screen::Plain(out),
    };
    (dashboard, recorder)
}

fn drive(dashboard: &mut Dashboard) {
    for step in 1..=9 {
        dashboard.phase("rollout", 1, 2);
        dashboard.step(step, &Values::from([("loss/train", 0.5)]));
    }
    dashboard.note(9, Level::Warn, "careful\x1b[2J");
    dashboard.sample(&Sample::default());
    dashboard.finish();
}

#[test]
fn plain_lines_have_no_escapes_and_the_last_step() {
    let (mut dashboard, recorder) = dashboard(false, 99);
    drive(&mut dashboard);
    let writes = recorder.writes.lock().expect("not poisoned");
    assert!(
        writes
            .iter()
            .all(|line| line.ends_with('\n') && !line.contains('\x1b'))
    );
    assert!(
        writes[0].starts_with("step 1/9  loss/train 0.5000"),
        "{writes:?}"
    );
    assert_eq!(writes[1], "step 9: warn: careful\u{fffd}[2J\n");
    assert!(writes.last().expect("some").starts_with("step 9/9"));
    assert!(
        writes.len() <= 5,
        "steps of one second share a line: {writes:?}"
    );
}

#[test]
fn each_frame_replaces_the_one_before() {
    let (mut dashboard, recorder) = dashboard(true, 99);
    drive(&mut dashboard);
    let writes = recorder.writes.lock().expect("not poisoned");
    assert!(writes.len() <= 4, "frames are 100 ms apart: {writes:?}");
    let mut num_lines = 0;
    for frame in writes.iter() {
        let up = format!("\x1b[{num_lines}A\r\x1b[J");
        let lines = match num_lines {
            0 => frame.as_str(),
            _ => frame
                .strip_prefix(&up)
                .expect("back to the start of the last frame"),
        };
        assert!(
            lines.ends_with('\n') && !lines.contains('\x1b'),
            "{lines:?}"
        );
        let stays = usize::from(lines.contains("warn: careful"));
        num_lines = lines.lines().count() - stays;
    }
    assert!(writes.last().expect("some").contains("9/9 100 %"));
}

#[test]
fn a_terminal_that_goes_away_is_not_written_again() {
    let (mut dashboard, recorder) = dashboard(true, 1);
    drive(&mut dashboard);
    assert!(matches!(dashboard.screen, Screen::Silent));
    assert_eq!(recorder.writes.lock().expect("not poisoned").len(), 1);
}
