// Backward of attention, first half: the gradient of the queries, and per row the log of the sum of exponentials and
// dot(out, grad), by which attention_grad_keys.wgsl weighs. Scores are computed again, never stored.
//
// source:  derivative of softmax attention, FlashAttention-2 (arXiv 2307.08691) algorithm 2
// buffers: q, out, grad and dq [batch, queries, heads, DH] Vec, k and v [batch, keys, kv_heads, DH] Vec,
//          range [batch * queries, 2] Int: the keys [lo, hi) of a query, stats [batch, queries, heads] vec2: log-sum-exp
//          and dot(out, grad), info [batch, queries, heads, kv_heads, keys, scale as f32 bits]
// grid:    batch * kv_heads * ceil(queries * heads / kv_heads / 32) workgroups, folded above 65535
// work:    32 rows, (query, head) pairs of one kv head, against tiles of 32 keys, twice: first the log-sum-exp, then
//          p = exp(s - lse), ds = p * (dot(grad, v) - delta) * scale and dq += ds * k. A lane has 4 rows x 4 keys of a
//          tile, and 4 rows x every eighth Vec of dq
// domain:  DH in Vec, at most 64 (vec4) or 256 (scalar set: Vec = f32, ONES = (1,0,0,0)); heads divisible by kv_heads
// twin:    crates/glmv-kernels/src/attention.rs

alias Vec = vec4<f32>; // param
alias Int = i32; // param
const ONES: vec4<f32> = vec4<f32>(1.0, 1.0, 1.0, 1.0); // param
const DH: u32 = 32u; // param

@group(0) @binding(0) var<storage, read_write> q: array<Vec>; // [batch, queries, heads, DH]
@group(0) @binding(1) var<storage, read_write> k: array<Vec>; // [batch, keys, kv_heads, DH]
@group(0) @binding(2) var<storage, read_write> v: array<Vec>; // [batch, keys, kv_heads, DH]
@group(0) @binding(3) var<storage, read_write> range: array<Int>; // [batch * queries, 2]
@group(0) @binding(4) var<storage, read_write> out: array<Vec>; // [batch, queries, heads, DH]
@group(0) @binding(5) var<storage, read_write> grad: array<Vec>; // [batch, queries, heads, DH]
@group(0) @binding(6) var<storage, read_write> dq: array<Vec>; // [batch, queries, heads, DH]
@group(0) @binding(7) var<storage, read_write> stats: array<vec2<f32>>; // [batch, queries, heads]
@group(0) @binding(8) var<storage, read> info: array<u32>;

const PASSES: u32 = (DH + 7u) / 8u;
const NONE: f32 = -3.0e38;

var<workgroup> tile: array<vec4<f32>, 256>; // [32 rows, 8 fours of keys]: scores, then their gradients
var<workgroup> ranges: array<vec2<u32>, 32>;
var<workgroup> starts: array<u32, 32>; // of the rows in q; rows past the end repeat the last one
var<workgroup> known: array<vec2<f32>, 32>; // log-sum-exp and delta of the rows
var<workgroup> span: vec2<u32>;

fn inside(row: u32, key: u32) -> vec4<bool> {
    let keys = vec4<u32>(key, key + 1u, key + 2u, key + 3u);
    return (keys >= vec4<u32>(ranges[row].x)) & (keys < vec4<u32>(ranges[row].y));
}

// Four rows of k or v as columns: a row vector times this is four dot products.
fn four_keys(first: u32, step: u32, last: u32, d: u32) -> vec4<u32> {
    return min(vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(last)) * step + d;
}

