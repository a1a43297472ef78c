// Rows of an embedding table by token id, as f32; zeros for ids of other shards.
//
// source:  torch.nn.functional.embedding
// buffers: as bound; scales may be any buffer for float tables
// layout:  a row of the table is `words` 16-byte words: 4 f32, 8 f16, 16 codes of 8 bits or 32 of 4 bits (glmv-quant),
//          and one f16 scale per block of 32 codes, two to a u32
// grid:    ceil(ids * vecs / WG) workgroups, folded above 65535
// work:    an invocation makes four numbers of one row
// domain:  width divisible by 4, with f16 by 8; ids * vecs < 2^32
// twin:    crates/glmv-kernels/src/embed.rs

alias Int = i32; // param
const KIND: u32 = 2u; // param
const WG: u32 = 64u; // param

@group(0) @binding(0) var<storage, read_write> table: array<vec4<u32>>; // [rows, words]
@group(0) @binding(1) var<storage, read_write> scales: array<u32>; // [rows, scale words]
@group(0) @binding(2) var<storage, read_write> ids: array<Int>; // [ids]
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // [ids, vecs]
@group(0) @binding(4) var<storage, read> info: array<u32>; // [ids, vecs, words, scale words, base, rows]

// Values of KIND; 3 is 4-bit codes.
const F32: u32 = 0u;
const F16: u32 = 1u;
const Q8: u32 = 2u;

fn scaled(codes: vec4<i32>, row: u32, block: u32) -> vec4<f32> {
    let pair = unpack2x16float(scales[row * info[3] + block / 2u]);
    return vec4<f32>(codes) * select(pair.x, pair.y, block % 2u == 1u);
}

// Numbers 4 * i to 4 * i + 3 of a row.
fn values(row: u32, i: u32) -> vec4<f32> {
    let at = row * info[2];
    if KIND == F32 {
        return bitcast<vec4<f32>>(table[at + i]);
    } else if KIND == F16 {
        let word = table[at + i / 2u];
        let pair = select(word.xy, word.zw, i % 2u == 1u);
        return vec4<f32>(unpack2x16float(pair.x), unpack2x16float(pair.y));
    } else if KIND == Q8 {
        let q = vec4<u32>(table[at + i / 4u][i % 4u]);
        return scaled(bitcast<vec4<i32>>(q << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u), row, i / 8u);
    }
    let q = vec4<u32>(table[at + i / 8u][i / 2u % 4u] >> (i % 2u * 16u));
    let codes = (q >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u);
    return scaled(bitcast<vec4<i32>>(codes) - vec4<i32>(8), row, i / 8u);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let vecs = info[1];
    let index = (group.x + group.y * groups.x) * WG + lane;
    if index >= info[0] * vecs {
        return;
    }
    let row = u32(ids[index / vecs]) - info[4]; // wraps for an id below base
    var value = vec4<f32>(0.0);
    if row < info[5] {
        value = values(row, index % vecs);
    }
    out[index] = value;
}
