// Grouped product with transposed weights on adapters whose subgroups have eight lanes (CPU devices): every slot's row
// times its own expert's matrix, weights f32, f16 or 8-bit or 4-bit codes.
//
//   PAIRED = false: y[s, n] = w[e, n, :] . a[s / row_div, :]                        (down projection, pre-activations)
//   PAIRED = true:  y[s, n] = silu(w[e, n, :] . a[s / row_div, :]) * (w[e, columns + n, :] . a[s / row_div, :])
//   e = e(s), s: slots listed in `sorted`                                          (gate and up projection with SwiGLU)
//
// source: HF `Glm4vMoeTextMoE.moe` / `Glm4vMoeTextMLP` (GLM-V), all experts in one launch
// layout: as in linear_tile_sub.wgsl; scales may be any buffer for float weights
// twin: crates/glmv-kernels/src/moe.rs
// grid: max_tiles * ceil(columns / (16 * PAIRS), or / (8 * PAIRS) if PAIRED) workgroups, folded, tile fastest
// One subgroup multiplies one tile (GROUPS * HELD sorted slots of one expert, from moe_tiles with TM = GROUPS * HELD)
// by 16 * PAIRS rows of the matrix. A lane owns every eighth of them; a is loaded lane = slot and spread by shuffles.
// A sum runs over k in ascending order, with codes block by block, in every variant and as in moe_rows_sub.wgsl: a
// slot's result does not depend on the others.
// Rows of y whose slot is not in `sorted` are left unwritten.
// domain: k divisible by 4; Word and Four vec4 of the float, or u32 and vec4<u32>; PARTS 2 for 4-bit codes, else 1;
// HELD at most 8, and 8 if GROUPS > 1; element counts < 2^32

alias Int = i32; // param
alias Word = vec4<f32>; // param
alias Four = vec4<f32>; // param
const KIND: u32 = 0u; // param
const PARTS: u32 = 1u; // param
const PAIRED: bool = false; // param
const GROUPS: u32 = 1u; // param
const HELD: u32 = 8u; // param
const PAIRS: u32 = 4u; // param
const WG: u32 = 8u; // param

const g = 0u; // index < GROUPS
const i = 0u; // index < HELD
const j = 0u; // index < PAIRS
const p = 0u; // index < PARTS

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
const BLOCK_WORDS: u32 = 8u / PARTS; // of codes
const BIG: u32 = 0x4b000000u; // bits of 2^23: a smaller number put under them is that number plus 2^23

// Four signed codes of 8 bits times (1, 256, 1, 256), exactly.
fn codes8(q: u32) -> vec4<f32> {
    let low = q ^ 0x80808080u;
    let bits = vec4<u32>(low, low, low >> 16u, low >> 16u) & vec4<u32>(0xffu, 0xff00u, 0xffu, 0xff00u);
    return bitcast<vec4<f32>>(bits | vec4<u32>(BIG)) - vec4<f32>(8388736.0, 8421376.0, 8388736.0, 8421376.0);
}

// The lower four signed codes of 4 bits times (1, 16, 256, 4096), exactly.
fn codes4(q: u32) -> vec4<f32> {
    let bits = vec4<u32>(q) & vec4<u32>(0xfu, 0xf0u, 0xf00u, 0xf000u);
    return bitcast<vec4<f32>>(bits | vec4<u32>(BIG)) - vec4<f32>(8388616.0, 8388736.0, 8390656.0, 8421376.0);
}

// Four weights of a word, with the powers of two of codes8 and codes4.
fn values(word: Word, part: u32) -> vec4<f32> {
    if !CODES {
        return vec4<f32>(Four(word));
    }
    let q = vec4<u32>(Four(word)).x;
    if KIND == Q8 {
        return codes8(q);
    }
    return codes4(q >> (16u * part));
}

