// Rotation of every token, once for all layers: cos and sin of each frequency at the position along its axis.
//
//   out[t, k] = cos, out[t, half + k] = sin of table[pos[axis[k], t]]
//
// source:  HF `Glm4vTextRotaryEmbedding`, `apply_multimodal_rotary_pos_emb` (the choice of sections)
// buffers: table [positions, 2*half] f32 (cos | sin), pos [axes, tokens] Int, axis [half] Int, out [tokens, 2*half],
//          info [tokens, half, positions]
// grid:    ceil(tokens * half / WG) workgroups, folded above 65535
// domain:  positions in [0, positions) and axis in [0, axes): both are clamped, as a memory guard only
// twin:    crates/glmv-kernels/src/rope.rs

alias Int = i32; // param
const WG: u32 = 64u; // param

@group(0) @binding(0) var<storage, read_write> table: array<f32>;
@group(0) @binding(1) var<storage, read_write> pos: array<Int>;
@group(0) @binding(2) var<storage, read_write> axis: array<Int>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<storage, read> info: array<u32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tokens = info[0];
    let half_dims = info[1];
    let i = (group.x + group.y * groups.x) * WG + lane;
    if i >= tokens * half_dims {
        return;
    }
    let token = i / half_dims;
    let k = i % half_dims;
    let axis_row = min(u32(axis[k]), arrayLength(&pos) / tokens - 1u);
    let entry = min(u32(pos[axis_row * tokens + token]), info[2] - 1u) * 2u * half_dims + k;
    out[token * 2u * half_dims + k] = table[entry];
    out[token * 2u * half_dims + half_dims + k] = table[entry + half_dims];
}
