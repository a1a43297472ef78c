//! Speed of the products, in turn with the `gemm` crate and with plain dot products.
//! `cargo run --release -p glmv-cpu --example product_speed [RUNS]`
//!
//! Each line gives the median over the runs; in a run every candidate is timed once, so that what
//! else the machine does meets all of them.

use glmv_cpu::{Error, Experts, Matrix, Routing, experts, input_grad, linear, weight_grad};
use glmv_quant::{Format, Packed, quantise};
use half::f16;
use rayon::prelude::*;
use std::time::Instant;

fn values(count: usize) -> Vec<f32> {
    (0..count)
        .map(|i| (i as f32 * 0.377).sin() * 0.05)
        .collect()
}

/// The same weights in each type.
struct Stored {
    f32: Vec<f32>,
    f16: Vec<f16>,
    packed: [Packed; 2],
    shape: [usize; 2],
}

impl Stored {
    fn new(shape: [usize; 2]) -> Self {
        let f32 = values(shape[0] * shape[1]);
        let pack = |format| match quantise(format, &f32, shape[0], shape[1]) {
            Ok(packed) => packed,
            Err(error) => unreachable!("finite values: {error}"),
        };
        Stored {
            f16: f32.iter().map(|v| f16::from_f32(*v)).collect(),
            packed: [pack(Format::Q8), pack(Format::Q4)],
            f32,
            shape,
        }
    }

    /// Name, matrix and bits per weight of each type.
    fn all(&self) -> Result<[(&'static str, Matrix<'_>, f64); 4], Error> {
        Ok([
            ("f32", Matrix::f32(&self.f32, self.shape)?, 32.0),
            ("f16", Matrix::f16(&self.f16, self.shape)?, 16.0),
            ("q8", Matrix::packed(self.packed[0].view()), 8.5),
            ("q4", Matrix::packed(self.packed[1].view()), 4.5),
        ])
    }
}

type Task<'a> = (String, f64, Box<dyn FnMut() -> Result<(), Error> + 'a>);

/// Times all tasks in turn and prints milliseconds, GFLOP/s and the GB/s of the weights.
fn race(title: &str, flops: f64, runs: usize, mut tasks: Vec<Task<'_>>) -> Result<(), Error> {
    let mut times = vec![Vec::new(); tasks.len()];
    for run in 0..=runs {
        for ((_, _, task), times) in tasks.iter_mut().zip(&mut times) {
            let start = Instant::now();
            task()?;
            if run > 0 {
                times.push(start.elapsed().as_secs_f64());
            }
        }
    }
    for ((name, bytes, _), times) in tasks.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        let (median, best) = (times[times.len() / 2], times[0]);
        println!(
            "| {title} | {name} | {:.3} | {:.1} | {:.1} | {:.1} |",
            median * 1e3,
            flops / median / 1e9,
            bytes / median / 1e9,
            flops / best / 1e9,
        );
    }
    Ok(())
}

/// `out[m, n] = x · wᵀ` by the `gemm` crate.
fn by_gemm(x: &[f32], w: &[f32], [m, n, k]: [usize; 3], out: &mut [f32]) {
    assert!(x.len() >= m * k && w.len() >= n * k && out.len() >= m * n);
    let (rows, cols) = (n as isize, k as isize);
    let threads = gemm::Parallelism::Rayon(0);
    #[expect(
        unsafe_code,
        reason = "gemm takes raw pointers; lengths are asserted above"
    )]
    // SAFETY: all three matrices lie inside their slices, and `out` is borrowed mutably.
    unsafe {
        let (out, x, w) = (out.as_mut_ptr(), x.as_ptr(), w.as_ptr());
        gemm::gemm(
            m, n, k, out, 1, rows, false, x, 1, cols, w, cols, 1, 0.0, 1.0, false, false, false,
            threads,
        );
    }
}

/// Dot products with sixteen running sums, one task per 64 outputs.
fn by_dots(x: &[f32], w: &[f32], [m, n, k]: [usize; 3], out: &mut [f32]) {
    let dot = |a: &[f32], b: &[f32]| {
        let mut sums = [0f32; 16];
        for (a, b) in a.chunks_exact(16).zip(b.chunks_exact(16)) {
            for i in 0..16 {
                sums[i] += a[i] * b[i];
            }
        }
        sums.iter().sum::<f32>()
    };
    let blocks: Vec<Vec<f32>> = w
        .par_chunks(64 * k)
        .map(|w| {
            let rows = w.chunks_exact(k);
            rows.flat_map(|row| (0..m).map(move |i| dot(&x[i * k..][..k], row)))
                .collect()
        })
        .collect();
    for (j, y) in blocks.concat().chunks_exact(m).enumerate() {
        for (i, y) in y.iter().enumerate() {
            out[i * n + j] = *y;
        }
    }
}

