// Gradient of a table whose rows were looked up: out[r] = sum of factor_i * grad[i / spread] over the entries i that
// name row r, in list order, so that it repeats bit by bit.
//
// source:  torch `embedding_dense_backward`; the bicubic taps of HF `Glm4vVisionEmbeddings.forward`
// buffers: grad [ceil(n / spread), d] Vec, factors [n] f32 (WEIGHTED; else any), links of scatter_links.wgsl,
//          out [rows, d] Vec, info [rows, d in Vec, spread]
// grid:    ceil(rows * d in Vec / WG) workgroups, folded above 65535
// work:    one Vec of one row per lane, zero for a row that nothing names
// domain:  d divisible by 4, or Vec = f32; rows * d in Vec below 2^32
// twin:    crates/glmv-kernels/src/scatter.rs

alias Vec = vec4<f32>; // param
alias Int = i32; // param
const WEIGHTED: bool = false; // param
const WG: u32 = 64u; // param

@group(0) @binding(0) var<storage, read_write> grad: array<Vec>; // [ceil(n / spread), d]
@group(0) @binding(1) var<storage, read_write> factors: array<f32>; // [n]
@group(0) @binding(2) var<storage, read_write> links: array<Int>; // [2 * rows + n]
@group(0) @binding(3) var<storage, read_write> out: array<Vec>; // [rows, d]
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
    if index >= rows * d {
        return;
    }
    var sum = Vec();
    var entry = u32(links[index / d]);
    while entry > 0u {
        let value = grad[(entry - 1u) / info[2] * d + index % d];
        if WEIGHTED {
            sum = fma(Vec(factors[entry - 1u]), value, sum);
        } else {
            sum += value;
        }
        entry = u32(links[2u * rows + entry - 1u]);
    }
    out[index] = sum;
}
