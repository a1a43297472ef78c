// Grouped product with transposed weights: every slot's row times its own expert's matrix.
//
//   y[s, n] = sum_k a[s / row_div, k] * w[e(s), n, k]      s: slots listed in `sorted`
//
// Uses: down projection (a = act, row_div = 1) and the pre-activations of gate and up for the
// backward pass (a = x, row_div = top_k, n up to 2 * inter).
//
// source: HF `Glm4vMoeTextMoE.moe` / `Glm4vMoeTextMLP.down_proj` (GLM-V), all experts in one launch
// twin: crates/glmv-kernels/src/moe.rs
// grid: max_tiles * ceil(columns / (8 * WG / KL)) workgroups, folded, tile fastest
// A workgroup multiplies one tile (TM sorted slots of one expert, from moe_tiles with the same TM)
// by 8 * WG / KL columns. An invocation keeps TM rows x 8 columns in registers over every KL-th
// step of k; the KL partial sums meet in shared memory once at the end. KL = 1 is for the CPU,
// KL = 4 or 8 lets adjacent lanes of a GPU read adjacent weights.
// Rows of y whose slot is not in `sorted` are left unwritten.
// domain: TM in 1, 2, 4, 8; KL divides WG; k = vecs * components of Vec; element counts < 2^32

alias Int = i32; // param
alias Vec = vec4<f32>; // param
alias Weight = vec4<f32>; // param
const ONES: vec4<f32> = vec4<f32>(1.0, 1.0, 1.0, 1.0); // param
const TM: u32 = 8u; // param
const KL: u32 = 1u; // param
const WG: u32 = 32u; // param

@group(0) @binding(0) var<storage, read_write> a: array<Vec>; // [slots / row_div, vecs]
@group(0) @binding(1) var<storage, read_write> w: array<Weight>; // [experts, columns, vecs]
@group(0) @binding(2) var<storage, read_write> sorted: array<Int>; // [slots]
@group(0) @binding(3) var<storage, read_write> offsets: array<Int>; // [experts + 1]
@group(0) @binding(4) var<storage, read_write> tiles: array<Int>; // [max_tiles, 2]: expert or -1, first sorted row
@group(0) @binding(5) var<storage, read_write> y: array<f32>; // [slots, columns]
@group(0) @binding(6) var<storage, read> info: array<u32>; // [max_tiles, columns, vecs, row_div]

const UNUSED: u32 = 0xffffffffu; // tile beyond the last

// [row][half][lane]: four columns each; half 0 is columns + 0, 1 is columns + 4
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
            y[slot * columns + column + i] = value[i];
        }
    }
}

