// Gated activation of a fused projection: out = silu(gate) * up, gate and up being the halves of each row.
//
// source:  HF `Glm4vTextMLP.forward`; silu(g) = g / (1 + exp(-g))
// buffers: gate_up [rows, 2n] Vec, out [rows, n] Vec, info [rows, n in Vec]
// grid:    ceil(rows * n in Vec / (WG * PER_LANE)) workgroups, folded above 65535
// work:    PER_LANE outputs per lane, WG apart
// domain:  n divisible by 4, or Vec = f32; rows * 2n in Vec below 2^32
// twin:    crates/glmv-kernels/src/elementwise.rs

alias Vec = vec4<f32>; // param
const WG: u32 = 64u; // param
const PER_LANE: u32 = 4u; // param

@group(0) @binding(0) var<storage, read_write> gate_up: array<Vec>; // [rows, 2n]
@group(0) @binding(1) var<storage, read_write> out: array<Vec>; // [rows, n]
@group(0) @binding(2) var<storage, read> info: array<u32>;

// As in the fused launches, so that both give the same bits.
fn silu(v: Vec) -> Vec {
    let z = exp(-abs(v)); // cannot overflow
    return v * select(z, Vec(1.0), v > Vec(0.0)) / (Vec(1.0) + z);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = info[1];
    let total = info[0] * n;
    let first = (group.x + group.y * groups.x) * (WG * PER_LANE) + lane;
    for (var j = 0u; j < PER_LANE; j++) {
        let i = first + j * WG;
        if i < total {
            let gate = i + i / n * n;
            out[i] = silu(gate_up[gate]) * gate_up[gate + n];
        }
    }
}
