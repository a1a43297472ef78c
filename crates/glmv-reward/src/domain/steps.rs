//! The steps a domain is made of: each asks one comparison, and decides or passes on.

use super::{Item, Params};
use crate::compare::expression::{self, Same};
use crate::compare::number::Tolerance;
use crate::compare::quantity::{self, Units};
use crate::compare::{
    Ruling, bbox, choice, date, edit_distance, genotype, gui_computer, gui_mobile, gui_web, hedge,
    interval, language, list, number, point, string, words,
};

/// One step. "Accepts" means that it says right or nothing; "decides" means right or wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Accepts the same text, outer space aside.
    Identical,
    /// Refuses an empty answer; an empty truth is bad data.
    Empty,
    /// Decides choice letters; with `fold`, lower case is a choice too.
    Choice {
        /// Lower case stands for upper case.
        fold: bool,
    },
    /// Refuses vague answers and several answers.
    Hedge {
        /// `5-9` is a range and not a difference.
        spans: bool,
        /// Three parts between commas are several answers.
        commas: bool,
    },
    /// Accepts the same quantity; leaves any other answer with a unit to the judge.
    Units,
    /// Decides numbers and structures of numbers, accepts equal expressions; `symbolic`: decides
    /// expressions with symbols as well; `mixed`: tolerance of the spatial domain.
    Math {
        /// Different expressions are wrong; else a judge must look.
        symbolic: bool,
        /// [`Tolerance::Mixed`].
        mixed: bool,
    },
    /// Accepts what [`Step::Math`] calls equal.
    MathAccept,
    /// Decides plain numbers within the tolerance.
    Number,
    /// Accepts plain numbers of the same value.
    NumberAccept,
    /// Decides two whole numbers from 1000 to 3000: years must be the same.
    Year,
    /// Decides dates.
    Date,
    /// Accepts the same date in another notation.
    DateAccept,
    /// Decides whole numbers, also as words.
    Count,
    /// Accepts the same text but for case, width, wrapping and outer punctuation.
    Folded,
    /// Accepts the same genotype.
    Genotype,
    /// Accepts the same chemical formula with other sub- and superscripts.
    Formula,
    /// Accepts the same items in another order.
    List,
    /// Refuses the opposite direction or truth value.
    Opposite,
    /// Refuses an answer above the length limit.
    MaxChars,
    /// Scores by edit distance without spaces.
    Ocr,
    /// Scores boxes: share with IoU above τ.
    Boxes,
    /// Scores one box by IoU, or a point by lying inside.
    Target,
    /// Scores a time interval by overlap.
    Overlap,
    /// Scores an action on a phone.
    Mobile,
    /// Scores an action on a computer.
    Computer,
    /// Scores an action in a browser.
    Web,
    /// Refuses an empty answer and nothing else.
    Open,
    /// Scores the whole text: 0 for long Chinese beside long English.
    LanguageMix,
}

type Outcome = Result<Option<Ruling>, String>;

