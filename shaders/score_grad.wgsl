// Gradient of the results of score_fold.wgsl for a piece of the scores, in their place: with p = exp(s - state.x),
// (grad.x * p + grad.y * (column is the target) + grad.z * p * (state.x - s - state.z)) / temperature, 0 if forbidden.
//
// source:  derivatives of log-sum-exp, of a choice and of the entropy of a softmax
// buffers: scores [rows, columns] f32 before the temperature, then their gradient; mask, targets and state as in
//          score_fold.wgsl, grad [rows, 3] f32, info [rows, columns, first column in the vocabulary, first target,
//          1 / temperature as f32 bits]
// grid:    ceil(rows * columns / WG) workgroups, folded above 65535
// work:    one score per lane
// domain:  rows * columns below 2^32
// twin:    crates/glmv-kernels/src/logprobs.rs

alias Int = i32; // param
const MASKED: bool = false; // param
const WG: u32 = 64u; // param

@group(0) @binding(0) var<storage, read_write> scores: array<f32>; // [rows, columns]
@group(0) @binding(1) var<storage, read_write> mask: array<f32>; // [vocabulary]
@group(0) @binding(2) var<storage, read_write> targets: array<Int>; // [rows]
@group(0) @binding(3) var<storage, read_write> state: array<f32>; // [rows, 3]
@group(0) @binding(4) var<storage, read_write> grad: array<f32>; // [rows, 3]
@group(0) @binding(5) var<storage, read> info: array<u32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let columns = info[1];
    let index = (group.x + group.y * groups.x) * WG + lane;
    if index >= info[0] * columns {
        return;
    }
    let row = index / columns;
    let column = index % columns;
    let factor = bitcast<f32>(info[4]);
    let s = scores[index] * factor;
    let p = exp(clamp(s - state[3u * row], -80.0, 0.0));
    var ds = p * (grad[3u * row] + grad[3u * row + 2u] * (state[3u * row] - s - state[3u * row + 2u]));
    if column == u32(targets[row]) - info[3] {
        ds += grad[3u * row + 1u];
    }
    if MASKED {
        ds = select(ds, 0.0, mask[info[2] + column] != 0.0);
    }
    scores[index] = ds * factor;
}
