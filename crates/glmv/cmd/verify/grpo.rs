//! Kind `grpo`: log-probabilities and rewards → advantages, losses, gradients and clip fractions.
//! Pure arithmetic: the device has no part in it.

use super::check::Check;
use super::fields::{number, object};
use super::verdict::Golden;
use anyhow::{Context as _, bail, ensure};
use glmv_rl::advantage::{Normalise, of_groups};
use glmv_rl::objective::{Aggregation, BatchSize, Clipped, Objective, Outcome, Sample};
use std::collections::BTreeMap;

/// The inputs of a case; matrices are `[samples, tokens]`.
struct Inputs {
    logprobs: Vec<f64>,
    old: Vec<f64>,
    rewards: Vec<f64>,
    groups: Vec<i64>,
    truncated: Vec<bool>,
    mask: Vec<bool>,
    tokens: usize,
    clip: Clipped,
}

impl Inputs {
    fn read(check: &mut Check<'_>) -> anyhow::Result<Self> {
        let (logprobs, shape) = check.f64("logprobs")?;
        let &[samples, tokens] = shape.as_slice() else {
            bail!("logprobs: shape {shape:?} instead of [samples, tokens]");
        };
        ensure!(
            samples * tokens > 0,
            "logprobs: {samples} x {tokens} values"
        );
        let flags = |values: Vec<i64>, name: &str| -> anyhow::Result<Vec<bool>> {
            let flag = |v: i64| match v {
                0 => Ok(false),
                1 => Ok(true),
                v => bail!("{name}: {v} instead of 0 or 1"),
            };
            values.into_iter().map(flag).collect()
        };
        let extras = check.extras();
        let inputs = Inputs {
            logprobs,
            old: check.f64("old_logprobs")?.0,
            rewards: check.f64("rewards")?.0,
            groups: check.i64("group")?.0,
            truncated: flags(check.i64("truncated")?.0, "truncated")?,
            mask: flags(check.i64("mask")?.0, "mask")?,
            tokens,
            clip: Clipped {
                low: number(&extras, "eps_low")?,
                high: number(&extras, "eps_high")?,
            },
        };
        // The mask says the same.
        check.input("lengths");
        let lengths = [
            inputs.rewards.len(),
            inputs.groups.len(),
            inputs.truncated.len(),
            inputs.mask.len() / tokens,
            inputs.old.len() / tokens,
        ];
        ensure!(
            lengths.iter().all(|n| *n == samples),
            "{lengths:?} rows for {samples} samples"
        );
        Ok(inputs)
    }

    /// Loss and gradient of a key `ADVANTAGE.AGGREGATION.TRUNCATED`.
    fn evaluate(&self, key: &str, advantages: &[f64]) -> anyhow::Result<Outcome> {
        let parts: Vec<&str> = key.split('.').collect();
        let &[_, aggregation, truncated] = parts.as_slice() else {
            bail!("results: {key} has not three parts");
        };
        let aggregation = match aggregation {
            "token" => Aggregation::PerToken,
            "sample" => Aggregation::PerSample,
            "sample_all" => Aggregation::PerSampleAll,
            "const" => Aggregation::ConstantLength {
                length: self.tokens,
            },
            other => bail!("results: unknown aggregation {other}"),
        };
        let mut masks: Vec<Vec<bool>> = self.mask.chunks(self.tokens).map(<[_]>::to_vec).collect();
        match truncated {
            "keep" => {}
            "mask" => {
                let rows = masks.iter_mut().zip(&self.truncated);
                rows.filter(|(_, t)| **t)
                    .for_each(|(mask, _)| mask.fill(false));
            }
            other => bail!("results: unknown treatment of truncation {other}"),
        }
        let row = |i: usize| i * self.tokens..(i + 1) * self.tokens;
        let samples: Vec<Sample<'_, f64>> = (masks.iter().enumerate())
            .map(|(i, mask)| Sample {
                logprobs: &self.logprobs[row(i)],
                old: &self.old[row(i)],
                reference: None,
                entropy: None,
                mask,
                advantage: advantages[i],
            })
            .collect();
        let objective = Objective {
            surrogate: Box::new(self.clip),
            aggregation,
            kl: 0.0,
            entropy: 0.0,
        };
        let size = BatchSize::of_masks(masks.iter().map(Vec::as_slice));
        Ok(objective.evaluate(&samples, &size)?)
    }
}

/// Every result of a case.
pub(super) fn objectives(check: &mut Check<'_>) -> anyhow::Result<()> {
    let inputs = Inputs::read(check)?;
    let extras = check.extras();
    let results = object(&extras, "results")?;
    let mut advantages = BTreeMap::new();
    for (name, normalise) in [("std", Normalise::Std), ("none", Normalise::None)] {
        let values = of_groups(&inputs.rewards, &inputs.groups, normalise)?;
        close(check, &format!("advantages.{name}"), &values)?;
        advantages.insert(name, values);
    }
    // Another deviation, for comparison only.
    check.input("advantages.std_sample_ddof1");
    for (key, wanted) in results {
        let name = key.split('.').next().unwrap_or_default();
        let advantages = (advantages.get(name))
            .with_context(|| format!("results: unknown normalisation {name}"))?;
        let outcome = inputs.evaluate(key, advantages)?;
        let gradient = outcome.dlogp.concat();
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        close(check, &format!("grad.{key}"), &gradient)?;
        for (what, got) in [
            ("loss", outcome.loss),
            ("grad_norm", norm),
            ("clip_fraction", outcome.metrics.clip_fraction()),
        ] {
            let bound = check.bound(&format!("grad.{key}"))?;
            let golden = Golden {
                values: &[number(wanted, what)? as f32],
                shape: &[],
            };
            check.compare(&format!("{key}.{what}"), &[got as f32], &golden, |_| bound);
        }
    }
    Ok(())
}

fn close(check: &mut Check<'_>, name: &str, got: &[f64]) -> anyhow::Result<()> {
    let (want, shape) = check.f64(name)?;
    let bound = check.bound(name)?;
    let single = |values: &[f64]| -> Vec<f32> { values.iter().map(|v| *v as f32).collect() };
    let golden = Golden {
        values: &single(&want),
        shape: &shape,
    };
    check.compare(name, &single(got), &golden, |_| bound);
    Ok(())
}
