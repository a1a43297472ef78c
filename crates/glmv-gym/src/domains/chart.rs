//! Questions about charts: values, years, labels, differences and sums.

use super::chart_draw::Chart;
use super::things::ground;
use super::words::GOODS;
use crate::draft::{Draft, Scenes, listed, near, word};
use crate::draw::Scene;
use crate::palette::{COLOURS, Colour};
use crate::rng::Rng;

pub(crate) const LEVELS: [&str; 5] = [
    "2 or 3 bars with letters and their values: a value, the highest, the lowest",
    "3 bars or points with years and their values",
    "3 or 4 bars or points, values read from the axis",
    "pies with percents; differences of bars read from the axis",
    "4 or 5 bars or points read from the axis: sums, differences, how many are above a value",
];

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Bars,
    Line,
    Pie,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Bars => "bars",
            Self::Line => "line",
            Self::Pie => "pie",
        }
    }
}

pub(crate) fn draft(level: u8, rng: &mut Rng) -> Draft {
    let kind = match level {
        1 => Kind::Bars,
        4 => rng.pick(&[Kind::Pie, Kind::Bars]),
        _ => rng.pick(&[Kind::Bars, Kind::Line]),
    };
    let years = match level {
        1 | 4 => false,
        2 => true,
        _ => kind == Kind::Line || rng.chance(1, 2),
    };
    let chart = chart(level, kind, years, rng);
    let back = ground(rng);
    let scene = match kind {
        Kind::Bars => chart.bars(back),
        Kind::Line => chart.line(back),
        Kind::Pie => chart.pie(back),
    };
    let asking = Asking {
        chart,
        kind,
        years,
        scene,
    };
    match (level, rng.below(3)) {
        (1..=3, 0 | 1) | (4, 0) => asking.value(rng),
        (1..=3, _) | (4, 1) => asking.extreme(rng),
        (4, _) => asking.difference(rng),
        (_, 0) => asking.difference(rng),
        (_, 1) => asking.sum(rng),
        (_, _) => asking.above(rng),
    }
}

fn chart(level: u8, kind: Kind, years: bool, rng: &mut Rng) -> Chart {
    let n = match level {
        1 => rng.int(2, 3),
        2 => 3,
        3 => rng.int(3, 4),
        4 => rng.int(3, 4),
        _ => rng.int(4, 5),
    } as usize;
    let labels = match (years, level) {
        (true, _) => {
            let first = rng.int(1990, 2024 - n as i32);
            (0..n as i32).map(|i| (first + i).to_string()).collect()
        }
        (false, 1) => ["A", "B", "C"][..n]
            .iter()
            .map(|l| (*l).to_owned())
            .collect(),
        (false, _) => rng
            .sample(&GOODS, n)
            .iter()
            .map(|l| (*l).to_owned())
            .collect(),
    };
    let (values, step) = match (kind, level) {
        (Kind::Pie, _) => (shares(rng, n), None),
        (_, 1) => (distinct(rng, n, 1, 9, 1), None),
        (_, 2) => (distinct(rng, n, 2, 30, 1), None),
        _ => {
            let step = rng.pick(&[1, 2, 5, 10]);
            (distinct(rng, n, 1, 6, step), Some(step))
        }
    };
    let bright: Vec<Colour> = COLOURS
        .iter()
        .filter(|c| c.name != "black")
        .copied()
        .collect();
    let mut colours = rng.sample(&bright, n);
    if years || rng.chance(1, 3) && kind == Kind::Bars {
        colours = vec![colours[0]; n];
    }
    Chart {
        labels,
        values,
        colours,
        step,
        printed: kind == Kind::Pie || level <= 2,
    }
}

/// `n` different multiples of `step`, from `low` to `high` steps.
fn distinct(rng: &mut Rng, n: usize, low: i32, high: i32, step: i32) -> Vec<i32> {
    let all: Vec<i32> = (low..=high).map(|v| v * step).collect();
    rng.sample(&all, n)
}