// Four numbers of x, without the powers of two that the weights have too many.
fn x_at(start: u32, k: u32) -> vec4<f32> {
    if !CODES {
        return x[start + k];
    }
    let v = x[start + min(k, info[2] - 1u)]; // past the last one the codes are zero
    if KIND == Q8 {
        return v * vec4<f32>(1.0, 0.00390625, 1.0, 0.00390625);
    }
    return v * vec4<f32>(1.0, 0.0625, 0.00390625, 0.000244140625);
}

// sum + a . b, x first
fn dot4(a: vec4<f32>, b: vec4<f32>, sum: f32) -> f32 {
    return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}

fn scale_at(start: u32, block: u32) -> f32 {
    return unpack2x16float(scales[start + block / 2u])[block % 2u];
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
        if column + 8u * PAIRS < columns {
            y[at + 8u * PAIRS] = right;
        }
    }
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let index = group.x + group.y * groups.x;
    let columns = info[1];
    let tile = index % info[0];
    let first_column = index / info[0] * select(16u * PAIRS, 8u * PAIRS, PAIRED);
    let expert = u32(tiles[2u * tile]);
    if expert == UNUSED || first_column >= columns {
        return;
    }

    // Slots and columns past the end repeat the last one and their sums are never stored.
    let first = u32(tiles[2u * tile + 1u]);
    let end = u32(offsets[expert + 1u]);
    let column = first_column + lane;
    let slot_g = u32(sorted[min(first + g * 8u + min(lane, HELD - 1u), end - 1u)]); // each g
    let x_g = slot_g / info[5] * info[2]; // each g
    let matrix = expert * columns * select(1u, 2u, PAIRED);
    let last = matrix + columns * select(1u, 2u, PAIRED) - 1u;
    let beside = select(8u * PAIRS, columns, PAIRED); // from the left row of the matrix to the right one
    let left_j = matrix + min(column + j * 8u, columns - 1u); // each j
    let right_j = min(left_j + beside, last); // each j
    let l_j = left_j * info[3]; // each j
    let r_j = right_j * info[3]; // each j
    var left_g_i_j = 0.0; // each g i j
    var right_g_i_j = 0.0; // each g i j
    var left_total_g_i_j = 0.0; // each g i j
    var right_total_g_i_j = 0.0; // each g i j
    // Float weights are one block: on such an adapter every further loop copies all sums.
    let block_words = select(info[3], BLOCK_WORDS, CODES);
    for (var block = 0u; block * block_words < info[3]; block++) {
        for (var word = block * block_words; word < (block + 1u) * block_words; word++) {
            let l_word_j = weight[l_j + word]; // each j
            let r_word_j = weight[r_j + word]; // each j
            { // each p
                let b_j = values(l_word_j, p); // each j
                let c_j = values(r_word_j, p); // each j
                { // each g
                    let own = x_at(x_g, word * PARTS + p);
                    { // each i
                        let v = subgroupShuffle(own, i);
                        left_g_i_j = dot4(v, b_j, left_g_i_j); // each j
                        right_g_i_j = dot4(v, c_j, right_g_i_j); // each j
                    }
                }
            }
        }
        if CODES {
            let l_scale_j = scale_at(left_j * info[4], block); // each j
            let r_scale_j = scale_at(right_j * info[4], block); // each j
            left_total_g_i_j = fma(left_g_i_j, l_scale_j, left_total_g_i_j); // each g i j
            right_total_g_i_j = fma(right_g_i_j, r_scale_j, right_total_g_i_j); // each g i j
            left_g_i_j = 0.0; // each g i j
            right_g_i_j = 0.0; // each g i j
        }
    }
    { // each g i
        let slot = subgroupShuffle(slot_g, i);
        if first + g * 8u + i < end {
            { // each j
                let l = select(left_g_i_j, left_total_g_i_j, CODES);
                let r = select(right_g_i_j, right_total_g_i_j, CODES);
                store(slot, column + j * 8u, l, r);
            }
        }
    }
}
