// Backward of RMSNorm for its input, per row: r = rsqrt(mean(x^2) + eps), g = grad * weight,
// dx = r * g - r^3 * mean(x * g) * x; r is kept for the gradient of the weight.
//
// source:  derivative of HF `Glm4vRMSNorm.forward`
// buffers: x and grad [rows, d] Vec, weight [d] Vec, dx [rows, d] Vec, scales [rows] f32: r,
//          info [rows, d in Vec, d, eps as f32 bits]
// grid:    ceil(rows * LANES / WG) workgroups, folded above 65535
// work:    LANES lanes share a row; each adds its squares and products, one workgroup reduction, then its part of dx
// domain:  d divisible by 4, or the scalar set (Vec = f32, ONES = (1,0,0,0)); LANES divides WG
// twin:    crates/glmv-kernels/src/norm.rs

alias Vec = vec4<f32>; // param
const ONES: vec4<f32> = vec4<f32>(1.0, 1.0, 1.0, 1.0); // param
const WG: u32 = 64u; // param
const LANES: u32 = 8u; // param

@group(0) @binding(0) var<storage, read_write> x: array<Vec>; // [rows, d]
@group(0) @binding(1) var<storage, read_write> weight: array<Vec>; // [d]
@group(0) @binding(2) var<storage, read_write> grad: array<Vec>; // [rows, d]
@group(0) @binding(3) var<storage, read_write> dx: array<Vec>; // [rows, d]
@group(0) @binding(4) var<storage, read_write> scales: array<f32>; // [rows]
@group(0) @binding(5) var<storage, read> info: array<u32>;

var<workgroup> sums: array<vec2<f32>, WG>; // squares, products

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
    var products = Vec();
    for (var k = lane % LANES; k < end; k += LANES) {
        let v = x[base + k];
        squares = fma(v, v, squares);
        products = fma(v * weight[k], grad[base + k], products);
    }
    sums[lane] = vec2<f32>(dot(vec4<f32>(squares), ONES), dot(vec4<f32>(products), ONES));
    workgroupBarrier();

    var total = vec2<f32>();
    let first = lane - lane % LANES;
    for (var i = 0u; i < LANES; i++) {
        total += sums[first + i];
    }
    let means = total / f32(info[2]);
    let scale = inverseSqrt(means.x + bitcast<f32>(info[3]));
    let back = scale * scale * scale * means.y;
    for (var k = lane % LANES; k < end; k += LANES) {
        dx[base + k] = grad[base + k] * weight[k] * scale - x[base + k] * back;
    }
    if row < rows && lane == first {
        scales[row] = scale;
    }
}
