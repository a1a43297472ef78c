// RMS normalisation: out = x * rsqrt(mean(x^2) + eps) * weight, per row.
//
// source:  HF `Glm4vRMSNorm.forward` (Zhang & Sennrich, arXiv 1910.07467)
// buffers: x [rows, d] Vec, weight [d] Weight, out [rows, d] Vec, info [rows, d in Vec, d, eps as f32 bits]
// grid:    ceil(rows * LANES / WG) workgroups, folded above 65535
// work:    LANES lanes share a row; each adds its squares, one workgroup reduction, then each scales its part
// domain:  d divisible by 4, or the scalar set (Vec = f32, ONES = (1,0,0,0)); LANES divides WG
// twin:    crates/glmv-kernels/src/norm.rs

alias Vec = vec4<f32>; // param
alias Weight = vec4<f32>; // param
const ONES: vec4<f32> = vec4<f32>(1.0, 1.0, 1.0, 1.0); // param
const WG: u32 = 64u; // param
const LANES: u32 = 8u; // param

@group(0) @binding(0) var<storage, read_write> x: array<Vec>; // [rows, d]
@group(0) @binding(1) var<storage, read_write> weight: array<Weight>; // [d]
@group(0) @binding(2) var<storage, read_write> out: array<Vec>; // [rows, d]
@group(0) @binding(3) var<storage, read> info: array<u32>;

var<workgroup> sums: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = info[0];
    let d = info[1];
    let row = (group.x + group.y * groups.x) * (WG / LANES) + lane / LANES;
    let base = row * d;
    // A row past the end reads and writes nothing, but still reaches the barrier.
    let end = select(0u, d, row < rows);

    var squares = Vec();
    for (var k = lane % LANES; k < end; k += LANES) {
        let v = x[base + k];
        squares = fma(v, v, squares);
    }
    sums[lane] = dot(vec4<f32>(squares), ONES);
    workgroupBarrier();

    var total = 0.0;
    let first = lane - lane % LANES;
    for (var i = 0u; i < LANES; i++) {
        total += sums[first + i];
    }
    let scale = inverseSqrt(total / f32(info[2]) + bitcast<f32>(info[3]));
    for (var k = lane % LANES; k < end; k += LANES) {
        out[base + k] = x[base + k] * scale * Vec(weight[k]);
    }
}
