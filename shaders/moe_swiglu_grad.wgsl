// Backward of act = silu(gate) * up, and act itself once more for the gradient of w_down.
//
//   z = sigmoid(gate); act = gate * z * up
//   dgate = dact * up * z * (1 + gate * (1 - z)); dup = dact * gate * z
//
// source: derivative of `Glm4vMoeTextMLP.forward` (HF GLM-V), hidden_act = silu
// twin: crates/glmv-kernels/src/moe.rs
// grid: ceil(slots * vecs / WG) workgroups, folded
// An invocation treats one Vec of one slot. Slots of other shards hold no data in gate_up and
// dact: their results are meaningless and must not be used.
// domain: slots * vecs < 2^32

alias Vec = vec4<f32>; // param
const WG: u32 = 64u; // param

@group(0) @binding(0) var<storage, read_write> gate_up: array<Vec>; // [slots, 2 * vecs]
@group(0) @binding(1) var<storage, read_write> dact: array<Vec>; // [slots, vecs]
@group(0) @binding(2) var<storage, read_write> dgate_up: array<Vec>; // [slots, 2 * vecs]
@group(0) @binding(3) var<storage, read_write> act: array<Vec>; // [slots, vecs]
@group(0) @binding(4) var<storage, read> info: array<u32>; // [slots, vecs]

fn sigmoid(x: Vec) -> Vec {
    let z = exp(-abs(x)); // cannot overflow
    return select(z, Vec(1.0), x > Vec(0.0)) / (1.0 + z);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let vecs = info[1];
    let index = (wg.x + wg.y * grid.x) * WG + lane;
    if index >= info[0] * vecs {
        return;
    }
    let at = index / vecs * 2u * vecs + index % vecs;
    let gate = gate_up[at];
    let up = gate_up[at + vecs];
    let d = dact[index];
    let z = sigmoid(gate);
    act[index] = gate * z * up;
    dgate_up[at] = d * up * z * (1.0 + gate * (1.0 - z));
    dgate_up[at + vecs] = d * gate * z;
}
