//! Every kernel against its twin on the same device: a Markdown table with the share of the
//! device's measured peaks.
//!
//! `cargo bench --bench kernels -- [--device cpu|gpu] [--only TEXT]`

use anyhow::{Context, Result, bail};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use glmv_kernels::device::{self, Choice};
use glmv_kernels::*;
use std::time::Instant;

/// Samples per implementation; the table shows their median.
const SAMPLES: usize = 7;
/// A sample repeats its work until it lasts about this long.
const SAMPLE_SECS: f64 = 0.03;

fn main() -> Result<()> {
    let (choice, only) = arguments()?;
    let selected = match device::select(choice) {
        Err(device::Error::NoAdapter) => device::select(Choice::Cpu)?,
        other => other?,
    };
    let info = &selected.info;
    println!("Device: {} ({}, {})", info.name, info.backend, info.driver);
    let mut bench = Bench {
        device: selected.device,
        state: 1,
        only,
        peaks: None,
    };
    bench.measure_peaks()?;
    println!("\n| op | shape | kernel ms | twin ms | twin / kernel | rate | share of peak |");
    println!("|---|---|---:|---:|---:|---:|---:|");
    dense(&mut bench)?;
    products(&mut bench)?;
    attentions(&mut bench)?;
    mixture(&mut bench)?;
    device::check()?;
    Ok(())
}

fn arguments() -> Result<(Choice, Option<String>)> {
    let (mut choice, mut only) = (Choice::Gpu, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--bench" => {} // cargo passes it
            "--device" => {
                choice = match args.next().as_deref() {
                    Some("cpu") => Choice::Cpu,
                    Some("gpu") => Choice::Gpu,
                    other => bail!("--device takes cpu or gpu, found {other:?}"),
                }
            }
            "--only" => only = Some(args.next().context("--only takes a part of an op's name")?),
            other => bail!("unknown argument {other}"),
        }
    }
    Ok((choice, only))
}

/// Work of one call, for the rates.
#[derive(Clone, Copy)]
struct Work {
    flops: f64,
    bytes: f64,
}

