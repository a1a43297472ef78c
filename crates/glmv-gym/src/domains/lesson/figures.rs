//! Shapes in a grid, and charts with every label, value and colour.

use super::{cards, lesson};
use crate::domains::chart::{self, Kind};
use crate::domains::chart_draw::Chart;
use crate::domains::things::{self, Spot, Thing, ground};
use crate::draft::{Draft, Scenes};
use crate::draw::{Scene, Shape};
use crate::palette::COLOURS;
use crate::rng::Rng;

/// Shapes and colours of all levels: one to a picture at level 1, above it in a grid, row by row, with a
/// dash for an empty place from level 4 on: `Picture: red circle, -, blue star; …`.
pub(super) fn grid(level: u8, rng: &mut Rng) -> Draft {
    let (grids, empty): (&[usize], usize) = match level {
        1 => return cards(rng, card),
        2 => (&[1, 2], 0),
        3 => (&[2, 3], 0),
        4 => (&[3, 4], 3),
        _ => (&[2, 3, 4], 6),
    };
    let across = rng.pick(grids);
    let mut cells: Vec<Option<Thing>> = Vec::new();
    for at in 0..across * across {
        let spot = Spot::within(rng, across, at);
        let kind = (rng.pick(&Shape::ALL), rng.pick(&COLOURS));
        let filled = !rng.chance(empty, 10);
        cells.push(filled.then(|| spot.thing(kind)));
    }
    let named = |cell: &Option<Thing>| cell.map_or_else(|| "-".to_owned(), |thing| thing.name());
    let rows: Vec<String> = cells
        .chunks(across)
        .map(|row| row.iter().map(named).collect::<Vec<_>>().join(", "))
        .collect();
    let shown: Vec<Thing> = cells.iter().flatten().copied().collect();
    let scene = things::scene(rng, &shown);
    lesson(
        rng,
        Scenes::Pictures(vec![scene]),
        format!("Picture: {}.", rows.join("; ")),
    )
}

fn card(rng: &mut Rng) -> (Scene, String) {
    let kind = (rng.pick(&Shape::ALL), rng.pick(&COLOURS));
    let thing = Spot::within(rng, 1, 0).thing(kind);
    (things::scene(rng, &[thing]), thing.name())
}

/// A chart: `Chart: A 3 red, B 5 blue.`; at level 1 up to five bars, above it as in the tasks.
pub(super) fn chart(level: u8, rng: &mut Rng) -> Draft {
    let kind = match level {
        1 => Kind::Bars,
        4 => rng.pick(&[Kind::Pie, Kind::Bars]),
        _ => rng.pick(&[Kind::Bars, Kind::Line]),
    };
    let chart = match level {
        1 => simple(rng),
        _ => {
            let years = level != 4 && (kind == Kind::Line || rng.chance(1, 2));
            chart::chart(level, kind, years, rng)
        }
    };
    let back = ground(rng);
    let columns = chart.labels.iter().zip(&chart.values).zip(&chart.colours);
    let told: Vec<String> = columns
        .map(|((label, value), colour)| format!("{label} {value} {}", colour.name))
        .collect();
    let scene = match kind {
        Kind::Bars => chart.bars(back),
        Kind::Line => chart.line(back),
        Kind::Pie => chart.pie(back),
    };
    lesson(
        rng,
        Scenes::Pictures(vec![scene]),
        format!("Chart: {}.", told.join(", ")),
    )
}

/// Two to five bars with letters and their values, from 1 to 9.
fn simple(rng: &mut Rng) -> Chart {
    let n = rng.int(2, 5) as usize;
    let letters: Vec<char> = match rng.chance(1, 2) {
        true => ('A'..='E').take(n).collect(),
        false => rng.sample(&('A'..='Z').collect::<Vec<_>>(), n),
    };
    Chart {
        labels: letters.iter().map(char::to_string).collect(),
        values: (0..n).map(|_| rng.int(1, 9)).collect(),
        colours: (0..n).map(|_| rng.pick(&COLOURS)).collect(),
        step: None,
        printed: true,
    }
}
