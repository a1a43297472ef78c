// Sums of integer probabilities of each part of a row: second of three kernels that choose tokens.
//
//   sums[row, chunk] = (sum of weights of the logits for the log-probability,
//                       sum of weights of the scores, for a draw), 64 bits each as (high, low)
//
// source: softmax over the vocabulary, relative to the row's maximum; HF `TemperatureLogitsWarper`
// twin: crates/glmv-sampling/src/weight.rs
// grid: rows * chunks workgroups, folded
// A workgroup sums 2048 entries. Integers, so the order of summation does not matter.
// domain: as sample_max, vocab <= 2^19

const WG: u32 = 64u; // param

@group(0) @binding(0) var<storage, read_write> logits: array<u32>; // [rows of logits, vocab], bits of f32
@group(0) @binding(1) var<storage, read_write> rules: array<u32>; // [rows, 16], then masks
@group(0) @binding(2) var<storage, read_write> maxima: array<vec4<u32>>; // [rows, chunks]
@group(0) @binding(3) var<storage, read_write> sums: array<vec4<u32>>; // [rows, chunks]
@group(0) @binding(4) var<storage, read> info: array<u32>; // [rows, vocab, chunks]

var<workgroup> pool: array<vec4<u32>, WG>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let vocab = info[1];
    let chunks = info[2];
    let group = wg.x + wg.y * grid.x;
    let row = group / chunks;
    if row >= info[0] {
        return;
    }
    // The row's best.
    var top = vec4<u32>(0u, 0u, NONE, 0u);
    for (var chunk = lane; chunk < chunks; chunk += WG) {
        top = better(top, maxima[row * chunks + chunk]);
    }
    pool[lane] = top;
    workgroupBarrier();
    for (var half = WG / 2u; half > 0u; half /= 2u) {
        if lane < half {
            pool[lane] = better(pool[lane], pool[lane + half]);
        }
        workgroupBarrier();
    }
    top = pool[0];
    workgroupBarrier();

    let changes = changes_of(row, vocab);
    let draws = rule(row, AT_MODE) == DRAW;
    let scale = bitcast<f32>(rule(row, AT_SCALE));
    let plain_scale = bitcast<f32>(rule(row, AT_PLAIN));
    let same = top.y == top.w && scale == plain_scale;
    let best = from_key(top.y);
    let plain_best = from_key(top.w);
    let first = group % chunks * CHUNK;
    let end = min(first + CHUNK, vocab);
    var sum = vec2<u32>(0u);
    var plain_sum = vec2<u32>(0u);
    for (var id = first + lane; id < end; id += WG) {
        let s = scored(changes, id);
        var w = vec2<u32>(0u);
        if s.z != 0u {
            w = weight(plain_best - from_key(s.z), plain_scale);
            plain_sum = add64(plain_sum, w);
        }
        if draws && s.y != 0u {
            if !same || s.y != s.z {
                w = weight(best - from_key(s.y), scale);
            }
            sum = add64(sum, w);
        }
    }
    pool[lane] = vec4<u32>(plain_sum, sum);
    workgroupBarrier();
    for (var half = WG / 2u; half > 0u; half /= 2u) {
        if lane < half {
            let other = pool[lane + half];
            let mine = pool[lane];
            pool[lane] = vec4<u32>(add64(mine.xy, other.xy), add64(mine.zw, other.zw));
        }
        workgroupBarrier();
    }
    if lane == 0u {
        sums[group] = pool[0];
    }
}
