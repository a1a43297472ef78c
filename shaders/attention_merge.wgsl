// Joins the parts of a split attention: out = sum over s of exp(l_s) part_s / sum over s of exp(l_s).
//
// source:  flash decoding (Dao et al. 2023); l_s = log(sum(exp(scores))) of the keys in part s
// buffers: parts [splits, rows, d + 1] Vec as attention.wgsl writes them with SPLITS > 1, out [rows, d] Vec,
//          info [rows, d in Vec, splits]; rows = batch * queries * heads
// grid:    ceil(rows * d in Vec / WG) workgroups, folded above 65535
// work:    one lane per output Vec
// domain:  d divisible by 4, or Vec = f32; a row without any key (every l_s below -1e38) gives 0
// twin:    crates/glmv-kernels/src/attention.rs

alias Vec = vec4<f32>; // param
const WG: u32 = 64u; // param

@group(0) @binding(0) var<storage, read_write> parts: array<Vec>; // [splits, rows, d + 1]
@group(0) @binding(1) var<storage, read_write> out: array<Vec>; // [rows, d]
@group(0) @binding(2) var<storage, read> info: array<u32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let d = info[1];
    let i = (group.x + group.y * groups.x) * WG + lane;
    if i >= info[0] * d {
        return;
    }
    let row = i / d * (d + 1u);
    let step = info[0] * (d + 1u);
    var top = Vec(-3.0e38);
    for (var s = 0u; s < info[2]; s++) {
        top = max(top, parts[s * step + row + d]);
    }
    var sum = Vec();
    var total = Vec();
    for (var s = 0u; s < info[2]; s++) {
        let l = parts[s * step + row + d];
        let weight = select(Vec(), select(exp(max(l - top, Vec(-80.0))), Vec(1.0), l == top), l > Vec(-1.0e38));
        sum = fma(weight, parts[s * step + row + i % d], sum);
        total += weight;
    }
    // A range in one part leaves it as it is, whatever the number of parts.
    out[i] = select(sum / max(total, Vec(1.0e-30)), sum, total == Vec(1.0));
}
