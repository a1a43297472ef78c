//! Timing of two implementations in turn, and the peaks they are measured against.

use anyhow::Result;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use glmv_kernels::{Quantised, Weight, device, linear};
use glmv_quant::Format;
use std::time::Instant;

/// Samples per implementation; the table shows their median.
const SAMPLES: usize = 7;
/// A sample repeats its work until it lasts about this long.
const SAMPLE_SECS: f64 = 0.03;

/// How the weights of a product are stored.
#[derive(Clone, Copy)]
pub enum Storage {
    F32,
    F16,
    Codes(Format),
}

impl Storage {
    pub const ALL: [Storage; 4] = [
        Storage::F32,
        Storage::F16,
        Storage::Codes(Format::Q8),
        Storage::Codes(Format::Q4),
    ];

    /// For the name of a row.
    pub fn label(self) -> String {
        match self {
            Storage::F32 => String::new(),
            Storage::F16 => " f16".to_string(),
            Storage::Codes(format) => format!(" {format}"),
        }
    }

    /// Of a matrix.
    pub fn bytes(self, rows: usize, cols: usize) -> f64 {
        match self {
            Storage::F32 => (4 * rows * cols) as f64,
            Storage::F16 => (2 * rows * cols) as f64,
            Storage::Codes(format) => format.bytes(rows, cols) as f64,
        }
    }
}

/// Work of one call, for the rates.
#[derive(Clone, Copy)]
pub struct Work {
    pub flops: f64,
    pub bytes: f64,
}

impl Work {
    /// `reads` and `writes` of f32.
    pub fn moves(elements: usize) -> Self {
        Work {
            flops: 0.0,
            bytes: 4.0 * elements as f64,
        }
    }
}

/// GFLOP/s and GB/s.
#[derive(Clone, Copy)]
struct Peaks {
    gflops: f64,
    gbytes: f64,
}

pub struct Bench {
    pub device: Device,
    state: u32,
    only: Option<String>,
    peaks: Peaks,
}

impl Bench {
    fn numbers(&mut self, len: usize) -> Vec<f32> {
        let state = &mut self.state;
        let mut next = || {
            *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (*state >> 8) as f32 / (1u32 << 23) as f32 - 1.0
        };
        (0..len).map(|_| next()).collect()
    }

    pub fn floats<const D: usize>(&mut self, dims: [usize; D]) -> Tensor<D> {
        let values = self.numbers(dims.iter().product());
        Tensor::from_data(TensorData::new(values, dims), &self.device)
    }

    pub fn weights<const D: usize>(&mut self, dims: [usize; D], half: bool) -> Tensor<D> {
        let weights = self.floats(dims);
        if half {
            weights.cast(DType::F16)
        } else {
            weights
        }
    }

    /// Weights in that storage.
    pub fn stored<const D: usize>(
        &mut self,
        dims: [usize; D],
        storage: Storage,
    ) -> Result<Weight<D>> {
        Ok(match storage {
            Storage::F32 => self.weights(dims, false).into(),
            Storage::F16 => self.weights(dims, true).into(),
            Storage::Codes(format) => {
                let cols = dims[D - 1];
                let rows = dims.iter().product::<usize>() / cols;
                let packed = glmv_quant::quantise(format, &self.numbers(rows * cols), rows, cols)?;
                Quantised::from_words(packed.into_words(), dims, format, &self.device).into()
            }
        })
    }

    pub fn ints<const D: usize>(
        &self,
        dims: [usize; D],
        value: impl Fn(usize) -> usize,
    ) -> Tensor<D, Int> {
        let values: Vec<i64> = (0..dims.iter().product())
            .map(|i| value(i) as i64)
            .collect();
        Tensor::from_data(TensorData::new(values, dims), &self.device)
    }