// KL = 1: the sums are complete. Otherwise they wait for those of the other lanes.
fn finish(row: u32, end: u32, first: u32, column: u32, lane: u32, low: vec4<f32>, high: vec4<f32>) {
    if KL > 1u {
        partial[2u * row * WG + lane] = low;
        partial[(2u * row + 1u) * WG + lane] = high;
    } else if first + row < end {
        let slot = u32(sorted[first + row]);
        store(slot, column, low);
        store(slot, column + 4u, high);
    }
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = wg.x + wg.y * grid.x;
    let columns = info[1];
    let vecs = info[2];
    let tile = index % info[0];
    let column = (index / info[0] * (WG / KL) + lane / KL) * 8u;
    var end = 0u; // of the expert's sorted rows
    var first = 0u;
    var p0 = vec4<f32>(0.0);
    var p1 = vec4<f32>(0.0);
    var p2 = vec4<f32>(0.0);
    var p3 = vec4<f32>(0.0);
    var p4 = vec4<f32>(0.0);
    var p5 = vec4<f32>(0.0);
    var p6 = vec4<f32>(0.0);
    var p7 = vec4<f32>(0.0);
    var q0 = vec4<f32>(0.0);
    var q1 = vec4<f32>(0.0);
    var q2 = vec4<f32>(0.0);
    var q3 = vec4<f32>(0.0);
    var q4 = vec4<f32>(0.0);
    var q5 = vec4<f32>(0.0);
    var q6 = vec4<f32>(0.0);
    var q7 = vec4<f32>(0.0);

    let expert = tiles[2u * tile];
    if u32(expert) != UNUSED && column < columns {
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
        let last = columns - 1u;
        let base = u32(expert) * columns * vecs;
        let r0 = base + column * vecs;
        let r1 = base + min(column + 1u, last) * vecs;
        let r2 = base + min(column + 2u, last) * vecs;
        let r3 = base + min(column + 3u, last) * vecs;
        let r4 = base + min(column + 4u, last) * vecs;
        let r5 = base + min(column + 5u, last) * vecs;
        let r6 = base + min(column + 6u, last) * vecs;
        let r7 = base + min(column + 7u, last) * vecs;
        for (var k = lane % KL; k < vecs; k += KL) {
            let pw0 = weight(r0 + k);
            let pw1 = weight(r1 + k);
            let pw2 = weight(r2 + k);
            let pw3 = weight(r3 + k);
            let qw0 = weight(r4 + k);
            let qw1 = weight(r5 + k);
            let qw2 = weight(r6 + k);
            let qw3 = weight(r7 + k);
            let px = vec4<f32>(pw0.x, pw1.x, pw2.x, pw3.x);
            let py = vec4<f32>(pw0.y, pw1.y, pw2.y, pw3.y);
            let pz = vec4<f32>(pw0.z, pw1.z, pw2.z, pw3.z);
            let pw = vec4<f32>(pw0.w, pw1.w, pw2.w, pw3.w);
            let qx = vec4<f32>(qw0.x, qw1.x, qw2.x, qw3.x);
            let qy = vec4<f32>(qw0.y, qw1.y, qw2.y, qw3.y);
            let qz = vec4<f32>(qw0.z, qw1.z, qw2.z, qw3.z);
            let qw = vec4<f32>(qw0.w, qw1.w, qw2.w, qw3.w);
            let v0 = a[x0 + k];
            p0 = mac(p0, v0, px, py, pz, pw);
            q0 = mac(q0, v0, qx, qy, qz, qw);
            if TM > 1u {
                let v1 = a[x1 + k];
                p1 = mac(p1, v1, px, py, pz, pw);
                q1 = mac(q1, v1, qx, qy, qz, qw);
            }
            if TM > 2u {
                let v2 = a[x2 + k];
                let v3 = a[x3 + k];
                p2 = mac(p2, v2, px, py, pz, pw);
                q2 = mac(q2, v2, qx, qy, qz, qw);
                p3 = mac(p3, v3, px, py, pz, pw);
                q3 = mac(q3, v3, qx, qy, qz, qw);
            }
            if TM > 4u {
                let v4 = a[x4 + k];
                let v5 = a[x5 + k];
                let v6 = a[x6 + k];
                let v7 = a[x7 + k];
                p4 = mac(p4, v4, px, py, pz, pw);
                q4 = mac(q4, v4, qx, qy, qz, qw);
                p5 = mac(p5, v5, px, py, pz, pw);
                q5 = mac(q5, v5, qx, qy, qz, qw);
                p6 = mac(p6, v6, px, py, pz, pw);
                q6 = mac(q6, v6, qx, qy, qz, qw);
                p7 = mac(p7, v7, px, py, pz, pw);
                q7 = mac(q7, v7, qx, qy, qz, qw);
            }
        }
    }
    finish(0u, end, first, column, lane, p0, q0);
    if TM > 1u {
        finish(1u, end, first, column, lane, p1, q1);
    }
    if TM > 2u {
        finish(2u, end, first, column, lane, p2, q2);
        finish(3u, end, first, column, lane, p3, q3);
    }
    if TM > 4u {
        finish(4u, end, first, column, lane, p4, q4);
        finish(5u, end, first, column, lane, p5, q5);
        finish(6u, end, first, column, lane, p6, q6);
        finish(7u, end, first, column, lane, p7, q7);
    }

    if KL > 1u {
        workgroupBarrier();
        for (var part = lane % KL; part < 2u * TM && first + part / 2u < end; part += KL) {
            let slot = u32(sorted[first + part / 2u]);
            store(slot, column + part % 2u * 4u, total(part, lane));
        }
    }
}
