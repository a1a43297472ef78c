// Attention of each query over a range of keys: out = softmax(scale * q k^T over [lo, hi)) v, grouped heads.
//
// source:  HF `Glm4vTextAttention` / `Glm4vVisionAttention`; online softmax of FlashAttention (arXiv 2205.14135)
// buffers: q [batch, queries, heads, DH] Vec, k and v [rows, kv_heads, DH] KvElem,
//          range [batch * queries, 2] Int: the keys [lo, hi) of a query, none if lo >= hi (its out is 0),
//          table [batch, capacity / BLOCK] Int (PAGED; else any), scales [rows, kv_heads, 2] f32 (Q8; else any),
//          out [batch, queries, heads, DH] Vec if splits is 1, else parts for attention_merge.wgsl:
//          [splits, batch, queries, heads, DH + 1] Vec, the last Vec being log(sum(exp(scores))),
//          info [batch, queries, heads, kv_heads, DH, capacity, scale as f32 bits, splits, rows]
// keys:    key j of sequence b is row b * capacity + j, or, PAGED, row j % BLOCK of block table[b, j / BLOCK]
// grid:    batch * kv_heads * ceil(queries * heads / kv_heads / (4 * ROW_LANES)) * splits workgroups, folded
// work:    rows = (query, head) pairs that share one kv head, 4 * ROW_LANES of them per workgroup, against tiles of
//          4 * KEY_LANES keys from the least lo to the greatest hi. Per tile: each lane scores 4 rows x 4 keys;
//          one lane per row does the softmax; each lane adds 4 rows x its columns of v
// domain:  DH in Vec, at most 64 (vec4) or 256 (scalar set: Vec = f32, KvElem = f32 or f16, ONES = (1,0,0,0));
//          ROW_LANES 1, 2, 4 or 8 (few rows: fewer); heads divisible by kv_heads. splits > 1 cuts the keys, for
//          decoding on a GPU; where a range is cut follows from that range alone, so that a sequence's sums do not
//          depend on the others. BLOCK is a multiple of 4. Every row that the table reaches must be finite.
//          Q8: KvElem = u32, four codes + 128, SPREAD and TOP take the bytes apart; vec4 set only
// twin:    crates/glmv-kernels/src/attention.rs

alias Vec = vec4<f32>; // param
alias KvElem = vec4<f32>; // param
alias Int = i32; // param
const ONES: vec4<f32> = vec4<f32>(1.0, 1.0, 1.0, 1.0); // param
const DH: u32 = 32u; // param
const ROW_LANES: u32 = 8u; // param
const PAGED: bool = false; // param
const BLOCK: u32 = 16u; // param
const Q8: bool = false; // param
alias Wide = Vec; // param
const SPREAD: Wide = Wide(1.0); // param
const TOP: Wide = Wide(1.0); // param

@group(0) @binding(0) var<storage, read_write> q: array<Vec>; // [batch, queries, heads, DH]
@group(0) @binding(1) var<storage, read_write> k: array<KvElem>; // [rows, kv_heads, DH]
@group(0) @binding(2) var<storage, read_write> v: array<KvElem>; // [rows, kv_heads, DH]
@group(0) @binding(3) var<storage, read_write> range: array<Int>; // [batch * queries, 2]
@group(0) @binding(4) var<storage, read_write> table: array<Int>; // [batch, capacity / BLOCK]
@group(0) @binding(5) var<storage, read_write> scales: array<f32>; // [rows, kv_heads, 2]
@group(0) @binding(6) var<storage, read_write> out: array<Vec>; // [batch, queries, heads, DH] or parts
@group(0) @binding(7) var<storage, read> info: array<u32>;

const KEY_LANES: u32 = 64u / ROW_LANES;
const ROWS: u32 = 4u * ROW_LANES;
const QUADS: u32 = KEY_LANES; // a tile's keys in fours
const PASSES: u32 = (DH + 2u * KEY_LANES - 1u) / (2u * KEY_LANES); // a lane has two columns in each
const TILE: u32 = 4u * KEY_LANES; // keys
// A split has at least 128 keys, and there are at most 16: attention.rs knows both.
const LEAST_TILES: u32 = (128u + TILE - 1u) / TILE;
const MAX_SPLITS: u32 = 16u;
const MASKED: f32 = -3.0e38;

