// Backward of RMSNorm for its weight: parts[p, :] = sum over the rows of part p of grad * x * scale, in row order.
//
// source:  derivative of HF `Glm4vRMSNorm.forward`
// buffers: x and grad [rows, d] Vec, scales [rows] f32 of rms_norm_grad.wgsl, parts [parts, d] Vec,
//          info [rows, d in Vec, rows of a part]
// grid:    ceil(parts * d in Vec / WG) workgroups, folded above 65535
// work:    one Vec of one part per lane; the caller adds the parts
// domain:  d divisible by 4, or Vec = f32; parts * d in Vec below 2^32
// twin:    crates/glmv-kernels/src/norm.rs

alias Vec = vec4<f32>; // param
const WG: u32 = 64u; // param

@group(0) @binding(0) var<storage, read_write> x: array<Vec>; // [rows, d]
@group(0) @binding(1) var<storage, read_write> grad: array<Vec>; // [rows, d]
@group(0) @binding(2) var<storage, read_write> scales: array<f32>; // [rows]
@group(0) @binding(3) var<storage, read_write> parts: array<Vec>; // [parts, d]
@group(0) @binding(4) var<storage, read> info: array<u32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = info[0];
    let d = info[1];
    let index = (group.x + group.y * groups.x) * WG + lane;
    let first = index / d * info[2];
    if first >= rows {
        return;
    }
    var sum = Vec();
    for (var row = first; row < min(first + info[2], rows); row++) {
        let at = row * d + index % d;
        sum = fma(grad[at] * scales[row], x[at], sum);
    }
    parts[index] = sum;
}
