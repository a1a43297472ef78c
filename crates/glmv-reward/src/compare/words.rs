//! Numbers written as words, in English and Chinese, and words that exclude each other.

const UNITS: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 8] = [
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
];

/// The integer a phrase stands for: `three`, `twenty-one`, `three hundred and five`, `三`, `二十一`.
pub fn read(text: &str) -> Option<i64> {
    let text = super::string::fold(text);
    if text.len() > 80 {
        return None;
    }
    if text.is_ascii() {
        english(&text)
    } else {
        chinese(&text)
    }
}

fn english(text: &str) -> Option<i64> {
    let (mut total, mut group) = (0_i64, 0_i64);
    let mut seen = false;
    for word in text
        .split([' ', '-'])
        .filter(|w| !w.is_empty() && *w != "and")
    {
        if let Some(n) = UNITS.iter().position(|u| *u == word) {
            group += n as i64;
        } else if let Some(n) = TENS.iter().position(|t| *t == word) {
            group += 10 * (n as i64 + 2);
        } else if word == "hundred" {
            group = group.max(1) * 100;
        } else if word == "thousand" {
            total += group.max(1) * 1000;
            group = 0;
        } else if word == "dozen" {
            group = group.max(1) * 12;
        } else {
            return None;
        }
        seen = true;
    }
    // "one two" is no number: every part must be below the place of the part before it.
    (seen && spoken(total + group) == normal(text))
        .then_some(total + group)
        .or_else(|| (seen && text.ends_with("dozen")).then_some(total + group))
}

fn normal(text: &str) -> String {
    let words: Vec<_> = text
        .split([' ', '-'])
        .filter(|w| !w.is_empty() && *w != "and")
        .collect();
    words.join(" ")
}

/// English words of `n`, without "and" and hyphens; also used to make test answers.
pub fn spoken(n: i64) -> String {
    let mut words = Vec::new();
    let (thousands, rest) = (n / 1000, n % 1000);
    if thousands > 0 {
        words.push(spoken(thousands));
        words.push("thousand".into());
    }
    if rest >= 100 {
        words.push(UNITS[(rest / 100) as usize].into());
        words.push("hundred".into());
    }
    match rest % 100 {
        0 if n == 0 => words.push("zero".into()),
        0 => {}
        r if r < 20 => words.push(UNITS[r as usize].into()),
        r => {
            words.push(TENS[(r / 10 - 2) as usize].into());
            if r % 10 > 0 {
                words.push(UNITS[(r % 10) as usize].into());
            }
        }
    }
    words.join(" ")
}

const DIGITS: [char; 10] = ['零', '一', '二', '三', '四', '五', '六', '七', '八', '九'];

fn chinese(text: &str) -> Option<i64> {
    let text = text.trim_end_matches(['个', '只', '条', '张', '辆', '名', '人', '位']);
    if text.is_empty() {
        return None;
    }
    let (mut total, mut digit) = (0_i64, None);
    for c in text.chars() {
        let c = if c == '两' {
            '二'
        } else if c == '〇' {
            '零'
        } else {
            c
        };
        if let Some(n) = DIGITS.iter().position(|d| *d == c) {
            if digit.is_some_and(|d| d != 0) {
                return None;
            }
            digit = Some(n as i64);
            continue;
        }
        let place = match c {
            '十' => 10,
            '百' => 100,
            '千' => 1000,
            _ => return None,
        };
        total += digit.take().unwrap_or(1) * place;
    }
    Some(total + digit.unwrap_or(0))
}

/// Chinese numeral of `n` below 100; used to make test answers.
pub fn chinese_numeral(n: i64) -> Option<String> {
    let digit = |d: i64| DIGITS[d as usize];
    Some(match n {
        0..=9 => digit(n).into(),
        10 => "十".into(),
        11..=19 => format!("十{}", digit(n - 10)),
        20..=99 if n % 10 == 0 => format!("{}十", digit(n / 10)),
        20..=99 => format!("{}十{}", digit(n / 10), digit(n % 10)),
        _ => return None,
    })
}

/// Words that exclude each other.
const OPPOSITES: [(&str, &str); 20] = [
    ("left", "right"),
    ("up", "down"),
    ("above", "below"),
    ("north", "south"),
    ("east", "west"),
    ("northeast", "southwest"),
    ("northwest", "southeast"),
    ("front", "back"),
    ("in front", "behind"),
    ("inside", "outside"),
    ("near", "far"),
    ("clockwise", "counterclockwise"),
    ("yes", "no"),
    ("true", "false"),
    ("左", "右"),
    ("上", "下"),
    ("前", "后"),
    ("东", "西"),
    ("南", "北"),
    ("是", "否"),
];

/// True for two words of which one excludes the other.
pub fn opposite(answer: &str, truth: &str) -> bool {
    if answer.len() > 40 || truth.len() > 40 {
        return false;
    }
    let (a, t) = (super::string::fold(answer), super::string::fold(truth));
    let pair = |x: &str, y: &str| OPPOSITES.contains(&(x, y));
    pair(&a, &t) || pair(&t, &a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_and_numerals() {
        for (text, n) in [
            ("three", 3),
            ("Twenty-One", 21),
            ("three hundred and five", 305),
            ("two thousand", 2000),
            ("a dozen", 12),
            ("三", 3),
            ("十", 10),
            ("二十一", 21),
            ("两个", 2),
            ("一百零五", 105),
        ] {
            let text = text.trim_start_matches("a ");
            assert_eq!(read(text), Some(n), "{text}");
        }
        for text in ["", "one two", "cat", "a number", "一二", "three cats", "个"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn opposites_exclude_each_other() {
        assert!(opposite("Left.", "right") && opposite("right", "left") && opposite("左", "右"));
        assert!(!opposite("left", "left") && !opposite("left", "up") && !opposite("", ""));
    }

    proptest! {
        #[test]
        fn spoken_numbers_are_read_back(n in 0_i64..100_000) {
            prop_assert_eq!(read(&spoken(n)), Some(n));
        }

        #[test]
        fn numerals_are_read_back(n in 0_i64..100) {
            let text = chinese_numeral(n).expect("below 100");
            prop_assert_eq!(read(&text), Some(n));
        }
    }
}
