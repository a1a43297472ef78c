// Grouped product with transposed weights on GPUs: every slot's row times its own expert's matrix, weights f32, f16 or
// 8-bit or 4-bit codes.
//
//   PAIRED = false: y[s, n] = w[e, n, :] . a[s / row_div, :]                        (down projection, pre-activations)
//   PAIRED = true:  y[s, n] = silu(w[e, n, :] . a[s / row_div, :]) * (w[e, columns + n, :] . a[s / row_div, :])
//   e = e(s), s: slots listed in `sorted`                                          (gate and up projection with SwiGLU)
//
// source: HF `Glm4vMoeTextMoE.moe` / `Glm4vMoeTextMLP` (GLM-V), all experts in one launch
// layout: as in linear_tile.wgsl; scales may be any buffer for float weights
// twin: crates/glmv-kernels/src/moe.rs
// grid: max_tiles * ceil(columns / 64, or / 32 if PAIRED) workgroups, folded, tile fastest
// 8 x 8 lanes multiply one tile (8 * ROWS_PER_LANE sorted slots of one expert, from moe_tiles with that TM) by 64 rows of
// the matrix (32 gate and 32 up rows); a lane every eighth of both, in registers, through shared memory.
// A sum runs over k in ascending order: a slot's result does not depend on the others.
// Rows of y whose slot is not in `sorted` are left unwritten.
// domain: k divisible by 4; Word and Four vec4 of the float, or u32 and vec4<u32>; PARTS 2 for 4-bit codes, else 1;
// element counts < 2^32

alias Int = i32; // param
alias Word = vec4<f32>; // param
alias Four = vec4<f32>; // param
const KIND: u32 = 0u; // param
const PARTS: u32 = 1u; // param
const PAIRED: bool = false; // param
const ROWS_PER_LANE: u32 = 4u; // param

const i = 0u; // index < ROWS_PER_LANE
const j = 0u; // index < 4

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>; // [slots / row_div, k / 4]
@group(0) @binding(1) var<storage, read_write> weight: array<Word>; // [experts, columns (twice if PAIRED), words]
@group(0) @binding(2) var<storage, read_write> scales: array<u32>; // [experts, columns (twice if PAIRED), scale words]
@group(0) @binding(3) var<storage, read_write> sorted: array<Int>; // [slots]
@group(0) @binding(4) var<storage, read_write> offsets: array<Int>; // [experts + 1]
@group(0) @binding(5) var<storage, read_write> tiles: array<Int>; // [max_tiles, 2]: expert or -1, first sorted row
@group(0) @binding(6) var<storage, read_write> y: array<f32>; // [slots, columns]
@group(0) @binding(7) var<storage, read> info: array<u32>; // [max_tiles, columns, k / 4, words, scale words, row_div]

const UNUSED: u32 = 0xffffffffu; // tile beyond the last

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
var<workgroup> job: vec3<u32>; // expert, first and end of the sorted rows; no rows if the tile is beyond the last

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

fn silu(v: f32) -> f32 {
    let z = exp(-abs(v)); // cannot overflow
    return v * select(z, 1.0, v > 0.0) / (1.0 + z);
}

// Two sums of one slot: gate and up of a column, or two columns.
fn store(slot: u32, column: u32, left: f32, right: f32) {
    let columns = info[1];
    let at = slot * columns + column;
    if PAIRED {
        if column < columns {
            y[at] = silu(left) * right;
        }
    } else {
        if column < columns {
            y[at] = left;
        }
        if column + 32u < columns {
            y[at + 32u] = right;
        }
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group.x + group.y * groups.x;
    let columns = info[1];
    let k_end = info[2];
    let first_column = index / info[0] * select(64u, 32u, PAIRED);
    if lane == 0u {
        let tile = index % info[0];
        let expert = u32(tiles[2u * tile]);
        let first = u32(tiles[2u * tile + 1u]);
        job = vec3<u32>(0u, first, first);
        if expert != UNUSED {
            job = vec3<u32>(expert, first, u32(offsets[expert + 1u]));
        }
    }
    let tile = workgroupUniformLoad(&job);
    if first_column >= columns || tile.y >= tile.z {
        return;
    }

    // Slots and columns past the end repeat the last one and their sums are never stored.
    let matrix = tile.x * columns * select(1u, 2u, PAIRED);
    let beside = select(32u, columns, PAIRED); // from the left row of the matrix to the right one
    let last = matrix + columns * select(1u, 2u, PAIRED) - 1u;
    let row = lane / 8u;
    let column = lane % 8u;
    var left_i_j = 0.0; // each i j
    var right_i_j = 0.0; // each i j
    for (var k0 = 0u; k0 < k_end; k0 += DEPTH) {
        workgroupBarrier();
        for (var t = lane; t < ROWS * DEPTH; t += 64u) {
            let k = k0 + t % DEPTH;
            let slot = u32(sorted[min(tile.y + t / DEPTH, tile.z - 1u)]);
            let at = slot / info[5] * k_end + min(k, k_end - 1u);
            x_tile[t / DEPTH * STRIDE + t % DEPTH] = select(vec4<f32>(), x[at], k < k_end);
        }
        for (var t = lane; t < 64u * DEPTH; t += 64u) {
            let k = k0 + t % DEPTH;
            let c = t / DEPTH;
            let left = matrix + min(first_column + c % 32u, columns - 1u);
            let v = weight_at(select(left, min(left + beside, last), c >= 32u), min(k, k_end - 1u));
            weight_tile[c * STRIDE + t % DEPTH] = select(vec4<f32>(), v, k < k_end);
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let b_j = weight_tile[(column + j * 8u) * STRIDE + k]; // each j
            let c_j = weight_tile[(32u + column + j * 8u) * STRIDE + k]; // each j
            { // each i
                let a = x_tile[(row + i * 8u) * STRIDE + k];
                left_i_j = dot4(a, b_j, left_i_j); // each j
                right_i_j = dot4(a, c_j, right_i_j); // each j
            }
        }
    }
    { // each i
        let at = tile.y + row + i * 8u;
        if at < tile.z {
            let slot = u32(sorted[at]);
            store(slot, first_column + column + j * 8u, left_i_j, right_i_j); // each j
        }
    }
}
