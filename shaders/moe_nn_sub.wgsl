// Grouped product with plain weights (backward) on adapters whose subgroups have eight lanes (CPU devices): every
// slot's row times its own expert's matrix.
//
//   y[s, n] = scale[s] * sum_k a[s / row_div, k] * w[e(s), k, n]      s: slots listed in `sorted`
//   scale[s] = weights[s] if SCALED, else 1
//
// source: derivative of `Glm4vMoeTextMLP` (HF GLM-V) with respect to its input
// twin: crates/glmv-kernels/src/moe.rs
// grid: max_tiles * ceil(n_vecs / 16) workgroups, folded, tile fastest
// One subgroup multiplies one tile (GROUPS * HELD sorted slots of one expert, from moe_tiles with TM = GROUPS * HELD) by
// 64 columns; see matmul_nn_sub.wgsl. Rows of y whose slot is not in `sorted` are left unwritten.
// SCALED = false: weights may be any buffer.
// domain: k and n divisible by 4; HELD at most 8, and 8 if GROUPS > 1; element counts < 2^32

alias Int = i32; // param
alias Weight = vec4<f32>; // param
const SCALED: bool = false; // param
const GROUPS: u32 = 1u; // param
const HELD: u32 = 8u; // param
const WG: u32 = 8u; // param

const g = 0u; // index < GROUPS
const i = 0u; // index < HELD
const h = 0u; // index < 2
const c = 0u; // index < 4

@group(0) @binding(0) var<storage, read_write> a: array<vec4<f32>>; // [slots / row_div, k_vecs]
@group(0) @binding(1) var<storage, read_write> w: array<Weight>; // [experts, k, n_vecs]
@group(0) @binding(2) var<storage, read_write> sorted: array<Int>; // [slots]
@group(0) @binding(3) var<storage, read_write> offsets: array<Int>; // [experts + 1]
@group(0) @binding(4) var<storage, read_write> tiles: array<Int>; // [max_tiles, 2]: expert or -1, first sorted row
@group(0) @binding(5) var<storage, read_write> weights: array<f32>; // [slots]
@group(0) @binding(6) var<storage, read_write> y: array<vec4<f32>>; // [slots, n_vecs]
@group(0) @binding(7) var<storage, read> info: array<u32>; // [max_tiles, n_vecs, k_vecs, row_div]

const UNUSED: u32 = 0xffffffffu; // tile beyond the last

// sum + the four weighted values, v.x first
fn mac(sum: vec4<f32>, v: vec4<f32>, w0: vec4<f32>, w1: vec4<f32>, w2: vec4<f32>, w3: vec4<f32>) -> vec4<f32> {
    return fma(w3, v.wwww, fma(w2, v.zzzz, fma(w1, v.yyyy, fma(w0, v.xxxx, sum))));
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let index = group.x + group.y * groups.x;
    let n = info[1];
    let k_end = info[2];
    let tile = index % info[0];
    let first_column = index / info[0] * 16u;
    let expert = u32(tiles[2u * tile]);
    if expert == UNUSED || first_column >= n {
        return;
    }

    // Slots and columns past the end repeat the last one and their sums are never stored.
    let first = u32(tiles[2u * tile + 1u]);
    let end = u32(offsets[expert + 1u]);
    let slot_g = u32(sorted[min(first + g * 8u + min(lane, HELD - 1u), end - 1u)]); // each g
    let a_g = slot_g / info[3] * k_end; // each g
    let column_h = min(first_column + h * 8u + lane, n - 1u); // each h
    let matrix = expert * k_end * 4u;
    var sum_g_i_h = vec4<f32>(); // each g i h
    for (var k = 0u; k < k_end; k++) {
        var w_h: array<vec4<f32>, 4>; // each h
        w_h[c] = vec4<f32>(w[(matrix + 4u * k + c) * n + column_h]); // each h c
        { // each g
            let own = a[a_g + k];
            { // each i
                let v = subgroupShuffle(own, i);
                sum_g_i_h = mac(sum_g_i_h, v, w_h[0], w_h[1], w_h[2], w_h[3]); // each h
            }
        }
    }
    { // each g
        var own_scale = 1.0;
        if SCALED {
            own_scale = weights[slot_g];
        }
        { // each i
            let slot = subgroupShuffle(slot_g, i);
            let scale = subgroupShuffle(own_scale, i);
            if first + g * 8u + i < end {
                { // each h
                    if first_column + h * 8u + lane < n {
                        y[slot * n + column_h] = sum_g_i_h * scale;
                    }
                }
            }
        }
    }
}
