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
// grid: max_tiles * ceil(columns / 64, or / 32 if PAIRED) workgroups, folded, tile fastest
// One subgroup multiplies one tile (GROUPS * HELD sorted slots of one expert, from moe_tiles with TM = GROUPS * HELD)
// by 64 rows of the matrix (32 gate and 32 up rows). A lane owns four rows and four further on; x is loaded lane = slot and spread by shuffles.
// A sum runs over k in ascending order, with codes block by block, in every variant and as in moe_rows_sub.wgsl: a
// slot's result does not depend on the others.
// Rows of y whose slot is not in `sorted` are left unwritten.
// domain: k and columns divisible by 4; Word and Four vec4 of the float, or u32 and vec4<u32>; PARTS 2 for 4-bit codes, else 1;
// HELD at most 8, and 8 if GROUPS > 1; element counts < 2^32

alias Int = i32; // param
alias Word = vec4<f32>; // param
alias Four = vec4<f32>; // param
const KIND: u32 = 0u; // param
const PARTS: u32 = 1u; // param
const PAIRED: bool = false; // param
const GROUPS: u32 = 1u; // param
const HELD: u32 = 8u; // param
const WG: u32 = 8u; // param

const g = 0u; // index < GROUPS
const i = 0u; // index < HELD
const h = 0u; // index < 2
const c = 0u; // index < 4
const p = 0u; // index < PARTS

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>; // [slots / row_div, k / 4]
@group(0) @binding(1) var<storage, read_write> weight: array<Word>; // [experts, columns (twice if PAIRED), words]
@group(0) @binding(2) var<storage, read_write> scales: array<u32>; // [experts, columns (twice if PAIRED), scale words]
@group(0) @binding(3) var<storage, read_write> sorted: array<Int>; // [slots]
@group(0) @binding(4) var<storage, read_write> offsets: array<Int>; // [experts + 1]
@group(0) @binding(5) var<storage, read_write> tiles: array<Int>; // [max_tiles, 2]: expert or -1, first sorted row
@group(0) @binding(6) var<storage, read_write> y: array<vec4<f32>>; // [slots, columns / 4]
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

// sums of four columns + v . each of their weights, v.x first
fn mac(sums: vec4<f32>, v: vec4<f32>, w: mat4x4<f32>) -> vec4<f32> {
    return fma(w[3], v.wwww, fma(w[2], v.zzzz, fma(w[1], v.yyyy, fma(w[0], v.xxxx, sums))));
}

fn scale_at(start: u32, block: u32) -> f32 {
    return unpack2x16float(scales[start + block / 2u])[block % 2u];
}

fn silu(v: vec4<f32>) -> vec4<f32> {
    let z = exp(-abs(v)); // cannot overflow
    return v * select(z, vec4<f32>(1.0), v > vec4<f32>(0.0)) / (1.0 + z);
}

fn store(slot: u32, column: u32, values: vec4<f32>) {
    if column < info[1] {
        y[(slot * info[1] + column) / 4u] = values;
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
    let first_column = index / info[0] * select(64u, 32u, PAIRED);
    let expert = u32(tiles[2u * tile]);
    if expert == UNUSED || first_column >= columns {
        return;
    }

    // Slots and columns past the end repeat the last one and their sums are never stored.
    let first = u32(tiles[2u * tile + 1u]);
    let end = u32(offsets[expert + 1u]);
    let column = first_column + lane * 4u;
    let slot_g = u32(sorted[min(first + g * 8u + min(lane, HELD - 1u), end - 1u)]); // each g
    let x_g = slot_g / info[5] * info[2]; // each g
    let matrix = expert * columns * select(1u, 2u, PAIRED);
    let n_h_c = matrix + select(min(column + h * 32u + c, columns - 1u), h * columns + min(column + c, columns - 1u), PAIRED); // each h c
    var sum_g_i: array<vec4<f32>, 2>; // each g i
    var total_g_i: array<vec4<f32>, 2>; // each g i
    // Float weights are one block: on such an adapter every further loop copies all sums.
    let block_words = select(info[3], BLOCK_WORDS, CODES);
    for (var block = 0u; block * block_words < info[3]; block++) {
        for (var word = block * block_words; word < (block + 1u) * block_words; word++) {
            let word_h_c = weight[n_h_c * info[3] + word]; // each h c
            { // each p
                var t_h: array<vec4<f32>, 4>; // each h
                t_h[c] = values(word_h_c, p); // each h c
                let b_h = transpose(mat4x4<f32>(t_h[0], t_h[1], t_h[2], t_h[3])); // each h
                { // each g
                    let own = x_at(x_g, word * PARTS + p);
                    { // each i
                        let v = subgroupShuffle(own, i);
                        sum_g_i[h] = mac(sum_g_i[h], v, b_h); // each h
                    }
                }
            }
        }
        if CODES {
            var scale_h = vec4<f32>(); // each h
            scale_h[c] = scale_at(n_h_c * info[4], block); // each h c
            total_g_i[h] = fma(sum_g_i[h], scale_h, total_g_i[h]); // each g i h
            sum_g_i[h] = vec4<f32>(); // each g i h
        }
    }
    { // each g i
        let slot = subgroupShuffle(slot_g, i);
        if CODES {
            sum_g_i = total_g_i;
        }
        if first + g * 8u + i < end {
            if PAIRED {
                store(slot, column, silu(sum_g_i[0]) * sum_g_i[1]);
            } else {
                store(slot, column + h * 32u, sum_g_i[h]); // each h
            }
        }
    }
}
