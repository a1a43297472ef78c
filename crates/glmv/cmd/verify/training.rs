//! Kinds `sft_grads` and `sft_adamw`: a batch with labels → loss, gradients under the names of the
//! hub, and the parameters after three steps of AdamW.

use super::check::Check;
use super::context::Context;
use super::fields::{
    Layout, compare_positions, field, grids, list, number, object, string, token_ids,
};
use super::verdict::Golden;
use anyhow::{Context as _, bail, ensure};
use glmv_model::{Glm4v, HubTensors, rope_index};
use glmv_testkit::Bound;
use glmv_train::{
    AdamW, AdamWConfig, Balance, Distribution, Grads, Group, Groups, Micro, Outcome, Part,
    PassOptions, Recompute, Sample, States, freeze, gradients, parameters, with_values,
};
use serde_json::Value;

/// What a label says of a token that is not predicted.
const IGNORED: i64 = -100;
/// Bounds that the README gives to losses and norms without a tolerance of their own.
const LOSS: Bound = Bound::new(1e-4, 0.0);
const NORM: Bound = Bound::new(0.0, 1e-3);
/// The routers' correction bias is a buffer: it has no gradient.
const BUFFER: &str = ".e_score_correction_bias";

/// A batch as the goldens store it: rows padded on the right.
struct Batch {
    layout: Layout,
    samples: Vec<Sample>,
    /// Places in `[batch, seq]` of the outputs that predict the counted tokens.
    places: Vec<usize>,
}

impl Batch {
    fn read(check: &mut Check<'_>, merge: u32) -> anyhow::Result<Self> {
        let layout = Layout::read(check)?;
        let ids = token_ids(check, "input_ids")?;
        let (labels, _) = check.i64("labels")?;
        ensure!(
            ids.len() == layout.mask.len() && labels.len() == ids.len(),
            "{} ids and {} labels for {} x {} tokens",
            ids.len(),
            labels.len(),
            layout.batch,
            layout.seq
        );
        let images = grids(check, "image_grid_thw")?;
        let ours = rope_index(
            &layout.modality,
            &layout.mask,
            layout.seq,
            &images,
            &[],
            merge,
        )?;
        compare_positions(check, &layout, &ours)?;
        let mut images = Images::read(check, images, merge)?;
        let (mut samples, mut places) = (Vec::new(), Vec::new());
        for row in 0..layout.batch {
            let at = row * layout.seq;
            let mask = &layout.mask[at..][..layout.seq];
            let n = mask.iter().take_while(|m| **m).count();
            ensure!(
                n > 0 && !mask[n..].contains(&true),
                "attention_mask: padding must be on the right"
            );
            let run = at..at + n;
            let counted: Vec<bool> = (run.clone()).map(|i| labels[i] != IGNORED).collect();
            let wrong = run
                .clone()
                .find(|i| counted[i - at] && labels[*i] != i64::from(ids[*i]));
            if let Some(i) = wrong {
                bail!("labels: {} at token {i}, which is {}", labels[i], ids[i]);
            }
            places.extend((1..n).filter(|i| counted[*i]).map(|i| at + i - 1));
            let modality = layout.modality[run.clone()].to_vec();
            samples.push(Sample {
                input_ids: ids[run].to_vec(),
                images: images.take(modality.iter().filter(|m| **m == 1).count())?,
                modality,
                counted,
                ..Sample::default()
            });
        }
        Ok(Batch {
            layout,
            samples,
            places,
        })
    }

    fn counted(&self) -> usize {
        self.places.len()
    }
}

/// Pixel rows that are handed out by tokens.
struct Images {
    values: Vec<f32>,
    width: usize,
    grids: std::vec::IntoIter<[u32; 3]>,
    merge: usize,
}

impl Images {
    fn read(check: &mut Check<'_>, grids: Vec<[u32; 3]>, merge: u32) -> anyhow::Result<Self> {
        let (values, width) = match grids.is_empty() {
            true => (Vec::new(), 0),
            false => {
                let (values, shape) = check.f32("pixel_values")?;
                (values, shape.last().copied().unwrap_or(0))
            }
        };
        Ok(Images {
            values,
            width,
            grids: grids.into_iter(),
            merge: usize::try_from(merge)?,
        })
    }