fn score_gradient(row: u32, key: u32, s: vec4<f32>, dp: vec4<f32>) -> vec4<f32> {
    let scale = bitcast<f32>(info[5]);
    let p = exp(clamp(s * scale - known[row].x, vec4<f32>(-80.0), vec4<f32>()));
    return select(vec4<f32>(), p * (dp - known[row].y) * scale, inside(row, key));
}

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
    let shared_by = heads / kv_heads;
    let rows = queries * shared_by;
    let tiles = (rows + 31u) / 32u;
    let index = group.x + group.y * groups.x;
    let kv_head = index / tiles % kv_heads;
    let batch = index / tiles / kv_heads;
    if batch >= info[0] {
        return;
    }
    let first_row = index % tiles * 32u;
    let scale = bitcast<f32>(info[5]);

    if lane < 32u {
        let row = first_row + lane;
        let held = min(row, rows - 1u);
        let query = batch * queries + held / shared_by;
        starts[lane] = (query * heads + kv_head * shared_by + held % shared_by) * DH;
        var keys = vec2<u32>();
        if row < rows {
            let both = vec2<i32>(i32(range[2u * query]), i32(range[2u * query + 1u]));
            keys = vec2<u32>(clamp(both, vec2<i32>(), vec2<i32>(i32(info[4]))));
        }
        ranges[lane] = keys;
        var delta = 0.0;
        for (var d = 0u; d < DH; d++) {
            delta += dot(ONES * vec4<f32>(out[starts[lane] + d]), vec4<f32>(grad[starts[lane] + d]));
        }
        known[lane] = vec2<f32>(0.0, delta);
    }
    workgroupBarrier();
    if lane == 0u {
        var all = vec2<u32>(info[4], 0u);
        for (var r = 0u; r < 32u; r++) {
            if ranges[r].x < ranges[r].y {
                all = vec2<u32>(min(all.x, ranges[r].x), max(all.y, ranges[r].y));
            }
        }
        span = all;
    }
    let keys = workgroupUniformLoad(&span);

    let r0 = lane / 8u * 4u; // this lane's four rows
    let part = lane % 8u; // its four keys of a tile, its columns of dq
    let q0 = starts[r0];
    let q1 = starts[r0 + 1u];
    let q2 = starts[r0 + 2u];
    let q3 = starts[r0 + 3u];
    let step = kv_heads * DH;
    let base = batch * info[4] * step + kv_head * DH;
    let at = r0 * 8u + part;

    var largest = NONE; // of row `lane`
    var total = 0.0; // of row `lane`
    for (var first = keys.x; first < keys.y; first += 32u) {
        let key = first + 4u * part;
        var s0 = vec4<f32>();
        var s1 = vec4<f32>();
        var s2 = vec4<f32>();
        var s3 = vec4<f32>();
        let i = base + four_keys(key, step, keys.y - 1u, 0u);
        for (var d = 0u; d < DH; d++) {
            let four = mat4x4<f32>(vec4<f32>(k[i.x + d]), vec4<f32>(k[i.y + d]), vec4<f32>(k[i.z + d]), vec4<f32>(k[i.w + d]));
            s0 += ONES * vec4<f32>(q[q0 + d]) * four;
            s1 += ONES * vec4<f32>(q[q1 + d]) * four;
            s2 += ONES * vec4<f32>(q[q2 + d]) * four;
            s3 += ONES * vec4<f32>(q[q3 + d]) * four;
        }
        tile[at] = select(vec4<f32>(NONE), s0 * scale, inside(r0, key));
        tile[at + 8u] = select(vec4<f32>(NONE), s1 * scale, inside(r0 + 1u, key));
        tile[at + 16u] = select(vec4<f32>(NONE), s2 * scale, inside(r0 + 2u, key));
        tile[at + 24u] = select(vec4<f32>(NONE), s3 * scale, inside(r0 + 3u, key));
        workgroupBarrier();
        if lane < 32u {
            var top = vec4<f32>(largest);
            for (var j = 0u; j < 8u; j++) {
                top = max(top, tile[lane * 8u + j]);
            }
            let next = max(max(top.x, top.y), max(top.z, top.w));
            var weights = vec4<f32>();
            for (var j = 0u; j < 8u; j++) {
                let s = tile[lane * 8u + j];
                weights += select(vec4<f32>(), exp(max(s - next, vec4<f32>(-80.0))), s > vec4<f32>(0.5 * NONE));
            }
            total = total * exp(max(largest - next, -80.0)) + dot(weights, vec4<f32>(1.0));
            largest = next;
        }
        workgroupBarrier();
    }
    if lane < 32u {
        if total > 0.0 {
            known[lane].x = largest + log(total);
        }
        if first_row + lane < rows {
            stats[starts[lane] / DH] = known[lane];
        }
    }
    workgroupBarrier();

    var sums: array<Vec, PASSES * 4u>; // [passes, 4 rows]
    for (var first = keys.x; first < keys.y; first += 32u) {
        let key = first + 4u * part;
        var s0 = vec4<f32>();
        var s1 = vec4<f32>();
        var s2 = vec4<f32>();
        var s3 = vec4<f32>();
        var g0 = vec4<f32>();
        var g1 = vec4<f32>();
        var g2 = vec4<f32>();
        var g3 = vec4<f32>();
        let i = base + four_keys(key, step, keys.y - 1u, 0u);
        for (var d = 0u; d < DH; d++) {
            let four = mat4x4<f32>(vec4<f32>(k[i.x + d]), vec4<f32>(k[i.y + d]), vec4<f32>(k[i.z + d]), vec4<f32>(k[i.w + d]));
            s0 += ONES * vec4<f32>(q[q0 + d]) * four;
            s1 += ONES * vec4<f32>(q[q1 + d]) * four;
            s2 += ONES * vec4<f32>(q[q2 + d]) * four;
            s3 += ONES * vec4<f32>(q[q3 + d]) * four;
            let values = mat4x4<f32>(vec4<f32>(v[i.x + d]), vec4<f32>(v[i.y + d]), vec4<f32>(v[i.z + d]), vec4<f32>(v[i.w + d]));
            g0 += ONES * vec4<f32>(grad[q0 + d]) * values;
            g1 += ONES * vec4<f32>(grad[q1 + d]) * values;
            g2 += ONES * vec4<f32>(grad[q2 + d]) * values;
            g3 += ONES * vec4<f32>(grad[q3 + d]) * values;
        }
        tile[at] = score_gradient(r0, key, s0, g0);
        tile[at + 8u] = score_gradient(r0 + 1u, key, s1, g1);
        tile[at + 16u] = score_gradient(r0 + 2u, key, s2, g2);
        tile[at + 24u] = score_gradient(r0 + 3u, key, s3, g3);
        workgroupBarrier();
        let fours = (min(keys.y - first, 32u) + 3u) / 4u;
        for (var run = 0u; run < PASSES; run++) {
            let c = min(run * 8u + part, DH - 1u);
            var a0 = sums[4u * run];
            var a1 = sums[4u * run + 1u];
            var a2 = sums[4u * run + 2u];
            var a3 = sums[4u * run + 3u];
            for (var j = 0u; j < fours; j++) {
                let places = base + four_keys(first + 4u * j, step, keys.y - 1u, c);
                let k0 = k[places.x];
                let k1 = k[places.y];
                let k2 = k[places.z];
                let k3 = k[places.w];
                a0 = weigh(tile[r0 * 8u + j], k0, k1, k2, k3, a0);
                a1 = weigh(tile[r0 * 8u + 8u + j], k0, k1, k2, k3, a1);
                a2 = weigh(tile[r0 * 8u + 16u + j], k0, k1, k2, k3, a2);
                a3 = weigh(tile[r0 * 8u + 24u + j], k0, k1, k2, k3, a3);
            }
            sums[4u * run] = a0;
            sums[4u * run + 1u] = a1;
            sums[4u * run + 2u] = a2;
            sums[4u * run + 3u] = a3;
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < 4u; i++) {
        if first_row + r0 + i < rows {
            for (var run = 0u; run < PASSES; run++) {
                let c = run * 8u + part;
                if c < DH {
                    dq[starts[r0 + i] + c] = sums[4u * run + i];
                }
            }
        }
    }
}
