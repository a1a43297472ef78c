//! Inputs from seeds, the devices of this machine, and a comparison that can fail.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use glmv_kernels::device::{self, Choice, Error};
use glmv_kernels::{Op, Quantised, Route, on_gpu_tiling, on_plain_tiling, route};
use glmv_quant::Format;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Which implementation of an op a case runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// The public function: WGSL on wgpu, native on Flex.
    Routed,
    /// The `*_reference` twin.
    Twin,
}

/// How the tensors of a case lie in memory; their values are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    Rows,
    /// The last two axes are stored the other way round.
    Transposed,
    /// A window into a tensor that is larger on both sides of the last axis.
    Window,
}

impl View {
    pub const ALL: [View; 3] = [View::Rows, View::Transposed, View::Window];
}

/// Makes a case's inputs: the same values for the same order of calls on every device.
pub struct Source {
    pub device: Device,
    pub view: View,
    made: u64,
    scaled: Option<u64>,
}

impl Source {
    pub fn new(device: &Device, view: View) -> Self {
        Source {
            device: device.clone(),
            view,
            made: 0,
            scaled: None,
        }
    }

    /// Pseudo-random numbers of one call, in [-1, 1).
    fn numbers(&mut self, len: usize) -> Vec<f32> {
        let factor = if self.scaled == Some(self.made) {
            1.01
        } else {
            1.0
        };
        self.made += 1;
        let mut state = self.made.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (mixed >> 40) as f32 / (1u32 << 23) as f32 - 1.0
        };
        (0..len).map(|_| next() * factor).collect()
    }

    /// Numbers in [-1, 1), stored as the view says.
    pub fn floats<const D: usize>(&mut self, dims: [usize; D]) -> Tensor<D> {
        let data = TensorData::new(self.numbers(dims.iter().product()), dims);
        let rows = Tensor::from_data(data, &self.device);
        match self.view {
            View::Rows => rows,
            View::Transposed if D < 2 => rows,
            // The copy makes the swapped order the one in memory.
            View::Transposed => copy(rows.swap_dims(D - 2, D - 1)).swap_dims(D - 2, D - 1),
            View::Window => {
                let mut pad = dims;
                pad[D - 1] = 3;
                let pad = Tensor::ones(pad, &self.device);
                Tensor::cat(vec![pad.clone(), rows, pad], D - 1).narrow(D - 1, 3, dims[D - 1])
            }
        }
    }

    /// As [`Source::floats`], in f16 if `half`.
    pub fn weights<const D: usize>(&mut self, dims: [usize; D], half: bool) -> Tensor<D> {
        let view = std::mem::replace(&mut self.view, View::Rows);
        let rows = self.floats(dims);
        self.view = view;
        let rows = if half { rows.cast(DType::F16) } else { rows };
        match view {
            View::Rows => rows,
            View::Transposed => copy(rows.swap_dims(D - 2, D - 1)).swap_dims(D - 2, D - 1),
            View::Window => {
                Tensor::cat(vec![rows.clone(), rows.clone()], 0).narrow(0, dims[0], dims[0])
            }
        }
    }

    /// Codes of numbers in [-1, 1); views are windows into more rows.
    pub fn codes<const D: usize>(&mut self, dims: [usize; D], format: Format) -> Quantised<D> {
        let (inner, rows) = (dims[D - 1], dims[..D - 1].iter().product());
        let values = self.numbers(rows * inner);
        let packed = glmv_quant::quantise(format, &values, rows, inner).expect("finite numbers");
        let q = Quantised::from_words(packed.into_words(), dims, format, &self.device);
        match self.view {
            View::Rows => q,
            View::Transposed | View::Window => {
                let twice = |t: &Tensor<D, Int>| Tensor::cat(vec![t.clone(), t.clone()], 0);
                let (codes, scales) = (twice(q.codes()), twice(q.scales()));
                Quantised::new(codes, scales, format, inner).narrow(dims[0], 2 * dims[0])
            }
        }
    }

    pub fn ints<const D: usize>(&self, values: Vec<i64>, dims: [usize; D]) -> Tensor<D, Int> {
        Tensor::from_data(TensorData::new(values, dims), &self.device)
    }
}

/// A copy in memory: an addition would keep a view's strides on some devices, a join does not.
fn copy<const D: usize>(t: Tensor<D>) -> Tensor<D> {
    let len = t.dims()[0];
    Tensor::cat(vec![t.clone(), t], 0).narrow(0, 0, len)
}

/// The CPU device, and the best adapter if this machine has one.
///
/// # Panics
/// With `GLMV_REQUIRE_GPU=1` if there is none, or if an adapter cannot be opened.
pub fn devices() -> Vec<(&'static str, Device)> {
    let flex = Device::flex();
    match device::select(Choice::Gpu) {
        Ok(selected) => vec![("flex", flex), ("wgpu", selected.device)],
        Err(Error::NoAdapter) if std::env::var("GLMV_REQUIRE_GPU").as_deref() != Ok("1") => {
            println!("NOT RUN on wgpu: no adapter on this machine (GLMV_REQUIRE_GPU=1 fails here)");
            vec![("flex", flex)]
        }
        Err(error) => panic!("wgpu device: {error}"),
    }
}

