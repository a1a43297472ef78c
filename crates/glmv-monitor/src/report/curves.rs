//! Which curves share a chart, and which charts a section.

use super::data::{Run, Series};
use super::{area, chart};

/// A section per group of curves; those of one chart share the first section.
pub(super) fn sections(run: &Run) -> Vec<(String, String)> {
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    let mut add = |name, figure| match groups.iter_mut().find(|(known, _)| *known == name) {
        Some((_, figures)) => figures.push(figure),
        None => groups.push((name, vec![figure])),
    };
    for chart in charts(&run.series) {
        add(chart.group, chart.show());
    }
    for counts in &run.counts {
        let group = counts
            .name
            .split_once('/')
            .map_or("counts", |(group, _)| group);
        let title = format!("{}, shares", counts.name);
        add(
            group,
            area::stacked(&title, &counts.labels, &counts.rows, true),
        );
    }
    if let Some((_, figures)) = groups.iter_mut().find(|(name, _)| *name == "time") {
        figures.splice(0..0, timing(&run.series));
    }
    let (single, several): (Vec<_>, Vec<_>) = groups.into_iter().partition(|(_, f)| f.len() == 1);
    let section = |groups: Vec<(&str, Vec<String>)>| {
        let names: Vec<&str> = groups.iter().map(|(name, _)| *name).collect();
        let figures: Vec<String> = groups.iter().map(|(_, figures)| figures.concat()).collect();
        let figures = figures.concat();
        (
            names.join(", "),
            format!("<div class=\"charts\">{figures}</div>"),
        )
    };
    let single = (!single.is_empty()).then_some(single);
    let groups = single
        .into_iter()
        .chain(several.into_iter().map(|group| vec![group]));
    groups.map(section).collect()
}

/// A chart of one number, or of the same number of siblings.
struct Chart<'a> {
    group: &'a str,
    title: String,
    lines: Vec<(&'a str, &'a Series)>,
}

/// Bytes of the unit in which bytes are shown.
pub(super) const GIB: f64 = (1_u64 << 30) as f64;

impl Chart<'_> {
    /// The chart as HTML; bytes in GiB.
    fn show(&self) -> String {
        let Some(title) = self.title.strip_suffix("bytes") else {
            let lines = self
                .lines
                .iter()
                .map(|(label, series)| (*label, series.points.as_slice()));
            return chart::lines(&self.title, &lines.collect::<Vec<_>>());
        };
        let scaled = |series: &Series| -> Vec<(u64, f64)> {
            series
                .points
                .iter()
                .map(|(step, bytes)| (*step, bytes / GIB))
                .collect()
        };
        let scaled: Vec<_> = self
            .lines
            .iter()
            .map(|(label, series)| (*label, scaled(series)))
            .collect();
        let lines = scaled
            .iter()
            .map(|(label, points)| (*label, points.as_slice()));
        chart::lines(&format!("{title}GiB"), &lines.collect::<Vec<_>>())
    }
}

/// `loss/train` is a chart of the group `loss`; `domains`, `ocr`, `reward` is the line `ocr` of the
/// chart `domains: reward` of the group `domains`.
fn charts(series: &[Series]) -> Vec<Chart<'_>> {
    let mut charts: Vec<Chart> = Vec::new();
    for series in series {
        let (group, title, label) = match series.path.as_slice() {
            [] => continue,
            [name] => {
                let group = name.split_once('/').map_or("other", |(group, _)| group);
                (group, name.clone(), name.as_str())
            }
            [name, label] => {
                let group = name
                    .split_once('/')
                    .map_or(name.as_str(), |(group, _)| group);
                (group, name.clone(), label.as_str())
            }
            [group, label, rest @ ..] => {
                let title = format!("{group}: {}", rest.join("/"));
                (group.as_str(), title, label.as_str())
            }
        };
        let is_nested = series.path.len() > 1;
        let same = |chart: &&mut Chart| is_nested && chart.group == group && chart.title == title;
        match charts.iter_mut().find(same) {
            Some(chart) => chart.lines.push((label, series)),
            None => charts.push(Chart {
                group,
                title,
                lines: vec![(label, series)],
            }),
        }
    }
    charts
}

/// Seconds of a step's parts on each other; `None` where there are fewer than two.
fn timing(series: &[Series]) -> Option<String> {
    let part = |series: &Series| {
        let [name] = series.path.as_slice() else {
            return None;
        };
        let label = name.strip_prefix("time/")?;
        (label != "step").then(|| label.to_owned())
    };
    let parts: Vec<_> = series.iter().filter_map(|s| Some((part(s)?, s))).collect();
    if parts.len() < 2 {
        return None;
    }
    let mut rows = std::collections::BTreeMap::new();
    for (index, (_, series)) in parts.iter().enumerate() {
        for (step, secs) in &series.points {
            rows.entry(*step).or_insert_with(|| vec![0.0; parts.len()])[index] = *secs;
        }
    }
    let rows: Vec<_> = rows.into_iter().collect();
    let labels: Vec<String> = parts.into_iter().map(|(label, _)| label).collect();
    Some(area::stacked(
        "parts of a step, seconds",
        &labels,
        &rows,
        false,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(paths: &[&[&str]]) -> Vec<Series> {
        let series = |path: &&[&str]| Series {
            path: path.iter().map(|part| (*part).to_owned()).collect(),
            points: vec![(1, 2.0), (2, 4.0)],
        };
        paths.iter().map(series).collect()
    }

    #[test]
    fn siblings_share_a_chart() {
        let series = series(&[
            &["loss/train"],
            &["lr"],
            &["domains", "ocr", "reward"],
            &["domains", "math", "reward"],
            &["domains", "ocr", "entropy"],
            &["rollout/length", "p10"],
            &["rollout/length", "p90"],
        ]);
        let charts = charts(&series);
        let found = charts.iter().map(|chart| {
            let labels: Vec<_> = chart.lines.iter().map(|(label, _)| *label).collect();
            (chart.group, chart.title.as_str(), labels)
        });
        let expected = [
            ("loss", "loss/train", vec!["loss/train"]),
            ("other", "lr", vec!["lr"]),
            ("domains", "domains: reward", vec!["ocr", "math"]),
            ("domains", "domains: entropy", vec!["ocr"]),
            ("rollout", "rollout/length", vec!["p10", "p90"]),
        ];
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn parts_of_a_step_are_stacked_without_their_sum() {
        let parts = series(&[&["time/step"], &["time/rollout"], &["time/train"]]);
        let html = timing(&parts).expect("two parts");
        assert!(html.contains(">rollout<") && html.contains(">train<") && !html.contains(">step<"));
        assert_eq!(timing(&parts[..2]), None);
    }
}
