//! Scores rows.

use super::cases::{Case, Level};
use crate::config::RewardSystem;
use crate::{Error, Scorer, Verdict};
use serde::Serialize;

/// What one row scores.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RowScore {
    /// The row's name.
    pub id: String,
    /// The reward; `None` where a model must be asked.
    pub reward: Option<f64>,
    /// No rule decides.
    pub needs_judge: bool,
    /// The completion keeps its grammar.
    pub format_ok: bool,
    /// The answer that was compared.
    pub extracted: Option<String>,
    /// The reason.
    pub why: String,
}

impl RowScore {
    fn new(id: &str, verdict: Verdict) -> Self {
        Self {
            id: id.into(),
            reward: verdict.reward,
            needs_judge: verdict.needs_judge,
            format_ok: verdict.format_ok,
            extracted: verdict.extracted,
            why: verdict.why,
        }
    }
}

/// Scores one row: by the config's source of the row's `source` or domain name, else by the
/// domain's own parameters; the row's `config` comes on top.
///
/// # Errors
/// If the domain, the source or a parameter is unknown, or the truth is not what the domain needs.
pub fn score(case: &Case, system: Option<&RewardSystem>) -> Result<RowScore, Error> {
    let configured = match (system, &case.source) {
        (Some(system), Some(source)) => Some(system.source(source)?),
        (Some(system), None) => system.source(&case.domain).ok(),
        (None, _) => None,
    };
    let mut scorer = match configured {
        Some(scorer) => scorer.clone(),
        None => Scorer::of_domain(&case.domain)?,
    };
    let domain = scorer.domain;
    for (key, value) in &case.config {
        scorer.params.set(domain.name, domain.keys, key, value)?;
    }
    scorer.params.check(domain.name)?;
    let verdict = match case.level {
        Level::Judge => scorer.answer(&case.response, &case.ground_truth)?,
        Level::ExtractAndJudge => scorer.completion(&case.response, &case.ground_truth)?,
    };
    Ok(RowScore::new(&case.id, verdict))
}

/// Scores the rows of a file; an error names file and row.
pub fn score_all(
    rows: Vec<Result<Case, Error>>,
    system: Option<&RewardSystem>,
    file: &str,
) -> Vec<(Option<Case>, Result<RowScore, Error>)> {
    let mut out = Vec::with_capacity(rows.len());
    for (i, row) in rows.into_iter().enumerate() {
        out.push(match row {
            Err(error) => (None, Err(error)),
            Ok(case) => {
                let place = format!("case {} ({:?})", i + 1, case.id);
                let in_row = |reason: String| Error::Row {
                    file: file.into(),
                    row: place,
                    reason,
                };
                let scored = score(&case, system).map_err(|e| in_row(e.to_string()));
                (Some(case), scored)
            }
        });
    }
    out
}
