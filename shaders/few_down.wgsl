// Down projection of one token's experts, weighted, summed and added to the residual stream.
//
//   out[t, h] = residual[t, h] + sum_j weights[t, j] * (w[e_j, h] . act[t * slots + j]),  e_j = ids[t, j] - base
//   over the j whose expert lies in [base, base + experts)
//
// source:  HF `Glm4vMoeTextMoE` (GLM-V): down_proj, weighting, index_add and the decoder layer's residual in one
// buffers: x: act [tokens * slots, k] vec4, w [experts, hidden, chunks], scales [experts, hidden, words] (any for plain
//          weights), ids [tokens, slots] Int, weights [tokens, slots], residual [tokens, hidden], out [tokens, hidden],
//          info [tokens, slots, k in vec4, chunks of a weight row, hidden, base, experts]
// grid:    tokens * ceil(hidden / (4 * GROUPS)) workgroups, folded
// work:    parts/few_rows.wgsl with M 1 for each expert in turn; the lanes' shares are weighted before they meet
// domain:  as few_linear
// twin:    crates/glmv-kernels/src/moe.rs

alias Int = i32; // param

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> w: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> scales: array<u32>;
@group(0) @binding(3) var<storage, read_write> ids: array<Int>;
@group(0) @binding(4) var<storage, read_write> weights: array<f32>;
@group(0) @binding(5) var<storage, read_write> residual: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;
@group(0) @binding(7) var<storage, read> info: array<u32>;

fn gamma_at(i: u32) -> vec4<f32> {
    return vec4<f32>(1.0);
}

fn k4() -> u32 {
    return info[2];
}

fn chunks() -> u32 {
    return info[3];
}

fn store(token: u32, row: u32, value: f32) {
    if row < info[4] {
        out[token * info[4] + row] = residual[token * info[4] + row] + value;
    }
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let hidden = info[4];
    if hidden == 0u {
        return;
    }
    let tiles = (hidden + 4u * GROUPS - 1u) / (4u * GROUPS);
    let index = group.x + group.y * groups.x;
    let token = index / tiles;
    let first = index % tiles * (4u * GROUPS);
    if token >= info[0] {
        return;
    }
    let row = min(vec4<u32>(first + lane / LANES * 4u) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(hidden - 1u));
    var all = vec4<f32>(0.0);
    for (var j = 0u; j < info[1]; j++) {
        let slot = token * info[1] + j;
        let expert = u32(ids[slot]) - info[5]; // wraps for an id below base
        if expert < info[6] {
            var xs: array<u32, 8>;
            xs[0] = slot * k4();
            var sums: array<vec4<f32>, 8>;
            var norms: array<f32, 8>;
            products(lane, row + vec4<u32>(expert * hidden), &xs, &sums, &norms);
            all = fma(vec4<f32>(weights[slot]), sums[0], all);
        }
    }
    partial[lane] = all;
    workgroupBarrier();

    for (var g = lane; g < GROUPS; g += WG) {
        let y = total(0u, g, 0.0);
        let at = first + 4u * g;
        store(token, at, y.x);
        store(token, at + 1u, y.y);
        store(token, at + 2u, y.z);
        store(token, at + 3u, y.w);
    }
}
