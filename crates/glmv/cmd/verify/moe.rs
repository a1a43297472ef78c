//! Kinds `moe` and `router`: hidden states → routing, and the parts of the MoE block.

use super::check::Check;
use super::context::Context;
use super::fields::{flag, number, object, size};
use anyhow::{Context as _, bail, ensure};
use burn::tensor::{Int, Tensor, TensorData, s};
use glmv_kernels::device::{read, read_int};
use glmv_kernels::{RouterConfig, linear, moe_router};
use glmv_model::Decoder;
use serde_json::Value;
use std::collections::BTreeSet;

/// What a router says about some tokens.
struct Routing {
    /// `[tokens, experts]`.
    logits: Vec<f32>,
    /// `[experts]`.
    bias: Vec<f32>,
    /// `[tokens, top_k]`, in descending order of biased score.
    ids: Vec<i64>,
    weights: Vec<f32>,
}

/// Names before the first dot: layers or variants.
fn groups(check: &Check<'_>) -> BTreeSet<String> {
    let names = check.names();
    names
        .iter()
        .filter_map(|n| n.split_once('.'))
        .map(|(group, _)| group.to_owned())
        .collect()
}

fn matrix(check: &mut Check<'_>, name: &str, context: &Context<'_>) -> anyhow::Result<Tensor<2>> {
    let (values, shape) = check.f32(name)?;
    match shape.as_slice() {
        &[rows, columns] if rows * columns > 0 => Ok(Tensor::from_data(
            TensorData::new(values, [rows, columns]),
            context.device(),
        )),
        _ => bail!("{name}: shape {shape:?} instead of [rows, columns]"),
    }
}

/// The MoE layers of a model, on the inputs given: tensors `layerN.*`.
pub(super) fn layers(context: &Context<'_>, check: &mut Check<'_>) -> anyhow::Result<()> {
    let model = context.model(check.case())?;
    for group in groups(check) {
        let index = group
            .strip_prefix("layer")
            .and_then(|n| n.parse::<usize>().ok());
        let index = index.with_context(|| format!("{group}: expected a layer number"))?;
        layer(context, check, &model.language_model, index)?;
    }
    Ok(())
}

fn layer(
    context: &Context<'_>,
    check: &mut Check<'_>,
    decoder: &Decoder,
    index: usize,
) -> anyhow::Result<()> {
    let name = |part: &str| format!("layer{index}.{part}");
    let Some(moe) = decoder
        .layers
        .get(index)
        .and_then(|layer| layer.mlp.experts())
    else {
        bail!("layer {index} of the model has no experts");
    };
    let x = matrix(check, &name("input"), context)?;
    let [experts, hidden] = moe.gate.val().dims();
    ensure!(
        x.dims()[1] == hidden,
        "{}: rows of {} for a hidden size of {hidden}",
        name("input"),
        x.dims()[1]
    );
    let router = moe.router();
    let (ids, weights) = moe.route(x.clone(), None);
    let (chosen, behind) = (s![.., 0..router.top_k], s![.., router.top_k..]);
    let part =
        |slots: [burn::tensor::Slice; 2]| (ids.clone().slice(slots), weights.clone().slice(slots));
    let (shared_ids, shared_weights) = part(behind);
    let (ids, weights) = part(chosen);
    let routing = Routing {
        logits: read(linear(x.clone(), moe.gate.val(), None))?,
        bias: read(moe.e_score_correction_bias.val())?,
        ids: read_int(ids.clone())?,
        weights: read(weights.clone())?,
    };
    routing.compare(check, &name(""), experts)?;
    if check.has(&name("routed_output")) {
        let routed = read(moe.experts(x.clone(), ids, weights))?;
        check.close(&name("routed_output"), &routed)?;
    }
    if check.has(&name("shared_output")) {
        ensure!(router.shared > 0, "the model has no shared expert");
        let shared = read(moe.experts(x.clone(), shared_ids, shared_weights))?;
        check.close(&name("shared_output"), &shared)?;
    }
    if check.has(&name("output")) {
        let (ids, weights) = moe.route(x.clone(), None);
        check.close(&name("output"), &read(moe.experts(x, ids, weights))?)?;
    }
    Ok(())
}

/// Routers without a model: tensors `VARIANT.*` with their weights, settings in `variants`.
pub(super) fn variants(context: &Context<'_>, check: &mut Check<'_>) -> anyhow::Result<()> {
    let settings = check.extra("variants").clone();
    let named = groups(check);
    for group in settings
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name)
    {
        ensure!(named.contains(group), "variant {group} has no tensors");
    }
    for group in named {
        variant(context, check, &group, &settings).with_context(|| format!("variant {group}"))?;
    }
    Ok(())
}

fn variant(
    context: &Context<'_>,
    check: &mut Check<'_>,
    group: &str,
    settings: &Value,
) -> anyhow::Result<()> {
    let name = |part: &str| format!("{group}.{part}");
    let x = matrix(check, &name("input"), context)?;
    let weight = matrix(check, &name("weight"), context)?;
    let (bias, _) = check.f32(&name("e_score_correction_bias"))?;
    object(settings, group)?;
    let config = router_config(&settings[group], weight.dims()[0])?;
    ensure!(
        x.dims()[1] == weight.dims()[1] && bias.len() == weight.dims()[0],
        "input {:?}, weight {:?} and {} biases",
        x.dims(),
        weight.dims(),
        bias.len()
    );
    let logits = linear(x, weight.clone(), None);
    let bias_tensor = Tensor::<1>::from_data(bias.as_slice(), context.device());
    let (ids, weights): (Tensor<2, Int>, Tensor<2>) =
        moe_router(logits.clone(), bias_tensor, config);
    let routing = Routing {
        logits: read(logits)?,
        bias,
        ids: read_int(ids)?,
        weights: read(weights)?,
    };
    routing.compare(check, &name(""), weight.dims()[0])
}

