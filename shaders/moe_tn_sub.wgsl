// Grouped product of two sets of rows (backward) on adapters whose subgroups have eight lanes (CPU devices): the
// gradient of every expert's matrix.
//
//   dw[e, n, k] = sum over slots s of expert e, in sorted order,
//                 scale[s] * a[s / a_div, n] * b[s / b_div, k];  scale[s] = weights[s] if SCALED, else 1
//
// Experts without slots get zeros.
//
// source: derivative of `Glm4vMoeTextMLP` (HF GLM-V) with respect to its weights
// twin: crates/glmv-kernels/src/moe.rs
// grid: experts * ceil(n_vecs / 8) * ceil(k_vecs / 16) workgroups, folded, k fastest
// One subgroup makes 32 x 64 numbers of one expert's matrix; see matmul_tn_sub.wgsl. The order of the sum is fixed: the
// same result on every run. SCALED = false: weights may be any buffer.
// domain: k and n divisible by 4; element counts < 2^32

alias Int = i32; // param
const SCALED: bool = false; // param
const WG: u32 = 8u; // param

const i = 0u; // index < 8
const c = 0u; // index < 4
const h = 0u; // index < 2

@group(0) @binding(0) var<storage, read_write> a: array<vec4<f32>>; // [slots / a_div, n_vecs]
@group(0) @binding(1) var<storage, read_write> b: array<vec4<f32>>; // [slots / b_div, k_vecs]
@group(0) @binding(2) var<storage, read_write> sorted: array<Int>; // [slots]
@group(0) @binding(3) var<storage, read_write> offsets: array<Int>; // [experts + 1]
@group(0) @binding(4) var<storage, read_write> weights: array<f32>; // [slots]
@group(0) @binding(5) var<storage, read_write> dw: array<vec4<f32>>; // [experts, n, k_vecs]
@group(0) @binding(6) var<storage, read> info: array<u32>; // [experts, n_vecs, k_vecs, a_div, b_div]

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let n = info[1];
    let k = info[2];
    let n_blocks = (n + 7u) / 8u;
    let k_blocks = (k + 15u) / 16u;
    let index = group.x + group.y * groups.x;
    let first_column = index % k_blocks * 16u;
    let first_row = index / k_blocks % n_blocks * 8u; // in vec4
    let expert = index / k_blocks / n_blocks;
    if expert >= info[0] {
        return;
    }

    // Rows and columns past the end repeat the last one and their sums are never stored.
    let row = min(first_row + lane, n - 1u);
    let column_h = min(first_column + h * 8u + lane, k - 1u); // each h
    var sum_i_c_h = vec4<f32>(); // each i c h
    let end = u32(offsets[expert + 1u]);
    for (var s = u32(offsets[expert]); s < end; s++) {
        let slot = u32(sorted[s]);
        var own = a[slot / info[3] * n + row];
        if SCALED {
            own *= weights[slot];
        }
        let b_h = b[slot / info[4] * k + column_h]; // each h
        { // each i
            let v = subgroupShuffle(own, i);
            sum_i_c_h = fma(vec4<f32>(v[c]), b_h, sum_i_c_h); // each c h
        }
    }
    { // each i
        if first_row + i < n {
            { // each c h
                if first_column + h * 8u + lane < k {
                    dw[(expert * 4u * n + 4u * (first_row + i) + c) * k + column_h] = sum_i_c_h;
                }
            }
        }
    }
}
