// Gate and up projection with SwiGLU for few slots (decode), straight from the router's ids.
//
//   act[s, i] = silu(w[e, i, :] . x[s / top_k, :]) * (w[e, inter + i, :] . x[s / top_k, :]),  e = ids[s] - base
//
// source: HF `Glm4vMoeTextMoE` / `Glm4vMoeTextMLP` (GLM-V), gate_proj and up_proj stacked
// twin: crates/glmv-kernels/src/moe.rs
// grid: x = ceil(inter / (4 * WG / KL)), y = slots
// A workgroup computes 4 * WG / KL values of one slot. KL lanes split the dot products of four
// gate rows and their four up rows (adjacent lanes read adjacent weights); one reduction at the end.
// KL = 1 (for the CPU) needs no barrier. Slots of experts outside [base, base + experts) are left unwritten.
// domain: KL divides WG; one weight element per Vec component, hidden = vecs * components of Vec

alias Int = i32; // param
alias Vec = vec4<f32>; // param
alias Weight = vec4<f32>; // param
const ONES: vec4<f32> = vec4<f32>(1.0, 1.0, 1.0, 1.0); // param
const WG: u32 = 64u; // param
const KL: u32 = 8u; // param

@group(0) @binding(0) var<storage, read_write> x: array<Vec>; // [tokens, vecs]
@group(0) @binding(1) var<storage, read_write> w: array<Weight>; // [experts, 2 * inter, vecs]
@group(0) @binding(2) var<storage, read_write> ids: array<Int>; // [slots]
@group(0) @binding(3) var<storage, read_write> act: array<f32>; // [slots, inter]
// [slots, top_k, vecs, inter, base, experts]
@group(0) @binding(4) var<storage, read> info: array<u32>;

var<workgroup> gates: array<vec4<f32>, WG>;
var<workgroup> ups: array<vec4<f32>, WG>;

fn sums(a: Vec, b: Vec, c: Vec, d: Vec) -> vec4<f32> {
    return vec4<f32>(
        dot(vec4<f32>(a), ONES),
        dot(vec4<f32>(b), ONES),
        dot(vec4<f32>(c), ONES),
        dot(vec4<f32>(d), ONES),
    );
}

fn silu(v: vec4<f32>) -> vec4<f32> {
    let z = exp(-abs(v)); // cannot overflow
    return v * select(z, vec4<f32>(1.0), v > vec4<f32>(0.0)) / (1.0 + z);
}

fn store(slot: u32, row: u32, value: vec4<f32>) {
    let inter = info[3];
    for (var i = 0u; i < 4u; i++) {
        if row + i < inter {
            act[slot * inter + row + i] = value[i];
        }
    }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let slot = wg.y;
    if slot >= info[0] {
        return;
    }
    let vecs = info[2];
    let inter = info[3];
    let expert = u32(ids[slot]) - info[4]; // wraps for an id below base
    let here = expert < info[5];
    let first = (wg.x * (WG / KL) + lane / KL) * 4u;
    let last = inter - 1u;

    var g0 = Vec(0.0);
    var g1 = Vec(0.0);
    var g2 = Vec(0.0);
    var g3 = Vec(0.0);
    var u0 = Vec(0.0);
    var u1 = Vec(0.0);
    var u2 = Vec(0.0);
    var u3 = Vec(0.0);
    if here && first < inter {
        let token = slot / info[1] * vecs;
        let up = inter * vecs;
        let base = expert * 2u * up;
        let r0 = base + first * vecs;
        let r1 = base + min(first + 1u, last) * vecs;
        let r2 = base + min(first + 2u, last) * vecs;
        let r3 = base + min(first + 3u, last) * vecs;
        for (var k = lane % KL; k < vecs; k += KL) {
            let v = x[token + k];
            g0 = fma(Vec(w[r0 + k]), v, g0);
            g1 = fma(Vec(w[r1 + k]), v, g1);
            g2 = fma(Vec(w[r2 + k]), v, g2);
            g3 = fma(Vec(w[r3 + k]), v, g3);
            u0 = fma(Vec(w[r0 + up + k]), v, u0);
            u1 = fma(Vec(w[r1 + up + k]), v, u1);
            u2 = fma(Vec(w[r2 + up + k]), v, u2);
            u3 = fma(Vec(w[r3 + up + k]), v, u3);
        }
    }
    if KL > 1u {
        gates[lane] = sums(g0, g1, g2, g3);
        ups[lane] = sums(u0, u1, u2, u3);
        workgroupBarrier();
        if here && lane < WG / KL {
            var gate = vec4<f32>(0.0);
            var up = vec4<f32>(0.0);
            for (var i = lane * KL; i < (lane + 1u) * KL; i++) {
                gate += gates[i];
                up += ups[i];
            }
            store(slot, (wg.x * (WG / KL) + lane) * 4u, silu(gate) * up);
        }
    } else if here {
        store(slot, first, silu(sums(g0, g1, g2, g3)) * sums(u0, u1, u2, u3));
    }
}
