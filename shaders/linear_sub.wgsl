// Linear layer on adapters with subgroups of exactly eight lanes (lavapipe): out = x * weight^T + bias.
//
// source:  torch.nn.functional.linear
// buffers: x [rows, k] Vec, weight [n, k] Weight, bias [n] f32 (any one-element buffer when HAS_BIAS is false),
//          out [rows, n] f32, info [rows, n, k in Vec]
// grid:    ceil(rows / (GROUPS * HELD)) * ceil(n / (8 * COLUMNS)) workgroups, folded above 65535
// work:    one subgroup makes GROUPS * HELD rows x 8 * COLUMNS columns of out. A lane owns every eighth column; x is
//          loaded lane = row and spread by shuffles. On such an adapter a load costs the same whatever it reads, so
//          every loaded value is used many times from registers and nothing goes through workgroup memory
// order:   a sum runs over k in ascending order in every variant: a row's result does not depend on the number of rows
// domain:  k divisible by 4, or the scalar set (Vec = f32, Weight = f32 or f16, ONES = (1,0,0,0));
//          subgroups of eight; HELD at most 8, and 8 if GROUPS > 1
// twin:    crates/glmv-kernels/src/linear.rs

alias Vec = vec4<f32>; // param
alias Weight = vec4<f32>; // param
const ONES: vec4<f32> = vec4<f32>(1.0, 1.0, 1.0, 1.0); // param
const HAS_BIAS: bool = true; // param
const GROUPS: u32 = 1u; // param
const HELD: u32 = 8u; // param
const COLUMNS: u32 = 8u; // param
const WG: u32 = 8u; // param

const g = 0u; // index < GROUPS
const i = 0u; // index < HELD
const j = 0u; // index < COLUMNS

@group(0) @binding(0) var<storage, read_write> x: array<Vec>; // [rows, k]
@group(0) @binding(1) var<storage, read_write> weight: array<Weight>; // [n, k]
@group(0) @binding(2) var<storage, read_write> bias: array<f32>; // [n]
@group(0) @binding(3) var<storage, read_write> out: array<f32>; // [rows, n]
@group(0) @binding(4) var<storage, read> info: array<u32>;

const ROWS: u32 = GROUPS * HELD;

// sum + a . b, x first
fn dot4(a: vec4<f32>, b: vec4<f32>, sum: f32) -> f32 {
    return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}

fn store(row: u32, column: u32, sum: f32) {
    if row < info[0] && column < info[1] {
        out[row * info[1] + column] = sum + select(0.0, bias[select(0u, column, HAS_BIAS)], HAS_BIAS);
    }
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let rows = info[0];
    let n = info[1];
    let k_end = info[2];
    let row_tiles = (rows + ROWS - 1u) / ROWS;
    let index = group.x + group.y * groups.x;
    let row = index % max(row_tiles, 1u) * ROWS;
    let first_column = index / max(row_tiles, 1u) * (8u * COLUMNS);
    if rows == 0u || first_column >= n {
        return;
    }

    // Rows and columns past the end repeat the last one and their sums are never stored.
    let column = first_column + lane;
    let x_g = min(row + g * 8u + min(lane, HELD - 1u), rows - 1u) * k_end; // each g
    let w_j = min(column + j * 8u, n - 1u) * k_end; // each j
    var sum_g_i_j = 0.0; // each g i j
    for (var k = 0u; k < k_end; k++) {
        let b_j = vec4<f32>(Vec(weight[w_j + k])); // each j
        { // each g
            let own = ONES * vec4<f32>(x[x_g + k]);
            { // each i
                let a = subgroupShuffle(own, i);
                sum_g_i_j = dot4(a, b_j, sum_g_i_j); // each j
            }
        }
    }
    store(row + g * 8u + i, column + j * 8u, sum_g_i_j); // each g i j
}
