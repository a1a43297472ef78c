//! Numbers with a unit.
//!
//! The paper sends every answer with a unit to the judge; the one exception here is certain: the
//! same unit, written alike, with the same number.

use super::number::{self, Number, Tolerance};
use super::string::half_width;

/// Unit symbols that may take a prefix.
const BASES: [&str; 36] = [
    "m", "g", "s", "A", "K", "mol", "cd", "Hz", "N", "Pa", "J", "W", "C", "V", "F", "Ω", "ohm",
    "S", "Wb", "T", "H", "lm", "lx", "Bq", "Gy", "Sv", "L", "l", "eV", "cal", "bar", "M", "t", "u",
    "B", "b",
];
/// Prefixes of units.
const PREFIXES: [&str; 14] = [
    "", "k", "c", "m", "μ", "n", "p", "M", "G", "T", "d", "h", "f", "da",
];
/// Units without prefixes, and words.
const WORDS: [&str; 98] = [
    "%",
    "°",
    "°C",
    "°F",
    "℃",
    "℉",
    "min",
    "h",
    "hr",
    "hrs",
    "d",
    "day",
    "days",
    "year",
    "years",
    "yr",
    "hour",
    "hours",
    "minute",
    "minutes",
    "second",
    "seconds",
    "sec",
    "meter",
    "meters",
    "metre",
    "metres",
    "gram",
    "grams",
    "kilogram",
    "kilograms",
    "kilometer",
    "kilometers",
    "centimeter",
    "centimeters",
    "liter",
    "liters",
    "newton",
    "newtons",
    "joule",
    "joules",
    "watt",
    "watts",
    "volt",
    "volts",
    "ampere",
    "amperes",
    "amp",
    "amps",
    "ohms",
    "kelvin",
    "degree",
    "degrees",
    "rad",
    "rev",
    "rpm",
    "atm",
    "mmHg",
    "torr",
    "psi",
    "in",
    "inch",
    "inches",
    "ft",
    "feet",
    "foot",
    "mi",
    "mile",
    "miles",
    "mph",
    "lb",
    "kgf",
    "kWh",
    "mole",
    "moles",
    "pH",
    "ppm",
    "D",
    "c",
    "au",
    "AU",
    "ly",
    "米",
    "千米",
    "厘米",
    "毫米",
    "千克",
    "克",
    "秒",
    "分钟",
    "小时",
    "牛",
    "牛顿",
    "焦耳",
    "瓦",
    "伏",
    "安",
    "欧姆",
];

/// A number with the unit behind it, the unit in one spelling.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantity {
    /// The number.
    pub number: Number,
    /// The unit: `m/s^2`.
    pub unit: String,
}

fn is_unit_atom(atom: &str) -> bool {
    WORDS.contains(&atom)
        || BASES.iter().any(|base| {
            atom.strip_suffix(base)
                .is_some_and(|prefix| PREFIXES.contains(&prefix))
        })
}

