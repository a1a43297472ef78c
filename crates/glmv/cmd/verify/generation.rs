//! Kinds `model`, `model_batch`, `model_mixed` and `model_bf16`: prompt → logits, hidden states
//! and greedy tokens.
//!
//! Which results a case has goes by their names: what the probe knows is a hidden state; `logits*`
//! cover the prompt; `step_logits` and `first_step_logits` chose `generated*`, which is decoded
//! through the KV cache and checked once more without it.

use super::check::Check;
use super::context::Context;
use super::fields::{field, number};
use super::prompt::{Greedy, Prompt};
use super::verdict::Golden;
use anyhow::{Context as _, bail};
use glmv_kernels::device::read;
use glmv_model::{Glm4v, Probe};

/// Names of a case's result tensors; the bf16 checkpoint's run in f32 carries a suffix.
struct Names {
    logits: &'static str,
    generated: &'static str,
}

const PLAIN: Names = Names {
    logits: "logits",
    generated: "generated",
};
const BF16: Names = Names {
    logits: "logits_f32_compute",
    generated: "generated_f32_compute",
};
const LAST_BF16: &str = "last_logits_bf16_compute";

/// Runs one case of a model kind.
pub(super) fn prompt(context: &Context<'_>, check: &mut Check<'_>) -> anyhow::Result<()> {
    let model = context.model(check.case())?;
    let prompt = Prompt::read(check, &model)?;
    let mut probe = Probe::on();
    let hidden = prompt.forward(&model, &mut probe)?;
    for name in check.names() {
        if let Some(tap) = probe.get(&name) {
            check.close_rows(&name, &read(tap)?, &prompt.layout.mask)?;
        }
    }
    drop(probe);
    let logits = read(model.logits(hidden))?;
    for names in [PLAIN, BF16] {
        if check.has(names.logits) {
            check.close_rows(names.logits, &logits, &prompt.layout.mask)?;
        }
        if check.has(names.generated) {
            generated(check, &model, &prompt, names.generated)?;
        }
    }
    if check.has(LAST_BF16) {
        deviation(check, &prompt, &logits)?;
    }
    Ok(())
}

/// Greedy tokens and the logits that chose them.
fn generated(
    check: &mut Check<'_>,
    model: &Glm4v,
    prompt: &Prompt,
    name: &str,
) -> anyhow::Result<()> {
    let (_, shape) = check.i64(name)?;
    let &[batch, steps] = shape.as_slice() else {
        bail!("{name}: shape {shape:?} instead of [batch, steps]");
    };
    if batch != prompt.layout.batch || steps == 0 {
        bail!(
            "{name}: {batch} x {steps} tokens for {} prompts",
            prompt.layout.batch
        );
    }
    let greedy = prompt.greedy(model, steps)?;
    check.exact(name, &greedy.tokens)?;
    if check.has("first_step_logits") {
        let vocab = greedy.logits.len() / (batch * steps);
        let first: Vec<f32> = greedy
            .logits
            .chunks(steps * vocab)
            .flat_map(|row| &row[..vocab])
            .copied()
            .collect();
        check.close("first_step_logits", &first)?;
    }
    if check.has("step_logits") {
        check.close("step_logits", &greedy.logits)?;
    }
    uncached(check, model, prompt, &greedy, steps)
}

/// The cache changes nothing: our cached step logits against one pass over prompt and tokens.
fn uncached(
    check: &mut Check<'_>,
    model: &Glm4v,
    prompt: &Prompt,
    greedy: &Greedy,
    steps: usize,
) -> anyhow::Result<()> {
    let whole = prompt.uncached(model, &greedy.tokens, steps)?;
    let batch = prompt.layout.batch;
    let shape = [batch, steps, whole.len() / (batch * steps)];
    // Both sides may be off by the tolerance of the case's logits.
    let name = if check.has(BF16.logits) {
        BF16.logits
    } else {
        PLAIN.logits
    };
    let bound = check.bound(name)?;
    let golden = Golden {
        values: &whole,
        shape: &shape,
    };
    check.compare("(cached against one pass)", &greedy.logits, &golden, |_| {
        bound
    });
    Ok(())
}

/// How far the bf16 computation is from ours: informative, beside three times what was measured.
fn deviation(check: &mut Check<'_>, prompt: &Prompt, logits: &[f32]) -> anyhow::Result<()> {
    let (want, _) = check.f32(LAST_BF16)?;
    let (batch, seq) = (prompt.layout.batch, prompt.layout.seq);
    let vocab = logits.len() / (batch * seq);
    let ours = (1..=batch).flat_map(|b| &logits[(b * seq - 1) * vocab..b * seq * vocab]);
    let errors: Vec<f64> = ours
        .zip(&want)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs())
        .collect();
    if errors.len() != want.len() || want.is_empty() {
        bail!(
            "{LAST_BF16}: {} values for {batch} x {vocab} logits",
            want.len()
        );
    }
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    let max = errors.iter().fold(0.0, |m: f64, e| m.max(*e));
    let stated = check.extra("bf16_compute");
    let limit = |key: &str| number(stated, key).map(|v| 3.0 * v).context("bf16_compute");
    let (mean_limit, max_limit) = (
        limit("mean_abs_deviation_from_f32")?,
        limit("max_abs_deviation_from_f32")?,
    );
    let inside = mean <= mean_limit && max <= max_limit;
    let agreement = field(stated, "argmax_agreement");
    let note = format!(
        "bf16 compute differs from our f32 by {mean:.4} on average, {max:.4} at most; 3x the stated deviations: \
         {mean_limit:.4}, {max_limit:.4} ({}); stated argmax agreement {agreement}",
        if inside { "inside" } else { "outside" },
    );
    check.inform(LAST_BF16, max, note);
    Ok(())
}
