//! A chart of stacked areas as SVG.

use std::fmt::Write as _;

use super::chart::{BOTTOM, LEFT, NUM_COLORS, RIGHT, at_x, at_y, legend, open, path};
use super::escape::Text;
use super::scale::Scale;
use super::select::parts;

/// Columns of a long chart; each has the means of its part.
const MAX_PARTS: usize = 200;

/// The chart of `rows`: a step and a number per label, rising steps; missing numbers are 0. With
/// `is_share`, each row is drawn as shares of its sum. Rows with a number that is none or negative
/// are left out, and counted in words.
pub(super) fn stacked(
    title: &str,
    labels: &[String],
    rows: &[(u64, Vec<f64>)],
    is_share: bool,
) -> String {
    let mut good = Vec::new();
    for (step, row) in rows {
        let sum: f64 = row.iter().sum();
        let is_drawn = row.iter().all(|number| *number >= 0.0) && sum.is_finite();
        if is_drawn && (sum > 0.0 || !is_share) {
            let unit = if is_share { sum } else { 1.0 };
            let shares = (0..labels.len()).map(|index| row.get(index).unwrap_or(&0.0) / unit);
            good.push((*step as f64, shares.collect::<Vec<f64>>()));
        }
    }
    let mut html = format!("<figure><figcaption>{}</figcaption>", Text(title));
    html += &legend(labels.iter().map(|label| (label.as_str(), None)));
    if good.len() < rows.len() {
        let left_out = rows.len() - good.len();
        let _ = write!(
            html,
            "<p class=\"error\">{left_out} steps cannot be drawn</p>"
        );
    }
    let columns = columns(&good);
    let Some(x) = Scale::of(columns.iter().map(|(step, _)| *step)) else {
        return html + "</figure>";
    };
    let high = columns
        .iter()
        .map(|(_, row)| row.iter().sum())
        .fold(0.0, f64::max);
    let high = if high > 0.0 { high } else { 1.0 };
    let y = Scale { low: 0.0, high };
    html += &open(x, y);
    html += &layers(labels, &columns, x, y);
    html + "</svg></figure>"
}

/// One closed path per label, lowest first.
fn layers(labels: &[String], columns: &[(f64, Vec<f64>)], x: Scale, y: Scale) -> String {
    let mut html = String::new();
    let mut below = vec![0.0; columns.len()];
    let place = |(index, top): (usize, &f64)| (at_x(x, columns[index].0), at_y(y, *top));
    for (layer, label) in labels.iter().enumerate() {
        let above: Vec<f64> = (below.iter().zip(columns))
            .map(|(below, (_, row))| below + row[layer])
            .collect();
        let mut outline: Vec<_> = above.iter().enumerate().map(place).collect();
        outline.extend(below.iter().enumerate().rev().map(place));
        if let [(px, top), (_, bottom)] = outline[..] {
            // A single step has no width of its own.
            outline = vec![
                (px - 4.0, top),
                (px + 4.0, top),
                (px + 4.0, bottom),
                (px - 4.0, bottom),
            ];
        }
        let color = layer % NUM_COLORS;
        let name = Text(label);
        let _ = write!(
            html,
            "<path class=\"area s{color}\" data-name=\"{name}\" d=\"{}Z\"/>",
            path(&outline)
        );
        below = above;
    }
    let _ = write!(
        html,
        "<path class=\"grid\" d=\"M{LEFT} {BOTTOM}H{RIGHT}\"/>"
    );
    html
}

/// The rows, or means of parts of them.
fn columns(rows: &[(f64, Vec<f64>)]) -> Vec<(f64, Vec<f64>)> {
    let mean = |part: std::ops::Range<usize>| {
        let part = &rows[part];
        let count = part.len() as f64;
        let step = part.iter().map(|(step, _)| step / count).sum();
        let width = part.first().map_or(0, |(_, row)| row.len());
        let numbers = (0..width).map(|index| part.iter().map(|(_, row)| row[index] / count).sum());
        (step, numbers.collect())
    };
    parts(rows.len(), MAX_PARTS).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_fill_the_chart() {
        let labels = ["easy", "hard"].map(str::to_owned);
        let rows = [(1, vec![3.0]), (2, vec![1.0, 1.0])];
        let svg = stacked("tiers", &labels, &rows, true);
        // easy: all of step 1, half of step 2; hard lies on it up to the top.
        assert!(
            svg.contains("d=\"M46.0 10.00L406.0 103.00L406.0 196.00L46.0 196.00Z\""),
            "{svg}"
        );
        assert!(
            svg.contains("d=\"M46.0 10.00L406.0 10.00L406.0 103.00L46.0 10.00Z\""),
            "{svg}"
        );
    }

    #[test]
    fn what_cannot_be_drawn_is_counted() {
        let labels = ["a".to_owned()];
        let rows = [
            (1, vec![f64::NAN]),
            (2, vec![-1.0]),
            (3, vec![0.0]),
            (4, vec![2.0]),
        ];
        let svg = stacked("x", &labels, &rows, true);
        assert!(svg.contains("3 steps cannot be drawn") && !svg.contains("NaN"));
        assert!(stacked("x", &labels, &rows[..1], false).ends_with("</figure>"));
    }
}