/// One spelling: no spaces or LaTeX, `^` for exponents, `*` for products.
fn spelled(unit: &str) -> String {
    let mut text = unit.to_owned();
    for (from, to) in [
        ("\\text", ""),
        ("\\mathrm", ""),
        ("\\rm", ""),
        ("\\cdot", "*"),
        ("\\times", "*"),
        ("\\Omega", "Ω"),
        ("\\mu", "μ"),
        ("^\\circ", "°"),
        ("^{\\circ}", "°"),
        ("\\circ", "°"),
        ("\\degree", "°"),
        ("\\%", "%"),
        ("\\,", ""),
        ("\\;", ""),
        ("\\ ", ""),
        (" per ", "/"),
    ] {
        if text.contains(from) {
            text = text.replace(from, to);
        }
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars().map(half_width) {
        match c {
            ' ' | '{' | '}' | '$' | '~' => {}
            '·' | '⋅' | '×' | '∙' => out.push('*'),
            '²' => out.push_str("^2"),
            '³' => out.push_str("^3"),
            '⁻' => out.push_str("^-"),
            '¹' if out.ends_with("^-") => out.push('1'),
            'µ' => out.push('μ'),
            '\u{2126}' => out.push('Ω'),
            c => out.push(c),
        }
    }
    out.replace("^-^", "^-")
}

/// The unit in one spelling; `None` where the text is no unit.
pub fn unit(text: &str) -> Option<String> {
    if text.len() > 60 {
        return None;
    }
    let spelled = spelled(text);
    let atoms = spelled.split(['/', '*', '^', '-', '(', ')', '.']);
    let mut found = false;
    for atom in atoms {
        if atom.is_empty() || atom.bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        let atom = atom.trim_end_matches(|c: char| c.is_ascii_digit());
        if !is_unit_atom(atom) {
            return None;
        }
        found = true;
    }
    found.then_some(spelled)
}

/// Reads a number and the unit behind it.
pub fn read(text: &str) -> Option<Quantity> {
    let text = super::string::unwrap(text).trim_end_matches(['.', '。']);
    if text.len() > 200 || !text.starts_with(|c: char| c.is_ascii_digit() || "+-−.\\($".contains(c))
    {
        return None;
    }
    // The unit is the shortest tail that leaves a number: try every place where one may start.
    let starts = text.char_indices().filter(|(at, c)| {
        *at > 0 && !c.is_ascii_digit() && !matches!(c, '.' | ',' | '+' | '-' | '^' | '{' | '}')
    });
    for (at, _) in starts {
        let (head, tail) = text.split_at(at);
        if head.ends_with(['\\', '/', '*']) {
            continue;
        }
        if let Some(unit) = unit(tail)
            && let Some(number) =
                number::read(head.trim_end_matches(['\\', ',', ' ', '~', '*', '·', '$']))
        {
            return Some(Quantity { number, unit });
        }
    }
    None
}

/// How two answers relate where one has a unit; `None` where none has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Units {
    /// The same unit and the same number.
    Same,
    /// Anything else: a judge must look.
    Doubtful,
}

/// Compares two texts of which one has a unit; `None` where none has.
pub fn compare(answer: &str, truth: &str, tolerance: Tolerance) -> Option<Units> {
    match (read(answer), read(truth)) {
        (None, None) => (unit(answer.trim()).is_some_and(|u| u.len() > 1 && u != answer.trim())
            || unit(truth.trim()).is_some_and(|u| u.contains('/')))
        .then_some(Units::Doubtful),
        (Some(a), Some(t))
            if a.unit == t.unit && tolerance.holds(a.number.value, t.number.value) =>
        {
            Some(Units::Same)
        }
        _ => Some(Units::Doubtful),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ways_to_write_a_quantity() {
        let eps = Tolerance::Relative(1e-5);
        for (answer, truth) in [
            ("3 m/s", "3m/s"),
            ("3.0 m/s", r"3\ \text{m/s}"),
            ("9.8 m/s^2", "9.8 m/s²"),
            (r"9.8\,\mathrm{m/s^{2}}", "9.8 m/s^2"),
            ("2 mol", "2.0 mol"),
            ("50 %", "50%"),
            ("25°C", "25 °C"),
            (r"3\times 10^{8} m/s", "3e8 m/s"),
            ("5 kg", "5千克"),
        ] {
            let expected = if truth == "5千克" {
                Units::Doubtful
            } else {
                Units::Same
            };
            assert_eq!(
                compare(answer, truth, eps),
                Some(expected),
                "{answer} and {truth}"
            );
        }
        for (answer, truth) in [
            ("10", "10 N"),
            ("10 N", "10 J"),
            ("3 km", "3000 m"),
            ("9.8 m/s^2", "9.81 m/s^2"),
            ("50%", "0.5"),
        ] {
            assert_eq!(
                compare(answer, truth, eps),
                Some(Units::Doubtful),
                "{answer} and {truth}"
            );
        }
        for (answer, truth) in [
            ("5", "5.0"),
            ("NaCl", "KCl"),
            ("F", "G"),
            ("mass", "answer"),
            ("1e3", "1000"),
            ("2x", "3x"),
            ("", ""),
        ] {
            assert_eq!(compare(answer, truth, eps), None, "{answer} and {truth}");
        }
    }

    proptest! {
        #[test]
        fn number_and_unit_are_parted(n in 1_u32..100_000, which in 0_usize..6) {
            let unit = ["m", "kg", "m/s", "N", "mol/L", "kJ/mol"][which];
            for text in [format!("{n} {unit}"), format!("{n}{unit}")] {
                let read = read(&text).expect("a quantity");
                prop_assert_eq!(read.number.value.as_int(), Some(i128::from(n)));
                prop_assert_eq!(read.unit, unit);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
            let _ = read(&text);
        }
    }
}
