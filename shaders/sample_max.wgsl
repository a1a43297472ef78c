// The best token of each part of a row: first of three kernels that choose tokens.
//
//   maxima[row, chunk] = (1 if a logit is NaN or +inf, key of the best score, its lowest id,
//                         key of the best logit for the log-probability)
//   score = logit, times the penalty or its reciprocal where seen; none where forbidden
//
// source: HF `RepetitionPenaltyLogitsProcessor`, `torch.argmax` with the lowest index of a tie
// twin: crates/glmv-sampling/src/choose.rs
// grid: rows * chunks workgroups, folded
// A workgroup reduces 2048 entries. Scores are compared as integers, so the order of comparison does
// not matter. domain: rows of logits * vocab < 2^32

const WG: u32 = 64u; // param

@group(0) @binding(0) var<storage, read_write> logits: array<u32>; // [rows of logits, vocab], bits of f32
@group(0) @binding(1) var<storage, read_write> rules: array<u32>; // [rows, 16], then masks
@group(0) @binding(2) var<storage, read_write> maxima: array<vec4<u32>>; // [rows, chunks]
@group(0) @binding(3) var<storage, read> info: array<u32>; // [rows, vocab, chunks]

var<workgroup> tops: array<vec4<u32>, WG>;

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
    let changes = changes_of(row, vocab);
    let first = group % chunks * CHUNK;
    let end = min(first + CHUNK, vocab);
    var top = vec4<u32>(0u, 0u, NONE, 0u);
    for (var id = first + lane; id < end; id += WG) {
        let s = scored(changes, id);
        top = better(top, vec4<u32>(s.x, s.y, id, s.z));
    }
    tops[lane] = top;
    workgroupBarrier();
    for (var half = WG / 2u; half > 0u; half /= 2u) {
        if lane < half {
            tops[lane] = better(tops[lane], tops[lane + half]);
        }
        workgroupBarrier();
    }
    if lane == 0u {
        maxima[group] = tops[0];
    }
}
