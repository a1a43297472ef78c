// Adds one piece of the vocabulary to what is known of each row's scores: the log of the sum of their exponentials,
// the target's score and the entropy of their softmax.
//
// source:  streaming log-sum-exp (Milakov & Gimelshein, arXiv 1805.02867)
// buffers: scores [rows, columns] f32 before the temperature, mask [vocabulary] f32 (MASKED; nonzero: forbidden; else
//          any), targets [rows] Int: columns of the vocabulary, state [rows, 3] f32: log-sum-exp, target, entropy,
//          info [rows, columns, first column in the vocabulary, first target, 1 / temperature as f32 bits,
//          0 for the first piece]
// grid:    rows workgroups, folded above 65535
// work:    a workgroup takes one row: the largest score, then the sums, then lane 0 merges
// domain:  finite scores. A target outside of the piece adds 0; a row of forbidden columns has -3e38
// twin:    crates/glmv-kernels/src/logprobs.rs

alias Int = i32; // param
const MASKED: bool = false; // param
const WG: u32 = 64u; // param

@group(0) @binding(0) var<storage, read_write> scores: array<f32>; // [rows, columns]
@group(0) @binding(1) var<storage, read_write> mask: array<f32>; // [vocabulary]
@group(0) @binding(2) var<storage, read_write> targets: array<Int>; // [rows]
@group(0) @binding(3) var<storage, read_write> state: array<f32>; // [rows, 3]
@group(0) @binding(4) var<storage, read> info: array<u32>;

const NONE: f32 = -3.0e38;

var<workgroup> tops: array<f32, WG>;
var<workgroup> sums: array<vec3<f32>, WG>; // exponentials, weighted distances to the top, target

fn score(row: u32, column: u32) -> f32 {
    let s = scores[row * info[1] + column] * bitcast<f32>(info[4]);
    if MASKED {
        return select(s, NONE, mask[info[2] + column] != 0.0);
    }
    return s;
}

// exp(s - top), 0 for what is forbidden
fn weight(s: f32, top: f32) -> f32 {
    return select(0.0, exp(clamp(s - top, -80.0, 0.0)), s > 0.5 * NONE);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let columns = info[1];
    let row = group.x + group.y * groups.x;
    // A row past the end reads and writes nothing, but still reaches the barriers.
    let end = select(0u, columns, row < info[0]);
    var top = NONE;
    for (var c = lane; c < end; c += WG) {
        top = max(top, score(row, c));
    }
    tops[lane] = top;
    workgroupBarrier();
    for (var i = 0u; i < WG; i++) {
        top = max(top, tops[i]);
    }
    var target_column = 0xffffffffu;
    if row < info[0] {
        target_column = u32(targets[row]) - info[3]; // wraps for a target below
    }
    var sum = vec3<f32>();
    for (var c = lane; c < end; c += WG) {
        let s = score(row, c);
        let p = weight(s, top);
        sum += vec3<f32>(p, p * select(0.0, top - s, p > 0.0), select(0.0, s, c == target_column));
    }
    sums[lane] = sum;
    workgroupBarrier();
    if lane > 0u || row >= info[0] {
        return;
    }
    for (var i = 1u; i < WG; i++) {
        sum += sums[i];
    }
    var result = vec3<f32>(NONE, sum.z, 0.0);
    if sum.x > 0.0 {
        result = vec3<f32>(top + log(sum.x), sum.z, sum.y / sum.x + log(sum.x));
    }
    if info[5] != 0u {
        let before = vec3<f32>(state[3u * row], state[3u * row + 1u], state[3u * row + 2u]);
        let largest = max(before.x, result.x);
        let old = weight(before.x, largest);
        let added = weight(result.x, largest);
        let all = old + added;
        result.y += before.y;
        if all > 0.0 {
            let together = largest + log(all);
            // A side without any score has weight 0, and no distance.
            let first = select(0.0, together - before.x, old > 0.0);
            let second = select(0.0, together - result.x, added > 0.0);
            result.z = (old * (before.z + first) + added * (result.z + second)) / all;
            result.x = together;
        }
    }
    state[3u * row] = result.x;
    state[3u * row + 1u] = result.y;
    state[3u * row + 2u] = result.z;
}
