//! One case's comparisons: results in, a [`TensorReport`] per golden value out.
//!
//! Reading a golden tensor as input or comparing with it marks it as used; [`Check::finish`] fails
//! those that nobody used, so that no result is skipped in silence.

use super::verdict::{Golden, TensorReport, describe, place, short};
use anyhow::Context as _;
use glmv_testkit::{Bound, Case, GoldenSet, Tensors, Tolerance, compare_exact, compare_with};
use serde_json::Value;
use std::collections::BTreeSet;

/// The golden values of a case and the comparisons with them so far.
pub(super) struct Check<'a> {
    case: &'a Case,
    /// `None` where all data is in `cases.json`.
    tensors: Option<Tensors>,
    used: BTreeSet<String>,
    reports: Vec<TensorReport>,
}

impl<'a> Check<'a> {
    /// Reads the tensors of a case.
    ///
    /// # Errors
    /// If the file is missing or is not what `cases.json` says.
    pub(super) fn load(set: &GoldenSet, case: &'a Case) -> anyhow::Result<Self> {
        let needed = case.file.is_some() || !case.tensors.is_empty();
        Ok(Check {
            tensors: needed.then(|| case.load(set)).transpose()?,
            case,
            used: BTreeSet::new(),
            reports: Vec::new(),
        })
    }