impl Step {
    /// What the step says; `None` to pass on.
    ///
    /// # Errors
    /// If the truth is not what the step needs.
    pub fn run(self, Item { answer, truth }: Item<'_>, params: &Params) -> Outcome {
        let relative = Tolerance::Relative(params.rel_tol);
        let accept = |hit: bool, why: &'static str| Ok(hit.then(|| Ruling::right(why)));
        match self {
            Self::Identical => accept(answer == truth, "the same text"),
            Self::Empty => empty(answer, truth),
            Self::Choice { fold } => Ok(choice::compare(answer, truth, fold)),
            Self::Hedge { spans, commas } => Ok(match decimal_comma(answer, truth, relative) {
                true => Some(Ruling::undecided("a decimal comma: a model must be asked")),
                false => hedge::reason(answer, truth, spans, commas).map(Ruling::wrong),
            }),
            Self::Units => Ok(quantity::compare(answer, truth, relative).map(
                |units| match units {
                    Units::Same => Ruling::right("the same number and unit"),
                    Units::Doubtful => {
                        Ruling::undecided("an answer with a unit: a model must be asked")
                    }
                },
            )),
            Self::Math { symbolic, mixed } => Ok(math(answer, truth, params, symbolic, mixed)),
            Self::MathAccept => accept(
                expression::compare(answer, truth, relative) == Some(Same::Yes),
                "the same value",
            ),
            Self::Number => Ok(numbers(answer, truth, relative)),
            Self::NumberAccept => accept(
                matches!((number::plain(answer), number::plain(truth)),
                    (Some(a), Some(t)) if relative.holds(a.value, t.value)),
                "the same number",
            ),
            Self::Year => Ok(year(answer, truth)),
            Self::Date => Ok(date::same(answer, truth).map(|same| {
                if same {
                    Ruling::right("the same date")
                } else {
                    Ruling::wrong("another date")
                }
            })),
            Self::DateAccept => accept(date::same(answer, truth) == Some(true), "the same date"),
            Self::Count => Ok(count(answer, truth)),
            Self::Folded => accept(
                string::same_folded(answer, truth),
                "the same text but for its form",
            ),
            Self::Genotype => accept(
                genotype::same(answer, truth) == Some(true),
                "the same genotype",
            ),
            Self::Formula => accept(formula(answer) == formula(truth), "the same formula"),
            Self::List => accept(list::same(answer, truth), "the same items"),
            Self::Opposite => Ok(words::opposite(answer, truth)
                .then(|| Ruling::wrong("the opposite of the true answer"))),
            Self::MaxChars => {
                let long = answer.chars().nth(params.max_chars).is_some();
                let why = || format!("longer than {} characters", params.max_chars);
                Ok(long.then(|| Ruling::wrong(why())))
            }
            Self::Ocr => Ok(Some(ocr(answer, truth, params))),
            Self::Boxes => boxes(answer, truth, params.tau),
            Self::Target => target(answer, truth),
            Self::Overlap => overlap(answer, truth),
            Self::Mobile => gui_mobile::compare(answer, truth).map(Some),
            Self::Computer => gui_computer::compare(answer, truth).map(Some),
            Self::Web => gui_web::compare(answer, truth).map(Some),
            Self::Open => Ok(answer
                .is_empty()
                .then(|| Ruling::wrong("the answer is empty"))),
            Self::LanguageMix => Ok(Some(if language::mixes(answer) {
                Ruling::wrong("long Chinese and long English paragraphs")
            } else {
                Ruling::right("one language")
            })),
        }
    }
}

fn empty(answer: &str, truth: &str) -> Outcome {
    if answer.is_empty() {
        return Ok(Some(Ruling::wrong("the answer is empty")));
    }
    if truth.is_empty() {
        Err("it is empty".into())
    } else {
        Ok(None)
    }
}

fn math(answer: &str, truth: &str, params: &Params, symbolic: bool, mixed: bool) -> Option<Ruling> {
    let tolerance = match mixed {
        true => Tolerance::Mixed(params.rel_tol),
        false => Tolerance::Relative(params.rel_tol),
    };
    let same = expression::compare(string::unwrap(answer), string::unwrap(truth), tolerance)?;
    match same {
        Same::Yes => Some(Ruling::right("the same value")),
        Same::No => Some(Ruling::wrong("another value")),
        Same::NoSymbolic if has_unit(answer) || has_unit(truth) => None,
        Same::NoSymbolic if symbolic => Some(Ruling::wrong("another expression")),
        Same::NoSymbolic | Same::Unknown => None,
    }
}

/// True for a number with a unit other than percent and degree.
fn has_unit(text: &str) -> bool {
    quantity::read(text).is_some_and(|q| !matches!(q.unit.as_str(), "%" | "°"))
}

/// True where `3,14` is meant for `3.14`.
fn decimal_comma(answer: &str, truth: &str, tolerance: Tolerance) -> bool {
    number::decimal_comma(answer)
        .is_some_and(|a| number::read(truth).is_some_and(|t| tolerance.holds(a.value, t.value)))
}

fn numbers(answer: &str, truth: &str, tolerance: Tolerance) -> Option<Ruling> {
    let (a, t) = (number::plain(answer)?, number::plain(truth)?);
    if tolerance.holds(a.value, t.value) {
        return Some(Ruling::right("the same number within the tolerance"));
    }
    if a.percent != t.percent {
        let hundred = crate::math::Value::int(100);
        let (x, y) = match a.percent {
            true => (a.value.times(hundred), t.value),
            false => (a.value, t.value.times(hundred)),
        };
        if tolerance.holds(x, y) {
            return None;
        }
    }
    Some(Ruling::wrong("another number"))
}

