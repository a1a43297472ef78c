// Linear layer for many rows on adapters whose subgroups have eight lanes (CPU devices): out = x * weight^T + bias,
// weights f32, f16 or 8-bit or 4-bit codes.
//
// source:  torch.nn.functional.linear
// buffers: as bound; scales may be any buffer for float weights, bias any when HAS_BIAS is false
// layout:  a row of weights is `words` Words: vec4 of f32 or f16, or u32 of 4 codes of 8 bits or 8 of 4 bits (glmv-quant), with
//          one f16 scale per block of 32 codes, two to a u32
// grid:    ceil(rows / (GROUPS * HELD)) * ceil(n / 64) workgroups, folded above 65535, row tiles fastest
// work:    one subgroup makes GROUPS * HELD rows x 64 columns of out. A lane owns four columns and four further on; x is
//          loaded lane = row and spread by shuffles. On such an adapter a load costs the same whatever it reads, so
//          every loaded value is used many times from registers and nothing goes through workgroup memory
// order:   a sum runs over k in ascending order, with codes block by block, in every variant and as in
//          linear_rows_sub.wgsl: a row's result does not depend on the number of rows
// domain:  k and n divisible by 4; Word and Four vec4 of the float, or u32 and vec4<u32>; PARTS 2 for 4-bit codes, else 1; HELD at most 8, and 8 if GROUPS > 1
// twin:    crates/glmv-kernels/src/linear.rs

alias Word = vec4<f32>; // param
alias Four = vec4<f32>; // param
const KIND: u32 = 0u; // param
const PARTS: u32 = 1u; // param
const HAS_BIAS: bool = true; // param
const GROUPS: u32 = 1u; // param
const HELD: u32 = 8u; // param
const WG: u32 = 8u; // param

const g = 0u; // index < GROUPS
const i = 0u; // index < HELD
const h = 0u; // index < 2
const c = 0u; // index < 4
const p = 0u; // index < PARTS

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>; // [rows, k / 4]
@group(0) @binding(1) var<storage, read_write> weight: array<Word>; // [n, words]
@group(0) @binding(2) var<storage, read_write> scales: array<u32>; // [n, scale words]
@group(0) @binding(3) var<storage, read_write> bias: array<f32>; // [n]
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>; // [rows, n / 4]
@group(0) @binding(5) var<storage, read> info: array<u32>; // [rows, n, k / 4, words, scale words]

// Values of KIND.
const F32: u32 = 0u;
const F16: u32 = 1u;
const Q8: u32 = 2u;
const Q4: u32 = 3u;

const ROWS: u32 = GROUPS * HELD;
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

fn bias_at(column: u32) -> f32 {
    return select(0.0, bias[select(0u, column, HAS_BIAS)], HAS_BIAS);
}

fn store(row: u32, column: u32, sums: vec4<f32>) {
    if column < info[1] {
        out[(row * info[1] + column) / 4u] = sums;
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
    let row_tiles = max((rows + ROWS - 1u) / ROWS, 1u);
    let index = group.x + group.y * groups.x;
    let row = index % row_tiles * ROWS;
    let first_column = index / row_tiles * 64u;
    if rows == 0u || first_column >= n {
        return;
    }

    // Rows and columns past the end repeat the last one and their sums are never stored.
    let column = first_column + lane * 4u;
    let x_g = min(row + g * 8u + min(lane, HELD - 1u), rows - 1u) * info[2]; // each g
    let n_h_c = min(column + h * 32u + c, n - 1u); // each h c
    var sum_g_i_h = vec4<f32>(); // each g i h
    var total_g_i_h = vec4<f32>(); // each g i h
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
                        sum_g_i_h = mac(sum_g_i_h, v, b_h); // each h
                    }
                }
            }
        }
        if CODES {
            var scale_h = vec4<f32>(); // each h
            scale_h[c] = scale_at(n_h_c * info[4], block); // each h c
            total_g_i_h = fma(sum_g_i_h, scale_h, total_g_i_h); // each g i h
            sum_g_i_h = vec4<f32>(); // each g i h
        }
    }
    var bias_h = vec4<f32>(); // each h
    bias_h[c] = bias_at(n_h_c); // each h c
    { // each g i
        if row + g * 8u + i < rows {
            store(row + g * 8u + i, column + h * 32u, select(sum_g_i_h, total_g_i_h, CODES) + bias_h); // each h
        }
    }
}
