//! Colours with names, and grounds on which all of them can be told apart.

use crate::draw::Rgb;

/// A colour with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour {
    /// What it is called.
    pub name: &'static str,
    /// Its values.
    pub rgb: Rgb,
}

const fn colour(name: &'static str, rgb: Rgb) -> Colour {
    Colour { name, rgb }
}

/// Every colour, the easiest to tell apart first.
pub const COLOURS: [Colour; 9] = [
    colour("red", [214, 30, 34]),
    colour("blue", [30, 74, 214]),
    colour("green", [22, 150, 52]),
    colour("yellow", [246, 206, 20]),
    colour("black", [24, 24, 24]),
    colour("purple", [136, 46, 178]),
    colour("orange", [246, 126, 16]),
    colour("pink", [250, 138, 192]),
    colour("brown", [120, 72, 30]),
];

/// How many colours the tasks of a level use.
pub fn colours(level: u8) -> &'static [Colour] {
    &COLOURS[..match level {
        1 => 4,
        2 => 5,
        3 => 6,
        4 => 7,
        _ => 9,
    }]
}

/// Light grounds.
pub const GROUNDS: [Rgb; 4] = [
    [255, 255, 255],
    [248, 246, 238],
    [236, 242, 248],
    [236, 236, 236],
];

/// Writing.
pub const INK: Rgb = [20, 20, 24];
/// Lines that stand back.
pub const FAINT: Rgb = [205, 205, 210];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_differ_from_each_other_and_from_the_grounds() {
        let apart = |a: Rgb, b: Rgb| -> u32 {
            a.iter()
                .zip(b)
                .map(|(x, y)| u32::from(x.abs_diff(y)).pow(2))
                .sum()
        };
        for (i, a) in COLOURS.iter().enumerate() {
            for b in &COLOURS[i + 1..] {
                assert!(apart(a.rgb, b.rgb) > 4500, "{} and {}", a.name, b.name);
            }
            assert!(
                GROUNDS.iter().all(|g| apart(a.rgb, *g) > 8000),
                "{}",
                a.name
            );
        }
    }
}
