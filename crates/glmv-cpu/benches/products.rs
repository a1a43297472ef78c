//! Speed of the products, in turn with the `gemm` crate and with a plain read of the same f32 weights.
//! `cargo bench -p glmv-cpu --bench products [-- RUNS [FILTER]]`, FILTER a part of a line's title.
//!
//! Each line gives the median over the runs; in a run every candidate is timed once, in turn forwards
//! and backwards, so that what else the machine does, and what the one before leaves in the caches,
//! meets all of them.

use glmv_cpu::{Error, Experts, Matrix, Routing, experts, input_grad, linear, weight_grad};
use glmv_quant::{Format, Packed, quantise};
use half::f16;
use rayon::prelude::*;
use std::hint::black_box;
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

/// Runs of each race, and what its title must contain.
struct Settings {
    runs: usize,
    filter: String,
}

impl Settings {
    /// Times all tasks in turn and prints milliseconds, GFLOP/s and the GB/s of the weights.
    fn race(&self, title: &str, flops: f64, mut tasks: Vec<Task<'_>>) -> Result<(), Error> {
        if !title.contains(&self.filter) {
            return Ok(());
        }
        let mut times = vec![Vec::new(); tasks.len()];
        for run in 0..=self.runs {
            let mut order: Vec<usize> = (0..tasks.len()).collect();
            if run % 2 == 1 {
                order.reverse();
            }
            for at in order {
                let start = Instant::now();
                tasks[at].2()?;
                if run > 0 {
                    times[at].push(start.elapsed().as_secs_f64());
                }
            }
        }
        for ((name, bytes, _), times) in tasks.iter().zip(&mut times) {
            times.sort_by(f64::total_cmp);
            let (median, best) = (times[times.len() / 2], times[0]);
            println!(
                "| {title} | {name} | {:.3} | {:.1} | {:.1} | {:.1} | {:.1} |",
                median * 1e3,
                flops / median / 1e9,
                bytes / median / 1e9,
                flops / best / 1e9,
                bytes / best / 1e9,
            );
        }
        Ok(())
    }
}

/// Reads everything once and does next to nothing with it.
fn plain_read(w: &[f32]) -> f32 {
    let size = w.len().div_ceil(4 * rayon::current_num_threads()).max(1);
    w.par_chunks(size)
        .map(|w| {
            let mut sums = [0f32; 64];
            for w in w.chunks_exact(64) {
                for i in 0..64 {
                    sums[i] += w[i];
                }
            }
            sums.iter().sum::<f32>()
        })
        .sum()
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

/// A task that reads the weights, f32.
fn reading(w: &[f32]) -> Task<'_> {
    let task = move || {
        black_box(plain_read(black_box(w)));
        Ok(())
    };
    (
        "plain read, f32".into(),
        4.0 * w.len() as f64,
        Box::new(task),
    )
}

fn linears(settings: &Settings) -> Result<(), Error> {
    for [n, k] in [[512, 512], [2048, 512], [2048, 2048], [8192, 2048]] {
        let stored = Stored::new([n, k]);
        for m in [1, 2, 4, 8, 16, 64, 512] {
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
                tasks.push(reading(w));
            }
            let title = format!("linear [{m}, {k}] · [{n}, {k}]ᵀ");
            settings.race(&title, 2.0 * m as f64 * elements, tasks)?;
        }
    }
    Ok(())
}

fn gradients(settings: &Settings) -> Result<(), Error> {
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
    settings.race(&format!("gradients, {m} rows, [{n}, {k}]"), flops, tasks)
}

fn mixtures(settings: &Settings) -> Result<(), Error> {
    let (count, hidden, width, top_k) = (128, 512, 256, 8);
    let stored_gate_up = Stored::new([count * 2 * width, hidden]);
    let stored_down = Stored::new([count * hidden, width]);
    for tokens in [1, 2, 4, 8, 16, 64, 512] {
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
        for ((name, gate_up, bits), (_, down, _)) in
            stored_gate_up.all()?.into_iter().zip(stored_down.all()?)
        {
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
        // Of the larger stack, the weights of as many experts as are in use.
        tasks.push(reading(
            &stored_gate_up.f32[..used.len() * 2 * width * hidden],
        ));
        let flops = 2.0 * (slots * 3 * width * hidden) as f64;
        let title = format!("experts 8 of 128, 512 · 256, {tokens} tokens");
        settings.race(&title, flops, tasks)?;
    }
    Ok(())
}

fn main() -> Result<(), Error> {
    // Cargo passes `--bench`.
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let settings = Settings {
        runs: args.next().and_then(|runs| runs.parse().ok()).unwrap_or(15),
        filter: args.next().unwrap_or_default(),
    };
    println!(
        "{}-bit vectors, {} threads, median of {}\n",
        glmv_cpu::level(),
        rayon::current_num_threads(),
        settings.runs
    );
    println!("| product | weights | ms | GFLOP/s | GB/s of weights | best GFLOP/s | best GB/s |");
    println!("|---|---|---|---|---|---|---|");
    linears(&settings)?;
    gradients(&settings)?;
    mixtures(&settings)
}
