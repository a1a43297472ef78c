//! Dates and years.

/// A date; the parts a text names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    /// Year.
    pub year: Option<u32>,
    /// Month, 1 to 12.
    pub month: u32,
    /// Day of the month.
    pub day: Option<u32>,
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

fn month_name(word: &str) -> Option<u32> {
    let word = word.trim_end_matches('.');
    let hit = |m: &str| m == word || (word.len() >= 3 && m.starts_with(word) && word.len() <= 4);
    MONTHS.iter().position(|m| hit(m)).map(|at| at as u32 + 1)
}

fn small(word: &str) -> Option<u32> {
    let digits = word.trim_end_matches(['s', 't', 'n', 'd', 'r', 'h']);
    ((1..=4).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok())?
}

fn date(year: Option<u32>, month: u32, day: Option<u32>) -> Option<Date> {
    let fits = (1..=12).contains(&month)
        && day.is_none_or(|d| (1..=31).contains(&d))
        && year.is_none_or(|y| (1..=9999).contains(&y));
    fits.then_some(Date { year, month, day })
}

/// Reads `2023-12-31`, `31 December 2023`, `Dec 31, 2023`, `December 2023`, `2023年12月31日`.
/// `12/11/2023`, which may mean two days, is `None`.
pub fn read(text: &str) -> Option<Date> {
    let text = super::string::fold(text);
    if text.len() > 40 {
        return None;
    }
    if let Some((year, rest)) = text.split_once('年') {
        let (month, rest) = rest.split_once('月')?;
        let day = rest.trim_end_matches(['日', '号']);
        let day = if day.is_empty() {
            None
        } else {
            Some(small(day)?)
        };
        return date(Some(small(year)?), small(month)?, day);
    }
    let parts: Vec<&str> = text
        .split(['-', '/', '.', ' ', ','])
        .filter(|p| !p.is_empty())
        .collect();
    let words: Vec<Option<u32>> = parts.iter().map(|p| month_name(p)).collect();
    match (parts.as_slice(), words.as_slice()) {
        ([y, m, d], [None, None, None]) if y.len() == 4 => {
            date(Some(small(y)?), small(m)?, Some(small(d)?))
        }
        ([a, b, y], [None, None, None]) if y.len() == 4 => {
            let (a, b, y) = (small(a)?, small(b)?, small(y)?);
            match (a > 12, b > 12) {
                (true, false) => date(Some(y), b, Some(a)),
                (false, true) => date(Some(y), a, Some(b)),
                _ if a == b => date(Some(y), a, Some(b)),
                _ => None,
            }
        }
        ([d, _, y], [None, Some(m), None]) => date(Some(small(y)?), *m, Some(small(d)?)),
        ([_, d, y], [Some(m), None, None]) => date(Some(small(y)?), *m, Some(small(d)?)),
        ([_, n], [Some(m), None]) | ([n, _], [None, Some(m)]) => match small(n)? {
            d @ 1..=31 if n.len() < 4 => date(None, *m, Some(d)),
            y => date(Some(y), *m, None),
        },
        _ => None,
    }
}

/// True for an integer from 1000 to 3000, which charts use for years.
pub fn is_year(value: crate::math::Value) -> bool {
    value
        .as_int()
        .is_some_and(|n| (1000..=3000).contains(&n.abs()))
}

/// Compares two dates; `None` where one is none, or names other parts.
pub fn same(answer: &str, truth: &str) -> Option<bool> {
    let (a, t) = (read(answer)?, read(truth)?);
    let alike = a.year.is_some() == t.year.is_some() && a.day.is_some() == t.day.is_some();
    alike.then_some(a == t)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ways_to_write_a_date() {
        for text in [
            "2023-12-31",
            "2023/12/31",
            "31 December 2023",
            "December 31, 2023",
            "Dec 31st, 2023",
            "2023年12月31日",
            "12/31/2023",
            "31.12.2023",
        ] {
            assert_eq!(same(text, "2023-12-31"), Some(true), "{text}");
        }
        assert_eq!(same("2023-12-30", "2023-12-31"), Some(false));
        assert_eq!(same("March 2020", "2020年3月"), Some(true));
        for text in [
            "2023",
            "12/11/2023",
            "5-10",
            "1-2-3",
            "maybe",
            "2023-13-01",
            "",
            "mayor 5",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_notation_is_the_same_day(y in 1000_u32..3000, m in 1_u32..13, d in 1_u32..29) {
            let iso = format!("{y:04}-{m:02}-{d:02}");
            let name = MONTHS[m as usize - 1];
            for text in [format!("{d} {name} {y}"), format!("{name} {d}, {y}"), format!("{y}年{m}月{d}日")] {
                prop_assert_eq!(same(&text, &iso), Some(true), "{}", text);
            }
            prop_assert_eq!(same(&format!("{y}-{m}-{}", d % 28 + 1), &iso), Some(false));
        }
    }
}
