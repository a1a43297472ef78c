// Backward of the gated activation of a fused projection: z = sigmoid(gate),
// dgate = grad * up * z * (1 + gate * (1 - z)), dup = grad * gate * z.
//
// source:  derivative of HF `Glm4vTextMLP.forward`
// buffers: gate_up [rows, 2n] Vec, grad [rows, n] Vec, dgate_up [rows, 2n] Vec, info [rows, n in Vec]
// grid:    ceil(rows * n in Vec / WG) workgroups, folded above 65535
// work:    one Vec of gate and one of up per lane
// domain:  n divisible by 4, or Vec = f32; rows * 2n in Vec below 2^32
// twin:    crates/glmv-kernels/src/elementwise.rs

alias Vec = vec4<f32>; // param
const WG: u32 = 64u; // param

@group(0) @binding(0) var<storage, read_write> gate_up: array<Vec>; // [rows, 2n]
@group(0) @binding(1) var<storage, read_write> grad: array<Vec>; // [rows, n]
@group(0) @binding(2) var<storage, read_write> dgate_up: array<Vec>; // [rows, 2n]
@group(0) @binding(3) var<storage, read> info: array<u32>;

fn sigmoid(x: Vec) -> Vec {
    let z = exp(max(-abs(x), Vec(-80.0))); // cannot overflow
    return select(z, Vec(1.0), x > Vec(0.0)) / (1.0 + z);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = info[1];
    let index = (group.x + group.y * groups.x) * WG + lane;
    if index >= info[0] * n {
        return;
    }
    let at = index + index / n * n;
    let gate = gate_up[at];
    let d = grad[index];
    let z = sigmoid(gate);
    dgate_up[at] = d * gate_up[at + n] * z * (1.0 + gate * (1.0 - z));
    dgate_up[at + n] = d * gate * z;
}
