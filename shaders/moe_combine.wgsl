// Sums a token's expert outputs, weighted (forward) or plain (gradient of the input).
//
//   out[t, :] = residual[t, :] (if RESIDUAL) + sum_j (weights[t, j] or 1) * y[t * top_k + j, :]
//   over the j, in order, whose expert ids[t, j] lies in [base, base + experts)
//
// source: HF `Glm4vMoeTextMoE.moe` (GLM-V), index_add_ of the weighted expert outputs
// twin: crates/glmv-kernels/src/moe.rs
// grid: ceil(tokens * vecs / WG) workgroups, folded
// An invocation makes one Vec of the output. Rows of y of other experts are never read.
// WEIGHTED or RESIDUAL = false: their buffer may be any. domain: tokens * vecs < 2^32

alias Int = i32; // param
alias Vec = vec4<f32>; // param
const WEIGHTED: bool = true; // param
const RESIDUAL: bool = false; // param
const WG: u32 = 64u; // param

@group(0) @binding(0) var<storage, read_write> y: array<Vec>; // [slots, vecs]
@group(0) @binding(1) var<storage, read_write> weights: array<f32>; // [tokens, top_k]
@group(0) @binding(2) var<storage, read_write> ids: array<Int>; // [tokens, top_k]
@group(0) @binding(3) var<storage, read_write> residual: array<Vec>; // [tokens, vecs]
@group(0) @binding(4) var<storage, read_write> out: array<Vec>; // [tokens, vecs]
@group(0) @binding(5) var<storage, read> info: array<u32>; // [tokens, top_k, vecs, base, experts]

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let top_k = info[1];
    let vecs = info[2];
    let index = (wg.x + wg.y * grid.x) * WG + lane;
    if index >= info[0] * vecs {
        return;
    }
    let token = index / vecs;
    let column = index % vecs;
    var sum = Vec(0.0);
    if RESIDUAL {
        sum = residual[index];
    }
    for (var slot = token * top_k; slot < (token + 1u) * top_k; slot++) {
        if u32(ids[slot]) - info[3] < info[4] { // wraps for an id below base
            var weight = 1.0;
            if WEIGHTED {
                weight = weights[slot];
            }
            sum = fma(Vec(weight), y[slot * vecs + column], sum);
        }
    }
    out[index] = sum;
}