fn linears(runs: usize) -> Result<(), Error> {
    for [n, k] in [[512, 512], [2048, 512], [2048, 2048], [8192, 2048]] {
        let stored = Stored::new([n, k]);
        for m in [1, 4, 16, 64, 512] {
            let x = values(m * k);
            let elements = (n * k) as f64;
            let mut tasks: Vec<Task<'_>> = Vec::new();
            for (name, w, bits) in stored.all()? {
                let (x, mut out) = (&x, vec![0.0; m * n]);
                let task = move || linear(x, m, w, None, &mut out);
                tasks.push((name.into(), elements * bits / 8.0, Box::new(task)));
            }
            let (x, w, mut out) = (&x, &stored.f32, vec![0.0; m * n]);
            if m > 8 {
                let task = move || {
                    by_gemm(x, w, [m, n, k], &mut out);
                    Ok(())
                };
                tasks.push(("gemm crate, f32".into(), elements * 4.0, Box::new(task)));
            } else {
                let task = move || {
                    by_dots(x, w, [m, n, k], &mut out);
                    Ok(())
                };
                tasks.push(("plain dots, f32".into(), elements * 4.0, Box::new(task)));
            }
            let title = format!("linear [{m}, {k}] · [{n}, {k}]ᵀ");
            race(&title, 2.0 * m as f64 * elements, runs, tasks)?;
        }
    }
    Ok(())
}

fn gradients(runs: usize) -> Result<(), Error> {
    let (m, n, k) = (512, 2048, 512);
    let (dy, x, w) = (values(m * n), values(m * k), values(n * k));
    let (mut dx, mut dw) = (vec![0.0; m * k], vec![0.0; n * k]);
    let matrix = Matrix::f32(&w, [n, k])?;
    let flops = 2.0 * (m * n * k) as f64;
    let bytes = (n * k * 4) as f64;
    let tasks: Vec<Task<'_>> = vec![
        (
            "input, f32".into(),
            bytes,
            Box::new(|| input_grad(&dy, m, matrix, &mut dx)),
        ),
        (
            "weight, f32".into(),
            bytes,
            Box::new(|| weight_grad(&dy, &x, [m, n, k], &mut dw)),
        ),
    ];
    race(
        &format!("gradients, {m} rows, [{n}, {k}]"),
        flops,
        runs,
        tasks,
    )
}

fn mixtures(runs: usize) -> Result<(), Error> {
    let (count, hidden, width, top_k) = (128, 512, 256, 8);
    let gate_up = Stored::new([count * 2 * width, hidden]);
    let down = Stored::new([count * hidden, width]);
    for tokens in [1, 8, 64, 512] {
        let x = values(tokens * hidden);
        let slots = tokens * top_k;
        let ids: Vec<i64> = (0..slots)
            .map(|slot| ((slot / top_k * 37 + slot % top_k * 16) % count) as i64)
            .collect();
        let weights = vec![0.125; slots];
        let mut used = ids.clone();
        used.sort_unstable();
        used.dedup();
        let elements = (used.len() * 3 * width * hidden) as f64;
        let mut tasks: Vec<Task<'_>> = Vec::new();
        for ((name, gate_up, bits), (_, down, _)) in gate_up.all()?.into_iter().zip(down.all()?) {
            let stack = Experts::new(count, gate_up, down)?;
            let (x, ids, weights, mut out) = (&x, &ids, &weights, vec![0.0; tokens * hidden]);
            let task = move || {
                let routing = Routing {
                    ids,
                    weights,
                    top_k,
                    base: 0,
                };
                experts(x, tokens, &routing, &stack, &mut out)
            };
            tasks.push((name.into(), elements * bits / 8.0, Box::new(task)));
        }
        let flops = 2.0 * (slots * 3 * width * hidden) as f64;
        let title = format!("experts 8 of 128, 512 · 256, {tokens} tokens");
        race(&title, flops, runs, tasks)?;
    }
    Ok(())
}

fn main() -> Result<(), Error> {
    let runs = std::env::args()
        .nth(1)
        .and_then(|runs| runs.parse().ok())
        .unwrap_or(15);
    let threads = rayon::current_num_threads();
    println!(
        "{}-bit vectors, {threads} threads, median of {runs}\n",
        glmv_cpu::level()
    );
    println!("| product | weights | ms | GFLOP/s | GB/s of weights | best GFLOP/s |");
    println!("|---|---|---|---|---|---|");
    linears(runs)?;
    gradients(runs)?;
    mixtures(runs)
}
