// Backward of out = silu(gate) * up: z = sigmoid(gate), dgate = grad * up * z * (1 + gate * (1 - z)),
// dup = grad * gate * z.
//
// source:  derivative of HF `Glm4VisionMlp.forward`
// buffers: gate, up, grad, dgate and dup [len] Vec, info [len in Vec]
// grid:    ceil(len in Vec / WG) workgroups, folded above 65535
// work:    one Vec per lane
// domain:  len divisible by 4, or Vec = f32
// twin:    crates/glmv-kernels/src/elementwise.rs

alias Vec = vec4<f32>; // param
const WG: u32 = 64u; // param

@group(0) @binding(0) var<storage, read_write> gate: array<Vec>; // [len]
@group(0) @binding(1) var<storage, read_write> up: array<Vec>; // [len]
@group(0) @binding(2) var<storage, read_write> grad: array<Vec>; // [len]
@group(0) @binding(3) var<storage, read_write> dgate: array<Vec>; // [len]
@group(0) @binding(4) var<storage, read_write> dup: array<Vec>; // [len]
@group(0) @binding(5) var<storage, read> info: array<u32>;

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
    let index = (group.x + group.y * groups.x) * WG + lane;
    if index >= info[0] {
        return;
    }
    let g = gate[index];
    let d = grad[index];
    let z = sigmoid(g);
    dgate[index] = d * up[index] * z * (1.0 + g * (1.0 - z));
    dup[index] = d * g * z;
}
