// Linear layer for few rows with what stands around it: RMSNorm before it, a bias or the residual stream or SwiGLU
// behind it.
//
//   y = norm(x) * weight^T; out = y, y + bias, y + residual, or silu(y[:n]) * y[n:] with weight rows [2n, k]
//
// source:  torch.nn.functional.linear, HF `Glm4vRMSNorm`, `Glm4vTextMLP`
// buffers: x [rows, k] vec4, gamma [k] vec4 (any if NORM is false), w [n or 2n, chunks], scales [n or 2n, words] (any
//          for plain weights), extra: bias [n] or residual [rows, n] (any if EXTRA is 0), out [rows, n],
//          info [rows, n, k in vec4, chunks of a weight row, eps as bits]
// grid:    ceil(rows / M) * ceil(n / columns) workgroups, folded; columns = 4 * WG / LANES, half of it for SwiGLU
// work:    parts/few_rows.wgsl; then one lane per four (two) outputs adds the lanes' shares
// domain:  k divisible by 4, by 8 for f16; codes padded to blocks of 32 with the code of zero; M 1, 2, 4 or 8
// twin:    crates/glmv-kernels/src/fused.rs

const EXTRA: u32 = 0u; // param
const SWIGLU: bool = false; // param

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> gamma: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> w: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> scales: array<u32>;
@group(0) @binding(4) var<storage, read_write> extra: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
@group(0) @binding(6) var<storage, read> info: array<u32>;

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

fn store(row: u32, column: u32, value: f32) {
    let n = info[1];
    if row < info[0] && column < n {
        var y = value;
        if EXTRA == 1u {
            y += extra[column];
        }
        if EXTRA == 2u {
            y += extra[row * n + column];
        }
        out[row * n + column] = y;
    }
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = info[0];
    let n = info[1];
    if rows == 0u || n == 0u {
        return;
    }
    // Neighbours share weight rows: tiles of rows are the inner index.
    let tiles = (rows + M - 1u) / M;
    let index = group.x + group.y * groups.x;
    let row = index % tiles * M;
    let first = index / tiles * (GROUPS * WIDTH);
    if first >= n {
        return;
    }
    var xs: array<u32, 8>;
    for (var m = 0u; m < 8u; m++) {
        xs[m] = min(row + m, rows - 1u) * k4(); // repeats the last row, whose sums are then not stored
    }
    // Rows past the end repeat the last one.
    let column = first + lane / LANES * WIDTH;
    let last = vec4<u32>(n - 1u);
    var weight_rows = min(vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u), last);
    if SWIGLU {
        weight_rows = min(vec4<u32>(column) + vec4<u32>(0u, 1u, 0u, 1u), last) + vec4<u32>(0u, 0u, n, n);
    }
    var sums: array<vec4<f32>, 8>;
    var norms: array<f32, 8>;
    products(lane, weight_rows, &xs, &sums, &norms);
    share(lane, &sums, &norms);
    workgroupBarrier();

    for (var o = lane; o < M * GROUPS; o += WG) {
        let m = o / GROUPS;
        let g = o % GROUPS;
        let y = total(m, g, bitcast<f32>(info[4]));
        let at = first + g * WIDTH;
        if SWIGLU {
            let act = silu(y.xy) * y.zw;
            store(row + m, at, act.x);
            store(row + m, at + 1u, act.y);
        } else {
            store(row + m, at, y.x);
            store(row + m, at + 1u, y.y);
            store(row + m, at + 2u, y.z);
            store(row + m, at + 3u, y.w);
        }
    }
}
