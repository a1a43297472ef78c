//! Runs every op on a device through its route and compares it with its twin there: the evidence
//! behind `glmv doctor`. Nothing here panics; what goes wrong becomes a [`Check`] that failed.

use crate::device::{self, Error};
use crate::route::{Op, Route, route_with_reason};
use crate::weight::Quantised;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use glmv_quant::Format;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

mod cache;
mod cases;
mod optimizer;
mod samples;

/// One op on one device.
#[derive(Clone, Debug)]
pub struct Check {
    /// The op.
    pub op: Op,
    /// The implementation that ran.
    pub route: Route,
    /// Why that one.
    pub reason: &'static str,
    /// Largest difference from the twin over all shapes tried; infinite without a result.
    pub max_abs: f32,
    /// Largest difference allowed.
    pub tolerance: f32,
    /// Whether every shape ran and agreed.
    pub passed: bool,
    /// What failed, if the op gave no result.
    pub error: Option<String>,
}

/// Largest difference of an op from its twin.
type Outcome = Result<f32, Error>;

/// Checks every op on `device`. After a panic the remaining ops are not run: a device that lost a
/// batch may return stale data.
pub fn run(device: &Device) -> Vec<Check> {
    let mut panicked = false;
    Op::ALL
        .into_iter()
        .map(|op| {
            let (route, reason) = route_with_reason(op, device);
            let outcome = if panicked {
                Err("not run: an earlier op panicked".to_string())
            } else {
                let inputs = Inputs::new(device);
                match catch_unwind(AssertUnwindSafe(|| measure(op, &inputs))) {
                    Ok(outcome) => outcome.map_err(|error| error.to_string()),
                    Err(payload) => {
                        panicked = true;
                        Err(format!("panic: {}", message(payload.as_ref())))
                    }
                }
            };
            let tolerance = tolerance(op);
            let max_abs = *outcome.as_ref().unwrap_or(&f32::INFINITY);
            Check {
                op,
                route,
                reason,
                max_abs,
                tolerance,
                passed: max_abs <= tolerance,
                error: outcome.err(),
            }
        })
        .collect()
}

fn message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    text.unwrap_or("without a message").to_string()
}

/// Largest difference allowed: rounding of sums of up to 300 products of numbers below one.
fn tolerance(op: Op) -> f32 {
    match op {
        Op::Splice | Op::KvWrite | Op::Embed => 0.0,
        Op::Rope => 2e-6,
        Op::RmsNorm | Op::SwiGlu | Op::PosEmbed | Op::MoeRouter | Op::AdamW | Op::Sample => 2e-5,
        Op::Linear | Op::Attention | Op::MoeExperts | Op::TokenLogprobs | Op::Fused => 1e-4,
    }
}

fn measure(op: Op, inputs: &Inputs) -> Outcome {
    match op {
        Op::RmsNorm => cases::rms_norms(inputs),
        Op::SwiGlu => cases::swiglus(inputs),
        Op::Rope => cases::ropes(inputs),
        Op::PosEmbed => cases::pos_embeds(inputs),
        Op::Splice => cases::splices(inputs),
        Op::Embed => cases::embeds(inputs),
        Op::Linear => cases::linears(inputs),
        Op::KvWrite => cache::writes(inputs),
        Op::Attention => worst([cases::attentions(inputs), cache::attentions(inputs)]),
        Op::MoeRouter => cases::routers(inputs),
        Op::MoeExperts => cases::experts(inputs),
        Op::TokenLogprobs => cases::token_logprobs(inputs),
        Op::Fused => cases::fused(inputs),
        Op::AdamW => optimizer::steps(inputs),
        Op::Sample => samples::samples(inputs),
    }
}

/// Makes tensors of repeatable numbers in [-1, 1).
struct Inputs {
    device: Device,
    state: Cell<u32>,
}

impl Inputs {
    fn new(device: &Device) -> Self {
        Inputs {
            device: device.clone(),
            state: Cell::new(1),
        }
    }

    fn next(&self) -> f32 {
        let state = self.state.get().wrapping_mul(1_664_525);
        self.state.set(state.wrapping_add(1_013_904_223));
        (self.state.get() >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    }

    fn floats<const D: usize>(&self, dims: [usize; D]) -> Tensor<D> {
        let values: Vec<f32> = (0..dims.iter().product()).map(|_| self.next()).collect();
        Tensor::from_data(TensorData::new(values, dims), &self.device)
    }

    /// Weights as the model keeps them on this device.
    fn weights<const D: usize>(&self, dims: [usize; D], half: bool) -> Tensor<D> {
        let weights = self.floats(dims);
        if half {
            weights.cast(DType::F16)
        } else {
            weights
        }
    }

    /// Codes of repeatable weights.
    fn codes<const D: usize>(&self, dims: [usize; D], format: Format) -> Quantised<D> {
        let inner = dims[D - 1];
        let rows = dims[..D - 1].iter().product();
        let values: Vec<f32> = (0..rows * inner).map(|_| self.next()).collect();
        match glmv_quant::quantise(format, &values, rows, inner) {
            Ok(packed) => {
                let words = packed.into_words();
                Quantised::from_words(words, dims, format, &self.device)
            }
            Err(error) => panic!("finite numbers in whole rows: {error}"),
        }
    }

    fn ints<const D: usize>(
        &self,
        dims: [usize; D],
        value: impl Fn(usize) -> usize,
    ) -> Tensor<D, Int> {
        let values: Vec<i64> = (0..dims.iter().product())
            .map(|i| value(i) as i64)
            .collect();
        Tensor::from_data(TensorData::new(values, dims), &self.device)
    }
}

/// Largest absolute difference; NaN if there is one.
fn difference<const D: usize>(got: Tensor<D>, want: Tensor<D>) -> Outcome {
    let (got, want) = (device::read(got)?, device::read(want)?);
    let differences = got.iter().zip(&want).map(|(g, w)| (g - w).abs());
    Ok(differences.fold(
        0.0,
        |worst, d| if d > worst || d.is_nan() { d } else { worst },
    ))
}

/// The larger difference; NaN wins.
fn worst(outcomes: impl IntoIterator<Item = Outcome>) -> Outcome {
    outcomes.into_iter().try_fold(0.0, |worst: f32, next| {
        let next = next?;
        Ok(if next > worst || next.is_nan() {
            next
        } else {
            worst
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_passes() {
        for check in run(&Device::flex()) {
            assert!(check.passed, "{check:?}");
        }
    }

    #[test]
    fn a_panic_and_a_difference_are_reported() {
        let payload: Box<dyn std::any::Any + Send> = Box::new("boom");
        assert_eq!(message(payload.as_ref()), "boom");
        let inputs = Inputs::new(&Device::flex());
        let (a, b) = (inputs.floats([4]), inputs.floats([4]));
        let found = difference(a.clone(), b).expect("readable");
        assert!(found > 1e-3, "{found}");
        let nan = difference(a.clone(), a / 0.0 * 0.0).expect("readable");
        assert!(nan.is_nan(), "{nan}");
        assert!(
            worst([Ok(1.0), Ok(f32::NAN), Ok(2.0)])
                .expect("no error")
                .is_nan()
        );
    }
}
