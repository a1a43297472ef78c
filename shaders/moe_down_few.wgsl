// Down projection and weighted sum over a token's experts for few tokens (decode).
//
//   out[t, h] = sum_j weights[t, j] * (w[e_j, h, :] . act[t * top_k + j, :]),  e_j = ids[t, j] - base
//   over the j whose expert lies in [base, base + experts)
//
// source: HF `Glm4vMoeTextMoE` (GLM-V): down_proj, weighting and index_add in one
// twin: crates/glmv-kernels/src/moe.rs
// grid: x = ceil(hidden / (8 * WG / (KL * JL))), y = tokens
// A workgroup computes 8 * WG / (KL * JL) values of one token. Of the KL * JL lanes behind eight
// rows, KL split the dot products (adjacent lanes read adjacent weights) and JL split the slots;
// the router weight is folded into act, so one reduction at the end serves all slots.
// KL = JL = 1 (for the CPU) needs no barrier. Rows of act that belong to other experts are not read.
// domain: KL * JL divides WG; inter = vecs * components of Vec

alias Int = i32; // param
alias Vec = vec4<f32>; // param
alias Weight = vec4<f32>; // param
const ONES: vec4<f32> = vec4<f32>(1.0, 1.0, 1.0, 1.0); // param
const WG: u32 = 64u; // param
const KL: u32 = 8u; // param
const JL: u32 = 1u; // param

const LANES: u32 = KL * JL; // that share eight rows

@group(0) @binding(0) var<storage, read_write> act: array<Vec>; // [slots, vecs]
@group(0) @binding(1) var<storage, read_write> w: array<Weight>; // [experts, hidden, vecs]
@group(0) @binding(2) var<storage, read_write> ids: array<Int>; // [tokens, top_k]
@group(0) @binding(3) var<storage, read_write> weights: array<f32>; // [tokens, top_k]
@group(0) @binding(4) var<storage, read_write> out: array<f32>; // [tokens, hidden]
// [tokens, top_k, vecs, hidden, base, experts]
@group(0) @binding(5) var<storage, read> info: array<u32>;

var<workgroup> low: array<vec4<f32>, WG>; // rows 0 to 3 of each lane
var<workgroup> high: array<vec4<f32>, WG>; // rows 4 to 7

fn sums(a: Vec, b: Vec, c: Vec, d: Vec) -> vec4<f32> {
    return vec4<f32>(
        dot(vec4<f32>(a), ONES),
        dot(vec4<f32>(b), ONES),
        dot(vec4<f32>(c), ONES),
        dot(vec4<f32>(d), ONES),
    );
}

fn store(token: u32, row: u32, hidden: u32, value: vec4<f32>) {
    for (var i = 0u; i < 4u; i++) {
        if row + i < hidden {
            out[token * hidden + row + i] = value[i];
        }
    }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let token = wg.y;
    if token >= info[0] {
        return;
    }
    let top_k = info[1];
    let vecs = info[2];
    let hidden = info[3];
    let first = (wg.x * (WG / LANES) + lane / LANES) * 8u;
    let last = hidden - 1u;
    let r0 = min(first, last) * vecs;
    let r1 = min(first + 1u, last) * vecs;
    let r2 = min(first + 2u, last) * vecs;
    let r3 = min(first + 3u, last) * vecs;
    let r4 = min(first + 4u, last) * vecs;
    let r5 = min(first + 5u, last) * vecs;
    let r6 = min(first + 6u, last) * vecs;
    let r7 = min(first + 7u, last) * vecs;

    var a0 = Vec(0.0);
    var a1 = Vec(0.0);
    var a2 = Vec(0.0);
    var a3 = Vec(0.0);
    var a4 = Vec(0.0);
    var a5 = Vec(0.0);
    var a6 = Vec(0.0);
    var a7 = Vec(0.0);
    for (var j = lane % LANES / KL; j < top_k; j += JL) {
        let slot = token * top_k + j;
        let expert = u32(ids[slot]) - info[4]; // wraps for an id below base
        if expert < info[5] && first < hidden {
            let weight = Vec(weights[slot]);
            let base = expert * hidden * vecs;
            for (var k = lane % KL; k < vecs; k += KL) {
                let v = act[slot * vecs + k] * weight;
                a0 = fma(Vec(w[base + r0 + k]), v, a0);
                a1 = fma(Vec(w[base + r1 + k]), v, a1);
                a2 = fma(Vec(w[base + r2 + k]), v, a2);
                a3 = fma(Vec(w[base + r3 + k]), v, a3);
                a4 = fma(Vec(w[base + r4 + k]), v, a4);
                a5 = fma(Vec(w[base + r5 + k]), v, a5);
                a6 = fma(Vec(w[base + r6 + k]), v, a6);
                a7 = fma(Vec(w[base + r7 + k]), v, a7);
            }
        }
    }
    if LANES > 1u {
        low[lane] = sums(a0, a1, a2, a3);
        high[lane] = sums(a4, a5, a6, a7);
        workgroupBarrier();
        if lane < WG / LANES {
            var l = vec4<f32>(0.0);
            var h = vec4<f32>(0.0);
            for (var i = lane * LANES; i < (lane + 1u) * LANES; i++) {
                l += low[i];
                h += high[i];
            }
            let row = (wg.x * (WG / LANES) + lane) * 8u;
            store(token, row, hidden, l);
            store(token, row + 4u, hidden, h);
        }
    } else {
        store(token, first, hidden, sums(a0, a1, a2, a3));
        store(token, first + 4u, hidden, sums(a4, a5, a6, a7));
    }
}
