// Gradient of the router weights: how much each slot's expert output agrees with the output gradient.
//
//   dweights[s] = dout[s / top_k, :] . y[s, :] if base <= ids[s] < base + experts, else 0
//
// source: derivative of the weighted sum in HF `Glm4vMoeTextMoE.moe` (GLM-V)
// twin: crates/glmv-kernels/src/moe.rs
// grid: ceil(slots * KL / WG) workgroups, folded
// KL lanes split one slot's dot product (adjacent lanes read adjacent elements) and meet in shared
// memory; KL = 1 (for the CPU) needs no barrier. Rows of y of other experts are not read.
// domain: KL divides WG; hidden = vecs * components of Vec

alias Int = i32; // param
alias Vec = vec4<f32>; // param
const ONES: vec4<f32> = vec4<f32>(1.0, 1.0, 1.0, 1.0); // param
const WG: u32 = 64u; // param
const KL: u32 = 8u; // param

@group(0) @binding(0) var<storage, read_write> dout: array<Vec>; // [tokens, vecs]
@group(0) @binding(1) var<storage, read_write> y: array<Vec>; // [slots, vecs]
@group(0) @binding(2) var<storage, read_write> ids: array<Int>; // [slots]
@group(0) @binding(3) var<storage, read_write> dweights: array<f32>; // [slots]
@group(0) @binding(4) var<storage, read> info: array<u32>; // [slots, top_k, vecs, base, experts]

var<workgroup> partial: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let vecs = info[2];
    let slot = (wg.x + wg.y * grid.x) * (WG / KL) + lane / KL;
    var acc = Vec(0.0);
    if slot < info[0] {
        if u32(ids[slot]) - info[3] < info[4] { // wraps for an id below base
            let row = slot / info[1] * vecs;
            for (var k = lane % KL; k < vecs; k += KL) {
                acc = fma(dout[row + k], y[slot * vecs + k], acc);
            }
        }
    }
    var sum = dot(vec4<f32>(acc), ONES);
    if KL > 1u {
        partial[lane] = sum;
        workgroupBarrier();
        sum = 0.0;
        if lane % KL == 0u {
            for (var i = lane; i < lane + KL; i++) {
                sum += partial[i];
            }
        }
    }
    if lane % KL == 0u && slot < info[0] {
        dweights[slot] = sum;
    }
}