    /// The case itself.
    pub(super) fn case(&self) -> &'a Case {
        self.case
    }

    /// The entry `key` of the case beside its tensors; null where there is none.
    pub(super) fn extra(&self, key: &str) -> &'a Value {
        self.case.extra.get(key).unwrap_or(&Value::Null)
    }

    /// Everything the case says beside its tensors.
    pub(super) fn extras(&self) -> Value {
        Value::Object(self.case.extra.clone())
    }

    /// The bounds of losses and of parameters that a training case has.
    ///
    /// # Errors
    /// If the case's tolerance is of another form.
    pub(super) fn training_bounds(&self) -> anyhow::Result<(Bound, Bound)> {
        match self.case.tolerance {
            Tolerance::Training {
                loss_abs,
                param_abs,
            } => Ok((Bound::new(loss_abs, 0.0), Bound::new(param_abs, 0.0))),
            _ => anyhow::bail!("the case has no loss_abs and param_abs"),
        }
    }

    /// True where there is a golden tensor `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.case.tensors.contains_key(name)
    }

    /// Names of all golden tensors.
    pub(super) fn names(&self) -> Vec<String> {
        self.case.tensors.keys().cloned().collect()
    }

    /// Marks `name` as an input that this kind does not need.
    pub(super) fn input(&mut self, name: &str) {
        self.used.insert(name.to_owned());
    }

    fn tensors(&mut self, name: &str) -> anyhow::Result<&Tensors> {
        self.used.insert(name.to_owned());
        self.tensors.as_ref().context("the case has no tensors")
    }

    /// Values and shape of a golden float32 tensor.
    pub(super) fn f32(&mut self, name: &str) -> anyhow::Result<(Vec<f32>, Vec<usize>)> {
        Ok(self.tensors(name)?.f32(name)?)
    }

    /// Values and shape of a golden float64 tensor.
    pub(super) fn f64(&mut self, name: &str) -> anyhow::Result<(Vec<f64>, Vec<usize>)> {
        Ok(self.tensors(name)?.f64(name)?)
    }

    /// Values and shape of a golden int64 tensor.
    pub(super) fn i64(&mut self, name: &str) -> anyhow::Result<(Vec<i64>, Vec<usize>)> {
        Ok(self.tensors(name)?.i64(name)?)
    }

    /// Values and shape of a golden uint8 tensor.
    pub(super) fn u8(&mut self, name: &str) -> anyhow::Result<(Vec<u8>, Vec<usize>)> {
        Ok(self.tensors(name)?.u8(name)?)
    }

    /// The case's bound for the tensor `name`.
    ///
    /// # Errors
    /// If the tolerance is none for this tensor.
    pub(super) fn bound(&self, name: &str) -> anyhow::Result<Bound> {
        let bound = self.case.tolerance.bound(name);
        bound.with_context(|| format!("{name}: the case's tolerance does not apply to it"))
    }

    /// Compares with the golden float32 tensor `name`, within the case's tolerance.
    pub(super) fn close(&mut self, name: &str, got: &[f32]) -> anyhow::Result<()> {
        let bound = self.bound(name)?;
        self.close_with(name, got, |_| bound)
    }

    /// As [`Check::close`] with a bound per element.
    pub(super) fn close_with(
        &mut self,
        name: &str,
        got: &[f32],
        bound: impl Fn(usize) -> Bound,
    ) -> anyhow::Result<()> {
        let (want, shape) = self.f32(name)?;
        self.compare(
            name,
            got,
            &Golden {
                values: &want,
                shape: &shape,
            },
            bound,
        );
        Ok(())
    }

    /// As [`Check::close`] for the `width`-wide rows where `keep` is true; the others are padding.
    pub(super) fn close_rows(
        &mut self,
        name: &str,
        got: &[f32],
        keep: &[bool],
    ) -> anyhow::Result<()> {
        let (mut want, shape) = self.f32(name)?;
        let (mut got, bound) = (got.to_vec(), self.bound(name)?);
        if !keep.is_empty() && want.len().is_multiple_of(keep.len()) && want.len() == got.len() {
            let width = want.len() / keep.len();
            for (row, _) in keep.iter().enumerate().filter(|(_, keep)| !**keep) {
                want[row * width..(row + 1) * width].fill(0.0);
                got[row * width..(row + 1) * width].fill(0.0);
            }
        }
        self.compare(
            name,
            &got,
            &Golden {
                values: &want,
                shape: &shape,
            },
            |_| bound,
        );
        Ok(())
    }

    /// Compares values that `name` stands for with golden ones from anywhere.
    pub(super) fn compare(
        &mut self,
        name: &str,
        got: &[f32],
        golden: &Golden<'_>,
        bound: impl Fn(usize) -> Bound,
    ) {
        let want = golden.values;
        let outcome = match compare_with(got, want, &bound) {
            Ok(outcome) => outcome,
            Err(error) => return self.fail(name, error.to_string()),
        };
        let failure = (!outcome.ok).then(|| describe(&outcome, got, golden, &bound));
        self.reports
            .push(TensorReport::rated(name, &outcome, failure));
    }

    /// Compares with the golden int64 tensor `name`: equal in every element.
    pub(super) fn exact(&mut self, name: &str, got: &[i64]) -> anyhow::Result<()> {
        let (want, shape) = self.i64(name)?;
        self.exact_list(name, got, &want, &shape);
        Ok(())
    }

    /// As [`Check::exact`] where `keep(index)` is true; the other elements are padding.
    pub(super) fn exact_where(
        &mut self,
        name: &str,
        got: &[i64],
        keep: impl Fn(usize) -> bool,
    ) -> anyhow::Result<()> {
        let (want, shape) = self.i64(name)?;
        let masked: Vec<i64> = (got.iter().enumerate())
            .map(|(i, got)| {
                if keep(i) {
                    *got
                } else {
                    *want.get(i).unwrap_or(got)
                }
            })
            .collect();
        self.exact_list(name, &masked, &want, &shape);
        Ok(())
    }

    /// Compares lists that must be equal.
    pub(super) fn exact_list<T: PartialEq + std::fmt::Display>(
        &mut self,
        name: &str,
        got: &[T],
        want: &[T],
        shape: &[usize],
    ) {
        let outcome = match compare_exact(got, want) {
            Ok(outcome) => outcome,
            Err(error) => return self.fail(name, error.to_string()),
        };
        let failure = outcome.worst_index.filter(|_| !outcome.ok).map(|at| {
            let (place, differing) = (place(at, shape), outcome.mean_abs * outcome.len as f64);
            format!(
                "first difference at {place}: got {}, want {}; {differing:.0} of {} differ",
                got[at], want[at], outcome.len
            )
        });
        self.reports
            .push(TensorReport::rated(name, &outcome, failure));
    }

    /// Compares values of `cases.json`.
    pub(super) fn equal(&mut self, name: &str, got: &Value, want: &Value) {
        match got == want {
            true => self.reports.push(TensorReport::equal(name)),
            false => self.fail(name, format!("got {}, want {}", short(got), short(want))),
        }
    }

    /// Records a failure.
    pub(super) fn fail(&mut self, name: &str, reason: String) {
        self.reports.push(TensorReport::failed(name, reason));
    }

    /// Records a value that is reported and cannot fail.
    pub(super) fn inform(&mut self, name: &str, max_abs: f64, note: String) {
        self.used.insert(name.to_owned());
        self.reports
            .push(TensorReport::informative(name, max_abs, note));
    }

    /// All comparisons, with a failure for every golden tensor that nobody used, and for a case in
    /// which nothing was compared.
    pub(super) fn finish(mut self) -> Vec<TensorReport> {
        for name in self.names() {
            if !self.used.contains(&name) {
                self.fail(&name, "not compared".into());
            }
        }
        if !self
            .reports
            .iter()
            .any(|report| report.worst_ratio.is_some())
        {
            self.fail("(case)", "nothing was compared".into());
        }
        self.reports
    }
}
