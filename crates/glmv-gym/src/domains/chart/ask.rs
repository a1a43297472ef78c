//! The questions about a chart.

use super::Kind;
use crate::domains::chart_draw::Chart;
use crate::draft::{Draft, Scenes, listed, near, word};
use crate::draw::Scene;
use crate::rng::Rng;

/// A chart with its picture, about to be asked about.
pub(super) struct Asking {
    pub chart: Chart,
    pub kind: Kind,
    pub years: bool,
    pub scene: Scene,
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
                (
                    "values",
                    self.chart
                        .values
                        .iter()
                        .map(i32::to_string)
                        .collect::<Vec<_>>()
                        .join(" "),
                ),
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

    /// One value.
    pub fn value(self, rng: &mut Rng) -> Draft {
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

    /// The highest or lowest.
    pub fn extreme(self, rng: &mut Rng) -> Draft {
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

    /// Of two values.
    pub fn difference(self, rng: &mut Rng) -> Draft {
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

    /// Of two values.
    pub fn sum(self, rng: &mut Rng) -> Draft {
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

    /// How many are above one of them.
    pub fn above(self, rng: &mut Rng) -> Draft {
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
