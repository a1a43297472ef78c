// Grouped product with transposed weights on adapters with subgroups of exactly eight lanes (lavapipe): every slot's
// row times its own expert's matrix.
//
//   PAIRED = false: y[s, n] = w[e, n, :] . a[s / row_div, :]                        (down projection, pre-activations)
//   PAIRED = true:  y[s, n] = silu(w[e, n, :] . a[s / row_div, :]) * (w[e, columns + n, :] . a[s / row_div, :])
//   e = e(s), s: slots listed in `sorted`                                          (gate and up projection with SwiGLU)
//
// source: HF `Glm4vMoeTextMoE.moe` / `Glm4vMoeTextMLP` (GLM-V), all experts in one launch
// twin: crates/glmv-kernels/src/moe.rs
// grid: max_tiles * ceil(columns / (16 * PAIRS), or / (8 * PAIRS) if PAIRED) workgroups, folded, tile fastest
// One subgroup multiplies one tile (GROUPS * HELD sorted slots of one expert, from moe_tiles with TM = GROUPS * HELD)
// by 16 * PAIRS rows of the matrix. A lane owns every eighth of them; a is loaded lane = slot and spread by shuffles.
// A sum runs over k in ascending order in every variant: a slot's result does not depend on the others.
// Rows of y whose slot is not in `sorted` are left unwritten.
// domain: subgroups of eight; HELD at most 8, and 8 if GROUPS > 1; k = vecs * components of Vec; element counts < 2^32

alias Int = i32; // param
alias Vec = vec4<f32>; // param
alias Weight = vec4<f32>; // param
const ONES: vec4<f32> = vec4<f32>(1.0, 1.0, 1.0, 1.0); // param
const PAIRED: bool = false; // param
const GROUPS: u32 = 1u; // param
const HELD: u32 = 8u; // param
const PAIRS: u32 = 4u; // param
const WG: u32 = 8u; // param

const g = 0u; // index < GROUPS
const i = 0u; // index < HELD
const j = 0u; // index < PAIRS

@group(0) @binding(0) var<storage, read_write> a: array<Vec>; // [slots / row_div, vecs]
@group(0) @binding(1) var<storage, read_write> w: array<Weight>; // [experts, columns (twice if PAIRED), vecs]
@group(0) @binding(2) var<storage, read_write> sorted: array<Int>; // [slots]
@group(0) @binding(3) var<storage, read_write> offsets: array<Int>; // [experts + 1]
@group(0) @binding(4) var<storage, read_write> tiles: array<Int>; // [max_tiles, 2]: expert or -1, first sorted row
@group(0) @binding(5) var<storage, read_write> y: array<f32>; // [slots, columns]
@group(0) @binding(6) var<storage, read> info: array<u32>; // [max_tiles, columns, vecs, row_div]

const UNUSED: u32 = 0xffffffffu; // tile beyond the last

// sum + a . b, x first
fn dot4(a: vec4<f32>, b: vec4<f32>, sum: f32) -> f32 {
    return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}

fn silu(v: f32) -> f32 {
    let z = exp(-abs(v)); // cannot overflow
    return v * select(z, 1.0, v > 0.0) / (1.0 + z);
}

// Two sums of one slot: gate and up of a column, or two columns.
fn store(slot: u32, column: u32, left: f32, right: f32) {
    let columns = info[1];
    let at = slot * columns + column;
    if PAIRED {
        if column < columns {
            y[at] = silu(left) * right;
        }
    } else {
        if column < columns {
            y[at] = left;
        }
        if column + 8u * PAIRS < columns {
            y[at + 8u * PAIRS] = right;
        }
    }
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let index = group.x + group.y * groups.x;
    let columns = info[1];
    let vecs = info[2];
    let tile = index % info[0];
    let first_column = index / info[0] * select(16u * PAIRS, 8u * PAIRS, PAIRED);
    let expert = u32(tiles[2u * tile]);
    if expert == UNUSED || first_column >= columns {
        return;
    }

    // Slots and columns past the end repeat the last one and their sums are never stored.
    let first = u32(tiles[2u * tile + 1u]);
    let end = u32(offsets[expert + 1u]);
    let column = first_column + lane;
    let slot_g = u32(sorted[min(first + g * 8u + min(lane, HELD - 1u), end - 1u)]); // each g
    let x_g = slot_g / info[3] * vecs; // each g
    let matrix = expert * columns * select(1u, 2u, PAIRED);
    let beside = select(8u * PAIRS, columns, PAIRED); // from the left column to the right one
    let last = matrix + columns * select(1u, 2u, PAIRED) - 1u;
    let l_j = (matrix + min(column + j * 8u, columns - 1u)) * vecs; // each j
    let r_j = min(matrix + min(column + j * 8u, columns - 1u) + beside, last) * vecs; // each j
    var left_g_i_j = 0.0; // each g i j
    var right_g_i_j = 0.0; // each g i j
    for (var k = 0u; k < vecs; k++) {
        let b_j = vec4<f32>(Vec(w[l_j + k])); // each j
        let c_j = vec4<f32>(Vec(w[r_j + k])); // each j
        { // each g
            let own = ONES * vec4<f32>(a[x_g + k]);
            { // each i
                let v = subgroupShuffle(own, i);
                left_g_i_j = dot4(v, b_j, left_g_i_j); // each j
                right_g_i_j = dot4(v, c_j, right_g_i_j); // each j
            }
        }
    }
    { // each g i
        let slot = subgroupShuffle(slot_g, i);
        if first + g * 8u + i < end {
            store(slot, column + j * 8u, left_g_i_j, right_g_i_j); // each j
        }
    }
}
