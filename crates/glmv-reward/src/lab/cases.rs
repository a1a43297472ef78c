//! Case files: JSON lines, an array, or an object with `cases`.

use crate::Error;
use serde_json::{Map, Value};
use std::path::Path;

/// What a row's `response` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// An answer that was extracted already.
    Judge,
    /// A whole completion.
    ExtractAndJudge,
}

/// An outcome that a row allows.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// A reward, within [`crate::lab::test::TOLERANCE`].
    Reward(f64),
    /// No rule decides.
    NeedsJudge,
}

/// One row.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its name.
    pub id: String,
    /// Name of the domain.
    pub domain: String,
    /// Name of the data source in a reward config.
    pub source: Option<String>,
    /// What the response is.
    pub level: Level,
    /// Parameters of the rule.
    pub config: Map<String, Value>,
    /// The question.
    pub question: String,
    /// The answer or completion.
    pub response: String,
    /// The truth.
    pub ground_truth: String,
    /// Outcomes allowed; empty where the row names none.
    pub expected: Vec<Expected>,
}

/// A file of rows; a row that is no case is an error in its place.
#[derive(Debug)]
pub struct CaseFile {
    /// The rows in the order of the file.
    pub rows: Vec<Result<Case, Error>>,
    /// Rows of formulas that belong to other parts of the project, which `test` leaves out.
    pub foreign: usize,
}

impl CaseFile {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, is no UTF-8, or holds no rows at all.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| Error::File {
            path: name.clone(),
            source,
        })?;
        Self::parse(&text, &name)
    }

    /// Reads the text of a file; `file` names it in messages.
    ///
    /// # Errors
    /// If it holds no rows at all.
    pub fn parse(text: &str, file: &str) -> Result<Self, Error> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (mut rows, mut foreign) = (Vec::new(), 0);
        let row = |place: String, value: Value| {
            Case::from_json(value).map_err(|reason| Error::Row {
                file: file.into(),
                row: place,
                reason,
            })
        };
        match serde_json::from_str(text) {
            Ok(Value::Object(mut object)) if object.contains_key("cases") => {
                let Some(Value::Array(cases)) = object.remove("cases") else {
                    let reason = "must be an array".into();
                    return Err(Error::Row {
                        file: file.into(),
                        row: "cases".into(),
                        reason,
                    });
                };
                rows.extend(
                    cases
                        .into_iter()
                        .enumerate()
                        .map(|(i, v)| row(place(i, &v), v)),
                );
                if let Some(Value::Array(formulas)) = object.remove("derived_from_paper_formulas") {
                    for (i, value) in formulas.into_iter().enumerate() {
                        match grounding(i, &value) {
                            Some(case) => rows.push(row(format!("formula {}", i + 1), case)),
                            None => foreign += 1,
                        }
                    }
                }
            }
            Ok(Value::Array(cases)) => {
                rows.extend(
                    cases
                        .into_iter()
                        .enumerate()
                        .map(|(i, v)| row(place(i, &v), v)),
                );
            }
            _ => {
                for (i, line) in text
                    .lines()
                    .enumerate()
                    .filter(|(_, l)| !l.trim().is_empty())
                {
                    let place = format!("line {}", i + 1);
                    rows.push(match serde_json::from_str(line) {
                        Ok(value) => row(place, value),
                        Err(e) => Err(Error::Row {
                            file: file.into(),
                            row: place,
                            reason: e.to_string(),
                        }),
                    });
                }
            }
        }
        if rows.is_empty() {
            let reason = "the file has no cases".into();
            return Err(Error::Row {
                file: file.into(),
                row: "line 1".into(),
                reason,
            });
        }
        Ok(Self { rows, foreign })
    }
}

fn place(index: usize, value: &Value) -> String {
    match value.get("id").and_then(Value::as_str) {
        Some(id) => format!("case {} ({id:?})", index + 1),
        None => format!("case {}", index + 1),
    }
}

/// A grounding formula as a case.
fn grounding(index: usize, value: &Value) -> Option<Value> {
    if value.get("kind")?.as_str()? != "grounding" {
        return None;
    }
    Some(serde_json::json!({
        "id": format!("grounding-{index:04}"),
        "domain": "grounding",
        "level": "judge",
        "config": { "tau": value.get("tau")? },
        "response": value.get("pred")?.to_string(),
        "ground_truth": value.get("gt")?.to_string(),
        "expected": value.get("reward_total_is_max")?,
    }))
}

