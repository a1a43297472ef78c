// Grouped product of two sets of rows (backward): the gradient of every expert's matrix.
//
//   dw[e, n, k] = sum over slots s of expert e, in sorted order,
//                 scale[s] * a[s / a_div, n] * b[s / b_div, k];  scale[s] = weights[s] if SCALED, else 1
//
// Uses: dw_down = weights[s] * dout[t] (x) act[s] (SCALED, a_div = top_k, b_div = 1) and
// dw_gate_up = dgate_up[s] (x) x[t] (a_div = 1, b_div = top_k). Experts without slots get zeros.
//
// source: derivative of `Glm4vMoeTextMLP` (HF GLM-V) with respect to its weights
// twin: crates/glmv-kernels/src/moe.rs
// grid: experts * ceil(n_vecs / 2) * ceil(k_vecs / (2 * WG)) workgroups, folded, k fastest
// A workgroup makes 2 Vecs of n by 2 * WG Vecs of k of one expert's matrix. An invocation keeps
// 2 x 2 Vecs (8 x 8 numbers) in registers over the expert's slots; adjacent lanes read and write
// adjacent k. The order of the sum is fixed: the same result on every run.
// SCALED = false: weights may be any buffer.
// domain: k and n multiples of LANES, the components of Vec; element counts < 2^32

alias Int = i32; // param
alias Vec = vec4<f32>; // param
const LANES: u32 = 4u; // param
const SCALED: bool = false; // param
const WG: u32 = 32u; // param

@group(0) @binding(0) var<storage, read_write> a: array<Vec>; // [slots / a_div, n_vecs]
@group(0) @binding(1) var<storage, read_write> b: array<Vec>; // [slots / b_div, k_vecs]
@group(0) @binding(2) var<storage, read_write> sorted: array<Int>; // [slots]
@group(0) @binding(3) var<storage, read_write> offsets: array<Int>; // [experts + 1]
@group(0) @binding(4) var<storage, read_write> weights: array<f32>; // [slots]
@group(0) @binding(5) var<storage, read_write> dw: array<Vec>; // [experts, n, k_vecs]
@group(0) @binding(6) var<storage, read> info: array<u32>; // [experts, n_vecs, k_vecs, a_div, b_div]

// One row of dw: two Vecs of k.
fn store(expert: u32, row: u32, column: u32, low: Vec, high: Vec) {
    let n = info[1] * LANES;
    if row < n {
        let at = (expert * n + row) * info[2];
        dw[at + column] = low;
        if column + WG < info[2] {
            dw[at + column + WG] = high;
        }
    }
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n_vecs = info[1];
    let k_vecs = info[2];
    let n_blocks = (n_vecs + 1u) / 2u;
    let k_blocks = (k_vecs + 2u * WG - 1u) / (2u * WG);
    let index = wg.x + wg.y * grid.x;
    let column = index % k_blocks * 2u * WG + lane;
    let n_vec = index / k_blocks % n_blocks * 2u;
    let expert = index / k_blocks / n_blocks;
    if expert >= info[0] || column >= k_vecs {
        return;
    }
    let n_other = min(n_vec + 1u, n_vecs - 1u);
    let k_other = min(column + WG, k_vecs - 1u);
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
    let end = u32(offsets[expert + 1u]);
    for (var i = u32(offsets[expert]); i < end; i++) {
        let slot = u32(sorted[i]);
        let row = slot / info[3] * n_vecs;
        let line = slot / info[4] * k_vecs;
        let low = b[line + column];
        let high = b[line + k_other];
        var v = vec4<f32>(a[row + n_vec]); // scalar sets: four times the same, stored once
        var u = vec4<f32>(a[row + n_other]);
        if SCALED {
            v *= weights[slot];
            u *= weights[slot];
        }
        p0 = fma(Vec(v.x), low, p0);
        q0 = fma(Vec(v.x), high, q0);
        p1 = fma(Vec(v.y), low, p1);
        q1 = fma(Vec(v.y), high, q1);
        p2 = fma(Vec(v.z), low, p2);
        q2 = fma(Vec(v.z), high, q2);
        p3 = fma(Vec(v.w), low, p3);
        q3 = fma(Vec(v.w), high, q3);
        p4 = fma(Vec(u.x), low, p4);
        q4 = fma(Vec(u.x), high, q4);
        p5 = fma(Vec(u.y), low, p5);
        q5 = fma(Vec(u.y), high, q5);
        p6 = fma(Vec(u.z), low, p6);
        q6 = fma(Vec(u.z), high, q6);
        p7 = fma(Vec(u.w), low, p7);
        q7 = fma(Vec(u.w), high, q7);
    }
    let n = n_vec * LANES;
    store(expert, n, column, p0, q0);
    store(expert, n + LANES, column, p4, q4);
    if LANES > 1u {
        store(expert, n + 1u, column, p1, q1);
        store(expert, n + 2u, column, p2, q2);
        store(expert, n + 3u, column, p3, q3);
        store(expert, n + 5u, column, p5, q5);
        store(expert, n + 6u, column, p6, q6);
        store(expert, n + 7u, column, p7, q7);
    }
}