/// Different percents of at least 10 that sum to 100, in fives.
fn shares(rng: &mut Rng, n: usize) -> Vec<i32> {
    let options: &[&[i32]] = match n {
        3 => &[
            &[50, 30, 20],
            &[60, 25, 15],
            &[45, 35, 20],
            &[55, 30, 15],
            &[40, 35, 25],
            &[65, 20, 15],
            &[70, 20, 10],
        ],
        _ => &[
            &[40, 30, 20, 10],
            &[45, 25, 20, 10],
            &[35, 30, 20, 15],
            &[50, 25, 15, 10],
            &[55, 20, 15, 10],
        ],
    };
    let mut found = rng.pick(options).to_vec();
    rng.shuffle(&mut found);
    found
}

struct Asking {
    chart: Chart,
    kind: Kind,
    years: bool,
    scene: Scene,
}

/// What one question adds.
struct Parts {
    task: &'static str,
    asked: (usize, String),
    trace: String,
    answer: String,
    distractor: String,
    about: String,
    reward_domain: &'static str,
}

impl Asking {
    fn finish(self, parts: Parts) -> Draft {
        let pairs = self.chart.labels.iter().zip(&self.chart.values);
        let shown: Vec<String> = pairs
            .map(|(label, value)| format!("{label} {value}"))
            .collect();
        let what = match self.kind {
            Kind::Bars => "A bar chart",
            Kind::Line => "A line chart",
            Kind::Pie => "A pie chart in percent",
        };
        Draft {
            task: parts.task,
            wording: parts.asked.0,
            question: parts.asked.1,
            trace: parts.trace,
            answer: parts.answer.clone(),
            distractor: parts.distractor,
            reward_domain: parts.reward_domain,
            factors: vec![
                ("kind", self.kind.name().into()),
                ("about", parts.about),
                ("answer", parts.answer),
            ],
            caption: format!("{what}: {}.", listed(&shown)),
            scenes: Scenes::Pictures(vec![self.scene]),
        }
    }

    /// `of B`, `in 1999`.
    fn of(&self, label: &str) -> String {
        if self.years {
            format!("in {label}")
        } else {
            format!("of {label}")
        }
    }

    fn value(self, rng: &mut Rng) -> Draft {
        let i = rng.below(self.chart.labels.len());
        let (label, value) = (self.chart.labels[i].clone(), self.chart.values[i]);
        let of = self.of(&label);
        let wordings: &[&str] = match self.kind {
            Kind::Pie => &[
                "How many percent is the share {of}?",
                "What is the percent value {of}?",
            ],
            Kind::Bars | Kind::Line => &[
                "What is the value {of}?",
                "How high is the value {of}?",
                "Read the value {of}.",
            ],
        };
        let asked = word(rng, wordings, &[("of", &of)]);
        let trace = match (self.kind, self.chart.step) {
            (Kind::Pie, _) => format!(
                "{label} is {} in the legend. That slice shows {value}.",
                self.chart.colours[i].name
            ),
            (_, None) => format!("At {label} the number {value} is written."),
            (_, Some(_)) => format!("At {label} the top is level with {value} on the axis."),
        };
        // Another value of the chart, so far away that no tolerance takes it.
        let wrong = rng.other(&self.chart.values, value).to_string();
        self.finish(Parts {
            task: "value",
            asked,
            trace,
            answer: value.to_string(),
            distractor: wrong,
            about: label,
            reward_domain: "chart",
        })
    }

