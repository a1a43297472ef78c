// Matrix product out = a^T * b on adapters whose subgroups have eight lanes (CPU devices), the weight gradient of a
// linear layer (a = the gradient of its output, b = its input).
//
// source:  torch.nn.functional.linear, backward: grad_weight = grad_output^T * input
// buffers: a [rows, n / 4] vec4, b [rows, k / 4] vec4, out [n, k / 4] vec4, info [rows, n / 4, k / 4]
// grid:    ceil(n / 32) * ceil(k / 64) workgroups, folded above 65535, n fastest
// work:    one subgroup makes 32 rows x 64 columns of out and walks all rows of a and b in order, so that the sum does not
//          depend on scheduling. A lane owns four columns and four further on; a is loaded lane = four rows of out and
//          spread by shuffles; see linear_tile_sub.wgsl
// domain:  n and k divisible by 4
// twin:    crates/glmv-kernels/src/linear.rs

const WG: u32 = 8u; // param

const i = 0u; // index < 8
const c = 0u; // index < 4
const h = 0u; // index < 2

@group(0) @binding(0) var<storage, read_write> a: array<vec4<f32>>; // [rows, n / 4]
@group(0) @binding(1) var<storage, read_write> b: array<vec4<f32>>; // [rows, k / 4]
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // [n, k / 4]
@group(0) @binding(3) var<storage, read> info: array<u32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let n = info[1];
    let k = info[2];
    let tiles = max((n + 7u) / 8u, 1u);
    let index = group.x + group.y * groups.x;
    let first_row = index % tiles * 8u; // in vec4
    let first_column = index / tiles * 16u;
    if n == 0u || first_column >= k {
        return;
    }

    // Rows and columns past the end repeat the last one and their sums are never stored.
    let row = min(first_row + lane, n - 1u);
    let column_h = min(first_column + h * 8u + lane, k - 1u); // each h
    var sum_i_c_h = vec4<f32>(); // each i c h
    for (var m = 0u; m < info[0]; m++) {
        let own = a[m * n + row];
        let b_h = b[m * k + column_h]; // each h
        { // each i
            let v = subgroupShuffle(own, i);
            sum_i_c_h = fma(vec4<f32>(v[c]), b_h, sum_i_c_h); // each c h
        }
    }
    { // each i
        if first_row + i < n {
            { // each c h
                if first_column + h * 8u + lane < k {
                    out[(4u * (first_row + i) + c) * k + column_h] = sum_i_c_h;
                }
            }
        }
    }
}
