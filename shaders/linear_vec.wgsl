// Linear layer for few rows (decode): out = x * weight^T + bias.
//
// source:  torch.nn.functional.linear
// buffers: x [rows, k] Vec, weight [n, k] Weight, bias [n] f32 (any one-element buffer when HAS_BIAS is false),
//          out [rows, n] f32, info [rows, n, k in Vec]
// grid:    ceil(rows / M) * ceil(n / (4 * WG / LANES)) workgroups, folded above 65535
// work:    LANES lanes split k for 4 consecutive weight rows and M rows of x; partial sums meet in shared memory.
//          Written out: lavapipe keeps an array indexed by a loop in memory, at half the speed
// domain:  k divisible by 4, or the scalar set (Vec = f32, Weight = f32 or f16, ONES = (1,0,0,0));
//          M 1, 2, 4 or 8; LANES divides WG; WG * M * 16 bytes of workgroup memory
// twin:    crates/glmv-kernels/src/linear.rs

alias Vec = vec4<f32>; // param
alias Weight = vec4<f32>; // param
const ONES: vec4<f32> = vec4<f32>(1.0, 1.0, 1.0, 1.0); // param
const HAS_BIAS: bool = true; // param
const M: u32 = 1u; // param
const WG: u32 = 64u; // param
const LANES: u32 = 8u; // param

@group(0) @binding(0) var<storage, read_write> x: array<Vec>; // [rows, k]
@group(0) @binding(1) var<storage, read_write> weight: array<Weight>; // [n, k]
@group(0) @binding(2) var<storage, read_write> bias: array<f32>; // [n]
@group(0) @binding(3) var<storage, read_write> out: array<f32>; // [rows, n]
@group(0) @binding(4) var<storage, read> info: array<u32>;

var<workgroup> partial: array<vec4<f32>, M * WG>;

// Where a row starts; rows past the end repeat the last one and their sums are never stored.
fn start(row: u32, rows: u32) -> u32 {
    return min(row, rows - 1u) * info[2];
}

fn x_at(i: u32) -> vec4<f32> {
    return ONES * vec4<f32>(x[i]);
}

fn weight_at(i: u32) -> vec4<f32> {
    return vec4<f32>(Vec(weight[i]));
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = info[0];
    let n = info[1];
    let k_end = info[2];
    if rows == 0u || n == 0u {
        return;
    }
    let tile = 4u * (WG / LANES);
    let tiles = (n + tile - 1u) / tile;
    let index = group.x + group.y * groups.x;
    let row = index / tiles * M;
    let first_column = index % tiles * tile;
    let column = first_column + lane / LANES * 4u;

    let x0 = start(row, rows);
    let x1 = start(row + 1u, rows);
    let x2 = start(row + 2u, rows);
    let x3 = start(row + 3u, rows);
    let x4 = start(row + 4u, rows);
    let x5 = start(row + 5u, rows);
    let x6 = start(row + 6u, rows);
    let x7 = start(row + 7u, rows);
    let w0 = start(column, n);
    let w1 = start(column + 1u, n);
    let w2 = start(column + 2u, n);
    let w3 = start(column + 3u, n);
    var sums: array<vec4<f32>, 8>; // [row of x]; the first M are used
    for (var k = lane % LANES; k < k_end; k += LANES) {
        // Four weight rows as columns: a row vector times this is four dot products.
        let w = mat4x4<f32>(weight_at(w0 + k), weight_at(w1 + k), weight_at(w2 + k), weight_at(w3 + k));
        sums[0] += x_at(x0 + k) * w;
        if M > 1u {
            sums[1] += x_at(x1 + k) * w;
        }
        if M > 2u {
            sums[2] += x_at(x2 + k) * w;
            sums[3] += x_at(x3 + k) * w;
        }
        if M > 4u {
            sums[4] += x_at(x4 + k) * w;
            sums[5] += x_at(x5 + k) * w;
            sums[6] += x_at(x6 + k) * w;
            sums[7] += x_at(x7 + k) * w;
        }
    }
    partial[lane] = sums[0];
    if M > 1u {
        partial[min(1u, M - 1u) * WG + lane] = sums[1];
    }
    if M > 2u {
        partial[min(2u, M - 1u) * WG + lane] = sums[2];
        partial[min(3u, M - 1u) * WG + lane] = sums[3];
    }
    if M > 4u {
        partial[min(4u, M - 1u) * WG + lane] = sums[4];
        partial[min(5u, M - 1u) * WG + lane] = sums[5];
        partial[min(6u, M - 1u) * WG + lane] = sums[6];
        partial[min(7u, M - 1u) * WG + lane] = sums[7];
    }
    workgroupBarrier();

    // Each of the workgroup's M x tile outputs is the sum of LANES parts.
    for (var o = lane; o < M * tile; o += WG) {
        let m = o / tile;
        let c = o % tile;
        let first = m * WG + c / 4u * LANES;
        var total = 0.0;
        for (var i = 0u; i < LANES; i++) {
            total += partial[first + i][c % 4u];
        }
        let at = first_column + c;
        if row + m < rows && at < n {
            out[(row + m) * n + at] = total + select(0.0, bias[select(0u, at, HAS_BIAS)], HAS_BIAS);
        }
    }
}
