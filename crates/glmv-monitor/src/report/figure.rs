//! A chart that stands by itself: an SVG file for documents, with title, axes and legend.

use std::fmt::Write as _;

use super::chart::path;
use super::escape::Text;
use super::scale::Scale;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = WIDTH - 20.0;
const TOP: f64 = 58.0;
const BOTTOM: f64 = HEIGHT - 50.0;
/// Told apart by people who see few colours too (P. Tol, "Colour schemes", the bright one).
const COLORS: [&str; 6] = [
    "#4477aa", "#ee6677", "#228833", "#aa3377", "#ccbb44", "#66ccee",
];

/// A chart of lines.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chart {
    /// Above it.
    pub title: String,
    /// What runs along, with its unit.
    pub x: String,
    /// What runs up, with its unit.
    pub y: String,
    /// In the order they are drawn.
    pub lines: Vec<ChartLine>,
}

/// A line: those of one label have one colour and one place in the legend.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChartLine {
    /// Its name in the legend.
    pub label: String,
    /// By rising x; what is not finite is left out.
    pub points: Vec<(f64, f64)>,
}

impl Chart {
    /// The chart as an SVG document; without a finite point only its frame.
    pub fn to_svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"13\" fill=\"#333\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
             <text x=\"{LEFT}\" y=\"24\" font-size=\"16\">{}</text>\n",
            Text(&self.title)
        );
        let points = || self.lines.iter().flat_map(|line| line.points.iter());
        let finite = || points().filter(|(x, y)| x.is_finite() && y.is_finite());
        let x = Scale::of(finite().map(|point| point.0));
        let y = Scale::of(finite().map(|point| point.1)).map(Scale::padded);
        if let (Some(x), Some(y)) = (x, y) {
            axes(&mut svg, x, y);
            self.draw(&mut svg, x, y);
        }
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n\
             <text transform=\"translate(16 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
            (LEFT + RIGHT) / 2.0,
            HEIGHT - 10.0,
            Text(&self.x),
            (TOP + BOTTOM) / 2.0,
            Text(&self.y)
        );
        svg + "</svg>\n"
    }

    /// Labels in the order of their first lines.
    fn labels(&self) -> Vec<&str> {
        let mut labels: Vec<&str> = Vec::new();
        for line in &self.lines {
            if !labels.contains(&line.label.as_str()) {
                labels.push(&line.label);
            }
        }
        labels
    }

    fn draw(&self, svg: &mut String, x: Scale, y: Scale) {
        let labels = self.labels();
        let color = |label: &str| {
            let at = labels.iter().position(|known| *known == label);
            COLORS[at.unwrap_or(0) % COLORS.len()]
        };
        for line in &self.lines {
            let finite = line
                .points
                .iter()
                .filter(|(x, y)| x.is_finite() && y.is_finite());
            let places: Vec<(f64, f64)> = finite
                .map(|point| (at_x(x, point.0), at_y(y, point.1)))
                .collect();
            let _ = writeln!(
                svg,
                "<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\" \
                 stroke-linejoin=\"round\"/>",
                path(&places),
                color(&line.label)
            );
        }
        let mut left = LEFT;
        for label in &labels {
            let _ = writeln!(
                svg,
                "<rect x=\"{left:.1}\" y=\"36\" width=\"18\" height=\"4\" fill=\"{}\"/>\
                 <text x=\"{:.1}\" y=\"42\">{}</text>",
                color(label),
                left + 24.0,
                Text(label)
            );
            left += 44.0 + 7.5 * label.chars().count() as f64;
        }
    }
}

/// Grid and numbers of both axes.
fn axes(svg: &mut String, x: Scale, y: Scale) {
    for (tick, label) in y.ticks(5) {
        let at = at_y(y, tick);
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {at:.1}H{RIGHT}\" stroke=\"#ddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            LEFT - 8.0,
            at + 4.5
        );
    }
    for (tick, label) in x.ticks(6) {
        let at = at_x(x, tick);
        let _ = writeln!(
            svg,
            "<path d=\"M{at:.1} {BOTTOM}v5\" stroke=\"#999\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
            BOTTOM + 20.0
        );
    }
}

fn at_x(x: Scale, number: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * x.share(number)
}

fn at_y(y: Scale, number: f64) -> f64 {
    BOTTOM - (BOTTOM - TOP) * y.share(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(label: &str, points: &[(f64, f64)]) -> ChartLine {
        ChartLine {
            label: label.into(),
            points: points.to_vec(),
        }
    }

    #[test]
    fn lines_of_a_label_share_a_colour_and_a_place() {
        let chart = Chart {
            title: "a < b".into(),
            lines: vec![
                line("one", &[(0.0, 0.0), (10.0, 1.0)]),
                line("two", &[(0.0, 1.0), (f64::NAN, 3.0), (10.0, 0.0)]),
                line("one", &[(0.0, 0.5), (5.0, 0.5)]),
            ],
            ..Chart::default()
        };
        let svg = chart.to_svg();
        assert!(svg.contains("a &lt; b"), "{svg}");
        assert_eq!(svg.matches("stroke=\"#4477aa\"").count(), 2);
        assert_eq!(svg.matches("stroke=\"#ee6677\"").count(), 1);
        assert_eq!(svg.matches(">one</text>").count(), 1);
        assert!(!svg.contains("NaN"));
        // The first line runs from the lower left to the upper right.
        let first = svg
            .split("<path d=\"M")
            .find(|part| part.contains("#4477aa"));
        let numbers: Vec<f64> = first
            .and_then(|part| part.split('"').next())
            .map(|path| {
                path.split(['L', ' '])
                    .filter_map(|n| n.parse().ok())
                    .collect()
            })
            .unwrap_or_default();
        assert_eq!(numbers.len(), 4, "{first:?}");
        assert_eq!((numbers[0], numbers[2]), (LEFT, RIGHT));
        assert!(numbers[1] > numbers[3]);
    }

    #[test]
    fn a_chart_without_a_point_is_a_frame() {
        let svg = Chart::default().to_svg();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && !svg.contains("<path"));
    }
}
