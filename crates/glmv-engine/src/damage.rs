//! What quantisation costs: hidden states and next-token distributions of one model against those
//! of another, on the same prompts, every token of which is given (teacher forcing).

use crate::Error;
use crate::batch::left_pad;
use glmv_kernels::device::read;
use glmv_model::{Batch, Glm4v, Pixels, Probe};
use glmv_processor::{ModelInputs, VisualPatches};
use serde::Serialize;

/// One prompt through one model.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Hidden states after each layer, then after the final norm, `[seq, hidden]` each.
    layers: Vec<Vec<f32>>,
    /// `[seq, vocab]`.
    logits: Vec<f32>,
    vocab: usize,
}

/// How far a model is from its reference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Damage {
    /// Per layer and for the final norm: root mean square of the difference of the hidden states,
    /// relative to that of the reference.
    pub layers: Vec<f64>,
    /// Mean over the positions of the Kullback-Leibler divergence of the next-token distributions
    /// from the reference's, in nats.
    pub kl_mean: f64,
    /// The largest of them.
    pub kl_max: f64,
    /// Share of the positions at which the most likely token is the same.
    pub argmax_agreement: f64,
    /// Tokens in all prompts.
    pub positions: usize,
}

/// Runs `prompts` through `model`, one by one.
///
/// # Errors
/// For inputs the model refuses, or if the device fails.
pub fn observe(model: &Glm4v, prompts: &[ModelInputs]) -> Result<Vec<Observation>, Error> {
    let merge = model.config().vision.spatial_merge_size as u32;
    let layers = model.config().text.num_layers;
    let one = |prompt: &ModelInputs| {
        let rows = [prompt];
        let (sequences, _) = left_pad(&rows, 0, merge)?;
        let batch = Batch {
            sequences: &sequences,
            images: prompt.images.as_ref().map(pixels),
            videos: prompt.videos.as_ref().map(pixels),
        };
        let mut probe = Probe::on();
        let hidden = model.forward(&batch, None, &mut probe)?;
        let mut states = Vec::with_capacity(layers + 1);
        for layer in 0..layers {
            if let Some(state) = probe.get(&format!("hidden_after_layer_{layer}")) {
                states.push(read(state)?);
            }
        }
        states.push(read(hidden.clone())?);
        Ok(Observation {
            layers: states,
            logits: read(model.logits(hidden))?,
            vocab: model.config().text.vocab_size,
        })
    };
    prompts.iter().map(one).collect()
}

impl Damage {
    /// Compares observations of the same prompts.
    ///
    /// # Errors
    /// [`Error::Count`] if they are not of the same prompts and architecture.
    pub fn measure(reference: &[Observation], other: &[Observation]) -> Result<Self, Error> {
        let same = reference.len() == other.len()
            && reference
                .iter()
                .zip(other)
                .all(|(r, o)| r.logits.len() == o.logits.len() && r.layers.len() == o.layers.len());
        if !same || reference.is_empty() {
            return Err(Error::Count {
                prompts: reference.len(),
                params: other.len(),
            });
        }
        let layers = reference[0].layers.len();
        let mut squares = vec![(0f64, 0f64); layers];
        let (mut kl_sum, mut kl_max, mut same, mut positions) = (0f64, 0f64, 0, 0);
        for (r, o) in reference.iter().zip(other) {
            for (sum, (a, b)) in squares.iter_mut().zip(r.layers.iter().zip(&o.layers)) {
                for (a, b) in a.iter().zip(b) {
                    sum.0 += f64::from(a - b).powi(2);
                    sum.1 += f64::from(*a).powi(2);
                }
            }
            let rows = r.logits.chunks(r.vocab).zip(o.logits.chunks(o.vocab));
            for (a, b) in rows {
                let kl = divergence(a, b);
                kl_sum += kl;
                kl_max = kl_max.max(kl);
                same += usize::from(best(a) == best(b));
                positions += 1;
            }
        }
        Ok(Damage {
            layers: squares.iter().map(|(d, n)| relative(*d, *n)).collect(),
            kl_mean: kl_sum / positions as f64,
            kl_max,
            argmax_agreement: same as f64 / positions as f64,
            positions,
        })
    }
}

fn relative(difference: f64, norm: f64) -> f64 {
    match difference {
        0.0 => 0.0,
        _ => (difference / norm).sqrt(),
    }
}

/// `Σ p · (ln p − ln q)` of the softmaxes of two rows of logits.
fn divergence(p: &[f32], q: &[f32]) -> f64 {
    let log_sum = |row: &[f32]| {
        let most = row.iter().fold(f32::MIN, |m, v| m.max(*v));
        let sum: f64 = row.iter().map(|v| f64::from(v - most).exp()).sum();
        f64::from(most) + sum.ln()
    };
    let (zp, zq) = (log_sum(p), log_sum(q));
    let terms = p.iter().zip(q).map(|(a, b)| {
        let (a, b) = (f64::from(*a) - zp, f64::from(*b) - zq);
        a.exp() * (a - b)
    });
    // Rounding may leave a tiny negative number where both are the same.
    terms.sum::<f64>().max(0.0)
}

fn best(row: &[f32]) -> usize {
    let mut at = 0;
    for (i, v) in row.iter().enumerate() {
        if *v > row[at] {
            at = i;
        }
    }
    at
}

fn pixels(patches: &VisualPatches) -> Pixels<'_> {
    Pixels {
        values: &patches.pixel_values,
        grids: &patches.grid_thw,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observation(hidden: &[f32], logits: &[f32]) -> Observation {
        Observation {
            layers: vec![hidden.to_vec()],
            logits: logits.to_vec(),
            vocab: 2,
        }
    }

    #[test]
    fn equal_models_have_no_damage() {
        let a = [observation(&[1.0, -2.0], &[0.0, 1.0, 5.0, 2.0])];
        let damage = Damage::measure(&a, &a).expect("comparable");
        assert_eq!(damage.layers, [0.0]);
        assert_eq!((damage.kl_mean, damage.kl_max), (0.0, 0.0));
        assert_eq!((damage.argmax_agreement, damage.positions), (1.0, 2));
    }

    #[test]
    fn differences_are_what_the_definitions_say() {
        let a = [observation(&[3.0, 4.0], &[0.0, 0.0, 2.0, 0.0])];
        let b = [observation(&[3.0, 3.0], &[0.0, 3f32.ln(), 0.0, 2.0])];
        let damage = Damage::measure(&a, &b).expect("comparable");
        assert!((damage.layers[0] - 0.2).abs() < 1e-12, "{damage:?}");
        // Half and half against a quarter and three quarters.
        let kl = 0.5 * (0.5f64 / 0.25).ln() + 0.5 * (0.5f64 / 0.75).ln();
        let p = 1.0 / (1.0 + (-2f64).exp());
        let other = p * 2.0 - (1.0 - p) * 2.0;
        assert!((damage.kl_max - other).abs() < 1e-6, "{damage:?}");
        assert!((damage.kl_mean - (kl + other) / 2.0).abs() < 1e-6);
        // The first row's choice is the lower index for the reference, the higher for the other.
        assert_eq!(damage.argmax_agreement, 0.0);
        assert!(Damage::measure(&a, &[]).is_err());
    }
}
