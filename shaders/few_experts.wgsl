// Products of few rows with the weights of the experts they are sent to: gate and up with SwiGLU, or down.
//
//   out[s, i] = silu(w[e, i] . row(s)) * (w[e, n + i] . row(s)) if SWIGLU, else w[e, i] . row(s),  e the expert of slot s
//   row(s) = norm(x[s / row_div])
//
// source:  HF `Glm4vMoeTextMoE`, `Glm4vMoeTextMLP` (gate_proj and up_proj stacked, down_proj)
// buffers: x [slots / row_div, k] vec4, gamma [k] vec4 (any if NORM is false), w [experts, n or 2n, chunks],
//          scales [experts, n or 2n, words] (any for plain weights), order [slots] Int and tiles [max_tiles, 3] Int of
//          moe_plan_few if PLANNED; else order is ids [slots] and tiles is any; out [slots, n],
//          info [max_tiles, n, k in vec4, chunks of a weight row, eps as bits, slots, row_div, base, experts]
// grid:    max_tiles * ceil(n / columns) workgroups, folded; columns = 4 * GROUPS, half of it for SwiGLU
// work:    parts/few_rows.wgsl, for a tile of up to M slots of one expert; not PLANNED: tile t is slot t, M is 1.
//          Slots of experts outside [base, base + experts) are left unwritten
// domain:  as few_linear
// twin:    crates/glmv-kernels/src/moe.rs

alias Int = i32; // param
const SWIGLU: bool = false; // param
const PLANNED: bool = true; // param

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> gamma: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> w: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> scales: array<u32>;
@group(0) @binding(4) var<storage, read_write> order: array<Int>;
@group(0) @binding(5) var<storage, read_write> tiles: array<Int>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;
@group(0) @binding(7) var<storage, read> info: array<u32>;

const WIDTH: u32 = select(4u, 2u, SWIGLU); // outputs per group of lanes

fn gamma_at(i: u32) -> vec4<f32> {
    return gamma[i];
}

fn k4() -> u32 {
    return info[2];
}

fn chunks() -> u32 {
    return info[3];
}

// Slot of place m in the tile that starts at `first` of `order`.
fn slot_of(first: u32, m: u32) -> u32 {
    if PLANNED {
        return u32(order[min(first + m, info[5] - 1u)]);
    }
    return first;
}

fn store(slot: u32, column: u32, value: f32) {
    let n = info[1];
    if column < n {
        out[slot * n + column] = value;
    }
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = info[1];
    if n == 0u || info[5] == 0u || info[0] == 0u {
        return;
    }
    let index = group.x + group.y * groups.x;
    let columns = (n + GROUPS * WIDTH - 1u) / (GROUPS * WIDTH);
    let tile = index / columns;
    let column = index % columns * (GROUPS * WIDTH);
    if tile >= info[0] {
        return;
    }
    // Of the tile: first place in `order`, number of slots, expert.
    var head = vec3<u32>(tile, 1u, 0u);
    if PLANNED {
        head = vec3<u32>(u32(tiles[3u * tile]), u32(tiles[3u * tile + 1u]), u32(tiles[3u * tile + 2u]));
    } else {
        head.z = u32(order[tile]) - info[7]; // wraps for an id below base
    }
    let expert = head.z;
    let live = head.y > 0u && expert < info[8]; // the same for the whole workgroup
    var xs: array<u32, 8>;
    for (var m = 0u; m < 8u; m++) {
        // Places past the tile's end repeat its first row, whose sum is then not stored again.
        xs[m] = slot_of(head.x, select(0u, m, m < head.y)) / info[6] * k4();
    }
    let row = column + lane / LANES * WIDTH;
    let last = vec4<u32>(n - 1u);
    var weight_rows = min(vec4<u32>(row) + vec4<u32>(0u, 1u, 2u, 3u), last) + vec4<u32>(expert * n);
    if SWIGLU {
        weight_rows = min(vec4<u32>(row) + vec4<u32>(0u, 1u, 0u, 1u), last) + vec4<u32>(0u, 0u, n, n) + vec4<u32>(2u * expert * n);
    }
    var sums: array<vec4<f32>, 8>;
    var norms: array<f32, 8>;
    if live {
        products(lane, weight_rows, &xs, &sums, &norms);
    }
    share(lane, &sums, &norms);
    workgroupBarrier();

    for (var o = lane; o < M * GROUPS; o += WG) {
        let m = o / GROUPS;
        let g = o % GROUPS;
        if live && m < head.y {
            let y = total(m, g, bitcast<f32>(info[4]));
            let slot = slot_of(head.x, m);
            let at = column + g * WIDTH;
            if SWIGLU {
                let act = silu(y.xy) * y.zw;
                store(slot, at, act.x);
                store(slot, at + 1u, act.y);
            } else {
                store(slot, at, y.x);
                store(slot, at + 1u, y.y);
                store(slot, at + 2u, y.z);
                store(slot, at + 3u, y.w);
            }
        }
    }
}
