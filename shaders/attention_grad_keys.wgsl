// Backward of attention, second half: the gradients of keys and values. Sums run over the rows in order, so that they
// repeat bit by bit.
//
// source:  derivative of softmax attention, FlashAttention-2 (arXiv 2307.08691) algorithm 2
// buffers: q and grad [batch, queries, heads, DH] Vec, k, v, dk and dv [batch, keys, kv_heads, DH] Vec,
//          range [batch * queries, 2] Int: the keys [lo, hi) of a query, stats [batch, queries, heads] vec2 of
//          attention_grad_rows.wgsl, info [batch, queries, heads, kv_heads, keys, scale as f32 bits]
// grid:    batch * kv_heads * ceil(keys / 32) workgroups, folded above 65535
// work:    32 keys of one kv head against tiles of 32 rows, (query, head) pairs that share it; tiles whose ranges miss
//          the keys are passed over. p = exp(s - lse), dv += p * grad, dk += p * (dot(grad, v) - delta) * scale * q.
//          A lane has 4 keys x 4 rows of a tile, and 4 keys x every eighth Vec of dk and dv
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
@group(0) @binding(4) var<storage, read_write> grad: array<Vec>; // [batch, queries, heads, DH]
@group(0) @binding(5) var<storage, read_write> stats: array<vec2<f32>>; // [batch, queries, heads]
@group(0) @binding(6) var<storage, read_write> dk: array<Vec>; // [batch, keys, kv_heads, DH]
@group(0) @binding(7) var<storage, read_write> dv: array<Vec>; // [batch, keys, kv_heads, DH]
@group(0) @binding(8) var<storage, read> info: array<u32>;

const PASSES: u32 = (DH + 7u) / 8u;

var<workgroup> weights: array<vec4<f32>, 256>; // [32 keys, 8 fours of rows]
var<workgroup> gradients: array<vec4<f32>, 256>; // of the scores, [32 keys, 8 fours of rows]
var<workgroup> ranges: array<vec2<u32>, 32>;
var<workgroup> starts: array<u32, 32>; // of the rows in q; rows past the end repeat the last one
var<workgroup> logs: array<f32, 32>;
var<workgroup> deltas: array<f32, 32>;
var<workgroup> used: u32;

// Which of four rows see the key.
fn seen(first: u32, key: u32) -> vec4<bool> {
    let lows = vec4<u32>(ranges[first].x, ranges[first + 1u].x, ranges[first + 2u].x, ranges[first + 3u].x);
    let highs = vec4<u32>(ranges[first].y, ranges[first + 1u].y, ranges[first + 2u].y, ranges[first + 3u].y);
    return (vec4<u32>(key) >= lows) & (vec4<u32>(key) < highs);
}