    /// The images that fill `tokens`.
    fn take(&mut self, tokens: usize) -> anyhow::Result<(Vec<f32>, Vec<[u32; 3]>)> {
        let (mut values, mut grids, mut filled) = (Vec::new(), Vec::new(), 0);
        while filled < tokens {
            let grid = self
                .grids
                .next()
                .context("fewer images than image tokens")?;
            let rows = grid.iter().map(|v| *v as usize).product::<usize>();
            let len = rows * self.width;
            ensure!(
                len <= self.values.len(),
                "pixel_values: fewer rows than {grid:?} needs"
            );
            values.extend(self.values.drain(..len));
            grids.push(grid);
            filled += rows / (self.merge * self.merge);
        }
        ensure!(
            filled == tokens,
            "{tokens} image tokens for {filled} features"
        );
        Ok((values, grids))
    }
}

/// Gradients of the mean cross-entropy, and the losses of the counted tokens.
fn backward(model: &Glm4v, batch: &Batch, balance: Balance) -> anyhow::Result<(Grads, Outcome)> {
    let merge = u32::try_from(model.config().vision.spatial_merge_size)?;
    let micro = Micro::new(&batch.samples, merge)?;
    let options = PassOptions {
        recompute: Recompute::Layer,
        recompute_vision: Recompute::Layer,
        balance,
        share: 1.0,
        distribution: Distribution::default(),
        dropout: None,
    };
    let mut grads = Grads::new();
    let n = batch.counted();
    let each = -1.0 / n as f32;
    let outcome = gradients(
        model,
        &micro,
        &options,
        &mut |_| Ok(vec![each; n].into()),
        &mut grads,
    )?;
    Ok((grads, outcome))
}

fn loss(outcome: &Outcome) -> f64 {
    let logprobs = &outcome.scores.logprobs;
    -logprobs.iter().map(|p| f64::from(*p)).sum::<f64>() / logprobs.len() as f64
}

fn trained(context: &Context<'_>, check: &Check<'_>, groups: &Groups) -> anyhow::Result<Glm4v> {
    let model = context.model(check.case())?;
    Ok(freeze(Glm4v::clone(&model), groups)?)
}

fn compare(check: &mut Check<'_>, name: &str, got: f64, want: f64, bound: Bound) {
    let golden = Golden {
        values: &[want as f32],
        shape: &[],
    };
    check.compare(name, &[got as f32], &golden, |_| bound);
}

/// Loss, gradients and their norms.
pub(super) fn grads(context: &Context<'_>, check: &mut Check<'_>) -> anyhow::Result<()> {
    let model = trained(context, check, &Groups::default())?;
    let merge = u32::try_from(model.config().vision.spatial_merge_size)?;
    let batch = Batch::read(check, merge)?;
    let (grads, outcome) = backward(&model, &batch, Balance::default())?;
    let ours = loss(&outcome);
    let (want, _) = check.f32("loss")?;
    compare(
        check,
        "loss",
        ours,
        f64::from(want.first().copied().context("loss")?),
        LOSS,
    );
    let mut each = vec![0.0; batch.layout.batch * batch.layout.seq];
    for (place, logprob) in batch.places.iter().zip(&outcome.scores.logprobs) {
        each[*place] = -logprob;
    }
    check.close_with("per_token_loss", &each, |_| LOSS)?;
    named(check, &HubTensors::new(&with_values(&model, &grads)))?;
    if check.extra("aux").is_object() {
        auxiliary(check, &model, &batch, ours)?;
    }
    Ok(())
}

/// Every gradient and every norm that the case has, under the names of the hub.
fn named(check: &mut Check<'_>, ours: &HubTensors) -> anyhow::Result<()> {
    for name in check.names() {
        if let Some(hub) = name.strip_prefix("grad.") {
            let values = ours
                .read(hub)?
                .with_context(|| format!("{hub}: no such parameter"))?;
            check.close(&name, &values)?;
        }
    }
    let extras = check.extras();
    let norms = object(&extras, "grad_norms")?;
    let mut square = 0.0;
    for name in ours.names().filter(|name| !name.ends_with(BUFFER)) {
        let values = ours.read(name)?.unwrap_or_default();
        let own: f64 = values.iter().map(|v| f64::from(*v).powi(2)).sum();
        square += own;
        let want = norms.get(name).and_then(Value::as_f64);
        let want = want.with_context(|| format!("grad_norms has no {name}"))?;
        // A gradient of nothing but rounding has a norm of its own.
        let bound = Bound::new(1e-7, NORM.rel);
        compare(
            check,
            &format!("grad_norms.{name}"),
            own.sqrt(),
            want,
            bound,
        );
    }
    let missing = norms
        .keys()
        .find(|name| !ours.names().any(|n| n == name.as_str()));
    if let Some(name) = missing {
        bail!("grad_norms: the model has no {name}");
    }
    let want = number(&extras, "global_grad_norm")?;
    compare(check, "global_grad_norm", square.sqrt(), want, NORM);
    Ok(())
}

