// Rotary position embedding of the first 2*half lanes of each head; the rest is copied.
// y1 = a*cos - b*sin, y2 = b*cos + a*sin with (a, b) = lanes (2k, 2k+1) if interleaved, else (k, k+half).
//
// source:  HF `apply_multimodal_rotary_pos_emb` (glm4v: interleaved; glm4v_moe: half-split) and
//          `apply_rotary_pos_emb_vision` (half-split); frequency k takes its position from row axis[k] of pos
// buffers: x [tokens, heads, d] f32, table [positions, 2*half] f32 (cos | sin), pos [axes, tokens] Int,
//          axis [half] Int, out [tokens, heads, d] f32,
//          info [tokens, heads, d, half, interleaved 0|1, inverse 0|1, positions]
// grid:    ceil(tokens * ceil(heads / PER_LANE) * (d - half) / WG) workgroups, folded above 65535
// work:    one lane per pair and per copied value, for PER_LANE heads of a token
// domain:  2*half <= d; positions in [0, positions) and axis in [0, axes): both are clamped, as a memory guard only
// inverse: negates sin, which is the backward pass
// twin:    crates/glmv-kernels/src/rope.rs

alias Int = i32; // param
const WG: u32 = 64u; // param
const PER_LANE: u32 = 4u; // param

@group(0) @binding(0) var<storage, read_write> x: array<f32>; // [tokens, heads, d]
@group(0) @binding(1) var<storage, read_write> table: array<f32>; // [positions, 2*half]
@group(0) @binding(2) var<storage, read_write> pos: array<Int>; // [axes, tokens]
@group(0) @binding(3) var<storage, read_write> axis: array<Int>; // [half]
@group(0) @binding(4) var<storage, read_write> out: array<f32>; // [tokens, heads, d]
@group(0) @binding(5) var<storage, read> info: array<u32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tokens = info[0];
    let heads = info[1];
    let d = info[2];
    let half_dims = info[3];
    let work = d - half_dims;
    let runs = (heads + PER_LANE - 1u) / PER_LANE;
    let i = (group.x + group.y * groups.x) * WG + lane;
    if i >= tokens * runs * work {
        return;
    }
    let run = i / work;
    let k = i - run * work;
    let token = run / runs;
    let first = (run - token * runs) * PER_LANE;
    let end = (token * heads + min(first + PER_LANE, heads)) * d;
    let start = (token * heads + first) * d;
    if k >= half_dims {
        for (var at = start + half_dims + k; at < end; at += d) {
            out[at] = x[at];
        }
        return;
    }
    let axis_row = min(u32(axis[k]), arrayLength(&pos) / tokens - 1u);
    let position = min(u32(pos[axis_row * tokens + token]), info[6] - 1u);
    let entry = position * 2u * half_dims + k;
    let c = table[entry];
    let s = select(table[entry + half_dims], -table[entry + half_dims], info[5] == 1u);
    let interleaved = info[4] == 1u;
    let partner = select(half_dims, 1u, interleaved);
    for (var at = start + select(k, 2u * k, interleaved); at < end; at += d) {
        let a = x[at];
        let b = x[at + partner];
        out[at] = a * c - b * s;
        out[at + partner] = b * c + a * s;
    }
}