var<workgroup> scores: array<vec4<f32>, 2u * ROWS * QUADS>; // [2 tiles, rows, keys]
var<workgroup> ranges: array<vec2<u32>, ROWS>;
var<workgroup> factor: array<f32, ROWS>; // of the sums so far; at the end 1 / sum of the weights
var<workgroup> logs: array<f32, ROWS>; // log of the sum of exp(score)
var<workgroup> span: vec2<u32>;

// Fours of keys are vec4 lanes: scores of keys outside [lo, hi) become MASKED.
fn mask(s: vec4<f32>, row: u32, key: u32) -> vec4<f32> {
    let keys = vec4<u32>(key, key + 1u, key + 2u, key + 3u);
    let inside = (keys >= vec4<u32>(ranges[row].x)) & (keys < vec4<u32>(ranges[row].y));
    return select(vec4<f32>(MASKED), s * bitcast<f32>(info[6]), inside);
}

fn stored(e: KvElem) -> Vec {
    if Q8 {
        return Vec(Wide(e) * SPREAD / TOP) - Vec(128.0);
    }
    return Vec(Wide(e));
}

fn k_at(i: u32) -> vec4<f32> {
    return vec4<f32>(stored(k[i]));
}

// The row of a key, the first of a four if PAGED; inside of the cache for any table.
fn row_of(batch: u32, key: u32) -> u32 {
    if PAGED {
        return min(u32(table[batch * (info[5] / BLOCK) + key / BLOCK]) * BLOCK + key % BLOCK, info[8] - 4u);
    }
    return batch * info[5] + key;
}

// Rows of four keys from `key` on, of which none is beyond `last`: a block holds all or none of the four.
fn four_rows(batch: u32, key: u32, last: u32) -> vec4<u32> {
    if PAGED {
        return vec4<u32>(row_of(batch, min(key, last) & 0xfffffffcu)) + vec4<u32>(0u, 1u, 2u, 3u);
    }
    let keys = min(vec4<u32>(key) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(last));
    return vec4<u32>(batch * info[5]) + keys;
}

// Of the keys (part 0) or values (part 1) in four rows.
fn four_scales(rows: vec4<u32>, kv_head: u32, part: u32) -> vec4<f32> {
    if Q8 {
        let at = (rows * info[3] + kv_head) * 2u + part;
        return vec4<f32>(scales[at.x], scales[at.y], scales[at.z], scales[at.w]);
    }
    return vec4<f32>(1.0);
}

fn q_at(i: u32) -> vec4<f32> {
    return ONES * vec4<f32>(q[i]);
}