/// The settings of a variant, checked as the config of a model is.
fn router_config(settings: &Value, experts: usize) -> anyhow::Result<RouterConfig> {
    let config = RouterConfig {
        top_k: size(settings, "num_experts_per_tok")?,
        n_group: size(settings, "n_group")?,
        topk_group: size(settings, "topk_group")?,
        normalise: flag(settings, "norm_topk_prob")?,
        scale: number(settings, "routed_scaling_factor")? as f32,
        shared: 0,
    };
    let stated = size(settings, "n_routed_experts")?;
    ensure!(
        stated == experts,
        "{stated} experts and a weight of {experts} rows"
    );
    ensure!(
        experts.is_multiple_of(config.n_group) && config.topk_group <= config.n_group,
        "{experts} experts in {} groups of which {} are kept",
        config.n_group,
        config.topk_group
    );
    let eligible = experts / config.n_group * config.topk_group;
    ensure!(
        config.top_k <= eligible,
        "top {} of {eligible} eligible experts",
        config.top_k
    );
    Ok(config)
}

impl Routing {
    /// Compares everything under `prefix`.
    fn compare(&self, check: &mut Check<'_>, prefix: &str, experts: usize) -> anyhow::Result<()> {
        let name = |part: &str| format!("{prefix}{part}");
        let scores: Vec<f32> = self
            .logits
            .iter()
            .map(|x| 1.0 / (1.0 + (-x).exp()))
            .collect();
        let biased: Vec<f32> = scores
            .iter()
            .enumerate()
            .map(|(i, s)| s + self.bias[i % experts])
            .collect();
        for (part, values) in [
            ("router_logits", &self.logits),
            ("scores", &scores),
            ("biased_scores", &biased),
        ] {
            if check.has(&name(part)) {
                check.close(&name(part), values)?;
            }
        }
        let top_k = self.ids.len() * experts / self.logits.len();
        let mut dense = vec![0.0; self.logits.len()];
        for (slot, (id, weight)) in self.ids.iter().zip(&self.weights).enumerate() {
            let expert = usize::try_from(*id).ok().filter(|e| *e < experts);
            let expert = expert.with_context(|| format!("expert {id} of {experts} was chosen"))?;
            dense[slot / top_k * experts + expert] += weight;
        }
        if check.has(&name("dense_weights")) {
            check.close(&name("dense_weights"), &dense)?;
        }
        self.compare_choice(check, prefix, &biased, &dense)
    }

    /// The chosen experts and their weights, which are laid in the golden order.
    fn compare_choice(
        &self,
        check: &mut Check<'_>,
        prefix: &str,
        biased: &[f32],
        dense: &[f32],
    ) -> anyhow::Result<()> {
        let name = |part: &str| format!("{prefix}{part}");
        let experts = self.bias.len();
        let top_k = self.ids.len() * experts / self.logits.len();
        let (want, _) = check.i64(&name("topk_indices"))?;
        ensure!(
            want.len() == self.ids.len(),
            "{}: {} ids, ours are {}",
            name("topk_indices"),
            want.len(),
            self.ids.len()
        );
        let bound = check.bound(&name("topk_indices"))?;
        let near = |a: f32, b: f32| {
            f64::from((a - b).abs()) <= 2.0 * (bound.abs + bound.rel * f64::from(a.abs()))
        };
        let mut ids = self.ids.clone();
        for (token, row) in ids.chunks_mut(top_k).enumerate() {
            settle_ties(
                row,
                &want[token * top_k..][..top_k],
                &biased[token * experts..][..experts],
                near,
            );
        }
        check.exact(&name("topk_indices"), &ids)?;
        let in_range = |(slot, id): (usize, &i64)| {
            let expert = usize::try_from(*id).ok().filter(|e| *e < experts)?;
            Some(dense[slot / top_k * experts + expert])
        };
        let weights: Option<Vec<f32>> = want.iter().enumerate().map(in_range).collect();
        check.close(
            &name("topk_weights"),
            &weights.context("topk_indices: an id is out of range")?,
        )
    }
}

/// Takes the golden order of `row` where it holds the same experts and differs only between biased
/// scores that are as good as equal: the order among the chosen is not defined there.
fn settle_ties(row: &mut [i64], want: &[i64], biased: &[f32], near: impl Fn(f32, f32) -> bool) {
    let sorted = |ids: &[i64]| {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids
    };
    // Same experts, so every golden id is in range as ours are.
    let close =
        |(ours, golden): (&i64, &i64)| near(biased[*ours as usize], biased[*golden as usize]);
    if sorted(row) == sorted(want) && row.iter().zip(want).all(close) {
        row.copy_from_slice(want);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ties_may_change_places() {
        let biased = [0.5, 0.9, 0.5000001, 0.1];
        let settled = |mut row: Vec<i64>, want: &[i64]| {
            settle_ties(&mut row, want, &biased, |a, b| (a - b).abs() < 1e-5);
            row
        };
        assert_eq!(settled(vec![1, 2, 0], &[1, 0, 2]), [1, 0, 2]);
        assert_eq!(settled(vec![1, 2, 0], &[0, 2, 1]), [1, 2, 0]);
        assert_eq!(settled(vec![1, 2, 3], &[1, 2, 0]), [1, 2, 3]);
    }
}
