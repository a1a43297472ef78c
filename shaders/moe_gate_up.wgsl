// Grouped gate and up projection with SwiGLU for many slots.
//
//   act[s, i] = silu(w[e, i, :] . x[s / top_k, :]) * (w[e, inter + i, :] . x[s / top_k, :])
//   e = e(s), s: slots listed in `sorted`
//
// source: HF `Glm4vMoeTextMoE.moe` / `Glm4vMoeTextMLP` (GLM-V), gate_proj and up_proj stacked
// twin: crates/glmv-kernels/src/moe.rs
// grid: max_tiles * ceil(inter / (4 * WG / KL)) workgroups, folded, tile fastest
// A workgroup makes 4 * WG / KL values for one tile (TM sorted slots of one expert, from moe_tiles
// with the same TM). An invocation keeps TM rows x (4 gate + 4 up) columns in registers over every
// KL-th step of k; the KL partial sums meet in shared memory once at the end. KL = 1 is for the
// CPU, KL = 4 or 8 lets adjacent lanes of a GPU read adjacent weights.
// Rows of act whose slot is not in `sorted` are left unwritten.
// domain: TM in 1, 2, 4, 8; KL divides WG; hidden = vecs * components of Vec; element counts < 2^32

alias Int = i32; // param
alias Vec = vec4<f32>; // param
alias Weight = vec4<f32>; // param
const ONES: vec4<f32> = vec4<f32>(1.0, 1.0, 1.0, 1.0); // param
const TM: u32 = 8u; // param
const KL: u32 = 1u; // param
const WG: u32 = 32u; // param

@group(0) @binding(0) var<storage, read_write> x: array<Vec>; // [tokens, vecs]
@group(0) @binding(1) var<storage, read_write> w: array<Weight>; // [experts, 2 * inter, vecs]
@group(0) @binding(2) var<storage, read_write> sorted: array<Int>; // [slots]
@group(0) @binding(3) var<storage, read_write> offsets: array<Int>; // [experts + 1]
@group(0) @binding(4) var<storage, read_write> tiles: array<Int>; // [max_tiles, 2]: expert or -1, first sorted row
@group(0) @binding(5) var<storage, read_write> act: array<f32>; // [slots, inter]
@group(0) @binding(6) var<storage, read> info: array<u32>; // [max_tiles, inter, vecs, top_k]

const UNUSED: u32 = 0xffffffffu; // tile beyond the last

// [row][half][lane]: four columns each; half 0 is gate, 1 is up
var<workgroup> partial: array<vec4<f32>, select(1u, 2u * TM * WG, KL > 1u)>;

// First element of the input row of a sorted row.
fn input_row(row: u32) -> u32 {
    return u32(sorted[row]) / info[3] * info[2];
}

fn weight(index: u32) -> vec4<f32> {
    return vec4<f32>(Vec(w[index]));
}

// Adds, for four columns, the products of one Vec of k. Scalar sets multiply by (x, 0, 0, 0).
fn mac(acc: vec4<f32>, x: Vec, c0: vec4<f32>, c1: vec4<f32>, c2: vec4<f32>, c3: vec4<f32>) -> vec4<f32> {
    let v = vec4<f32>(x) * ONES;
    return fma(c3, vec4<f32>(v.w), fma(c2, vec4<f32>(v.z), fma(c1, vec4<f32>(v.y), fma(c0, vec4<f32>(v.x), acc))));
}

// Sum over the lanes that share the columns of `lane`.
fn total(part: u32, lane: u32) -> vec4<f32> {
    let first = part * WG + lane / KL * KL;
    var sum = partial[first];
    for (var i = 1u; i < KL; i++) {
        sum += partial[first + i];
    }
    return sum;
}

fn store(slot: u32, column: u32, value: vec4<f32>) {
    let columns = info[1];
    for (var i = 0u; i < 4u; i++) {
        if column + i < columns {
            act[slot * columns + column + i] = value[i];
        }
    }
}

fn silu(v: vec4<f32>) -> vec4<f32> {
    let z = exp(-abs(v)); // cannot overflow
    return v * select(z, vec4<f32>(1.0), v > vec4<f32>(0.0)) / (1.0 + z);
}