    fn extreme(self, rng: &mut Rng) -> Draft {
        let most = rng.chance(1, 2);
        let order = |i: &usize| {
            if most {
                -self.chart.values[*i]
            } else {
                self.chart.values[*i]
            }
        };
        let i = (0..self.chart.values.len()).min_by_key(order).unwrap_or(0);
        let label = self.chart.labels[i].clone();
        let extreme = if most { "highest" } else { "lowest" };
        let asked = match self.years {
            true => word(
                rng,
                &[
                    "In which year is the value {extreme}?",
                    "Which year has the {extreme} value?",
                ],
                &[("extreme", extreme)],
            ),
            false => word(
                rng,
                &[
                    "Which label has the {extreme} value?",
                    "What is the name with the {extreme} value?",
                ],
                &[("extreme", extreme)],
            ),
        };
        let values: Vec<String> = self.chart.values.iter().map(ToString::to_string).collect();
        let trace = format!(
            "The values are {}. The {extreme} is {}, at {label}.",
            listed(&values),
            self.chart.values[i]
        );
        let at = (i + 1 + rng.below(self.chart.labels.len() - 1)) % self.chart.labels.len();
        let wrong = self.chart.labels[at].clone();
        let reward_domain = if self.years { "chart" } else { "closed" };
        self.finish(Parts {
            task: if most { "highest" } else { "lowest" },
            asked,
            trace,
            answer: label,
            distractor: wrong,
            about: values.join(" "),
            reward_domain,
        })
    }

    fn two(&self, rng: &mut Rng) -> [(String, i32); 2] {
        let all: Vec<usize> = (0..self.chart.labels.len()).collect();
        let chosen = rng.sample(&all, 2);
        [chosen[0], chosen[1]].map(|i| (self.chart.labels[i].clone(), self.chart.values[i]))
    }

    fn difference(self, rng: &mut Rng) -> Draft {
        let [(a, x), (b, y)] = self.two(rng);
        let value = (x - y).abs();
        let asked = word(
            rng,
            &[
                "By how much do {a} and {b} differ?",
                "What is the difference between {a} and {b}?",
            ],
            &[("a", &a), ("b", &b)],
        );
        let trace = format!(
            "{a} has {x} and {b} has {y}. {} - {} = {value}.",
            x.max(y),
            x.min(y)
        );
        let wrong = (value + value.max(10) / 2).to_string();
        self.finish(Parts {
            task: "difference",
            asked,
            trace,
            answer: value.to_string(),
            distractor: wrong,
            about: format!("{a} {x} {b} {y}"),
            reward_domain: "chart",
        })
    }

    fn sum(self, rng: &mut Rng) -> Draft {
        let [(a, x), (b, y)] = self.two(rng);
        let value = x + y;
        let asked = word(
            rng,
            &[
                "How much are {a} and {b} together?",
                "What is the sum of {a} and {b}?",
            ],
            &[("a", &a), ("b", &b)],
        );
        let trace = format!("{a} has {x} and {b} has {y}. {x} + {y} = {value}.");
        let wrong = (value + value.max(10) / 2).to_string();
        self.finish(Parts {
            task: "sum",
            asked,
            trace,
            answer: value.to_string(),
            distractor: wrong,
            about: format!("{a} {x} {b} {y}"),
            reward_domain: "chart",
        })
    }

    fn above(self, rng: &mut Rng) -> Draft {
        let mark = rng.pick(&self.chart.values);
        let above: Vec<String> = self
            .chart
            .values
            .iter()
            .filter(|v| **v > mark)
            .map(ToString::to_string)
            .collect();
        let asked = word(
            rng,
            &[
                "How many values are above {mark}?",
                "Count the values that are higher than {mark}.",
            ],
            &[("mark", &mark.to_string())],
        );
        let values: Vec<String> = self.chart.values.iter().map(ToString::to_string).collect();
        let trace = format!(
            "The values are {}. Above {mark}: {}. That is {}.",
            listed(&values),
            listed(&above),
            above.len()
        );
        let wrong = near(rng, above.len() as i32).to_string();
        self.finish(Parts {
            task: "above",
            asked,
            trace,
            answer: above.len().to_string(),
            distractor: wrong,
            about: format!("{mark} in {}", values.join(" ")),
            reward_domain: "chart",
        })
    }
}