impl Case {
    /// Reads one row; unknown keys are ignored.
    ///
    /// # Errors
    /// If a key is missing or has a value of another kind.
    pub fn from_json(value: Value) -> Result<Self, String> {
        let Value::Object(mut row) = value else {
            return Err("a row must be an object".into());
        };
        let domain = text(&mut row, "domain")?.ok_or("domain is missing")?;
        let level = match text(&mut row, "level")?.as_deref() {
            None | Some("extract_and_judge") => Level::ExtractAndJudge,
            Some("judge") => Level::Judge,
            Some(other) => {
                return Err(format!(
                    "level {other:?} is neither judge nor extract_and_judge"
                ));
            }
        };
        let config = match row.remove("config") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(config)) => config,
            Some(other) => return Err(format!("config must be an object, not {other}")),
        };
        let id = match row.remove("id") {
            Some(Value::String(id)) => id,
            Some(Value::Number(id)) => id.to_string(),
            None => return Err("id is missing".into()),
            Some(other) => return Err(format!("id must be a string, not {other}")),
        };
        let ground_truth = match row.remove("ground_truth") {
            Some(Value::String(truth)) => truth,
            Some(truth @ (Value::Number(_) | Value::Array(_) | Value::Object(_))) => {
                truth.to_string()
            }
            None => return Err("ground_truth is missing".into()),
            Some(other) => return Err(format!("ground_truth must be a string, not {other}")),
        };
        Ok(Self {
            id,
            domain,
            source: text(&mut row, "source")?,
            level,
            config,
            question: text(&mut row, "question")?.unwrap_or_default(),
            response: text(&mut row, "response")?.ok_or("response is missing")?,
            ground_truth,
            expected: row
                .remove("expected")
                .map_or(Ok(Vec::new()), |e| expected(&e))?,
        })
    }
}

fn text(row: &mut Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match row.remove(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(format!("{key} must be a string, not {other}")),
    }
}

fn expected(value: &Value) -> Result<Vec<Expected>, String> {
    match value {
        Value::Array(all) if !all.is_empty() => all
            .iter()
            .map(expected)
            .collect::<Result<Vec<_>, _>>()
            .map(|e| e.concat()),
        Value::String(word) if word == "needs_judge" => Ok(vec![Expected::NeedsJudge]),
        Value::Number(n) => n
            .as_f64()
            .map(|x| vec![Expected::Reward(x)])
            .ok_or_else(|| format!("expected {n}")),
        other => Err(format!(
            "expected must be a number, \"needs_judge\" or a list, not {other}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = r#"{"id": "a", "domain": "math", "level": "judge", "response": "1", "ground_truth": 1, "expected": [1.0, "needs_judge"], "note": "x"}"#;

    #[test]
    fn three_layouts() {
        for text in [
            ROW.to_owned(),
            format!("\n{ROW}\n\n{ROW}\n"),
            format!("[{ROW}]"),
            format!("{{\"cases\": [{ROW}], \"meta\": 1}}"),
        ] {
            let file = CaseFile::parse(&text, "f").expect("rows");
            for row in &file.rows {
                let case = row.as_ref().expect("a case");
                assert_eq!(
                    (case.id.as_str(), case.ground_truth.as_str(), case.level),
                    ("a", "1", Level::Judge)
                );
                assert_eq!(case.expected, [Expected::Reward(1.0), Expected::NeedsJudge]);
            }
        }
        assert!(
            CaseFile::parse("", "f").is_err() && CaseFile::parse("{\"cases\": 3}", "f").is_err()
        );
    }

    #[test]
    fn bad_rows_name_their_place_and_leave_the_others() {
        let text = format!("{ROW}\n{{\"id\": 3}}\nnonsense\n{ROW}");
        let file = CaseFile::parse(&text, "f.jsonl").expect("rows");
        let messages: Vec<_> = file
            .rows
            .iter()
            .filter_map(|r| r.as_ref().err())
            .map(ToString::to_string)
            .collect();
        assert_eq!(messages.len(), 2);
        assert!(
            messages[0].starts_with("f.jsonl: line 2: domain is missing"),
            "{messages:?}"
        );
        assert!(messages[1].starts_with("f.jsonl: line 3: "), "{messages:?}");
        for (from, to) in [
            ("\"judge\",", "\"jury\","),
            ("\"1\"", "1"),
            ("\"needs_judge\"", "\"?\""),
            ("\"a\"", "null"),
            (": 1,", ": null,"),
        ] {
            let file = CaseFile::parse(&ROW.replacen(from, to, 1), "f").expect("a row");
            assert!(file.rows[0].is_err(), "{to}");
        }
    }

    #[test]
    fn grounding_formulas_are_cases() {
        let text = format!(
            r#"{{"cases": [{ROW}], "derived_from_paper_formulas": [{{"kind": "pass_at_k"}}, {{"kind": "grounding", "pred": [[1,1,2,2]], "gt": [], "tau": 0.5, "reward_total_is_max": 0.0}}]}}"#
        );
        let file = CaseFile::parse(&text, "f").expect("rows");
        assert_eq!((file.rows.len(), file.foreign), (2, 1));
        assert!(file.rows[1].as_ref().is_ok_and(|c| c.domain == "grounding"));
    }
}