// KL = 1: the sums are complete. Otherwise they wait for those of the other lanes.
fn finish(row: u32, end: u32, first: u32, column: u32, lane: u32, gate: vec4<f32>, up: vec4<f32>) {
    if KL > 1u {
        partial[2u * row * WG + lane] = gate;
        partial[(2u * row + 1u) * WG + lane] = up;
    } else if first + row < end {
        store(u32(sorted[first + row]), column, silu(gate) * up);
    }
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = wg.x + wg.y * grid.x;
    let inter = info[1];
    let vecs = info[2];
    let tile = index % info[0];
    let column = (index / info[0] * (WG / KL) + lane / KL) * 4u;
    var end = 0u; // of the expert's sorted rows
    var first = 0u;
    var g0 = vec4<f32>(0.0);
    var g1 = vec4<f32>(0.0);
    var g2 = vec4<f32>(0.0);
    var g3 = vec4<f32>(0.0);
    var g4 = vec4<f32>(0.0);
    var g5 = vec4<f32>(0.0);
    var g6 = vec4<f32>(0.0);
    var g7 = vec4<f32>(0.0);
    var u0 = vec4<f32>(0.0);
    var u1 = vec4<f32>(0.0);
    var u2 = vec4<f32>(0.0);
    var u3 = vec4<f32>(0.0);
    var u4 = vec4<f32>(0.0);
    var u5 = vec4<f32>(0.0);
    var u6 = vec4<f32>(0.0);
    var u7 = vec4<f32>(0.0);

    let expert = tiles[2u * tile];
    if u32(expert) != UNUSED && column < inter {
        first = u32(tiles[2u * tile + 1u]);
        end = u32(offsets[u32(expert) + 1u]);
        let final_row = end - 1u;
        let x0 = input_row(first);
        let x1 = input_row(min(first + 1u, final_row));
        let x2 = input_row(min(first + 2u, final_row));
        let x3 = input_row(min(first + 3u, final_row));
        let x4 = input_row(min(first + 4u, final_row));
        let x5 = input_row(min(first + 5u, final_row));
        let x6 = input_row(min(first + 6u, final_row));
        let x7 = input_row(min(first + 7u, final_row));
        let last = inter - 1u;
        let up = inter * vecs;
        let base = u32(expert) * 2u * up;
        let r0 = base + column * vecs;
        let r1 = base + min(column + 1u, last) * vecs;
        let r2 = base + min(column + 2u, last) * vecs;
        let r3 = base + min(column + 3u, last) * vecs;
        for (var k = lane % KL; k < vecs; k += KL) {
            let gw0 = weight(r0 + k);
            let gw1 = weight(r1 + k);
            let gw2 = weight(r2 + k);
            let gw3 = weight(r3 + k);
            let uw0 = weight(r0 + up + k);
            let uw1 = weight(r1 + up + k);
            let uw2 = weight(r2 + up + k);
            let uw3 = weight(r3 + up + k);
            let gx = vec4<f32>(gw0.x, gw1.x, gw2.x, gw3.x);
            let gy = vec4<f32>(gw0.y, gw1.y, gw2.y, gw3.y);
            let gz = vec4<f32>(gw0.z, gw1.z, gw2.z, gw3.z);
            let gw = vec4<f32>(gw0.w, gw1.w, gw2.w, gw3.w);
            let ux = vec4<f32>(uw0.x, uw1.x, uw2.x, uw3.x);
            let uy = vec4<f32>(uw0.y, uw1.y, uw2.y, uw3.y);
            let uz = vec4<f32>(uw0.z, uw1.z, uw2.z, uw3.z);
            let uw = vec4<f32>(uw0.w, uw1.w, uw2.w, uw3.w);
            let v0 = x[x0 + k];
            g0 = mac(g0, v0, gx, gy, gz, gw);
            u0 = mac(u0, v0, ux, uy, uz, uw);
            if TM > 1u {
                let v1 = x[x1 + k];
                g1 = mac(g1, v1, gx, gy, gz, gw);
                u1 = mac(u1, v1, ux, uy, uz, uw);
            }
            if TM > 2u {
                let v2 = x[x2 + k];
                let v3 = x[x3 + k];
                g2 = mac(g2, v2, gx, gy, gz, gw);
                u2 = mac(u2, v2, ux, uy, uz, uw);
                g3 = mac(g3, v3, gx, gy, gz, gw);
                u3 = mac(u3, v3, ux, uy, uz, uw);
            }
            if TM > 4u {
                let v4 = x[x4 + k];
                let v5 = x[x5 + k];
                let v6 = x[x6 + k];
                let v7 = x[x7 + k];
                g4 = mac(g4, v4, gx, gy, gz, gw);
                u4 = mac(u4, v4, ux, uy, uz, uw);
                g5 = mac(g5, v5, gx, gy, gz, gw);
                u5 = mac(u5, v5, ux, uy, uz, uw);
                g6 = mac(g6, v6, gx, gy, gz, gw);
                u6 = mac(u6, v6, ux, uy, uz, uw);
                g7 = mac(g7, v7, gx, gy, gz, gw);
                u7 = mac(u7, v7, ux, uy, uz, uw);
            }
        }
    }
    finish(0u, end, first, column, lane, g0, u0);
    if TM > 1u {
        finish(1u, end, first, column, lane, g1, u1);
    }
    if TM > 2u {
        finish(2u, end, first, column, lane, g2, u2);
        finish(3u, end, first, column, lane, g3, u3);
    }
    if TM > 4u {
        finish(4u, end, first, column, lane, g4, u4);
        finish(5u, end, first, column, lane, g5, u5);
        finish(6u, end, first, column, lane, g6, u6);
        finish(7u, end, first, column, lane, g7, u7);
    }

    if KL > 1u {
        workgroupBarrier();
        for (var row = lane % KL; row < TM && first + row < end; row += KL) {
            let gate = total(2u * row, lane);
            let up = total(2u * row + 1u, lane);
            store(u32(sorted[first + row]), column, silu(gate) * up);
        }
    }
}