    /// Opens the table: measures what the shares refer to, the best product of ours and the best of
    /// a copy and of a reading-only product.
    pub fn new(device: Device, only: Option<String>) -> Result<Self> {
        let mut bench = Bench {
            device,
            state: 1,
            only,
            peaks: Peaks {
                gflops: 0.0,
                gbytes: 0.0,
            },
        };
        let (mut gflops, mut copied, mut read) = (0f64, 0f64, 0f64);
        let copy = bench.floats([16 << 20]);
        let matrix = bench.floats([8192, 2048]);
        let row = bench.floats([1, 2048]);
        // Twice over: another process may have taken the first round's time.
        for _ in 0..2 {
            for [m, n, k] in [
                [8, 1024, 1024],
                [64, 1024, 1024],
                [256, 1024, 1024],
                [512, 512, 256],
            ] {
                let (x, w) = (bench.floats([m, k]), bench.floats([n, k]));
                let secs = fastest(|| linear(x.clone(), w.clone(), None))?;
                gflops = gflops.max(2.0 * (m * n * k) as f64 / secs * 1e-9);
            }
            let secs = fastest(|| copy.clone().add_scalar(1.0))?;
            copied = copied.max((8 << 24) as f64 / secs * 1e-9);
            let secs = fastest(|| linear(row.clone(), matrix.clone(), None))?;
            read = read.max((8192 * 2048 * 4) as f64 / secs * 1e-9);
        }
        println!(
            "Peaks: {gflops:.1} GFLOP/s (best of `linear`), {copied:.1} GB/s copying 64 MiB, {read:.1} GB/s reading 64 MiB (mat-vec)"
        );
        let gbytes = copied.max(read);
        bench.peaks = Peaks { gflops, gbytes };
        Ok(bench)
    }

    /// Times both implementations in turn and prints a row.
    pub fn row<const D: usize>(
        &self,
        op: &str,
        shape: &str,
        work: Work,
        kernel: impl Fn() -> Tensor<D>,
        twin: impl Fn() -> Tensor<D>,
    ) -> Result<()> {
        if self.only.as_ref().is_some_and(|only| !op.contains(only)) {
            return Ok(());
        }
        let (a, b) = interleaved(&kernel, &twin)?;
        let peaks = self.peaks;
        let by_flops = work.flops * 1e-9 / peaks.gflops;
        let by_bytes = work.bytes * 1e-9 / peaks.gbytes;
        let rate = if by_flops > by_bytes {
            format!("{:.1} GFLOP/s", work.flops / a * 1e-9)
        } else {
            format!("{:.1} GB/s", work.bytes / a * 1e-9)
        };
        let share = by_flops.max(by_bytes) / a * 100.0;
        let (ka, kb) = (a * 1e3, b * 1e3);
        println!(
            "| {op} | {shape} | {ka:.3} | {kb:.3} | {:.2} | {rate} | {share:.0} % |",
            b / a
        );
        Ok(())
    }
}

/// Waits for the device: reads one number of the result.
fn finish<const D: usize>(t: Tensor<D>) -> Result<()> {
    let len = t.dims().iter().product::<usize>();
    device::read(t.reshape([len]).narrow(0, 0, 1))?;
    Ok(())
}

/// Seconds per call over `reps` calls and one wait.
fn sample<const D: usize>(reps: usize, run: &impl Fn() -> Tensor<D>) -> Result<f64> {
    let start = Instant::now();
    for _ in 1..reps {
        run();
    }
    finish(run())?;
    Ok(start.elapsed().as_secs_f64() / reps as f64)
}

/// Compiles, warms up, and chooses how often a sample repeats.
fn repetitions<const D: usize>(run: &impl Fn() -> Tensor<D>) -> Result<usize> {
    sample(1, run)?;
    let secs = sample(2, run)?;
    Ok(((SAMPLE_SECS / secs.max(1e-7)).ceil() as usize).clamp(1, 200))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn fastest<const D: usize>(run: impl Fn() -> Tensor<D>) -> Result<f64> {
    let reps = repetitions(&run)?;
    let samples: Result<Vec<f64>> = (0..SAMPLES).map(|_| sample(reps, &run)).collect();
    Ok(samples?.into_iter().fold(f64::INFINITY, f64::min))
}

fn interleaved<const D: usize>(
    kernel: &impl Fn() -> Tensor<D>,
    twin: &impl Fn() -> Tensor<D>,
) -> Result<(f64, f64)> {
    let (a, b) = (repetitions(kernel)?, repetitions(twin)?);
    let (mut kernels, mut twins) = (Vec::new(), Vec::new());
    for _ in 0..SAMPLES {
        kernels.push(sample(a, kernel)?);
        twins.push(sample(b, twin)?);
    }
    Ok((median(kernels), median(twins)))
}