// sum + the four weighted values
fn weigh(p: vec4<f32>, v0: Vec, v1: Vec, v2: Vec, v3: Vec, sum: Vec) -> Vec {
    return fma(Vec(p.w), v3, fma(Vec(p.z), v2, fma(Vec(p.y), v1, fma(Vec(p.x), v0, sum))));
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let queries = info[1];
    let heads = info[2];
    let kv_heads = info[3];
    let capacity = info[5];
    let shared_by = heads / kv_heads;
    let rows = queries * shared_by;
    let tiles = (rows + ROWS - 1u) / ROWS;
    let splits = info[7];
    let split = (group.x + group.y * groups.x) % splits;
    let index = (group.x + group.y * groups.x) / splits;
    let kv_head = index / tiles % kv_heads;
    let batch = index / tiles / kv_heads;
    if batch >= info[0] {
        return;
    }
    let first_row = index % tiles * ROWS;

    // Keys of each row, then of all rows together.
    if lane < ROWS {
        let row = first_row + lane;
        var keys = vec2<u32>();
        if row < rows {
            let at = 2u * (batch * queries + row / shared_by);
            keys = vec2<u32>(clamp(vec2<i32>(i32(range[at]), i32(range[at + 1u])), vec2<i32>(), vec2<i32>(i32(capacity))));
        }
        ranges[lane] = keys;
    }
    workgroupBarrier();
    if lane == 0u {
        var all = vec2<u32>(capacity, 0u);
        for (var r = 0u; r < ROWS; r++) {
            if ranges[r].x < ranges[r].y {
                all = vec2<u32>(min(all.x, ranges[r].x), max(all.y, ranges[r].y));
            }
        }
        span = all;
    }
    let whole = workgroupUniformLoad(&span);
    let start = select(whole.x, whole.x & 0xfffffffcu, PAGED); // fours of keys stay inside of a block
    let count = max(start, whole.y) - start;
    // One workgroup takes all keys unless they are split; where a range is cut follows from its own length.
    let share = select((count + TILE - 1u) / TILE, max(LEAST_TILES, (count + TILE * MAX_SPLITS - 1u) / (TILE * MAX_SPLITS)), splits > 1u);
    let begin = start + split * share * TILE;
    let keys = vec2<u32>(begin, min(begin + share * TILE, whole.y));

    // This lane's four rows, from here on r0 to r3; rows past the end repeat the last one and are never stored.
    let r0 = lane / KEY_LANES * 4u;
    let key_lane = lane % KEY_LANES;
    var starts: array<u32, 4>;
    for (var i = 0u; i < 4u; i++) {
        let row = min(first_row + r0 + i, rows - 1u);
        starts[i] = ((batch * queries + row / shared_by) * heads + kv_head * shared_by + row % shared_by) * DH;
    }
    let q0 = starts[0];
    let q1 = starts[1];
    let q2 = starts[2];
    let q3 = starts[3];
    let kv_start = kv_head * DH;
    let kv_step = kv_heads * DH;
    var sums: array<Vec, PASSES * 8u>; // [passes, 4 rows, 2 columns]
    var largest = MASKED; // of row `lane`
    var total = 0.0; // of row `lane`
    var buffer = 0u;

    for (var tile = keys.x; tile < keys.y; tile += TILE) {
        let key = tile + 4u * key_lane;
        let key_rows = four_rows(batch, key, keys.y - 1u);
        let k0 = kv_start + key_rows.x * kv_step;
        let k1 = kv_start + key_rows.y * kv_step;
        let k2 = kv_start + key_rows.z * kv_step;
        let k3 = kv_start + key_rows.w * kv_step;
        var s0 = vec4<f32>();
        var s1 = vec4<f32>();
        var s2 = vec4<f32>();
        var s3 = vec4<f32>();
        for (var d = 0u; d < DH; d++) {
            // Four keys as columns: a row vector times this is four dot products.
            let four = mat4x4<f32>(k_at(k0 + d), k_at(k1 + d), k_at(k2 + d), k_at(k3 + d));
            s0 += q_at(q0 + d) * four;
            s1 += q_at(q1 + d) * four;
            s2 += q_at(q2 + d) * four;
            s3 += q_at(q3 + d) * four;
        }
        if Q8 {
            let key_scales = four_scales(key_rows, kv_head, 0u);
            s0 *= key_scales;
            s1 *= key_scales;
            s2 *= key_scales;
            s3 *= key_scales;
        }
        // Two buffers, so that no lane overwrites the scores another still weighs its values by.
        let base = buffer * (ROWS * QUADS);
        scores[base + r0 * QUADS + key_lane] = mask(s0, r0, key);
        scores[base + (r0 + 1u) * QUADS + key_lane] = mask(s1, r0 + 1u, key);
        scores[base + (r0 + 2u) * QUADS + key_lane] = mask(s2, r0 + 2u, key);
        scores[base + (r0 + 3u) * QUADS + key_lane] = mask(s3, r0 + 3u, key);
        workgroupBarrier();

        if lane < ROWS {
            let row = base + lane * QUADS;
            var top = vec4<f32>(largest);
            for (var i = 0u; i < QUADS; i++) {
                top = max(top, scores[row + i]);
            }
            let next = max(max(top.x, top.y), max(top.z, top.w));
            // exp stays above 1e-35 and finite; masked keys get exactly 0.
            let shrink = exp(max(largest - next, -80.0));
            var weights = vec4<f32>();
            for (var i = 0u; i < QUADS; i++) {
                let s = scores[row + i];
                let p = select(vec4<f32>(), exp(max(s - vec4<f32>(next), vec4<f32>(-80.0))), s > vec4<f32>(0.5 * MASKED));
                scores[row + i] = p;
                weights += p;
            }
            total = total * shrink + dot(weights, vec4<f32>(1.0));
            largest = next;
            factor[lane] = shrink;
        }
        workgroupBarrier();

        let quads = (min(keys.y - tile, TILE) + 3u) / 4u;
        let row = base + r0 * QUADS;
        for (var run = 0u; run < PASSES; run++) {
            let at = run * 8u;
            let c0 = min(run * 2u * KEY_LANES + key_lane, DH - 1u);
            let c1 = min(c0 + KEY_LANES, DH - 1u);
            var a0 = sums[at] * factor[r0];
            var b0 = sums[at + 1u] * factor[r0];
            var a1 = sums[at + 2u] * factor[r0 + 1u];
            var b1 = sums[at + 3u] * factor[r0 + 1u];
            var a2 = sums[at + 4u] * factor[r0 + 2u];
            var b2 = sums[at + 5u] * factor[r0 + 2u];
            var a3 = sums[at + 6u] * factor[r0 + 3u];
            var b3 = sums[at + 7u] * factor[r0 + 3u];
            for (var i = 0u; i < quads; i++) {
                let value_rows = four_rows(batch, tile + 4u * i, keys.y - 1u);
                var p0 = scores[row + i];
                var p1 = scores[row + QUADS + i];
                var p2 = scores[row + 2u * QUADS + i];
                var p3 = scores[row + 3u * QUADS + i];
                if Q8 {
                    let value_scales = four_scales(value_rows, kv_head, 1u);
                    p0 *= value_scales;
                    p1 *= value_scales;
                    p2 *= value_scales;
                    p3 *= value_scales;
                }
                let v0 = kv_start + value_rows.x * kv_step;
                let v1 = kv_start + value_rows.y * kv_step;
                let v2 = kv_start + value_rows.z * kv_step;
                let v3 = kv_start + value_rows.w * kv_step;
                let va0 = stored(v[v0 + c0]);
                let va1 = stored(v[v1 + c0]);
                let va2 = stored(v[v2 + c0]);
                let va3 = stored(v[v3 + c0]);
                a0 = weigh(p0, va0, va1, va2, va3, a0);
                a1 = weigh(p1, va0, va1, va2, va3, a1);
                a2 = weigh(p2, va0, va1, va2, va3, a2);
                a3 = weigh(p3, va0, va1, va2, va3, a3);
                let vb0 = stored(v[v0 + c1]);
                let vb1 = stored(v[v1 + c1]);
                let vb2 = stored(v[v2 + c1]);
                let vb3 = stored(v[v3 + c1]);
                b0 = weigh(p0, vb0, vb1, vb2, vb3, b0);
                b1 = weigh(p1, vb0, vb1, vb2, vb3, b1);
                b2 = weigh(p2, vb0, vb1, vb2, vb3, b2);
                b3 = weigh(p3, vb0, vb1, vb2, vb3, b3);
            }
            sums[at] = a0;
            sums[at + 1u] = b0;
            sums[at + 2u] = a1;
            sums[at + 3u] = b1;
            sums[at + 4u] = a2;
            sums[at + 5u] = b2;
            sums[at + 6u] = a3;
            sums[at + 7u] = b3;
        }
        buffer = 1u - buffer;
    }

    workgroupBarrier();
    if lane < ROWS {
        factor[lane] = select(0.0, 1.0 / max(total, 1.0e-30), total > 0.0);
        logs[lane] = select(MASKED, largest + log(max(total, 1.0e-30)), total > 0.0);
    }
    workgroupBarrier();
    for (var i = 0u; i < 4u; i++) {
        if first_row + r0 + i < rows {
            let at = (split * info[0] * queries * heads + starts[i] / DH) * select(DH, DH + 1u, splits > 1u);
            for (var run = 0u; run < PASSES; run++) {
                let c0 = run * 2u * KEY_LANES + key_lane;
                let c1 = c0 + KEY_LANES;
                if c0 < DH {
                    out[at + c0] = sums[run * 8u + 2u * i] * factor[r0 + i];
                }
                if c1 < DH {
                    out[at + c1] = sums[run * 8u + 2u * i + 1u] * factor[r0 + i];
                }
            }
            if splits > 1u && key_lane == 0u {
                out[at + DH] = Vec(logs[r0 + i]);
            }
        }
    }
}
