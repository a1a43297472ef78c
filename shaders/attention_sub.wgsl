// Attention of each query over a range of keys, on adapters with subgroups of exactly eight lanes (lavapipe):
// out = softmax(scale * q k^T over [lo, hi)) v, grouped heads.
//
// source:  HF `Glm4vTextAttention` / `Glm4vVisionAttention`; online softmax of FlashAttention (arXiv 2205.14135)
// buffers: q [batch, queries, heads, DH] vec4, k and v [rows, kv_heads, DH] KvElem,
//          range [batch * queries, 2] Int: the keys [lo, hi) of a query, none if lo >= hi (its out is 0),
//          table [batch, capacity / BLOCK] Int (PAGED; else any), scales [rows, kv_heads, 2] f32 (Q8; else any),
//          out [batch, queries, heads, DH] vec4,
//          info [batch, queries, heads, kv_heads, DH, capacity, scale as f32 bits, rows]
// keys:    key j of sequence b is row b * capacity + j, or, PAGED, row j % BLOCK of block table[b, j / BLOCK]
// grid:    batch * kv_heads * ceil(queries * heads / kv_heads / (GROUPS * HELD)) workgroups, folded
// work:    rows = (query, head) pairs that share one kv head. One subgroup takes GROUPS * HELD of them over tiles of
//          8 * KEYS keys, from the least lo to the greatest hi. Scores: lane = key, q is spread by shuffles. Values:
//          lane = column, the weights are spread by shuffles. All in registers
// order:   a row's sums follow from its own range and the least lo of its tile, not from the number of rows
// domain:  head_dim = 4 * DH, DH at most 8 * WIDTH; heads divisible by kv_heads; subgroups of eight; HELD at most 8,
//          and 8 if GROUPS > 1. Keys between the least lo and the greatest hi of a tile of rows must be finite.
//          Q8: KvElem = u32, four codes + 128, SPREAD and TOP take the bytes apart
// twin:    crates/glmv-kernels/src/attention.rs

alias KvElem = vec4<f32>; // param
alias Int = i32; // param
const PAGED: bool = false; // param
const BLOCK: u32 = 16u; // param
const Q8: bool = false; // param
alias Wide = vec4<f32>; // param
const SPREAD: Wide = Wide(1.0); // param
const TOP: Wide = Wide(1.0); // param
const DH: u32 = 16u; // param
const WIDTH: u32 = 2u; // param
const GROUPS: u32 = 2u; // param
const HELD: u32 = 8u; // param
const KEYS: u32 = 2u; // param
const WG: u32 = 8u; // param

const g = 0u; // index < GROUPS
const i = 0u; // index < HELD
const j = 0u; // index < KEYS
const l = 0u; // index < 8
const c = 0u; // index < WIDTH

@group(0) @binding(0) var<storage, read_write> q: array<vec4<f32>>; // [batch, queries, heads, DH]
@group(0) @binding(1) var<storage, read_write> k: array<KvElem>; // [rows, kv_heads, DH]
@group(0) @binding(2) var<storage, read_write> v: array<KvElem>; // [rows, kv_heads, DH]
@group(0) @binding(3) var<storage, read_write> range: array<Int>; // [batch * queries, 2]
@group(0) @binding(4) var<storage, read_write> table: array<Int>; // [batch, capacity / BLOCK]
@group(0) @binding(5) var<storage, read_write> scales: array<f32>; // [rows, kv_heads, 2]
@group(0) @binding(6) var<storage, read_write> out: array<vec4<f32>>; // [batch, queries, heads, DH]
@group(0) @binding(7) var<storage, read> info: array<u32>;

const ROWS: u32 = GROUPS * HELD;
const MASKED: f32 = -3.0e38;

// The row of a key; inside of the cache for any table.
fn row_of(batch: u32, key: u32) -> u32 {
    if PAGED {
        return min(u32(table[batch * (info[5] / BLOCK) + key / BLOCK]) * BLOCK + key % BLOCK, info[7] - 1u);
    }
    return batch * info[5] + key;
}

fn stored(e: KvElem) -> vec4<f32> {
    if Q8 {
        return vec4<f32>(Wide(e) * SPREAD / TOP) - vec4<f32>(128.0);
    }
    return vec4<f32>(Wide(e));
}

// Of the keys (part 0) or the values (part 1) of a row and head.
fn scale_of(at: u32, part: u32) -> f32 {
    if Q8 {
        return scales[at * 2u + part];
    }
    return 1.0;
}