// Weight and score gradient of one key for four rows.
fn store(at: u32, first: u32, key: u32, s: vec4<f32>, dp: vec4<f32>) {
    let scale = bitcast<f32>(info[5]);
    let log_sums = vec4<f32>(logs[first], logs[first + 1u], logs[first + 2u], logs[first + 3u]);
    let delta = vec4<f32>(deltas[first], deltas[first + 1u], deltas[first + 2u], deltas[first + 3u]);
    let all = exp(clamp(s * scale - log_sums, vec4<f32>(-80.0), vec4<f32>()));
    let p = select(vec4<f32>(), all, seen(first, key));
    weights[at] = p;
    gradients[at] = p * (dp - delta) * scale;
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
    let keys = info[4];
    let shared_by = heads / kv_heads;
    let rows = queries * shared_by;
    let tiles = (keys + 31u) / 32u;
    let index = group.x + group.y * groups.x;
    let kv_head = index / tiles % kv_heads;
    let batch = index / tiles / kv_heads;
    if batch >= info[0] {
        return;
    }
    let first_key = index % tiles * 32u;

    let n0 = lane / 8u * 4u; // this lane's four keys of the tile
    let part = lane % 8u; // its four rows of a tile, its columns of dk and dv
    let step = kv_heads * DH;
    let base = batch * keys * step + kv_head * DH;
    let key = first_key + n0;
    // Keys past the end repeat the last one and are never stored.
    let at = base + min(vec4<u32>(key) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(keys - 1u)) * step;
    var dks: array<Vec, PASSES * 4u>; // [passes, 4 keys]
    var dvs: array<Vec, PASSES * 4u>;

    for (var first = 0u; first < rows; first += 32u) {
        if lane < 32u {
            let row = min(first + lane, rows - 1u);
            let query = batch * queries + row / shared_by;
            let place = query * heads + kv_head * shared_by + row % shared_by;
            starts[lane] = place * DH;
            logs[lane] = stats[place].x;
            deltas[lane] = stats[place].y;
            var both = vec2<u32>();
            if first + lane < rows {
                let ends = vec2<i32>(i32(range[2u * query]), i32(range[2u * query + 1u]));
                both = vec2<u32>(clamp(ends, vec2<i32>(), vec2<i32>(i32(keys))));
            }
            ranges[lane] = both;
        }
        workgroupBarrier();
        if lane == 0u {
            var any = 0u;
            for (var r = 0u; r < 32u; r++) {
                let keys_of = ranges[r];
                if max(keys_of.x, first_key) < min(keys_of.y, first_key + 32u) {
                    any = 1u;
                }
            }
            used = any;
        }
        if workgroupUniformLoad(&used) == 1u {
            let r0 = 4u * part;
            let q0 = starts[r0];
            let q1 = starts[r0 + 1u];
            let q2 = starts[r0 + 2u];
            let q3 = starts[r0 + 3u];
            var s0 = vec4<f32>();
            var s1 = vec4<f32>();
            var s2 = vec4<f32>();
            var s3 = vec4<f32>();
            var g0 = vec4<f32>();
            var g1 = vec4<f32>();
            var g2 = vec4<f32>();
            var g3 = vec4<f32>();
            for (var d = 0u; d < DH; d++) {
                let four = mat4x4<f32>(vec4<f32>(q[q0 + d]), vec4<f32>(q[q1 + d]), vec4<f32>(q[q2 + d]), vec4<f32>(q[q3 + d]));
                s0 += ONES * vec4<f32>(k[at.x + d]) * four;
                s1 += ONES * vec4<f32>(k[at.y + d]) * four;
                s2 += ONES * vec4<f32>(k[at.z + d]) * four;
                s3 += ONES * vec4<f32>(k[at.w + d]) * four;
                let grads = mat4x4<f32>(vec4<f32>(grad[q0 + d]), vec4<f32>(grad[q1 + d]), vec4<f32>(grad[q2 + d]), vec4<f32>(grad[q3 + d]));
                g0 += ONES * vec4<f32>(v[at.x + d]) * grads;
                g1 += ONES * vec4<f32>(v[at.y + d]) * grads;
                g2 += ONES * vec4<f32>(v[at.z + d]) * grads;
                g3 += ONES * vec4<f32>(v[at.w + d]) * grads;
            }
            let place = n0 * 8u + part;
            store(place, r0, key, s0, g0);
            store(place + 8u, r0, key + 1u, s1, g1);
            store(place + 16u, r0, key + 2u, s2, g2);
            store(place + 24u, r0, key + 3u, s3, g3);
            workgroupBarrier();
            let fours = (min(rows - first, 32u) + 3u) / 4u;
            for (var run = 0u; run < PASSES; run++) {
                let c = min(run * 8u + part, DH - 1u);
                var a0 = dks[4u * run];
                var a1 = dks[4u * run + 1u];
                var a2 = dks[4u * run + 2u];
                var a3 = dks[4u * run + 3u];
                var b0 = dvs[4u * run];
                var b1 = dvs[4u * run + 1u];
                var b2 = dvs[4u * run + 2u];
                var b3 = dvs[4u * run + 3u];
                for (var j = 0u; j < fours; j++) {
                    let i0 = starts[4u * j] + c;
                    let i1 = starts[4u * j + 1u] + c;
                    let i2 = starts[4u * j + 2u] + c;
                    let i3 = starts[4u * j + 3u] + c;
                    let cell = n0 * 8u + j;
                    let x0 = q[i0];
                    let x1 = q[i1];
                    let x2 = q[i2];
                    let x3 = q[i3];
                    a0 = weigh(gradients[cell], x0, x1, x2, x3, a0);
                    a1 = weigh(gradients[cell + 8u], x0, x1, x2, x3, a1);
                    a2 = weigh(gradients[cell + 16u], x0, x1, x2, x3, a2);
                    a3 = weigh(gradients[cell + 24u], x0, x1, x2, x3, a3);
                    let y0 = grad[i0];
                    let y1 = grad[i1];
                    let y2 = grad[i2];
                    let y3 = grad[i3];
                    b0 = weigh(weights[cell], y0, y1, y2, y3, b0);
                    b1 = weigh(weights[cell + 8u], y0, y1, y2, y3, b1);
                    b2 = weigh(weights[cell + 16u], y0, y1, y2, y3, b2);
                    b3 = weigh(weights[cell + 24u], y0, y1, y2, y3, b3);
                }
                dks[4u * run] = a0;
                dks[4u * run + 1u] = a1;
                dks[4u * run + 2u] = a2;
                dks[4u * run + 3u] = a3;
                dvs[4u * run] = b0;
                dvs[4u * run + 1u] = b1;
                dvs[4u * run + 2u] = b2;
                dvs[4u * run + 3u] = b3;
            }
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < 4u; i++) {
        if key + i < keys {
            for (var run = 0u; run < PASSES; run++) {
                let c = run * 8u + part;
                if c < DH {
                    dk[base + (key + i) * step + c] = dks[4u * run + i];
                    dv[base + (key + i) * step + c] = dvs[4u * run + i];
                }
            }
        }
    }
}
