// Visual features into the text: out[t] = feats[src[t]] where src[t] >= 0, else embeds[t].
//
// source:  HF `Glm4vModel.forward` (inputs_embeds.masked_scatter(image_mask, image_embeds))
// buffers: embeds [tokens, d] Vec, feats [n, d] Vec, src [tokens] Int, out [tokens, d] Vec,
//          info [tokens, d in Vec, n]
// grid:    ceil(tokens * d in Vec / WG) workgroups, folded above 65535
// work:    one lane per output Vec
// domain:  d divisible by 4, or Vec = f32; src in [-1, n): a row past n keeps the text, as a memory guard only
// twin:    crates/glmv-kernels/src/gather.rs

alias Vec = vec4<f32>; // param
alias Int = i32; // param
const WG: u32 = 64u; // param

@group(0) @binding(0) var<storage, read_write> embeds: array<Vec>; // [tokens, d]
@group(0) @binding(1) var<storage, read_write> feats: array<Vec>; // [n, d]
@group(0) @binding(2) var<storage, read_write> src: array<Int>; // [tokens]
@group(0) @binding(3) var<storage, read_write> out: array<Vec>; // [tokens, d]
@group(0) @binding(4) var<storage, read> info: array<u32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let d = info[1];
    let i = (group.x + group.y * groups.x) * WG + lane;
    if i >= info[0] * d {
        return;
    }
    // -1 becomes 2^32 - 1, which is never below n.
    let row = u32(src[i / d]);
    if row < info[2] {
        out[i] = feats[row * d + i % d];
    } else {
        out[i] = embeds[i];
    }
}
