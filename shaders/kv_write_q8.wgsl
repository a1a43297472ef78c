// Keys and values of new tokens into an 8-bit cache, in place.
//
//   s = max|x| / 127 over a head's x;  code = clamp(floor(x * 127 / max|x| + 0.5), -127, 127) + 128, 128 for x = 0
//
// source:  per-token absmax quantisation of a paged KV cache (Kwon et al., arXiv 2309.06180)
// buffers: k and v [tokens, kv_heads, DH] vec4, slots [tokens] Int, keys and values [rows, kv_heads, DH] u32 (four
//          codes, the first in the lowest byte), scales [rows, kv_heads, 2] f32 (of the key, of the value),
//          info [tokens, kv_heads, DH, rows]; DH = head_dim / 4
// grid:    ceil(tokens * kv_heads * 2 * LANES / 64) workgroups, folded above 65535
// work:    LANES lanes share one head of a key or of a value: largest absolute value, then the codes.
//          A slot outside of the cache (-1, say) is skipped
// domain:  head_dim divisible by 4; no slot twice
// twin:    crates/glmv-kernels/src/kv.rs

alias Int = i32; // param

@group(0) @binding(0) var<storage, read_write> k: array<vec4<f32>>; // [tokens, kv_heads, DH]
@group(0) @binding(1) var<storage, read_write> v: array<vec4<f32>>; // [tokens, kv_heads, DH]
@group(0) @binding(2) var<storage, read_write> slots: array<Int>; // [tokens]
@group(0) @binding(3) var<storage, read_write> keys: array<u32>; // [rows, kv_heads, DH]
@group(0) @binding(4) var<storage, read_write> values: array<u32>; // [rows, kv_heads, DH]
@group(0) @binding(5) var<storage, read_write> scales: array<f32>; // [rows, kv_heads, 2]
@group(0) @binding(6) var<storage, read> info: array<u32>;

const LANES: u32 = 8u;

var<workgroup> largest: array<f32, 64>;

fn pack(x: vec4<f32>, inverse: f32) -> u32 {
    let codes = clamp(floor(x * inverse + 0.5), vec4<f32>(-127.0), vec4<f32>(127.0)) + 128.0;
    let bytes = vec4<u32>(codes);
    return bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let kv_heads = info[1];
    let dh = info[2];
    let index = (group.x + group.y * groups.x) * (64u / LANES) + lane / LANES;
    let is_value = index % 2u == 1u;
    let head = index / 2u; // of all tokens
    // Lanes past the end read and write nothing, but reach the barrier.
    let end = select(0u, dh, head < info[0] * kv_heads);
    var top = vec4<f32>();
    for (var d = lane % LANES; d < end; d += LANES) {
        if is_value {
            top = max(top, abs(v[head * dh + d]));
        } else {
            top = max(top, abs(k[head * dh + d]));
        }
    }
    largest[lane] = max(max(top.x, top.y), max(top.z, top.w));
    workgroupBarrier();
    var absmax = 0.0;
    for (var i = 0u; i < LANES; i++) {
        absmax = max(absmax, largest[lane - lane % LANES + i]);
    }
    if end == 0u {
        return;
    }
    let slot = u32(slots[head / kv_heads]); // a negative one becomes large
    if slot >= info[3] {
        return;
    }
    let inverse = select(0.0, 127.0 / max(absmax, 1.0e-30), absmax > 1.0e-30);
    let at = slot * kv_heads + head % kv_heads;
    for (var d = lane % LANES; d < end; d += LANES) {
        if is_value {
            values[at * dh + d] = pack(v[head * dh + d], inverse);
        } else {
            keys[at * dh + d] = pack(k[head * dh + d], inverse);
        }
    }
    if lane % LANES == 0u {
        scales[at * 2u + select(0u, 1u, is_value)] = absmax / 127.0;
    }
}
