// Grouped product with plain weights (backward): every slot's row times its own expert's matrix.
//
//   y[s, n] = scale[s] * sum_k a[s / row_div, k] * w[e(s), k, n]      s: slots listed in `sorted`
//   scale[s] = weights[s] if SCALED, else 1
//
// Uses: gradient of act = weights[s] * dout[t] * w_down (SCALED, row_div = top_k, k = hidden,
// n = inter) and of x per slot = dgate_up[s] * w_gate_up (row_div = 1, k = 2 * inter, n = hidden).
//
// source: derivative of `Glm4vMoeTextMLP` (HF GLM-V) with respect to its input
// twin: crates/glmv-kernels/src/moe.rs
// grid: max_tiles * ceil(n_vecs / (2 * WG)) workgroups, folded, tile fastest
// A workgroup multiplies one tile (TM sorted slots of one expert, from moe_tiles with the same TM)
// by 2 * WG Vecs of columns. An invocation keeps TM rows x 2 Vecs in registers; adjacent lanes read
// adjacent weights. Rows of y whose slot is not in `sorted` are left unwritten.
// SCALED = false: weights may be any buffer.
// domain: TM in 1, 2, 4, 8; k and n multiples of LANES, the components of Vec; element counts < 2^32

alias Int = i32; // param
alias Vec = vec4<f32>; // param
alias Weight = vec4<f32>; // param
const LANES: u32 = 4u; // param
const ONES: vec4<f32> = vec4<f32>(1.0, 1.0, 1.0, 1.0); // param
const SCALED: bool = false; // param
const TM: u32 = 8u; // param
const WG: u32 = 32u; // param

@group(0) @binding(0) var<storage, read_write> a: array<Vec>; // [slots / row_div, k_vecs]
@group(0) @binding(1) var<storage, read_write> w: array<Weight>; // [experts, k, n_vecs]
@group(0) @binding(2) var<storage, read_write> sorted: array<Int>; // [slots]
@group(0) @binding(3) var<storage, read_write> offsets: array<Int>; // [experts + 1]
@group(0) @binding(4) var<storage, read_write> tiles: array<Int>; // [max_tiles, 2]: expert or -1, first sorted row
@group(0) @binding(5) var<storage, read_write> weights: array<f32>; // [slots]
@group(0) @binding(6) var<storage, read_write> y: array<Vec>; // [slots, n_vecs]
@group(0) @binding(7) var<storage, read> info: array<u32>; // [max_tiles, n_vecs, k_vecs, row_div]

const UNUSED: u32 = 0xffffffffu; // tile beyond the last

// First element of the input row of a sorted row.
fn input_row(row: u32) -> u32 {
    return u32(sorted[row]) / info[3] * info[2];
}

// One Vec of k of an input row; scalar sets give (a, 0, 0, 0).
fn input(index: u32) -> vec4<f32> {
    return vec4<f32>(a[index]) * ONES;
}

// Row i of the four weight rows that start at `index`; scalar sets repeat the first (times 0).
fn weight(index: u32, i: u32) -> Vec {
    return Vec(w[index + min(i, LANES - 1u) * info[1]]);
}

fn mac(acc: Vec, v: vec4<f32>, w0: Vec, w1: Vec, w2: Vec, w3: Vec) -> Vec {
    return fma(w3, Vec(v.w), fma(w2, Vec(v.z), fma(w1, Vec(v.y), fma(w0, Vec(v.x), acc))));
}