impl Work {
    /// `reads` and `writes` of f32.
    fn moves(elements: usize) -> Self {
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

struct Bench {
    device: Device,
    state: u32,
    only: Option<String>,
    peaks: Option<Peaks>,
}

impl Bench {
    fn floats<const D: usize>(&mut self, dims: [usize; D]) -> Tensor<D> {
        let state = &mut self.state;
        let mut next = || {
            *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (*state >> 8) as f32 / (1u32 << 23) as f32 - 1.0
        };
        let values: Vec<f32> = (0..dims.iter().product()).map(|_| next()).collect();
        Tensor::from_data(TensorData::new(values, dims), &self.device)
    }

    fn weights<const D: usize>(&mut self, dims: [usize; D], half: bool) -> Tensor<D> {
        let weights = self.floats(dims);
        if half {
            weights.cast(DType::F16)
        } else {
            weights
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

    /// Best product of ours and the rate of a copy: what the shares refer to.
    fn measure_peaks(&mut self) -> Result<()> {
        let mut gflops = 0f64;
        for [m, n, k] in [[64, 1024, 1024], [256, 1024, 1024], [512, 2048, 1024]] {
            let (x, w) = (self.floats([m, k]), self.floats([n, k]));
            let secs = alone(|| linear(x.clone(), w.clone(), None))?;
            gflops = gflops.max(2.0 * (m * n * k) as f64 / secs * 1e-9);
        }
        let x = self.floats([16 << 20]);
        let secs = alone(|| x.clone().add_scalar(1.0))?;
        let gbytes = (8 << 24) as f64 / secs * 1e-9;
        println!(
            "Peaks: {gflops:.1} GFLOP/s (best of `linear`), {gbytes:.1} GB/s (64 MiB read, added to, written)"
        );
        self.peaks = Some(Peaks { gflops, gbytes });
        Ok(())
    }

    /// Times both implementations in turn and prints a row.
    fn row<const D: usize>(
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
        let peaks = self.peaks.context("peaks are measured first")?;
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

fn alone<const D: usize>(run: impl Fn() -> Tensor<D>) -> Result<f64> {
    let reps = repetitions(&run)?;
    let samples: Result<Vec<f64>> = (0..SAMPLES).map(|_| sample(reps, &run)).collect();
    Ok(median(samples?))
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

fn dense(b: &mut Bench) -> Result<()> {
    let (rows, d, eps) = (512, 2048, 1e-5);
    let (h, a, w) = (b.floats([rows, d]), b.floats([rows, d]), b.floats([d]));
    let (n, name) = (rows * d, format!("{rows}x{d}"));
    b.row(
        "rms_norm",
        &name,
        Work::moves(2 * n),
        || rms_norm(a.clone(), w.clone(), eps),
        || rms_norm_reference(a.clone(), w.clone(), eps),
    )?;
    b.row(
        "rms_norm_add",
        &name,
        Work::moves(3 * n),
        || rms_norm_add(h.clone(), a.clone(), w.clone(), eps),
        || rms_norm_add_reference(h.clone(), a.clone(), w.clone(), eps),
    )?;
    b.row(
        "add_rms_norm",
        &name,
        Work::moves(4 * n),
        || add_rms_norm(h.clone(), a.clone(), w.clone(), eps).1,
        || add_rms_norm_reference(h.clone(), a.clone(), w.clone(), eps).1,
    )?;
    let fused = b.floats([rows, 2 * d]);
    b.row(
        "swiglu",
        &name,
        Work::moves(3 * n),
        || swiglu(fused.clone()),
        || swiglu_reference(fused.clone()),
    )?;
    b.row(
        "silu_mul",
        &name,
        Work::moves(3 * n),
        || silu_mul(h.clone(), a.clone()),
        || silu_mul_reference(h.clone(), a.clone()),
    )?;

    let x = b.floats([rows, 16, 128]);
    let axes = RopeTable::text_axes(&[8, 12, 12], 32);
    let table = RopeTable::new(
        &RopeTable::text_frequencies(1e4, 64),
        &axes,
        rows,
        &b.device,
    );
    let pos = b.ints([3, rows], |i| i % rows);
    for pairing in [Pairing::HalfSplit, Pairing::Interleaved] {
        let shape = format!("{rows}x16x128 {pairing:?}");
        b.row(
            "rope",
            &shape,
            Work::moves(2 * n),
            || rope(x.clone(), &table, pos.clone(), pairing),
            || rope_reference(x.clone(), &table, pos.clone(), pairing),
        )?;
    }
    let (patches, table) = (b.floats([1024, 1536]), b.floats([576, 1536]));
    let (index, weight) = (b.ints([1024, 16], |i| i * 7 % 576), b.floats([1024, 16]));
    let work = Work {
        flops: 2.0 * 16.0 * (1024 * 1536) as f64,
        ..Work::moves((2 * 1024 + 576) * 1536)
    };
    b.row(
        "pos_embed",
        "1024x1536",
        work,
        || {
            pos_embed(
                patches.clone(),
                table.clone(),
                index.clone(),
                weight.clone(),
            )
        },
        || {
            pos_embed_reference(
                patches.clone(),
                table.clone(),
                index.clone(),
                weight.clone(),
            )
        },
    )?;
    let source = b.ints([rows], |i| i % 2 * (i / 2 + 1)) - 1;
    b.row(
        "splice",
        &name,
        Work::moves(2 * n),
        || splice(h.clone(), a.clone(), source.clone()),
        || splice_reference(h.clone(), a.clone(), source.clone()),
    )?;
    let config = RouterConfig {
        top_k: 8,
        n_group: 1,
        topk_group: 1,
        normalise: true,
        scale: 1.0,
    };
    let (logits, bias) = (b.floats([rows, 128]), b.floats([128]));
    b.row(
        "moe_router",
        "512x128 top 8",
        Work::moves(rows * (128 + 16)),
        || moe_router(logits.clone(), bias.clone(), config).1,
        || moe_router_reference(logits.clone(), bias.clone(), config).1,
    )
}

fn products(b: &mut Bench) -> Result<()> {
    let (n, k) = (2048, 1024);
    for half in [false, true] {
        let w = b.weights([n, k], half);
        for m in [1, 2, 4, 5, 8, 16, 64, 256] {
            let x = b.floats([m, k]);
            let weight_bytes = (n * k * if half { 2 } else { 4 }) as f64;
            let work = Work {
                flops: 2.0 * (m * n * k) as f64,
                bytes: weight_bytes + 4.0 * (m * (n + k)) as f64,
            };
            let shape = format!("{m}x{k} · {n}x{k}ᵀ{}", if half { " f16" } else { "" });
            b.row(
                "linear",
                &shape,
                work,
                || linear(x.clone(), w.clone(), None),
                || linear_reference(x.clone(), w.clone(), None),
            )?;
        }
    }
    Ok(())
}

fn attentions(b: &mut Bench) -> Result<()> {
    // Name, queries, keys, heads, key heads, head_dim, f16 cache; prefill is causal.
    let cases = [
        ("prefill", 256, 256, 16, 2, 128, false),
        ("vision, 4 segments", 1024, 1024, 12, 12, 64, false),
        ("decode", 1, 2048, 32, 2, 128, false),
        ("decode", 1, 2048, 32, 2, 128, true),
    ];
    for (name, queries, keys, heads, kv_heads, dh, half) in cases {
        let q = b.floats([1, queries, heads, dh]);
        let (k, v) = (
            b.weights([1, keys, kv_heads, dh], half),
            b.weights([1, keys, kv_heads, dh], half),
        );
        let bounds = |i: usize| match name {
            "prefill" => (0, i + 1),
            "decode" => (0, keys),
            _ => (i / 256 * 256, i / 256 * 256 + 256),
        };
        let range = b.ints([queries, 2], |i| {
            if i % 2 == 0 {
                bounds(i / 2).0
            } else {
                bounds(i / 2).1
            }
        });
        let pairs: usize = (0..queries).map(|i| bounds(i).1 - bounds(i).0).sum();
        let cache = (2 * keys * kv_heads * dh * if half { 2 } else { 4 }) as f64;
        let work = Work {
            flops: 4.0 * (pairs * heads * dh) as f64,
            bytes: cache + 8.0 * (queries * heads * dh) as f64,
        };
        let shape = format!(
            "{name}, {queries}x{heads}x{dh}, {keys} keys x {kv_heads}{}",
            if half { " f16" } else { "" }
        );
        let scale = 1.0 / (dh as f32).sqrt();
        b.row(
            "attention",
            &shape,
            work,
            || attention(q.clone(), k.clone(), v.clone(), range.clone(), scale),
            || attention_reference(q.clone(), k.clone(), v.clone(), range.clone(), scale),
        )?;
    }
    Ok(())
}

/// 128 experts, 8 per token, hidden 256, width 256.
fn mixture(b: &mut Bench) -> Result<()> {
    let (experts, top_k, hidden, width) = (128, 8, 256, 256);
    for half in [false, true] {
        let (gate_up, down) = (
            b.weights([experts, 2 * width, hidden], half),
            b.weights([experts, hidden, width], half),
        );
        for tokens in [1, 4, 8, 16, 32, 512] {
            let x = b.floats([tokens, hidden]);
            // An odd step makes a token's eight experts different.
            let expert = |i: usize| (i / top_k * 29 + i % top_k * (2 * (i / top_k) + 1)) % experts;
            let ids = b.ints([tokens, top_k], expert);
            let weights = b.floats([tokens, top_k]);
            let used: std::collections::BTreeSet<usize> = (0..tokens * top_k).map(expert).collect();
            let matrices = (used.len() * 3 * hidden * width * if half { 2 } else { 4 }) as f64;
            let work = Work {
                flops: 6.0 * (tokens * top_k * hidden * width) as f64,
                bytes: matrices + 8.0 * (tokens * hidden + tokens * top_k * width) as f64,
            };
            let shape = format!("{tokens} tokens{}", if half { " f16" } else { "" });
            b.row(
                "moe_experts",
                &shape,
                work,
                || {
                    moe_experts(
                        x.clone(),
                        ids.clone(),
                        weights.clone(),
                        gate_up.clone(),
                        down.clone(),
                        0,
                    )
                },
                || {
                    moe_experts_reference(
                        x.clone(),
                        ids.clone(),
                        weights.clone(),
                        gate_up.clone(),
                        down.clone(),
                        0,
                    )
                },
            )?;
        }
    }
    Ok(())
}
