//! Where frames and lines go.

use std::fmt;
use std::io::Write;
use std::time::{Duration, Instant};

use console::Term;

use super::render::{View, render};
use super::state::State;
use super::text::{bytes, clean, duration, fit, number};
use crate::{Level, MonitorConfig, Sample, Values};

/// Between two frames, at least.
const FRAME_EVERY: Duration = Duration::from_millis(100);
/// Between two lines without a terminal, at least.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// Columns of a sample without a terminal.
const SAMPLE_WIDTH: usize = 300;
/// Erases from the cursor to the end of the screen.
const CLEAR_BELOW: &str = "\x1b[J";

/// What is shown while a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Display {
    /// A dashboard where stdout is a terminal, lines otherwise.
    #[default]
    Auto,
    /// Lines.
    Plain,
    /// Nothing.
    Silent,
}

/// How it is shown.
enum Screen {
    /// Frames over each other: how much room there is, the number of lines of the last frame.
    Live {
        out: Out,
        view: fn() -> View,
        num_lines: usize,
    },
    /// One line after the other.
    Plain(Out),
    Silent,
}

type Out = Box<dyn Write + Send>;

impl fmt::Debug for Screen {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            Self::Live { .. } => "Live",
            Self::Plain(_) => "Plain",
            Self::Silent => "Silent",
        })
    }
}

/// Shows the state of a run. What cannot be shown is no error: from then on nothing is.
#[derive(Debug)]
pub(crate) struct Dashboard {
    state: State,
    screen: Screen,
    started: Instant,
    shown: Option<Instant>,
    /// Whether the last step is not shown yet.
    is_behind: bool,
}

impl Dashboard {
    /// Looks at stdout; nothing is shown yet. `NO_COLOR` and the like are respected.
    pub(crate) fn new(config: &MonitorConfig) -> Self {
        let term = Term::stdout();
        let is_live = term.is_term() && !console::is_dumb();
        let screen = match config.display {
            Display::Silent => Screen::Silent,
            Display::Auto if is_live => Screen::Live {
                out: Box::new(term),
                view: stdout_view,
                num_lines: 0,
            },
            Display::Auto | Display::Plain => Screen::Plain(Box::new(term)),
        };
        let step = config.resume.unwrap_or(0);
        Self {
            state: State::new(&config.title, step, config.total_steps, &config.curves),
            screen,
            started: Instant::now(),
            shown: None,
            is_behind: false,
        }
    }

    /// Shows a step, unless the last frame or line is too fresh.
    pub(crate) fn step(&mut self, step: u64, values: &Values) {
        let elapsed = self.started.elapsed().as_secs_f64();
        self.state.take_step(step, elapsed, values);
        self.is_behind = true;
        self.show(false);
    }

    /// Shows a running part of a step.
    pub(crate) fn phase(&mut self, name: &str, done: u64, total: u64) {
        self.state.phase = Some((name.to_owned(), done, total));
        if matches!(self.screen, Screen::Live { .. }) {
            self.show(false);
        }
    }

    /// Shows a sample.
    pub(crate) fn sample(&mut self, sample: &Sample) {
        self.state.take_sample(sample);
        match &self.screen {
            Screen::Live { .. } => self.show(false),
            Screen::Plain(_) => {
                let text = format!("sample {}: {}", clean(&sample.name), clean(&sample.text));
                self.print(&fit(&text, SAMPLE_WIDTH));
            }
            Screen::Silent => {}
        }
    }

    /// Shows a note above the frame, where it stays.
    pub(crate) fn note(&mut self, step: u64, level: Level, text: &str) {
        self.print(&format!("step {step}: {}: {}", level.word(), clean(text)));
    }

    /// Shows the last state.
    pub(crate) fn finish(&mut self) {
        self.state.phase = None;
        if self.is_behind || matches!(self.screen, Screen::Live { .. }) {
            self.show(true);
        }
    }

    fn show(&mut self, always: bool) {
        let every = match self.screen {
            Screen::Live { .. } => FRAME_EVERY,
            Screen::Plain(_) => LINE_EVERY,
            Screen::Silent => return,
        };
        let is_fresh = self.shown.is_some_and(|shown| shown.elapsed() < every);
        if is_fresh && !always {
            return;
        }
        self.shown = Some(Instant::now());
        self.is_behind = false;
        self.state.elapsed_secs = self.started.elapsed().as_secs_f64();
        match &self.screen {
            Screen::Live { .. } => self.draw(""),
            Screen::Plain(_) => self.print(&line(&self.state)),
            Screen::Silent => {}
        }
    }

    /// Prints a line that stays.
    fn print(&mut self, text: &str) {
        match &self.screen {
            Screen::Live { .. } => self.draw(&format!("{text}\n")),
            Screen::Plain(_) => self.write(&format!("{text}\n")),
            Screen::Silent => {}
        }
    }

    /// Draws a frame over the last one, `above` it what stays; all in one write.
    fn draw(&mut self, above: &str) {
        let Screen::Live {
            view, num_lines, ..
        } = &mut self.screen
        else {
            return;
        };
        let view = view();
        let lines = render(&self.state, view);
        // On a terminal that has become smaller, the start of the last frame is out of reach.
        let mut frame = match (*num_lines).min(view.height.saturating_sub(1)) {
            0 => String::new(),
            up => format!("\x1b[{up}A\r{CLEAR_BELOW}"),
        };
        frame.push_str(above);
        for line in &lines {
            frame.push_str(line);
            frame.push('\n');
        }
        *num_lines = lines.len();
        self.write(&frame);
    }

    fn write(&mut self, text: &str) {
        let (Screen::Live { out, .. } | Screen::Plain(out)) = &mut self.screen else {
            return;
        };
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        if written.is_err() {
            self.screen = Screen::Silent;
        }
    }
}

fn stdout_view() -> View {
    let (height, width) = Term::stdout().size();
    View {
        width: usize::from(width),
        height: usize::from(height),
        colors: console::colors_enabled(),
    }
}

/// A run's state in one line.
fn line(state: &State) -> String {
    let mut parts = vec![match state.total_steps {
        Some(total) => format!("step {}/{total}", state.step),
        None => format!("step {}", state.step),
    }];
    for (name, values) in &state.curves {
        parts.extend(
            values
                .last()
                .map(|last| format!("{} {}", clean(name), number(*last))),
        );
    }
    parts.extend(
        state
            .steps_per_sec()
            .map(|rate| format!("{} step/s", number(rate))),
    );
    parts.extend(
        state
            .tokens_per_sec
            .map(|rate| format!("{} token/s", number(rate))),
    );
    parts.extend(state.memory_bytes.map(bytes));
    parts.extend(
        state
            .eta_secs()
            .map(|secs| format!("{} left", duration(secs))),
    );
    parts.join("  ")
}

#[cfg(test)]
#[path = "screen_tests.rs"]
mod tests;