/// `|got - want| <= tolerance * (max(1, rms(want)) + |want|)` everywhere, NaN failing: sums of many
/// terms that cancel are as exact as their terms. Returns the worst share of what is allowed and
/// the largest difference.
fn compare(got: &[Vec<f32>], want: &[Vec<f32>], tolerance: f32) -> Result<(f32, f32), String> {
    if got.len() != want.len() {
        return Err(format!("{} outputs, expected {}", got.len(), want.len()));
    }
    let (mut share, mut worst) = (0f32, 0f32);
    for (output, (got, want)) in got.iter().zip(want).enumerate() {
        if got.len() != want.len() {
            return Err(format!(
                "output {output}: {} values, expected {}",
                got.len(),
                want.len()
            ));
        }
        let squares: f64 = want.iter().map(|w| f64::from(*w).powi(2)).sum();
        let rms = (squares / want.len().max(1) as f64).sqrt() as f32;
        for (i, (g, w)) in got.iter().zip(want).enumerate() {
            let (diff, allowed) = ((g - w).abs(), tolerance * (rms.max(1.0) + w.abs()));
            if !w.is_finite() || diff.is_nan() || diff > allowed {
                return Err(format!(
                    "output {output}[{i}] = {g}, expected {w} +- {allowed}"
                ));
            }
            share = share.max(if diff > 0.0 { diff / allowed } else { 0.0 });
            worst = worst.max(diff);
        }
    }
    Ok((share, worst))
}

/// (op, device) → worst difference and its tolerance.
type Worst = BTreeMap<(&'static str, &'static str), (f32, f32)>;

static WORST: Mutex<Worst> = Mutex::new(BTreeMap::new());

fn record(op: Op, device: &'static str, (share, diff): (f32, f32)) {
    let mut map = WORST.lock().expect("no test panicked while recording");
    let entry = map.entry((op.name(), device)).or_default();
    *entry = (entry.0.max(share), entry.1.max(diff));
}

/// The results with their largest value 1 % off.
fn spoiled(values: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let mut values = values.to_vec();
    let largest = values
        .iter_mut()
        .flatten()
        .max_by(|a, b| a.abs().total_cmp(&b.abs()))
        .expect("a case has values");
    *largest = if *largest == 0.0 {
        0.01
    } else {
        *largest * 1.01
    };
    values
}

/// Runs `case` on every device, routed and as twin, and compares with the twin on the same device
/// and with the twin on Flex. On a software adapter the shapes chosen for a GPU run too, and, for
/// plain inputs, those of an adapter without subgroups of eight. The results with one value 1 % off must be rejected.
pub fn check(
    op: Op,
    name: &str,
    view: View,
    tolerance: f32,
    case: impl Fn(&mut Source, Path) -> Vec<Vec<f32>>,
) {
    let run = |device: &Device, path| case(&mut Source::new(device, view), path);
    let oracle = run(&Device::flex(), Path::Twin);
    let accept = |label: &'static str, got: &[Vec<f32>], want: &[Vec<f32>]| match compare(
        got, want, tolerance,
    ) {
        Ok(worst) => record(op, label, worst),
        Err(error) => panic!("{} {name} {view:?}, {label}: {error}", op.name()),
    };
    for (label, device) in devices() {
        assert_ne!(
            route(op, &device),
            Route::Twin,
            "{label} routes to the twin"
        );
        let got = run(&device, Path::Routed);
        if label == "wgpu" {
            let twin = run(&device, Path::Twin);
            accept(label, &got, &twin);
            accept(
                "wgpu, GPU tiles",
                &on_gpu_tiling(|| run(&device, Path::Routed)),
                &oracle,
            );
            if view == View::Rows {
                accept(
                    "wgpu, plain tiles",
                    &on_plain_tiling(|| run(&device, Path::Routed)),
                    &oracle,
                );
            }
        }
        accept(label, &got, &oracle);
        let rejected = compare(&spoiled(&got), &oracle, tolerance);
        assert!(
            rejected.is_err(),
            "{} {name}: 1 % off was accepted",
            op.name()
        );
    }
}

/// Negative control of an op: the routed result with input number `input` 1 % larger must be
/// rejected on every device.
pub fn reject(
    op: Op,
    input: u64,
    tolerance: f32,
    case: impl Fn(&mut Source, Path) -> Vec<Vec<f32>>,
) {
    for (label, device) in devices() {
        let want = case(&mut Source::new(&device, View::Rows), Path::Twin);
        let mut source = Source::new(&device, View::Rows);
        source.scaled = Some(input);
        let got = case(&mut source, Path::Routed);
        let verdict = compare(&got, &want, tolerance);
        assert!(
            verdict.is_err(),
            "{} on {label}: input {input} 1 % off was accepted",
            op.name()
        );
    }
}

/// End of a test: no device thread panicked; prints the worst errors so far.
pub fn finish(op: Op) {
    device::check().expect("device threads are healthy");
    for ((name, label), (share, diff)) in WORST.lock().expect("unpoisoned").iter() {
        if *name == op.name() {
            println!(
                "{name} | {label} | worst {diff:.2e} | {:.0} % of the tolerance",
                share * 100.0
            );
        }
    }
}

/// Host copy of a result.
pub fn read<const D: usize>(t: Tensor<D>) -> Vec<f32> {
    device::read(t).expect("readable result")
}