fn store(row: u32, end: u32, column: u32, p: Vec, q: Vec) {
    if row < end {
        let n_vecs = info[1];
        let slot = u32(sorted[row]);
        var scale = 1.0;
        if SCALED {
            scale = weights[slot];
        }
        y[slot * n_vecs + column] = p * scale;
        if column + WG < n_vecs {
            y[slot * n_vecs + column + WG] = q * scale;
        }
    }
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = wg.x + wg.y * grid.x;
    let n_vecs = info[1];
    let tile = index % info[0];
    let column = index / info[0] * 2u * WG + lane;
    let expert = u32(tiles[2u * tile]);
    if expert == UNUSED || column >= n_vecs {
        return;
    }
    let first = u32(tiles[2u * tile + 1u]);
    let end = u32(offsets[expert + 1u]); // of the expert's sorted rows
    let final_row = end - 1u;
    let a0 = input_row(first);
    let a1 = input_row(min(first + 1u, final_row));
    let a2 = input_row(min(first + 2u, final_row));
    let a3 = input_row(min(first + 3u, final_row));
    let a4 = input_row(min(first + 4u, final_row));
    let a5 = input_row(min(first + 5u, final_row));
    let a6 = input_row(min(first + 6u, final_row));
    let a7 = input_row(min(first + 7u, final_row));
    var p0 = Vec(0.0);
    var p1 = Vec(0.0);
    var p2 = Vec(0.0);
    var p3 = Vec(0.0);
    var p4 = Vec(0.0);
    var p5 = Vec(0.0);
    var p6 = Vec(0.0);
    var p7 = Vec(0.0);
    var q0 = Vec(0.0);
    var q1 = Vec(0.0);
    var q2 = Vec(0.0);
    var q3 = Vec(0.0);
    var q4 = Vec(0.0);
    var q5 = Vec(0.0);
    var q6 = Vec(0.0);
    var q7 = Vec(0.0);
    let other = min(column + WG, n_vecs - 1u) - column;
    var at = expert * info[2] * LANES * n_vecs + column; // of the weights
    for (var k = 0u; k < info[2]; k++) {
        let pw0 = weight(at, 0u);
        let pw1 = weight(at, 1u);
        let pw2 = weight(at, 2u);
        let pw3 = weight(at, 3u);
        let qw0 = weight(at + other, 0u);
        let qw1 = weight(at + other, 1u);
        let qw2 = weight(at + other, 2u);
        let qw3 = weight(at + other, 3u);
        at += LANES * n_vecs;
        let v0 = input(a0 + k);
        p0 = mac(p0, v0, pw0, pw1, pw2, pw3);
        q0 = mac(q0, v0, qw0, qw1, qw2, qw3);
        if TM > 1u {
            let v1 = input(a1 + k);
            p1 = mac(p1, v1, pw0, pw1, pw2, pw3);
            q1 = mac(q1, v1, qw0, qw1, qw2, qw3);
        }
        if TM > 2u {
            let v2 = input(a2 + k);
            let v3 = input(a3 + k);
            p2 = mac(p2, v2, pw0, pw1, pw2, pw3);
            q2 = mac(q2, v2, qw0, qw1, qw2, qw3);
            p3 = mac(p3, v3, pw0, pw1, pw2, pw3);
            q3 = mac(q3, v3, qw0, qw1, qw2, qw3);
        }
        if TM > 4u {
            let v4 = input(a4 + k);
            let v5 = input(a5 + k);
            let v6 = input(a6 + k);
            let v7 = input(a7 + k);
            p4 = mac(p4, v4, pw0, pw1, pw2, pw3);
            q4 = mac(q4, v4, qw0, qw1, qw2, qw3);
            p5 = mac(p5, v5, pw0, pw1, pw2, pw3);
            q5 = mac(q5, v5, qw0, qw1, qw2, qw3);
            p6 = mac(p6, v6, pw0, pw1, pw2, pw3);
            q6 = mac(q6, v6, qw0, qw1, qw2, qw3);
            p7 = mac(p7, v7, pw0, pw1, pw2, pw3);
            q7 = mac(q7, v7, qw0, qw1, qw2, qw3);
        }
    }
    store(first, end, column, p0, q0);
    if TM > 1u {
        store(first + 1u, end, column, p1, q1);
    }
    if TM > 2u {
        store(first + 2u, end, column, p2, q2);
        store(first + 3u, end, column, p3, q3);
    }
    if TM > 4u {
        store(first + 4u, end, column, p4, q4);
        store(first + 5u, end, column, p5, q5);
        store(first + 6u, end, column, p6, q6);
        store(first + 7u, end, column, p7, q7);
    }
}
