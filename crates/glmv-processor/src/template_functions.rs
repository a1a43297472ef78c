//! The functions and the filter that HF gives a chat template: `raise_exception`, `strftime_now`,
//! `tojson`, and Python's spelling of `None`, `True` and `False` in output. Called when the
//! template's environment is made.

use std::time::{SystemTime, UNIX_EPOCH};

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, escape_formatter};

use crate::python_json::{Style, dumps};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// Adds the functions, the filter and the output formatter to `environment`.
pub(crate) fn install(environment: &mut Environment<'_>) {
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    environment.add_filter("tojson", tojson);
    environment.set_formatter(|out, state, value| {
        let spelled = match value.kind() {
            ValueKind::None => Value::from("None"),
            ValueKind::Bool => Value::from(if value.is_true() { "True" } else { "False" }),
            _ => return escape_formatter(out, state, value),
        };
        escape_formatter(out, state, &spelled)
    });
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// `tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False)`, HF's override of
/// Jinja's filter.
fn tojson(value: Value, kwargs: Kwargs) -> Result<Value, Error> {
    let bad = |what: &str| Error::new(ErrorKind::InvalidOperation, what.to_owned());
    let indent = match kwargs.get::<Option<Value>>("indent")? {
        None => None,
        Some(v) if v.is_none() => None,
        Some(v) => match (v.as_str(), v.as_usize()) {
            (Some(text), _) => Some(text.to_owned()),
            (None, Some(spaces)) if spaces <= 64 => Some(" ".repeat(spaces)),
            _ => return Err(bad("tojson: indent must be a string or a number up to 64")),
        },
    };
    let separators = match kwargs.get::<Option<Vec<String>>>("separators")? {
        None => None,
        Some(pair) => match <[String; 2]>::try_from(pair) {
            Ok(pair) => Some(pair),
            Err(_) => return Err(bad("tojson: separators must be a pair of strings")),
        },
    };
    let default_item = if indent.is_some() { "," } else { ", " };
    let [item_separator, key_separator] =
        separators.unwrap_or_else(|| [default_item.to_owned(), ": ".to_owned()]);
    let style = Style {
        ensure_ascii: kwargs.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
        indent,
        item_separator,
        key_separator,
        sort_keys: kwargs.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
    };
    kwargs.assert_all_used()?;
    if value.is_undefined() {
        return Err(bad("tojson: the value is undefined"));
    }
    let json = serde_json::to_value(&value).map_err(|e| bad(&format!("tojson: {e}")))?;
    Ok(Value::from(dumps(&json, &style)))
}

/// `strftime_now(format)` in UTC (HF uses the machine's local time; the standard library knows no
/// time zones).
fn strftime_now(format: String) -> Result<String, Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| {
        Error::new(
            ErrorKind::InvalidOperation,
            "strftime_now: the clock is before 1970",
        )
    })?;
    strftime(&format, now.as_secs())
}

/// `format` with Python's date directives filled in for `seconds` after 1970-01-01 UTC.
fn strftime(format: &str, seconds: u64) -> Result<String, Error> {
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut letter = chars.next();
        let padded = letter != Some('-');
        if !padded {
            letter = chars.next();
        }
        let filled = letter.and_then(|letter| directive(letter, padded, seconds));
        out.push_str(&filled.ok_or_else(|| {
            let message = format!("strftime_now: unknown directive in `{format}`");
            Error::new(ErrorKind::InvalidOperation, message)
        })?);
    }
    Ok(out)
}

/// The text of one directive; `None` when it is unknown.
fn directive(letter: char, padded: bool, seconds: u64) -> Option<String> {
    let day_number = seconds / 86_400;
    let (year, month, day, day_of_year) = civil(day_number);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let weekday = DAYS[(day_number as usize + 4) % 7];
    let month_name = MONTHS[month as usize - 1];
    let wide = |value: u64, width: usize| {
        let width = if padded { width } else { 0 };
        format!("{value:0width$}")
    };
    Some(match letter {
        'Y' => year.to_string(),
        'y' => wide(year % 100, 2),
        'm' => wide(month, 2),
        'd' => wide(day, 2),
        'j' => wide(day_of_year, 3),
        'H' => wide(hour, 2),
        'I' => wide((hour + 11) % 12 + 1, 2),
        'M' => wide(minute, 2),
        'S' => wide(second, 2),
        'p' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
        'B' => month_name.to_owned(),
        'b' | 'h' => month_name[..3].to_owned(),
        'A' => weekday.to_owned(),
        'a' => weekday[..3].to_owned(),
        'F' => format!("{year}-{month:02}-{day:02}"),
        'T' => format!("{hour:02}:{minute:02}:{second:02}"),
        'Z' => "UTC".to_owned(),
        '%' => "%".to_owned(),
        _ => return None,
    })
}

/// Year, month (1-12), day of month (1-31) and day of year (1-366) of a day counted from
/// 1970-01-01.
fn civil(mut day: u64) -> (u64, u64, u64, u64) {
    let leap = |y: u64| (y.is_multiple_of(4) && !y.is_multiple_of(100)) || y.is_multiple_of(400);
    let mut year = 1970;
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let day_of_year = day + 1;
    let lengths = [
        31,
        28 + u64::from(leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let mut month = 1;
    for length in lengths {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    (year, month, day + 1, day_of_year)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_match_the_calendar() {
        // 2024-02-29 13:05:09 UTC, a Thursday and the 60th day.
        let at = 1_709_211_909;
        let text = strftime("%Y-%m-%d %H:%M:%S %A %a %B %b %j %-d %I%p %y %%", at)
            .expect("known directives");
        assert_eq!(
            text,
            "2024-02-29 13:05:09 Thursday Thu February Feb 060 29 01PM 24 %"
        );
        assert_eq!(
            strftime("%F %T", 0).expect("known directives"),
            "1970-01-01 00:00:00"
        );
        assert!(strftime("%Q", at).is_err());
    }
}
