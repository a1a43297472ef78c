//! Questions about charts: values, years, labels, differences and sums.

mod ask;

use super::chart_draw::Chart;
use super::things::ground;
use super::words::GOODS;
use crate::draft::Draft;
use crate::palette::{COLOURS, Colour};
use crate::rng::Rng;
use ask::Asking;

pub(crate) const LEVELS: [&str; 5] = [
    "2 or 3 bars with letters and their values: a value, the highest, the lowest",
    "3 bars or points with years and their values",
    "3 or 4 bars or points, values read from the axis",
    "pies with percents; differences of bars read from the axis",
    "4 or 5 bars or points read from the axis: sums, differences, how many are above a value",
];

/// What a chart looks like.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
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

/// A chart as the tasks of a level have it.
pub(super) fn chart(level: u8, kind: Kind, years: bool, rng: &mut Rng) -> Chart {
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
