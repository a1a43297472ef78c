//! A chart of lines as SVG: the numbers faint, smoothed ones over them.

use std::fmt::Write as _;

use super::escape::Text;
use super::scale::Scale;
use super::select::parts;
use super::text::number;

pub(super) const WIDTH: f64 = 420.0;
pub(super) const HEIGHT: f64 = 220.0;
pub(super) const LEFT: f64 = 46.0;
pub(super) const RIGHT: f64 = WIDTH - 14.0;
pub(super) const TOP: f64 = 10.0;
pub(super) const BOTTOM: f64 = HEIGHT - 24.0;
/// Colours before they begin again.
pub(super) const NUM_COLORS: usize = 8;
/// Parts of a long line; each is drawn by its lowest and its highest number.
const MAX_PARTS: usize = 300;
/// Points from which on lines are smoothed.
const MIN_SMOOTH: usize = 20;

/// A line of a chart: its label and its points by rising steps.
pub(super) type Line<'a> = (&'a str, &'a [(u64, f64)]);

/// The chart; without a finite number, the words that say so.
pub(super) fn lines(title: &str, lines: &[Line]) -> String {
    let points = || lines.iter().flat_map(|(_, points)| points.iter());
    let num_bad = points().filter(|(_, number)| !number.is_finite()).count();
    let num_points = points().count();
    let steps = Scale::of(points().map(|(step, _)| *step as f64));
    let numbers = Scale::of(points().map(|(_, number)| *number)).map(Scale::padded);
    let mut html = figure(title, lines.len() == 1, lines);
    if num_bad > 0 {
        let _ = write!(
            html,
            "<p class=\"error\">NaN or infinite: {num_bad} of {num_points}</p>"
        );
    }
    let (Some(x), Some(y)) = (steps, numbers) else {
        return html + "</figure>";
    };
    html += &open(x, y);
    for (index, (label, points)) in lines.iter().enumerate() {
        let color = index % NUM_COLORS;
        let place = |(step, number): &(f64, f64)| (at_x(x, *step), at_y(y, *number));
        let smooth = smoothed(points);
        if !smooth.is_empty() {
            let raw: Vec<_> = thinned(points).iter().map(place).collect();
            let _ = write!(html, "<path class=\"raw s{color}\" d=\"{}\"/>", path(&raw));
        }
        let strong = if smooth.is_empty() {
            points.to_vec()
        } else {
            smooth
        };
        let strong: Vec<_> = thinned(&strong).iter().map(place).collect();
        let name = Text(label);
        let _ = write!(
            html,
            "<path class=\"line s{color}\" data-name=\"{name}\" d=\"{}\"/>",
            path(&strong)
        );
        if let [(px, py)] = strong[..] {
            let _ = write!(
                html,
                "<circle class=\"dot s{color}\" cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"3\"/>"
            );
        }
        let bad = points.iter().filter(|(_, number)| !number.is_finite());
        for (step, _) in bad.take(MAX_PARTS) {
            let px = at_x(x, *step as f64);
            let _ = write!(
                html,
                "<path class=\"nan\" d=\"M{px:.1} {BOTTOM}l-3 6h6z\"/>"
            );
        }
    }
    html + "</svg></figure>"
}

/// The figure's start: title, last number, legend.
fn figure(title: &str, is_single: bool, lines: &[Line]) -> String {
    let mut html = format!("<figure><figcaption>{}", Text(title));
    let last = |points: &[(u64, f64)]| points.last().map_or(f64::NAN, |(_, number)| *number);
    if let [(_, points)] = lines {
        let _ = write!(html, " <b>{}</b>", number(last(points)));
    }
    html += "</figcaption>";
    if !is_single {
        let labels = lines
            .iter()
            .map(|(label, points)| (*label, Some(last(points))));
        html += &legend(labels);
    }
    html
}

/// Colours and what they stand for.
pub(super) fn legend<'a>(labels: impl Iterator<Item = (&'a str, Option<f64>)>) -> String {
    let mut html = "<p class=\"legend\">".to_owned();
    for (index, (label, last)) in labels.enumerate() {
        let color = index % NUM_COLORS;
        let last = last
            .map(|last| format!(" <b>{}</b>", number(last)))
            .unwrap_or_default();
        let _ = write!(
            html,
            "<span class=\"key s{color}\">{}{last}</span> ",
            Text(label)
        );
    }
    html + "</p>"
}