/// Hugging Face's auxiliary loss, and the loss with it.
fn auxiliary(
    check: &mut Check<'_>,
    model: &Glm4v,
    batch: &Batch,
    plain: f64,
) -> anyhow::Result<()> {
    let aux = check.extra("aux").clone();
    let coefficient = number(&aux, "coef")?;
    let balance = Balance {
        softmax: coefficient,
        ..Balance::default()
    };
    let (_, outcome) = backward(model, batch, balance)?;
    let ours = f64::from(outcome.softmax_loss.context("no router was asked")?);
    compare(check, "aux.aux_loss", ours, number(&aux, "aux_loss")?, NORM);
    let sum = plain + coefficient * ours;
    compare(
        check,
        "aux.loss_with_aux",
        sum,
        number(&aux, "loss_with_aux")?,
        LOSS,
    );
    Ok(())
}

/// The optimiser that a case describes.
fn optimizer(settings: &Value) -> anyhow::Result<(AdamWConfig, Groups, f64)> {
    let name = string(settings, "name")?;
    let schedule = string(settings, "schedule")?;
    ensure!(
        name.starts_with("AdamW")
            && schedule == "constant"
            && field(settings, "clipping").is_null(),
        "optimizer: {name}, schedule {schedule}, clipping {}",
        field(settings, "clipping")
    );
    let config = AdamWConfig {
        beta1: number(settings, "beta1")?,
        beta2: number(settings, "beta2")?,
        eps: number(settings, "eps")?,
        decay: number(settings, "weight_decay")?,
        decay_vectors: true,
        clip: None,
        states: States::F32,
    };
    let groups = Groups(
        Part::ALL
            .into_iter()
            .map(|p| (p, Group::default()))
            .collect(),
    );
    Ok((config, groups, number(settings, "lr")?))
}

/// Losses, norms and parameters over three steps on the batch of another case.
pub(super) fn adamw(context: &Context<'_>, check: &mut Check<'_>) -> anyhow::Result<()> {
    let extras = check.extras();
    let other = string(&extras, "batch_case")?;
    let other = context.set().cases().iter().find(|c| c.id == other);
    let mut source = Check::load(context.set(), other.context("`batch_case` names no case")?)?;
    let (config, groups, rate) = optimizer(check.extra("optimizer"))?;
    let mut model = trained(context, check, &groups)?;
    let merge = u32::try_from(model.config().vision.spatial_merge_size)?;
    let batch = Batch::read(&mut source, merge)?;
    let floats = |key: &str| -> anyhow::Result<Vec<f64>> {
        let list = list(&extras, key)?.iter().map(Value::as_f64);
        list.collect::<Option<_>>()
            .with_context(|| format!("`{key}` holds more than numbers"))
    };
    let (losses, norms) = (floats("losses")?, floats("grad_norms")?);
    let parameters = parameters(&model);
    let mut adamw = AdamW::new(config);
    let (loss_bound, param_bound) = check.training_bounds()?;
    for (step, want) in losses.iter().enumerate() {
        let (grads, outcome) = backward(&model, &batch, Balance::default())?;
        compare(
            check,
            &format!("losses.{step}"),
            loss(&outcome),
            *want,
            loss_bound,
        );
        if step < norms.len() {
            let done = adamw.prepare(&grads)?;
            let (norm, want) = (done.norm, norms[step]);
            // As loose as the losses: the weights already differ.
            let bound = Bound::new(loss_bound.abs, NORM.rel);
            compare(check, &format!("grad_norms.{step}"), norm, want, bound);
            ensure!(done.applied, "step {step}: norm {norm}");
            model = adamw.apply(model, (&parameters, &groups), &grads, done, rate);
        }
    }
    let ours = HubTensors::new(&model);
    let after = format!("param_after_{}.", norms.len());
    for name in check.names() {
        let hub = name
            .strip_prefix(&after)
            .with_context(|| format!("{name}: not after {after}"))?;
        let values = ours
            .read(hub)?
            .with_context(|| format!("{hub}: no such parameter"))?;
        check.close_with(&name, &values, |_| param_bound)?;
    }
    Ok(())
}
