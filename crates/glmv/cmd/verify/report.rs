//! Verdicts of all cases → text for people, JSON for programs.

use super::kind::Kind;
use super::verdict::TensorReport;
use glmv_kernels::device::{Info, Selected};
use glmv_kernels::{Op, route};
use glmv_testkit::Case;
use serde_json::{Map, Value, json};
use std::fmt;

/// What JSON says instead of an infinite ratio: an exact value that differs, or NaN.
const INFINITE: f64 = f64::MAX;

/// The verdict of one case.
#[derive(Debug)]
pub(super) struct CaseReport {
    id: String,
    kind: String,
    tensors: Vec<TensorReport>,
    /// What kept the case from being compared.
    error: Option<String>,
}

impl CaseReport {
    /// A case whose results were compared.
    pub(super) fn compared(case: &Case, tensors: Vec<TensorReport>) -> Self {
        CaseReport {
            id: case.id.clone(),
            kind: case.kind.clone(),
            tensors,
            error: None,
        }
    }

    /// A case that could not be compared.
    pub(super) fn failed(id: &str, kind: &str, error: String) -> Self {
        CaseReport {
            id: id.to_owned(),
            kind: kind.to_owned(),
            tensors: Vec::new(),
            error: Some(error),
        }
    }

    fn passed(&self) -> bool {
        self.error.is_none() && self.tensors.iter().all(|t| t.failure.is_none())
    }

    /// The tensor closest to (or furthest beyond) its tolerance.
    fn worst(&self) -> Option<(f64, &TensorReport)> {
        let rated = self
            .tensors
            .iter()
            .filter_map(|t| Some((t.worst_ratio?, t)));
        rated.max_by(|a, b| a.0.total_cmp(&b.0))
    }

    fn to_json(&self) -> Value {
        let tensors = self.tensors.iter().map(|t| {
            json!({
                "name": t.name,
                "worst_ratio": t.worst_ratio.map(finite),
                "max_abs": finite(t.max_abs),
                "failure": t.failure,
                "note": t.note,
            })
        });
        json!({
            "id": self.id,
            "kind": self.kind,
            "passed": self.passed(),
            "tensors": tensors.collect::<Vec<_>>(),
            "error": self.error,
        })
    }
}

fn finite(value: f64) -> f64 {
    value.clamp(-INFINITE, INFINITE)
}

/// Everything one `verify` found.
pub(super) struct Report {
    device: Info,
    paths: Vec<(&'static str, &'static str)>,
    cases: Vec<CaseReport>,
}

/// Totals of one kind.
struct KindTotals<'a> {
    passed: usize,
    total: usize,
    worst: Option<(f64, String)>,
    name: &'a str,
}

impl Report {
    pub(super) fn new(selected: &Selected) -> Self {
        let path = |op: Op| (op.name(), route(op, &selected.device).name());
        Report {
            device: selected.info.clone(),
            paths: Op::ALL.into_iter().map(path).collect(),
            cases: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, case: CaseReport) {
        self.cases.push(case);
    }

    fn count(&self) -> usize {
        self.cases.iter().filter(|case| case.passed()).count()
    }

    /// True if every case passed and there was one.
    pub(super) fn passed(&self) -> bool {
        !self.cases.is_empty() && self.count() == self.cases.len()
    }

    /// Totals in the order of [`Kind::ALL`], unknown kinds last.
    fn kinds(&self) -> Vec<KindTotals<'_>> {
        let mut names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        for case in &self.cases {
            if !names.contains(&case.kind.as_str()) {
                names.push(&case.kind);
            }
        }
        let totals = names.into_iter().filter_map(|name| {
            let cases: Vec<_> = self.cases.iter().filter(|case| case.kind == name).collect();
            let rated = cases.iter().filter_map(|case| Some((case, case.worst()?)));
            let worst = rated.max_by(|a, b| a.1.0.total_cmp(&b.1.0));
            (!cases.is_empty()).then(|| KindTotals {
                passed: cases.iter().filter(|case| case.passed()).count(),
                total: cases.len(),
                worst: worst
                    .map(|(case, (ratio, tensor))| (ratio, format!("{} {}", case.id, tensor.name))),
                name,
            })
        });
        totals.collect()
    }

    /// The whole report. A ratio that is not finite is written as the largest number.
    pub(super) fn to_json(&self) -> Value {
        let kinds = self.kinds().into_iter().map(|kind| {
            let (ratio, worst) = kind.worst.unzip();
            let entry = json!({
                "passed": kind.passed,
                "total": kind.total,
                "worst_ratio": ratio.map(finite),
                "worst": worst,
            });
            (kind.name.to_owned(), entry)
        });
        let paths = self
            .paths
            .iter()
            .map(|(op, path)| ((*op).to_owned(), json!(path)));
        json!({
            "passed": self.count(),
            "total": self.cases.len(),
            "device": self.device,
            "kinds": kinds.collect::<Map<_, _>>(),
            "cases": self.cases.iter().map(CaseReport::to_json).collect::<Vec<_>>(),
            "paths": paths.collect::<Map<_, _>>(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} on {} ({})",
            self.device.backend, self.device.name, self.device.driver
        )?;
        for kind in self.kinds() {
            write!(f, "{:<16} {:>3}/{:<3}", kind.name, kind.passed, kind.total)?;
            match kind.worst {
                Some((ratio, place)) => {
                    writeln!(f, " worst {ratio:.3} of what is allowed: {place}")?
                }
                None => writeln!(f)?,
            }
        }
        for case in &self.cases {
            for tensor in &case.tensors {
                if let Some(note) = &tensor.note {
                    writeln!(f, "note {} {}: {note}", case.id, tensor.name)?;
                }
            }
        }
        for case in self.cases.iter().filter(|case| !case.passed()) {
            writeln!(f, "FAIL {} ({})", case.id, case.kind)?;
            if let Some(error) = &case.error {
                writeln!(f, "  {error}")?;
            }
            for tensor in &case.tensors {
                if let Some(failure) = &tensor.failure {
                    writeln!(f, "  {}: {failure}", tensor.name)?;
                }
            }
        }
        if self.cases.is_empty() {
            writeln!(f, "no case was selected")?;
        }
        writeln!(f, "{} of {} cases passed", self.count(), self.cases.len())
    }
}
