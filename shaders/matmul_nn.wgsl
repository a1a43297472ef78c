// Matrix product out = x * weight, the input gradient of a linear layer (x = the gradient of its output).
//
// source:  torch.nn.functional.linear, backward: grad_input = grad_output * weight
// buffers: x [rows, k] Lhs, weight [k, n] Weight, out [rows, n] Vec, info [rows, k in Lhs, n in Vec]
// grid:    ceil(rows / (8 * ROW_LANES)) * ceil(n in Vec / (128 / ROW_LANES)) workgroups, folded above 65535
// work:    ROW_LANES x (64 / ROW_LANES) lanes; each keeps 8 rows x 2 Vec of out in registers, one lane apart.
//          Written out: lavapipe keeps an array indexed by a loop in memory, at half the speed
// domain:  n divisible by 4, or Vec = f32 with Weight = f32 or f16; k divisible by 4, or Lhs = f32 with
//          ONES = (1,0,0,0); ROW_LANES 1, 2, 4 or 8
// twin:    crates/glmv-kernels/src/linear.rs

alias Vec = vec4<f32>; // param
alias Weight = vec4<f32>; // param
alias Lhs = vec4<f32>; // param
const ONES: vec4<f32> = vec4<f32>(1.0, 1.0, 1.0, 1.0); // param
const ROW_LANES: u32 = 8u; // param

@group(0) @binding(0) var<storage, read_write> x: array<Lhs>; // [rows, k]
@group(0) @binding(1) var<storage, read_write> weight: array<Weight>; // [k, n]
@group(0) @binding(2) var<storage, read_write> out: array<Vec>; // [rows, n]
@group(0) @binding(3) var<storage, read> info: array<u32>;

const COLUMN_LANES: u32 = 64u / ROW_LANES;
const STEP: u32 = 1u + 3u * u32(ONES.y); // values in a Lhs

// Where a row starts; rows past the end repeat the last one and their sums are never stored.
fn start(row: u32) -> u32 {
    return min(row, info[0] - 1u) * info[1];
}

fn x_at(i: u32) -> vec4<f32> {
    return ONES * vec4<f32>(x[i]);
}

// sum + the four weighted values
fn weigh(a: vec4<f32>, w0: Vec, w1: Vec, w2: Vec, w3: Vec, sum: Vec) -> Vec {
    return fma(Vec(a.w), w3, fma(Vec(a.z), w2, fma(Vec(a.y), w1, fma(Vec(a.x), w0, sum))));
}

fn store(row: u32, column: u32, left: Vec, right: Vec) {
    if row < info[0] && column < info[2] {
        out[row * info[2] + column] = left;
    }
    if row < info[0] && column + COLUMN_LANES < info[2] {
        out[row * info[2] + column + COLUMN_LANES] = right;
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let k_end = info[1];
    let n = info[2];
    let row_tiles = (info[0] + 8u * ROW_LANES - 1u) / (8u * ROW_LANES);
    let index = group.x + group.y * groups.x;
    let row = index % row_tiles * (8u * ROW_LANES) + lane / COLUMN_LANES;
    let column = index / row_tiles * (2u * COLUMN_LANES) + lane % COLUMN_LANES;
    if info[0] == 0u || column >= n {
        return;
    }

    let x0 = start(row);
    let x1 = start(row + 1u * ROW_LANES);
    let x2 = start(row + 2u * ROW_LANES);
    let x3 = start(row + 3u * ROW_LANES);
    let x4 = start(row + 4u * ROW_LANES);
    let x5 = start(row + 5u * ROW_LANES);
    let x6 = start(row + 6u * ROW_LANES);
    let x7 = start(row + 7u * ROW_LANES);
    let last = k_end * STEP - 1u; // row of weight
    let right_column = min(column + COLUMN_LANES, n - 1u);
    var left: array<Vec, 8>; // [row]
    var right: array<Vec, 8>; // [row]
    for (var k = 0u; k < k_end; k++) {
        let a0 = x_at(x0 + k);
        let a1 = x_at(x1 + k);
        let a2 = x_at(x2 + k);
        let a3 = x_at(x3 + k);
        let a4 = x_at(x4 + k);
        let a5 = x_at(x5 + k);
        let a6 = x_at(x6 + k);
        let a7 = x_at(x7 + k);
        let w0 = k * STEP * n;
        let w1 = min(k * STEP + 1u, last) * n;
        let w2 = min(k * STEP + 2u, last) * n;
        let w3 = min(k * STEP + 3u, last) * n;
        let b0 = Vec(weight[w0 + column]);
        let b1 = Vec(weight[w1 + column]);
        let b2 = Vec(weight[w2 + column]);
        let b3 = Vec(weight[w3 + column]);
        let c0 = Vec(weight[w0 + right_column]);
        let c1 = Vec(weight[w1 + right_column]);
        let c2 = Vec(weight[w2 + right_column]);
        let c3 = Vec(weight[w3 + right_column]);
        left[0] = weigh(a0, b0, b1, b2, b3, left[0]);
        left[1] = weigh(a1, b0, b1, b2, b3, left[1]);
        left[2] = weigh(a2, b0, b1, b2, b3, left[2]);
        left[3] = weigh(a3, b0, b1, b2, b3, left[3]);
        left[4] = weigh(a4, b0, b1, b2, b3, left[4]);
        left[5] = weigh(a5, b0, b1, b2, b3, left[5]);
        left[6] = weigh(a6, b0, b1, b2, b3, left[6]);
        left[7] = weigh(a7, b0, b1, b2, b3, left[7]);
        right[0] = weigh(a0, c0, c1, c2, c3, right[0]);
        right[1] = weigh(a1, c0, c1, c2, c3, right[1]);
        right[2] = weigh(a2, c0, c1, c2, c3, right[2]);
        right[3] = weigh(a3, c0, c1, c2, c3, right[3]);
        right[4] = weigh(a4, c0, c1, c2, c3, right[4]);
        right[5] = weigh(a5, c0, c1, c2, c3, right[5]);
        right[6] = weigh(a6, c0, c1, c2, c3, right[6]);
        right[7] = weigh(a7, c0, c1, c2, c3, right[7]);
    }

    store(row, column, left[0], right[0]);
    store(row + 1u * ROW_LANES, column, left[1], right[1]);
    store(row + 2u * ROW_LANES, column, left[2], right[2]);
    store(row + 3u * ROW_LANES, column, left[3], right[3]);
    store(row + 4u * ROW_LANES, column, left[4], right[4]);
    store(row + 5u * ROW_LANES, column, left[5], right[5]);
    store(row + 6u * ROW_LANES, column, left[6], right[6]);
    store(row + 7u * ROW_LANES, column, left[7], right[7]);
}
