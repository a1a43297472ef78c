//! What is measured: shapes of the models' layers, small enough for a software adapter.

use crate::harness::{Bench, Storage, Work};
use anyhow::Result;
use glmv_kernels::*;

/// Tokens and hidden width of the row-wise ops.
const ROWS: usize = 512;
const WIDTH: usize = 2048;

/// Everything that is neither a product nor attention nor the experts.
pub fn dense(b: &mut Bench) -> Result<()> {
    norms(b)?;
    ropes(b)?;
    gathers(b)?;
    routers(b)
}

fn norms(b: &mut Bench) -> Result<()> {
    let (rows, d, eps) = (ROWS, WIDTH, 1e-5);
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
    )
}

fn ropes(b: &mut Bench) -> Result<()> {
    let (rows, n) = (ROWS, ROWS * WIDTH);
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
    Ok(())
}

fn gathers(b: &mut Bench) -> Result<()> {
    let (rows, n, name) = (ROWS, ROWS * WIDTH, format!("{ROWS}x{WIDTH}"));
    let (h, a) = (b.floats([ROWS, WIDTH]), b.floats([ROWS, WIDTH]));
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
    Ok(())
}

fn routers(b: &mut Bench) -> Result<()> {
    let rows = ROWS;
    let config = RouterConfig {
        top_k: 8,
        n_group: 1,
        topk_group: 1,
        normalise: true,
        scale: 1.0,
        shared: 1,
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

/// Linear layers in every storage; the twin of the f32 rows is Burn's own matrix product.
pub fn products(b: &mut Bench) -> Result<()> {
    // The two sizes at which the product is held against Burn's.
    product(b, [1024, 1024, 1024], Storage::F32)?;
    product(b, [1, 8192, 2048], Storage::F32)?;
    for storage in Storage::ALL {
        for m in [1, 2, 4, 8, 16, 64, 256, 512] {
            product(b, [m, 2048, 1024], storage)?;
        }
    }
    Ok(())
}

fn product(b: &mut Bench, [m, n, k]: [usize; 3], storage: Storage) -> Result<()> {
    let w = b.stored([n, k], storage)?;
    let x = b.floats([m, k]);
    let work = Work {
        flops: 2.0 * (m * n * k) as f64,
        bytes: storage.bytes(n, k) + 4.0 * (m * (n + k)) as f64,
    };
    let shape = format!("{m}x{k} · {n}x{k}ᵀ{}", storage.label());
    b.row(
        "linear",
        &shape,
        work,
        || linear(x.clone(), w.clone(), None),
        || linear_reference(x.clone(), w.clone(), None),
    )
}

pub fn attentions(b: &mut Bench) -> Result<()> {
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

/// 128 experts, 8 per token, hidden 256 and 512, width 256.
pub fn mixture(b: &mut Bench) -> Result<()> {
    for storage in Storage::ALL {
        for tokens in [1, 4, 8, 16, 32, 512] {
            experts(b, tokens, 256, storage)?;
        }
    }
    for tokens in [1, 512] {
        experts(b, tokens, 512, Storage::F32)?;
    }
    Ok(())
}

fn experts(b: &mut Bench, tokens: usize, hidden: usize, storage: Storage) -> Result<()> {
    let (experts, top_k, width) = (128, 8, 256);
    let gate_up = b.stored([experts, 2 * width, hidden], storage)?;
    let down = b.stored([experts, hidden, width], storage)?;
    let x = b.floats([tokens, hidden]);
    // An odd step makes a token's eight experts different.
    let expert = |i: usize| (i / top_k * 29 + i % top_k * (2 * (i / top_k) + 1)) % experts;
    let ids = b.ints([tokens, top_k], expert);
    let weights = b.floats([tokens, top_k]);
    let used: std::collections::BTreeSet<usize> = (0..tokens * top_k).map(expert).collect();
    let matrices =
        used.len() as f64 * (storage.bytes(2 * width, hidden) + storage.bytes(hidden, width));
    let work = Work {
        flops: 6.0 * (tokens * top_k * hidden * width) as f64,
        bytes: matrices + 8.0 * (tokens * hidden + tokens * top_k * width) as f64,
    };
    let shape = format!("{tokens} tokens, hidden {hidden}{}", storage.label());
    let run = |twin: bool| {
        let (x, ids, weights) = (x.clone(), ids.clone(), weights.clone());
        let (gate_up, down) = (gate_up.clone(), down.clone());
        match twin {
            true => moe_experts_reference(x, ids, weights, gate_up, down, 0),
            false => moe_experts(x, ids, weights, gate_up, down, 0),
        }
    };
    b.row("moe_experts", &shape, work, || run(false), || run(true))
}
