// Linear layer for many rows on GPUs with cooperative matrices: out = x * weight^T + bias, weights f32, f16 or 8-bit or
// 4-bit codes.
//
// source:  torch.nn.functional.linear; the split of a f32 into two f16 is that of Markidis et al. (arXiv 1803.04014)
// buffers: as bound; scales may be any buffer for float weights, bias any when HAS_BIAS is false
// layout:  as in linear_tile.wgsl
// grid:    ceil(rows / 64) * ceil(n / 64) workgroups, folded above 65535, row tiles fastest
// work:    four subgroups make 64 rows x 64 columns, each 2 x 2 matrices of 16 x 16. A number v passes through shared memory
//          as two f16: v = high + low / 2048, so that the products of high with high and of high with low, summed in f32,
//          keep about 22 bits; f16 weights have no low part. x is divided by 16 there: it may exceed the range of f16
// domain:  k divisible by 4; Word and Four vec4 of the float, or u32 and vec4<u32>; PARTS 2 for 4-bit codes, else 1; subgroups of
//          WG / 4 lanes, always; only where the adapter reports 16 x 16 x 16 matrices of f16 with f32 sums
// twin:    crates/glmv-kernels/src/linear.rs

enable f16;
enable wgpu_cooperative_matrix;

alias Word = vec4<f16>; // param
alias Four = vec4<f16>; // param
const KIND: u32 = 1u; // param
const PARTS: u32 = 1u; // param
const HAS_BIAS: bool = true; // param
const WG: u32 = 128u; // param

const i = 0u; // index < 2
const j = 0u; // index < 2

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>; // [rows, k / 4]
@group(0) @binding(1) var<storage, read_write> weight: array<Word>; // [n, words]
@group(0) @binding(2) var<storage, read_write> scales: array<u32>; // [n, scale words]
@group(0) @binding(3) var<storage, read_write> bias: array<f32>; // [n]
@group(0) @binding(4) var<storage, read_write> out: array<f32>; // [rows, n]
@group(0) @binding(5) var<storage, read> info: array<u32>; // [rows, n, k / 4, words, scale words]

// Values of KIND.
const F32: u32 = 0u;
const F16: u32 = 1u;
const Q8: u32 = 2u;
const Q4: u32 = 3u;

const CODES: bool = KIND == Q8 || KIND == Q4;
const DEPTH: u32 = 4u; // vec4 of k in shared memory at a time: one matrix
const STRIDE: u32 = 24u; // f16 of a row there: a multiple of 16 bytes, neighbouring rows on different banks
const LOW: f32 = 2048.0;
const DOWN: f32 = 0.0625; // of x

var<workgroup> x_high: array<f16, 64u * STRIDE>; // [rows, STRIDE]
var<workgroup> x_low: array<f16, 64u * STRIDE>;
var<workgroup> weight_high: array<f16, 64u * STRIDE>; // [columns, STRIDE]
var<workgroup> weight_low: array<f16, 64u * STRIDE>;
var<workgroup> block: array<f32, 4u * 256u>; // [subgroups, 16 x 16]

// Four of k of one row of weights: group `k`, scaled.
fn weight_at(row: u32, k: u32) -> vec4<f32> {
    let word = weight[row * info[3] + k / PARTS];
    if !CODES {
        return vec4<f32>(Four(word));
    }
    let q = vec4<u32>(Four(word)).x >> (16u * (k % PARTS));
    let scale = unpack2x16float(scales[row * info[4] + k / 16u])[k / 8u % 2u];
    if KIND == Q8 {
        return vec4<f32>(vec4<i32>(vec4<u32>(q) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u)) * scale;
    }
    return vec4<f32>(vec4<i32>((vec4<u32>(q) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u)) - vec4<i32>(8)) * scale;
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) place: u32,
) {
    let rows = info[0];
    let n = info[1];
    let k_end = info[2];
    let row_tiles = max((rows + 63u) / 64u, 1u);
    let index = group.x + group.y * groups.x;
    let first_row = index % row_tiles * 64u;
    let first_column = index / row_tiles * 64u;
    // Not `||`, whose result is not uniform to naga.
    if (rows == 0u) | (first_column >= n) {
        return;
    }

    let row = subgroup / 2u * 32u; // of this subgroup's matrices in the tile
    let column = subgroup % 2u * 32u;
    var high_i_j = coop_mat16x16<f32, C>(); // each i j
    var low_i_j = coop_mat16x16<f32, C>(); // each i j
    for (var k0 = 0u; k0 < k_end; k0 += DEPTH) {
        // Rows and columns past the end repeat the last one and their sums are never stored.
        workgroupBarrier();
        for (var t = lane; t < 64u * DEPTH; t += WG) {
            let k = k0 + t % DEPTH;
            let to = t / DEPTH * STRIDE + t % DEPTH * 4u;
            let v = select(vec4<f32>(), x[min(first_row + t / DEPTH, rows - 1u) * k_end + min(k, k_end - 1u)] * DOWN, k < k_end);
            let w = select(vec4<f32>(), weight_at(min(first_column + t / DEPTH, n - 1u), min(k, k_end - 1u)), k < k_end);
            for (var c = 0u; c < 4u; c++) {
                let v_high = f16(v[c]);
                x_high[to + c] = v_high;
                x_low[to + c] = f16((v[c] - f32(v_high)) * LOW);
                let w_high = f16(w[c]);
                weight_high[to + c] = w_high;
                weight_low[to + c] = f16((w[c] - f32(w_high)) * LOW);
            }
        }
        workgroupBarrier();
        let a_i = coopLoadT<coop_mat16x16<f16, A>>(&x_high[(row + 16u * i) * STRIDE], STRIDE); // each i
        let c_i = coopLoadT<coop_mat16x16<f16, A>>(&x_low[(row + 16u * i) * STRIDE], STRIDE); // each i
        let b_j = coopLoad<coop_mat16x16<f16, B>>(&weight_high[(column + 16u * j) * STRIDE], STRIDE); // each j
        high_i_j = coopMultiplyAdd(a_i, b_j, high_i_j); // each i j
        low_i_j = coopMultiplyAdd(c_i, b_j, low_i_j); // each i j
        if KIND != F16 {
            let d_j = coopLoad<coop_mat16x16<f16, B>>(&weight_low[(column + 16u * j) * STRIDE], STRIDE); // each j
            low_i_j = coopMultiplyAdd(a_i, d_j, low_i_j); // each i j
        }
    }

    { // each i j
        let sums = high_i_j + low_i_j * (1.0 / LOW);
        workgroupBarrier();
        coopStoreT(sums, &block[subgroup * 256u], 16u);
        workgroupBarrier();
        for (var t = place; t < 256u; t += WG / 4u) {
            let at_row = first_row + row + 16u * i + t / 16u;
            let at = first_column + column + 16u * j + t % 16u;
            if at_row < rows && at < n {
                let plus = select(0.0, bias[select(0u, at, HAS_BIAS)], HAS_BIAS);
                out[at_row * n + at] = block[subgroup * 256u + t] / DOWN + plus;
            }
        }
    }
}
