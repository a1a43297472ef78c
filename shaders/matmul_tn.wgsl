// Matrix product out = a^T * b, the weight gradient of a linear layer (a = the gradient of its output, b = its input).
//
// source:  torch.nn.functional.linear, backward: grad_weight = grad_output^T * input
// buffers: a [rows, n] Lhs, b [rows, k] Vec, out [n, k] Vec, info [rows, n in Lhs, k in Vec]
// grid:    ceil(n in Lhs / (2 * ROW_LANES)) * ceil(k in Vec / (128 / ROW_LANES)) workgroups, folded above 65535
// work:    ROW_LANES x (64 / ROW_LANES) lanes; each keeps 2 Lhs (8 rows) x 2 Vec of out in registers and walks all
//          rows of a and b in order, so that the sum does not depend on the device's scheduling.
//          Written out: lavapipe keeps an array indexed by a loop in memory, at half the speed
// domain:  k divisible by 4, or Vec = f32; n divisible by 4, or Lhs = f32 with ONES = (1,0,0,0);
//          ROW_LANES 1, 2, 4 or 8
// twin:    crates/glmv-kernels/src/linear.rs

alias Vec = vec4<f32>; // param
alias Lhs = vec4<f32>; // param
const ONES: vec4<f32> = vec4<f32>(1.0, 1.0, 1.0, 1.0); // param
const ROW_LANES: u32 = 8u; // param

@group(0) @binding(0) var<storage, read_write> a: array<Lhs>; // [rows, n]
@group(0) @binding(1) var<storage, read_write> b: array<Vec>; // [rows, k]
@group(0) @binding(2) var<storage, read_write> out: array<Vec>; // [n, k]
@group(0) @binding(3) var<storage, read> info: array<u32>;

const COLUMN_LANES: u32 = 64u / ROW_LANES;
const STEP: u32 = 1u + 3u * u32(ONES.y); // values in a Lhs

fn a_at(i: u32) -> vec4<f32> {
    return ONES * vec4<f32>(a[i]);
}

// `row` counts in Lhs; value `j` of it is a row of out.
fn store(row: u32, j: u32, column: u32, left: Vec, right: Vec) {
    if row >= info[1] || j >= STEP {
        return;
    }
    let base = (row * STEP + j) * info[2];
    if column < info[2] {
        out[base + column] = left;
    }
    if column + COLUMN_LANES < info[2] {
        out[base + column + COLUMN_LANES] = right;
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = info[0];
    let n = info[1];
    let k = info[2];
    let row_tiles = (n + 2u * ROW_LANES - 1u) / (2u * ROW_LANES);
    let index = group.x + group.y * groups.x;
    let row = index % row_tiles * (2u * ROW_LANES) + lane / COLUMN_LANES;
    let column = index / row_tiles * (2u * COLUMN_LANES) + lane % COLUMN_LANES;
    if row >= n || column >= k {
        return;
    }

    let row1 = min(row + ROW_LANES, n - 1u);
    let column1 = min(column + COLUMN_LANES, k - 1u);
    var left: array<Vec, 8>; // [value of both Lhs]
    var right: array<Vec, 8>; // [value of both Lhs]
    for (var m = 0u; m < rows; m++) {
        let a0 = a_at(m * n + row);
        let a1 = a_at(m * n + row1);
        let b0 = b[m * k + column];
        let b1 = b[m * k + column1];
        left[0] = fma(Vec(a0.x), b0, left[0]);
        left[1] = fma(Vec(a0.y), b0, left[1]);
        left[2] = fma(Vec(a0.z), b0, left[2]);
        left[3] = fma(Vec(a0.w), b0, left[3]);
        left[4] = fma(Vec(a1.x), b0, left[4]);
        left[5] = fma(Vec(a1.y), b0, left[5]);
        left[6] = fma(Vec(a1.z), b0, left[6]);
        left[7] = fma(Vec(a1.w), b0, left[7]);
        right[0] = fma(Vec(a0.x), b1, right[0]);
        right[1] = fma(Vec(a0.y), b1, right[1]);
        right[2] = fma(Vec(a0.z), b1, right[2]);
        right[3] = fma(Vec(a0.w), b1, right[3]);
        right[4] = fma(Vec(a1.x), b1, right[4]);
        right[5] = fma(Vec(a1.y), b1, right[5]);
        right[6] = fma(Vec(a1.z), b1, right[6]);
        right[7] = fma(Vec(a1.w), b1, right[7]);
    }

    store(row, 0u, column, left[0], right[0]);
    store(row, 1u, column, left[1], right[1]);
    store(row, 2u, column, left[2], right[2]);
    store(row, 3u, column, left[3], right[3]);
    store(row + ROW_LANES, 0u, column, left[4], right[4]);
    store(row + ROW_LANES, 1u, column, left[5], right[5]);
    store(row + ROW_LANES, 2u, column, left[6], right[6]);
    store(row + ROW_LANES, 3u, column, left[7], right[7]);
}
