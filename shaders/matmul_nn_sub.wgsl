// Matrix product out = x * weight on adapters whose subgroups have eight lanes (CPU devices), the input gradient of a
// linear layer (x = the gradient of its output).
//
// source:  torch.nn.functional.linear, backward: grad_input = grad_output * weight
// buffers: x [rows, k / 4] vec4, weight [k, n / 4] Weight, out [rows, n / 4] vec4, info [rows, k / 4, n / 4]
// grid:    ceil(rows / (GROUPS * HELD)) * ceil(n / 64) workgroups, folded above 65535, row tiles fastest
// work:    one subgroup makes GROUPS * HELD rows x 64 columns; a lane owns four columns and four further on; x is loaded
//          lane = row and spread by shuffles; see linear_tile_sub.wgsl
// order:   a sum runs over k in ascending order, whatever the number of rows
// domain:  k and n divisible by 4; HELD at most 8, and 8 if GROUPS > 1
// twin:    crates/glmv-kernels/src/linear.rs

alias Weight = vec4<f32>; // param
const GROUPS: u32 = 1u; // param
const HELD: u32 = 8u; // param
const WG: u32 = 8u; // param

const g = 0u; // index < GROUPS
const i = 0u; // index < HELD
const h = 0u; // index < 2
const c = 0u; // index < 4

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>; // [rows, k / 4]
@group(0) @binding(1) var<storage, read_write> weight: array<Weight>; // [k, n / 4]
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // [rows, n / 4]
@group(0) @binding(3) var<storage, read> info: array<u32>;

const ROWS: u32 = GROUPS * HELD;

// sum + the four weighted values, v.x first
fn mac(sum: vec4<f32>, v: vec4<f32>, w0: vec4<f32>, w1: vec4<f32>, w2: vec4<f32>, w3: vec4<f32>) -> vec4<f32> {
    return fma(w3, v.wwww, fma(w2, v.zzzz, fma(w1, v.yyyy, fma(w0, v.xxxx, sum))));
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let rows = info[0];
    let k_end = info[1];
    let n = info[2];
    let row_tiles = max((rows + ROWS - 1u) / ROWS, 1u);
    let index = group.x + group.y * groups.x;
    let row = index % row_tiles * ROWS;
    let first_column = index / row_tiles * 16u;
    if rows == 0u || first_column >= n {
        return;
    }

    // Rows and columns past the end repeat the last one and their sums are never stored.
    let x_g = min(row + g * 8u + min(lane, HELD - 1u), rows - 1u) * k_end; // each g
    let column_h = min(first_column + h * 8u + lane, n - 1u); // each h
    var sum_g_i_h = vec4<f32>(); // each g i h
    for (var k = 0u; k < k_end; k++) {
        var w_h: array<vec4<f32>, 4>; // each h
        w_h[c] = vec4<f32>(weight[(4u * k + c) * n + column_h]); // each h c
        { // each g
            let own = x[x_g + k];
            { // each i
                let v = subgroupShuffle(own, i);
                sum_g_i_h = mac(sum_g_i_h, v, w_h[0], w_h[1], w_h[2], w_h[3]); // each h
            }
        }
    }
    { // each g i
        if row + g * 8u + i < rows {
            { // each h
                if first_column + h * 8u + lane < n {
                    out[(row + g * 8u + i) * n + column_h] = sum_g_i_h;
                }
            }
        }
    }
}
