// Linear layer for many rows (prefill, vision, training): out = x * weight^T + bias.
//
// source:  torch.nn.functional.linear
// buffers: x [rows, k] Vec, weight [n, k] Weight, bias [n] f32 (any one-element buffer when HAS_BIAS is false),
//          out [rows, n] f32, info [rows, n, k in Vec]
// grid:    ceil(rows / (8 * ROW_LANES)) * ceil(n / (512 / ROW_LANES)) workgroups, folded above 65535
// work:    ROW_LANES x (64 / ROW_LANES) lanes; each keeps an 8 x 8 tile of out in registers, its rows and columns
//          one lane apart so that neighbours share what they read; no shared memory (slower on CPU devices).
//          Written out: lavapipe keeps an array indexed by a loop in memory, at half the speed
// domain:  k divisible by 4, or the scalar set (Vec = f32, Weight = f32 or f16, ONES = (1,0,0,0));
//          ROW_LANES 1, 2, 4 or 8 (few rows: fewer)
// twin:    crates/glmv-kernels/src/linear.rs

alias Vec = vec4<f32>; // param
alias Weight = vec4<f32>; // param
const ONES: vec4<f32> = vec4<f32>(1.0, 1.0, 1.0, 1.0); // param
const HAS_BIAS: bool = true; // param
const ROW_LANES: u32 = 8u; // param

@group(0) @binding(0) var<storage, read_write> x: array<Vec>; // [rows, k]
@group(0) @binding(1) var<storage, read_write> weight: array<Weight>; // [n, k]
@group(0) @binding(2) var<storage, read_write> bias: array<f32>; // [n]
@group(0) @binding(3) var<storage, read_write> out: array<f32>; // [rows, n]
@group(0) @binding(4) var<storage, read> info: array<u32>;

const COLUMN_LANES: u32 = 64u / ROW_LANES;

// Where a row starts; rows past the end repeat the last one and their sums are never stored.
fn start(row: u32, rows: u32) -> u32 {
    return min(row, rows - 1u) * info[2];
}

fn x_at(i: u32) -> vec4<f32> {
    return ONES * vec4<f32>(x[i]);
}

fn weight_at(i: u32) -> vec4<f32> {
    return vec4<f32>(Vec(weight[i]));
}

fn store(row: u32, column: u32, sum: f32) {
    if row < info[0] && column < info[1] {
        out[row * info[1] + column] = sum + select(0.0, bias[select(0u, column, HAS_BIAS)], HAS_BIAS);
    }
}

fn store8(row: u32, column: u32, left: vec4<f32>, right: vec4<f32>) {
    store(row, column, left.x);
    store(row, column + COLUMN_LANES, left.y);
    store(row, column + 2u * COLUMN_LANES, left.z);
    store(row, column + 3u * COLUMN_LANES, left.w);
    store(row, column + 4u * COLUMN_LANES, right.x);
    store(row, column + 5u * COLUMN_LANES, right.y);
    store(row, column + 6u * COLUMN_LANES, right.z);
    store(row, column + 7u * COLUMN_LANES, right.w);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = info[0];
    let n = info[1];
    let k_end = info[2];
    let row_tiles = (rows + 8u * ROW_LANES - 1u) / (8u * ROW_LANES);
    let index = group.x + group.y * groups.x;
    let row = index % row_tiles * (8u * ROW_LANES) + lane / COLUMN_LANES;
    let column = index / row_tiles * (8u * COLUMN_LANES) + lane % COLUMN_LANES;
    if rows == 0u || column >= n {
        return;
    }

    let x0 = start(row, rows);
    let x1 = start(row + 1u * ROW_LANES, rows);
    let x2 = start(row + 2u * ROW_LANES, rows);
    let x3 = start(row + 3u * ROW_LANES, rows);
    let x4 = start(row + 4u * ROW_LANES, rows);
    let x5 = start(row + 5u * ROW_LANES, rows);
    let x6 = start(row + 6u * ROW_LANES, rows);
    let x7 = start(row + 7u * ROW_LANES, rows);
    let w0 = start(column, n);
    let w1 = start(column + 1u * COLUMN_LANES, n);
    let w2 = start(column + 2u * COLUMN_LANES, n);
    let w3 = start(column + 3u * COLUMN_LANES, n);
    let w4 = start(column + 4u * COLUMN_LANES, n);
    let w5 = start(column + 5u * COLUMN_LANES, n);
    let w6 = start(column + 6u * COLUMN_LANES, n);
    let w7 = start(column + 7u * COLUMN_LANES, n);
    var left: array<vec4<f32>, 8>; // [row, columns 0 to 3]
    var right: array<vec4<f32>, 8>; // [row, columns 4 to 7]
    for (var k = 0u; k < k_end; k++) {
        let a0 = x_at(x0 + k);
        let a1 = x_at(x1 + k);
        let a2 = x_at(x2 + k);
        let a3 = x_at(x3 + k);
        let a4 = x_at(x4 + k);
        let a5 = x_at(x5 + k);
        let a6 = x_at(x6 + k);
        let a7 = x_at(x7 + k);
        // Four weight rows as columns: a row vector times this is four dot products.
        let b = mat4x4<f32>(
            weight_at(w0 + k),
            weight_at(w1 + k),
            weight_at(w2 + k),
            weight_at(w3 + k),
        );
        let c = mat4x4<f32>(
            weight_at(w4 + k),
            weight_at(w5 + k),
            weight_at(w6 + k),
            weight_at(w7 + k),
        );
        left[0] += a0 * b;
        left[1] += a1 * b;
        left[2] += a2 * b;
        left[3] += a3 * b;
        left[4] += a4 * b;
        left[5] += a5 * b;
        left[6] += a6 * b;
        left[7] += a7 * b;
        right[0] += a0 * c;
        right[1] += a1 * c;
        right[2] += a2 * c;
        right[3] += a3 * c;
        right[4] += a4 * c;
        right[5] += a5 * c;
        right[6] += a6 * c;
        right[7] += a7 * c;
    }

    store8(row, column, left[0], right[0]);
    store8(row + 1u * ROW_LANES, column, left[1], right[1]);
    store8(row + 2u * ROW_LANES, column, left[2], right[2]);
    store8(row + 3u * ROW_LANES, column, left[3], right[3]);
    store8(row + 4u * ROW_LANES, column, left[4], right[4]);
    store8(row + 5u * ROW_LANES, column, left[5], right[5]);
    store8(row + 6u * ROW_LANES, column, left[6], right[6]);
    store8(row + 7u * ROW_LANES, column, left[7], right[7]);
}
