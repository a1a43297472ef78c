//! One frame: a pure function of the state.

use console::measure_text_width;

use super::spark::{bar, sparkline};
use super::state::State;
use super::text::{bytes, clean, duration, fit, number, wrap};

/// Rows of a sample.
const SAMPLE_ROWS: usize = 3;
/// Columns of a bar, at most.
const MAX_BAR: usize = 40;
/// Columns of a curve, at most.
const MAX_CURVE: usize = 60;

/// How much room there is, and whether it has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Whether colours are used.
    pub colors: bool,
}

/// Colours, by what they mean.
#[derive(Clone, Copy)]
enum Ink {
    Title,
    Bar,
    Curve,
    Dim,
}

impl View {
    fn paint(self, ink: Ink, text: &str) -> String {
        let code = match ink {
            _ if !self.colors => return text.to_owned(),
            Ink::Title => 1,
            Ink::Bar => 32,
            Ink::Curve => 36,
            Ink::Dim => 2,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// The lines of a frame: at most `height - 1`, each of at most `width - 1` columns, so that the
/// terminal neither wraps nor scrolls.
#[must_use]
pub fn render(state: &State, view: View) -> Vec<String> {
    let mut lines = vec![
        view.paint(Ink::Title, &clean(&state.title)),
        progress(state, view),
    ];
    if let Some((name, done, total)) = &state.phase {
        let share = *done as f64 / (*total).max(1) as f64;
        let bar = view.paint(Ink::Curve, &bar(share, bar_width(view) / 2));
        lines.push(format!("{bar} {} {done}/{total}", clean(name)));
    }
    let figures = figures(state);
    if !figures.is_empty() {
        lines.push(figures);
    }
    lines.extend(curves(state, view));
    if let Some((name, text)) = &state.sample {
        lines.push(view.paint(Ink::Dim, &format!("sample {}", clean(name))));
        let width = view.width.saturating_sub(4).max(1);
        let rows = wrap(&clean(text), width, SAMPLE_ROWS);
        lines.extend(rows.iter().map(|row| format!("  {row}")));
    }
    lines.truncate(view.height.saturating_sub(1));
    let width = view.width.saturating_sub(1);
    lines
        .iter()
        .map(|line| fit(line, width).into_owned())
        .collect()
}

fn bar_width(view: View) -> usize {
    (view.width / 3).min(MAX_BAR)
}

fn progress(state: &State, view: View) -> String {
    let elapsed = duration(state.elapsed_secs);
    let Some(total) = state.total_steps else {
        return format!("step {}   {elapsed}", state.step);
    };
    let share = state.step as f64 / total.max(1) as f64;
    let bar = view.paint(Ink::Bar, &bar(share, bar_width(view)));
    let eta = state.eta_secs().map_or_else(|| "?".to_owned(), duration);
    let percent = share * 100.0;
    format!(
        "{bar} {}/{total} {percent:.0} %   {elapsed}, {eta} left",
        state.step
    )
}

/// Rates and memory.
fn figures(state: &State) -> String {
    let mut figures = Vec::new();
    if let Some(rate) = state.steps_per_sec() {
        figures.push(match rate < 0.1 {
            true => format!("{} per step", duration(1.0 / rate)),
            false => format!("{} step/s", number(rate)),
        });
    }
    figures.extend(
        state
            .tokens_per_sec
            .map(|rate| format!("{} token/s", number(rate))),
    );
    figures.extend(state.memory_bytes.map(bytes));
    figures.join("   ")
}

/// Every curve that has a value, names and numbers in columns.
fn curves(state: &State, view: View) -> Vec<String> {
    let curves = || state.curves.iter().filter(|(_, values)| !values.is_empty());
    let names = curves().map(|(name, _)| measure_text_width(&clean(name)));
    let name_width = names.max().unwrap_or(0);
    let line = |(name, values): &(String, Vec<f64>)| {
        let name = clean(name);
        let pad = " ".repeat(name_width - measure_text_width(&name));
        let last = number(values.last().copied().unwrap_or(f64::NAN));
        let room = view.width.saturating_sub(name_width + 15).min(MAX_CURVE);
        let curve = view.paint(Ink::Curve, &sparkline(values, room));
        format!("{name}{pad}  {last:>9}  {curve}")
    };
    curves().map(line).collect()
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
