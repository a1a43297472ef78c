// Interpolated position embedding: out = x + sum over 16 taps of weights[tap] * table[index[tap]].
//
// source:  HF `Glm4vVisionEmbeddings.forward` (bicubic grid_sample, a = -0.75, border padding); taps made on the host
// buffers: x [n, d] Vec, table [entries, d] Vec, index [n, 16] Int, weights [n, 16] f32, out [n, d] Vec,
//          info [n, d in Vec, entries]
// grid:    ceil(n * d in Vec / WG) workgroups, folded above 65535
// work:    one lane per output Vec
// domain:  d divisible by 4, or Vec = f32; indices in [0, entries): clamped, as a memory guard only
// twin:    crates/glmv-kernels/src/gather.rs

alias Vec = vec4<f32>; // param
alias Int = i32; // param
const WG: u32 = 64u; // param

@group(0) @binding(0) var<storage, read_write> x: array<Vec>; // [n, d]
@group(0) @binding(1) var<storage, read_write> table: array<Vec>; // [entries, d]
@group(0) @binding(2) var<storage, read_write> index: array<vec4<Int>>; // [n, 16]
@group(0) @binding(3) var<storage, read_write> weights: array<vec4<f32>>; // [n, 16]
@group(0) @binding(4) var<storage, read_write> out: array<Vec>; // [n, d]
@group(0) @binding(5) var<storage, read> info: array<u32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let d = info[1];
    let i = (group.x + group.y * groups.x) * WG + lane;
    if i >= info[0] * d {
        return;
    }
    let row = i / d;
    let column = i % d;
    let last = vec4<u32>(info[2] - 1u);
    var sum = x[i];
    for (var four = row * 4u; four < row * 4u + 4u; four++) {
        let entry = min(vec4<u32>(index[four]), last) * d + column;
        let w = weights[four];
        sum = fma(Vec(w.x), table[entry.x], sum);
        sum = fma(Vec(w.y), table[entry.y], sum);
        sum = fma(Vec(w.z), table[entry.z], sum);
        sum = fma(Vec(w.w), table[entry.w], sum);
    }
    out[i] = sum;
}
