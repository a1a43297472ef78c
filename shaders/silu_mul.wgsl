// Gated activation of two separate projections: out = silu(gate) * up, element by element.
//
// source:  HF `Glm4vMoeTextMLP.forward`; silu(g) = g / (1 + exp(-g))
// buffers: gate [n] Vec, up [n] Vec, out [n] Vec, info [n in Vec]
// grid:    ceil(n in Vec / (WG * PER_LANE)) workgroups, folded above 65535
// work:    PER_LANE outputs per lane, WG apart
// domain:  n divisible by 4, or Vec = f32
// twin:    crates/glmv-kernels/src/elementwise.rs

alias Vec = vec4<f32>; // param
const WG: u32 = 64u; // param
const PER_LANE: u32 = 4u; // param

@group(0) @binding(0) var<storage, read_write> gate: array<Vec>; // [n]
@group(0) @binding(1) var<storage, read_write> up: array<Vec>; // [n]
@group(0) @binding(2) var<storage, read_write> out: array<Vec>; // [n]
@group(0) @binding(3) var<storage, read> info: array<u32>;

// Below -80 silu is under 1e-33; the bound keeps exp finite.
fn silu(gate: Vec) -> Vec {
    let g = max(gate, Vec(-80.0));
    return g / (Vec(1.0) + exp(-g));
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let total = info[0];
    let first = (group.x + group.y * groups.x) * (WG * PER_LANE) + lane;
    for (var j = 0u; j < PER_LANE; j++) {
        let i = first + j * WG;
        if i < total {
            out[i] = silu(gate[i]) * up[i];
        }
    }
}
