// Attention's input for few tokens in one go: RMSNorm, the q, k and v projections with bias, rotary position
// embedding of q and k, and the write of k and v into the cache.
//
// source:  HF `Glm4vTextAttention.forward` up to the attention itself; `apply_multimodal_rotary_pos_emb`
// buffers: x [tokens, k] vec4, gamma [k] vec4, w [(heads + 2 * kv_heads) * dim, chunks], scales [.., words] (any for
//          plain weights), bias [(heads + 2 * kv_heads) * dim] (any if HAS_BIAS is false), angles [tokens, 2 * half]
//          (cos | sin of this token), slots [tokens] Int (row of the cache), q [tokens, heads, dim],
//          keys and values [rows, kv_heads, dim] KvElem,
//          info [tokens, heads, kv_heads, dim, half, rows of the cache, k in vec4, chunks of a weight row, eps as bits]
// grid:    ceil(tokens / M) * ceil((heads + 2 * kv_heads) * dim / (4 * GROUPS)) workgroups, folded
// work:    parts/few_rows.wgsl; a group of lanes takes the weight rows of two rotated pairs
// domain:  as few_linear; dim and half even, so that four rows are two whole pairs of one head
// twin:    crates/glmv-kernels/src/fused.rs

alias Int = i32; // param
alias KvElem = f32; // param
const HAS_BIAS: bool = false; // param
const INTERLEAVED: bool = false; // param

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> gamma: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> w: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> scales: array<u32>;
@group(0) @binding(4) var<storage, read_write> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> angles: array<f32>;
@group(0) @binding(6) var<storage, read_write> slots: array<Int>;
@group(0) @binding(7) var<storage, read_write> q: array<f32>;
@group(0) @binding(8) var<storage, read_write> keys: array<KvElem>;
@group(0) @binding(9) var<storage, read_write> values: array<KvElem>;
@group(0) @binding(10) var<storage, read> info: array<u32>;

fn gamma_at(i: u32) -> vec4<f32> {
    return gamma[i];
}

fn k4() -> u32 {
    return info[6];
}

fn chunks() -> u32 {
    return info[7];
}

// Place inside a head of the u-th row in the order of the launch, in which partners are neighbours.
fn place(u: u32) -> u32 {
    let half = info[4];
    if INTERLEAVED || u >= 2u * half {
        return u;
    }
    return u / 2u + (u % 2u) * half;
}

fn weight_row(v: u32) -> u32 {
    let dim = info[3];
    return v / dim * dim + place(v % dim);
}

// Rows v and v + 1 in the order of the launch, of one head: rotated if they are a pair of q or k, then stored.
fn store(token: u32, v: u32, sums: vec2<f32>) {
    let heads = info[1];
    let kv_heads = info[2];
    let dim = info[3];
    let half = info[4];
    if token >= info[0] || v >= (heads + 2u * kv_heads) * dim {
        return;
    }
    let head = v / dim;
    let u = v % dim;
    let a = place(u);
    let b = place(u + 1u);
    var y = sums;
    if HAS_BIAS {
        y += vec2<f32>(bias[head * dim + a], bias[head * dim + b]);
    }
    if u < 2u * half && head < heads + kv_heads {
        let c = angles[token * 2u * half + u / 2u];
        let s = angles[token * 2u * half + half + u / 2u];
        y = vec2<f32>(y.x * c - y.y * s, y.y * c + y.x * s);
    }
    if head < heads {
        let at = (token * heads + head) * dim;
        q[at + a] = y.x;
        q[at + b] = y.y;
        return;
    }
    let slot = u32(slots[token]);
    if slot >= info[5] {
        return;
    }
    let kv_head = (head - heads) % kv_heads;
    let at = (slot * kv_heads + kv_head) * dim;
    if head < heads + kv_heads {
        keys[at + a] = KvElem(y.x);
        keys[at + b] = KvElem(y.y);
    } else {
        values[at + a] = KvElem(y.x);
        values[at + b] = KvElem(y.y);
    }
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tokens = info[0];
    let n = (info[1] + 2u * info[2]) * info[3];
    if tokens == 0u || n == 0u {
        return;
    }
    // Neighbours share weight rows: tiles of tokens are the inner index.
    let tiles = (tokens + M - 1u) / M;
    let index = group.x + group.y * groups.x;
    let token = index % tiles * M;
    let first = index / tiles * (4u * GROUPS);
    if first >= n {
        return;
    }
    var xs: array<u32, 8>;
    for (var m = 0u; m < 8u; m++) {
        xs[m] = min(token + m, tokens - 1u) * k4(); // repeats the last row, whose sums are then not stored
    }
    let row = first + lane / LANES * 4u;
    let weight_rows = vec4<u32>(
        weight_row(min(row, n - 1u)),
        weight_row(min(row + 1u, n - 1u)),
        weight_row(min(row + 2u, n - 1u)),
        weight_row(min(row + 3u, n - 1u)),
    );
    var sums: array<vec4<f32>, 8>;
    var norms: array<f32, 8>;
    products(lane, weight_rows, &xs, &sums, &norms);
    share(lane, &sums, &norms);
    workgroupBarrier();

    for (var o = lane; o < M * GROUPS; o += WG) {
        let m = o / GROUPS;
        let g = o % GROUPS;
        let y = total(m, g, bitcast<f32>(info[8]));
        store(token + m, first + 4u * g, y.xy);
        store(token + m, first + 4u * g + 2u, y.zw);
    }
}