// sum + a . b, x first
fn dot4(a: vec4<f32>, b: vec4<f32>, sum: f32) -> f32 {
    return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let queries = info[1];
    let heads = info[2];
    let kv_heads = info[3];
    let shared_by = heads / kv_heads;
    let rows = queries * shared_by;
    let tiles = max((rows + ROWS - 1u) / ROWS, 1u);
    let index = group.x + group.y * groups.x;
    let kv_head = index / tiles % kv_heads;
    let batch = index / tiles / kv_heads;
    if batch >= info[0] || rows == 0u {
        return;
    }
    let first_row = index % tiles * ROWS;
    let scale = bitcast<f32>(info[6]);

    // Lane = row: where it starts in q and its keys. Rows past the end repeat the last one and are never stored.
    let own_g = min(first_row + g * 8u + min(lane, HELD - 1u), rows - 1u); // each g
    let query_g = batch * queries + own_g / shared_by; // each g
    let q_g = (query_g * heads + kv_head * shared_by + own_g % shared_by) * DH; // each g
    let lo_g = min(u32(max(range[2u * query_g], 0)), info[5]); // each g
    let hi_g = min(u32(max(range[2u * query_g + 1u], 0)), info[5]); // each g
    var least = info[5];
    var most = 0u;
    { // each g
        least = min(least, select(info[5], lo_g, lo_g < hi_g));
        most = max(most, select(0u, hi_g, lo_g < hi_g));
    }
    let begin = subgroupMin(least);
    let end = subgroupMax(most);

    var top_g_i = MASKED; // each g i
    var total_g_i = 0.0; // each g i
    var sum_g_i_c = vec4<f32>(); // each g i c
    let column_c = min(c * 8u + lane, DH - 1u); // each c
    for (var tile = begin; tile < end; tile += 8u * KEYS) {
        let key_j = tile + j * 8u + lane; // each j
        let row_j = row_of(batch, min(key_j, end - 1u)) * kv_heads + kv_head; // each j
        let kv_j = row_j * DH; // each j
        let k_scale_j = scale * scale_of(row_j, 0u); // each j
        let v_scale_j = scale_of(row_j, 1u); // each j
        var s_g_i_j = 0.0; // each g i j
        for (var d = 0u; d < DH; d++) {
            let b_j = stored(k[kv_j + d]); // each j
            { // each g
                let own = q[q_g + d];
                { // each i
                    let a = subgroupShuffle(own, i);
                    s_g_i_j = dot4(a, b_j, s_g_i_j); // each j
                }
            }
        }

        { // each g i
            let lo = subgroupShuffle(lo_g, i);
            let hi = subgroupShuffle(hi_g, i);
            let before = top_g_i;
            s_g_i_j = select(MASKED, s_g_i_j * k_scale_j, key_j >= lo && key_j < hi); // each j
            top_g_i = max(top_g_i, s_g_i_j); // each j
            top_g_i = max(top_g_i, subgroupShuffleXor(top_g_i, 1u));
            top_g_i = max(top_g_i, subgroupShuffleXor(top_g_i, 2u));
            top_g_i = max(top_g_i, subgroupShuffleXor(top_g_i, 4u));
            // exp stays above 1e-35 and finite; masked keys get exactly 0.
            let shrink = exp(max(before - top_g_i, -80.0));
            s_g_i_j = select(0.0, exp(max(s_g_i_j - top_g_i, -80.0)), s_g_i_j > 0.5 * MASKED); // each j
            total_g_i *= shrink;
            total_g_i += s_g_i_j; // each j
            s_g_i_j *= v_scale_j; // each j
            sum_g_i_c *= shrink; // each c
        }

        { // each j
            let at_l = subgroupShuffle(kv_j, l); // each l
            let v_l_c = stored(v[at_l + column_c]); // each l c
            { // each g i l
                let p = vec4<f32>(subgroupShuffle(s_g_i_j, l));
                sum_g_i_c = fma(p, v_l_c, sum_g_i_c); // each c
            }
        }
    }

    { // each g i
        let total = subgroupAdd(total_g_i);
        let factor = select(0.0, 1.0 / max(total, 1.0e-30), total > 0.0);
        let at = subgroupShuffle(q_g, i);
        if first_row + g * 8u + i < rows {
            { // each c
                if c * 8u + lane < DH {
                    out[at + column_c] = sum_g_i_c * factor;
                }
            }
        }
    }
}
