// Keys and values of new tokens into their rows of the cache, in place: keys[slots[t]] = k[t], values[slots[t]] = v[t].
//
// source:  paged KV cache (Kwon et al., arXiv 2309.06180); one dispatch for keys and values
// buffers: k and v [tokens, width] Vec, slots [tokens] Int, keys and values [rows, width] KvElem,
//          info [tokens, width in Vec, rows]; width = kv_heads * head_dim
// grid:    ceil(tokens * width in Vec / WG) workgroups, folded above 65535
// work:    one lane per Vec of k and v. A slot outside of the cache (-1, say) is skipped
// domain:  width divisible by 4, or the scalar set (Vec = f32, KvElem = f32 or f16); no slot twice
// twin:    crates/glmv-kernels/src/kv.rs

alias Vec = vec4<f32>; // param
alias KvElem = vec4<f32>; // param
alias Int = i32; // param
const WG: u32 = 64u; // param

@group(0) @binding(0) var<storage, read_write> k: array<Vec>; // [tokens, width]
@group(0) @binding(1) var<storage, read_write> v: array<Vec>; // [tokens, width]
@group(0) @binding(2) var<storage, read_write> slots: array<Int>; // [tokens]
@group(0) @binding(3) var<storage, read_write> keys: array<KvElem>; // [rows, width]
@group(0) @binding(4) var<storage, read_write> values: array<KvElem>; // [rows, width]
@group(0) @binding(5) var<storage, read> info: array<u32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let width = info[1];
    let i = (group.x + group.y * groups.x) * WG + lane;
    if i >= info[0] * width {
        return;
    }
    let slot = u32(slots[i / width]); // a negative one becomes large
    if slot < info[2] {
        let at = slot * width + i % width;
        keys[at] = KvElem(k[i]);
        values[at] = KvElem(v[i]);
    }
}
