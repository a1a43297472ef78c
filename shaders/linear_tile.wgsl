// Linear layer for many rows on GPUs: out = x * weight^T + bias, weights f32, f16 or 8-bit or 4-bit codes.
//
// source:  torch.nn.functional.linear
// buffers: as bound; scales may be any buffer for float weights, bias any when HAS_BIAS is false
// layout:  a row of weights is `words` Words: vec4 of f32 or f16, or u32 of 4 codes of 8 bits or 8 of 4 bits (glmv-quant), with
//          one f16 scale per block of 32 codes, two to a u32
// grid:    ceil(rows / (8 * ROWS_PER_LANE)) * ceil(n / 64) workgroups, folded above 65535, row tiles fastest
// work:    8 x 8 lanes make 8 * ROWS_PER_LANE rows x 64 columns; a lane every eighth row and column, in registers. Tiles
//          of x and weights pass through shared memory, codes as floats
// order:   a sum runs over k in ascending order, whatever the number of rows
// domain:  k divisible by 4; Word and Four vec4 of the float, or u32 and vec4<u32>; PARTS 2 for 4-bit codes, else 1
// twin:    crates/glmv-kernels/src/linear.rs

alias Word = vec4<f32>; // param
alias Four = vec4<f32>; // param
const KIND: u32 = 0u; // param
const PARTS: u32 = 1u; // param
const HAS_BIAS: bool = true; // param
const ROWS_PER_LANE: u32 = 8u; // param

const i = 0u; // index < ROWS_PER_LANE
const j = 0u; // index < 8

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>; // [rows, k / 4]
@group(0) @binding(1) var<storage, read_write> weight: array<Word>; // [n, words]
@group(0) @binding(2) var<storage, read_write> scales: array<u32>; // [n, scale words]
@group(0) @binding(3) var<storage, read_write> bias: array<f32>; // [n]
@group(0) @binding(4) var<storage, read_write> out: array<f32>; // [rows, n]
@group(0) @binding(5) var<storage, read> info: array<u32>; // [rows, n, k / 4, words, scale words]

// Values of KIND.
const F32: u32 = 0u;
const F16: u32 = 1u;
const Q8: u32 = 2u;
const Q4: u32 = 3u;

const CODES: bool = KIND == Q8 || KIND == Q4;
const ROWS: u32 = 8u * ROWS_PER_LANE;
const DEPTH: u32 = 4u; // vec4 of k in shared memory at a time
const STRIDE: u32 = DEPTH + 1u; // of a row there: neighbouring rows fall on different banks

var<workgroup> x_tile: array<vec4<f32>, ROWS * STRIDE>; // [rows, STRIDE]
var<workgroup> weight_tile: array<vec4<f32>, 64u * STRIDE>; // [columns, STRIDE]

// Four of k of one row of weights: group `k`, scaled.
fn weight_at(row: u32, k: u32) -> vec4<f32> {
    let word = weight[row * info[3] + k / PARTS];
    if !CODES {
        return vec4<f32>(Four(word));
    }
    let q = vec4<u32>(Four(word)).x >> (16u * (k % PARTS));
    let scale = unpack2x16float(scales[row * info[4] + k / 16u])[k / 8u % 2u];
    if KIND == Q8 {
        return vec4<f32>(vec4<i32>(vec4<u32>(q) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u)) * scale;
    }
    return vec4<f32>(vec4<i32>((vec4<u32>(q) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u)) - vec4<i32>(8)) * scale;
}

// sum + a . b, x first
fn dot4(a: vec4<f32>, b: vec4<f32>, sum: f32) -> f32 {
    return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}

fn store(row: u32, column: u32, sum: f32) {
    if row < info[0] && column < info[1] {
        out[row * info[1] + column] = sum + select(0.0, bias[select(0u, column, HAS_BIAS)], HAS_BIAS);
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
    let k_end = info[2];
    let row_tiles = max((rows + ROWS - 1u) / ROWS, 1u);
    let index = group.x + group.y * groups.x;
    let first_row = index % row_tiles * ROWS;
    let first_column = index / row_tiles * 64u;
    if rows == 0u || first_column >= n {
        return;
    }

    let row = lane / 8u;
    let column = lane % 8u;
    var sum_i_j = 0.0; // each i j
    for (var k0 = 0u; k0 < k_end; k0 += DEPTH) {
        // Rows and columns past the end repeat the last one and their sums are never stored.
        workgroupBarrier();
        for (var t = lane; t < ROWS * DEPTH; t += 64u) {
            let k = k0 + t % DEPTH;
            let at = min(first_row + t / DEPTH, rows - 1u) * k_end + min(k, k_end - 1u);
            x_tile[t / DEPTH * STRIDE + t % DEPTH] = select(vec4<f32>(), x[at], k < k_end);
        }
        for (var t = lane; t < 64u * DEPTH; t += 64u) {
            let k = k0 + t % DEPTH;
            let v = weight_at(min(first_column + t / DEPTH, n - 1u), min(k, k_end - 1u));
            weight_tile[t / DEPTH * STRIDE + t % DEPTH] = select(vec4<f32>(), v, k < k_end);
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let b_j = weight_tile[(column + j * 8u) * STRIDE + k]; // each j
            { // each i
                let a = x_tile[(row + i * 8u) * STRIDE + k];
                sum_i_j = dot4(a, b_j, sum_i_j); // each j
            }
        }
    }
    store(first_row + row + i * 8u, first_column + column + j * 8u, sum_i_j); // each i j
}