fn year(answer: &str, truth: &str) -> Option<Ruling> {
    let (a, t) = (number::decimal(answer)?, number::decimal(truth)?);
    let years = !a.percent && !t.percent && date::is_year(a.value) && date::is_year(t.value);
    years.then(|| match a.value.same(t.value) {
        true => Ruling::right("the same year"),
        false => Ruling::wrong("another year: years must be exact"),
    })
}

fn count(answer: &str, truth: &str) -> Option<Ruling> {
    let value = |text: &str| {
        number::decimal(string::unwrap(text))
            .map(|n| n.value)
            .or_else(|| words::read(text).map(|n| crate::math::Value::int(n.into())))
    };
    Some(match value(answer)?.same(value(truth)?) {
        true => Ruling::right("the same count"),
        false => Ruling::wrong("another count"),
    })
}

/// A chemical formula without mark-up: `H₂O`, `H_{2}O` and `\ce{H2O}` are `H2O`.
fn formula(text: &str) -> String {
    let text = string::unwrap(text);
    let text = text
        .strip_prefix("\\ce{")
        .and_then(|t| t.strip_suffix('}'))
        .unwrap_or(text);
    let text = text.replace("\\mathrm", "").replace("\\text", "");
    text.chars()
        .filter(|c| !matches!(c, '_' | '^' | '{' | '}' | '$' | ' '))
        .map(|c| match c {
            '₀'..='₉' => char::from(b'0' + (u32::from(c) - 0x2080) as u8),
            '⁺' | '₊' => '+',
            '⁻' | '₋' => '-',
            '²' => '2',
            '³' => '3',
            '¹' => '1',
            '⁴'..='⁹' => char::from(b'0' + (u32::from(c) - 0x2070) as u8),
            c => c,
        })
        .collect()
}

fn ocr(answer: &str, truth: &str, params: &Params) -> Ruling {
    let read = |text: &str| {
        let text = string::without_space(text);
        if params.ignore_case {
            text.to_lowercase()
        } else {
            text
        }
    };
    let similarity = edit_distance::similarity(&read(answer), &read(truth));
    let score = if similarity >= params.upper {
        1.0
    } else if similarity <= params.lower {
        0.0
    } else {
        similarity
    };
    Ruling::score(score, "similarity by edit distance")
}

fn true_boxes(truth: &str) -> Result<Vec<bbox::Box4>, String> {
    let boxes = bbox::read(truth).ok_or("it is not a list of boxes [x1, y1, x2, y2]")?;
    match boxes.iter().find(|b| !bbox::valid(b)) {
        Some(b) => Err(format!("{b:?} is not a box within 0 to 1000")),
        None if boxes.is_empty() && !truth.contains('[') => Err("it has no boxes".into()),
        None => Ok(boxes),
    }
}

fn boxes(answer: &str, truth: &str, tau: f64) -> Outcome {
    let truth = true_boxes(truth)?;
    let Some(given) = bbox::read(answer) else {
        return Ok(Some(Ruling::wrong("not a list of boxes [x1, y1, x2, y2]")));
    };
    let score = match given.is_empty() && !answer.contains('[') {
        true => 0.0,
        false => bbox::reward(&given, &truth, tau),
    };
    Ok(Some(Ruling::score(
        score,
        "boxes with enough overlap over all boxes",
    )))
}

fn target(answer: &str, truth: &str) -> Outcome {
    let truth = true_boxes(truth)?;
    let [goal] = truth.as_slice() else {
        return Err("it must be one box".into());
    };
    if let Some(place) = point::read(answer) {
        let hit = point::inside(place, goal);
        return Ok(Some(Ruling::score(
            f64::from(u8::from(hit)),
            "the point against the box",
        )));
    }
    Ok(Some(match bbox::read(answer).as_deref() {
        Some([given]) if bbox::valid(given) => {
            Ruling::score(bbox::iou(given, goal), "overlap of the boxes")
        }
        Some([_, _, ..]) => Ruling::wrong("more than one box"),
        _ => Ruling::wrong("neither a box nor a point"),
    }))
}

fn overlap(answer: &str, truth: &str) -> Outcome {
    let truth = interval::read(truth).ok_or("it is not a time interval")?;
    Ok(Some(match interval::read(answer) {
        Some(given) => Ruling::score(interval::overlap(given, truth), "overlap of the intervals"),
        None => Ruling::wrong("not a time interval"),
    }))
}
