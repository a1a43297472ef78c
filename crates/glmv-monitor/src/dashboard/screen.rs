//! Where frames and lines go.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use console::Term;

use super::render::{View, render};
use super::state::State;
use super::text::{bytes, clean, duration, number};
use crate::{Error, Level, MonitorConfig, Sample, Values, error};

/// Between two frames, at least.
const FRAME_EVERY: Duration = Duration::from_millis(100);
/// Between two lines without a terminal, at least.
const LINE_EVERY: Duration = Duration::from_secs(1);
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
#[derive(Debug)]
enum Screen {
    /// Frames over each other; the number of lines of the last one.
    Live {
        term: Term,
        num_lines: usize,
    },
    /// One line after the other.
    Plain(Term),
    Silent,
}

/// Shows the state of a run.
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
        let screen = match config.display {
            Display::Silent => Screen::Silent,
            Display::Auto if term.is_term() && !console::is_dumb() => {
                Screen::Live { term, num_lines: 0 }
            }
            Display::Auto | Display::Plain => Screen::Plain(term),
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
    pub(crate) fn step(&mut self, step: u64, values: &Values) -> Result<(), Error> {
        let elapsed = self.started.elapsed().as_secs_f64();
        self.state.take_step(step, elapsed, values);
        self.is_behind = true;
        self.show(false)
    }

    /// Shows a running part of a step.
    pub(crate) fn phase(&mut self, name: &str, done: u64, total: u64) -> Result<(), Error> {
        self.state.phase = Some((name.to_owned(), done, total));
        match self.screen {
            Screen::Live { .. } => self.show(false),
            Screen::Plain(_) | Screen::Silent => Ok(()),
        }
    }

    /// Shows a sample.
    pub(crate) fn sample(&mut self, sample: &Sample) -> Result<(), Error> {
        self.state.take_sample(sample);
        match &self.screen {
            Screen::Live { .. } => self.show(false),
            Screen::Plain(_) => self.print(&format!(
                "sample {}: {}",
                clean(&sample.name),
                clean(&sample.text)
            )),
            Screen::Silent => Ok(()),
        }
    }

    /// Shows a note above the frame, where it stays.
    pub(crate) fn note(&mut self, step: u64, level: Level, text: &str) -> Result<(), Error> {
        self.print(&format!("step {step}: {}: {}", level.word(), clean(text)))
    }

    /// Shows the last state.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        self.state.phase = None;
        match self.is_behind || matches!(self.screen, Screen::Live { .. }) {
            true => self.show(true),
            false => Ok(()),
        }
    }

    fn show(&mut self, always: bool) -> Result<(), Error> {
        let every = match self.screen {
            Screen::Live { .. } => FRAME_EVERY,
            Screen::Plain(_) => LINE_EVERY,
            Screen::Silent => return Ok(()),
        };
        let is_fresh = self.shown.is_some_and(|shown| shown.elapsed() < every);
        if is_fresh && !always {
            return Ok(());
        }
        self.shown = Some(Instant::now());
        self.is_behind = false;
        self.state.elapsed_secs = self.started.elapsed().as_secs_f64();
        match &self.screen {
            Screen::Live { .. } => self.draw(""),
            Screen::Plain(_) => self.print(&line(&self.state)),
            Screen::Silent => Ok(()),
        }
    }

    /// Prints a line that stays.
    fn print(&mut self, text: &str) -> Result<(), Error> {
        match &mut self.screen {
            Screen::Live { .. } => self.draw(&format!("{text}\n")),
            Screen::Plain(term) => write(term, &format!("{text}\n")),
            Screen::Silent => Ok(()),
        }
    }

    /// Draws a frame over the last one, `above` it what stays; all in one write.
    fn draw(&mut self, above: &str) -> Result<(), Error> {
        let Screen::Live { term, num_lines } = &mut self.screen else {
            return Ok(());
        };
        let (height, width) = term.size();
        let view = View {
            width: usize::from(width),
            height: usize::from(height),
            colors: console::colors_enabled(),
        };
        let lines = render(&self.state, view);
        // On a terminal that has become smaller, the start of the last frame is out of reach.
        let up = (*num_lines).min(view.height.saturating_sub(1));
        let mut frame = match up {
            0 => String::new(),
            up => format!("\x1b[{up}A\r{CLEAR_BELOW}"),
        };
        frame.push_str(above);
        for line in &lines {
            frame.push_str(line);
            frame.push('\n');
        }
        *num_lines = lines.len();
        write(term, &frame)
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
                .map(|last| format!("{name} {}", number(*last))),
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

/// Writes to stdout; nobody listening any more is no error of the run.
fn write(term: &mut Term, text: &str) -> Result<(), Error> {
    let written = term.write_all(text.as_bytes()).and_then(|()| term.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(error::io(Path::new("stdout"), "write to")),
    }
}
