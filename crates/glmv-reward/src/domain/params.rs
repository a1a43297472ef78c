//! Parameters of the rules.

use crate::Error;
use serde_json::Value;

/// Every parameter a domain may have; each domain lists the ones it uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Params {
    /// Relative tolerance of numbers.
    pub rel_tol: f64,
    /// Case does not count (OCR).
    pub ignore_case: bool,
    /// Similarity up to which the score is 0 (OCR).
    pub lower: f64,
    /// Similarity from which the score is 1 (OCR).
    pub upper: f64,
    /// Overlap above which a box counts as found.
    pub tau: f64,
    /// Longest answer that may be right, characters.
    pub max_chars: usize,
}

impl Params {
    /// Values of a domain that says nothing else.
    pub const DEFAULT: Self = Self {
        rel_tol: 1e-6,
        ignore_case: false,
        lower: 0.0,
        upper: 1.0,
        tau: 0.5,
        max_chars: 50,
    };

    /// Sets one parameter by name; `allowed` are the parameters of the domain.
    ///
    /// # Errors
    /// If the domain does not have it, or the value is of another kind or out of range.
    pub fn set(
        &mut self,
        domain: &'static str,
        allowed: &[&str],
        key: &str,
        value: &Value,
    ) -> Result<(), Error> {
        let bad = |reason: String| Error::Parameter {
            domain,
            key: key.into(),
            reason,
        };
        let name = if key == "iou_threshold" { "tau" } else { key };
        if !allowed.contains(&name) {
            let known = if allowed.is_empty() {
                "none".into()
            } else {
                allowed.join(", ")
            };
            return Err(bad(format!("there is no such parameter; known: {known}")));
        }
        let share = || match value.as_f64() {
            Some(x) if (0.0..=1.0).contains(&x) => Ok(x),
            _ => Err(bad(format!("{value} is not a number from 0 to 1"))),
        };
        match name {
            "rel_tol" => self.rel_tol = share()?,
            "lower" => self.lower = share()?,
            "upper" => self.upper = share()?,
            "tau" => self.tau = share()?,
            "ignore_case" => {
                let flag = value.as_bool();
                self.ignore_case =
                    flag.ok_or_else(|| bad(format!("{value} is not true or false")))?;
            }
            _ => {
                let size = value.as_u64().and_then(|n| usize::try_from(n).ok());
                self.max_chars = size
                    .filter(|n| *n > 0)
                    .ok_or_else(|| bad(format!("{value} is not a count above 0")))?;
            }
        }
        Ok(())
    }

    /// Checks what depends on two parameters.
    ///
    /// # Errors
    /// If `lower` is above `upper`.
    pub fn check(&self, domain: &'static str) -> Result<(), Error> {
        if self.lower > self.upper {
            let reason = format!("{} is above upper = {}", self.lower, self.upper);
            return Err(Error::Parameter {
                domain,
                key: "lower".into(),
                reason,
            });
        }
        Ok(())
    }
}