/// The SVG's start: grid, numbers along both axes. Its data are for the script that reads the chart
/// back under the pointer.
pub(super) fn open(x: Scale, y: Scale) -> String {
    let mut svg = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" data-box=\"{LEFT} {RIGHT} {TOP} {BOTTOM}\" \
         data-x=\"{} {}\" data-y=\"{} {}\">",
        x.low, x.high, y.low, y.high
    );
    for (tick, label) in y.ticks(4) {
        let py = at_y(y, tick);
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT} {py:.1}H{RIGHT}\"/><text x=\"{:.1}\" y=\"{:.1}\" \
             text-anchor=\"end\">{label}</text>",
            LEFT - 5.0,
            py + 3.5
        );
    }
    for (tick, label) in x.ticks(5) {
        let px = at_x(x, tick);
        let _ = write!(
            svg,
            "<text x=\"{px:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
            HEIGHT - 8.0
        );
    }
    svg
}

pub(super) fn at_x(x: Scale, step: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * x.share(step)
}

pub(super) fn at_y(y: Scale, number: f64) -> f64 {
    BOTTOM - (BOTTOM - TOP) * y.share(number)
}

/// A path through points.
pub(super) fn path(points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for (index, (x, y)) in points.iter().enumerate() {
        let verb = if index == 0 { 'M' } else { 'L' };
        let _ = write!(path, "{verb}{x:.1} {y:.2}");
    }
    path
}

/// Finite points; of many, the lowest and the highest of each part.
fn thinned(points: &[(u64, f64)]) -> Vec<(f64, f64)> {
    let finite = points.iter().filter(|(_, number)| number.is_finite());
    let finite: Vec<(f64, f64)> = finite
        .map(|(step, number)| (*step as f64, *number))
        .collect();
    if finite.len() <= 2 * MAX_PARTS {
        return finite;
    }
    let mut kept = Vec::with_capacity(2 * MAX_PARTS);
    for part in parts(finite.len(), MAX_PARTS) {
        let part = &finite[part];
        let low = part.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1));
        let high = part.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
        let mut both: Vec<_> = low.into_iter().chain(high).collect();
        both.sort_by(|a, b| a.0.total_cmp(&b.0));
        kept.extend(both);
    }
    kept
}

/// Exponential means of the finite numbers over a fiftieth of them, without the pull of the first;
/// empty where there are too few.
fn smoothed(points: &[(u64, f64)]) -> Vec<(u64, f64)> {
    let finite: Vec<_> = points
        .iter()
        .filter(|(_, number)| number.is_finite())
        .collect();
    if finite.len() < MIN_SMOOTH {
        return Vec::new();
    }
    let keep = 1.0 - 1.0 / (finite.len() as f64 / 50.0).max(4.0);
    let (mut sum, mut weight) = (0.0, 0.0);
    let mean = |(step, number): &(u64, f64)| {
        sum = sum * keep + number * (1.0 - keep);
        weight = weight * keep + (1.0 - keep);
        (*step, sum / weight)
    };
    finite.into_iter().map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spike_survives_thinning() {
        let mut points: Vec<(u64, f64)> = (0..100_000).map(|step| (step, 1.0)).collect();
        points[54_321].1 = 9.0;
        points[77].1 = f64::NAN;
        let thin = thinned(&points);
        assert!(thin.len() <= 2 * MAX_PARTS);
        assert!(thin.contains(&(54_321.0, 9.0)));
        assert!(thin.is_sorted_by(|a, b| a.0 <= b.0));
    }

    #[test]
    fn smoothing_keeps_a_constant_and_ignores_nan() {
        let mut points: Vec<(u64, f64)> = (0..100).map(|step| (step, 2.5)).collect();
        points[3].1 = f64::INFINITY;
        let smooth = smoothed(&points);
        assert_eq!(smooth.len(), 99);
        assert!(
            smooth
                .iter()
                .all(|(_, number)| (number - 2.5).abs() < 1e-12)
        );
        assert!(smoothed(&points[..5]).is_empty());
    }

    #[test]
    fn bad_numbers_are_marked() {
        let points = [(1, 1.0), (2, f64::NAN), (3, 2.0)];
        let svg = lines("loss", &[("loss", &points)]);
        assert!(svg.contains("infinite: 1 of 3") && svg.contains("class=\"nan\""));
        let (_, drawn) = svg.split_once("<svg").expect("a chart");
        assert!(!drawn.contains("NaN"), "{drawn}");
        let svg = lines("loss", &[("loss", &points[1..2])]);
        assert!(!svg.contains("<svg") && svg.contains("infinite: 1 of 1"));
    }
}
