// One step of AdamW on a run of values, in place.
//
//   g = clip * grad;  mean = beta1 * mean + (1 - beta1) * g;  square = beta2 * square + (1 - beta2) * g * g
//   value = keep * value - rate * mean / (sqrt(square) * root + eps)
//
// where rate and root carry the bias corrections and keep the decoupled decay.
//
// source:  Loshchilov and Hutter, arXiv 1711.05101; `torch.optim.AdamW`
// buffers: value [n], grad [n], mean [n], square [n], all f32, info [n, 8 floats as bits]
// grid:    ceil(n / (WG * PER_LANE)) workgroups, folded above 65535
// work:    PER_LANE values per lane, WG apart
// twin:    crates/glmv-kernels/src/adamw.rs

const WG: u32 = 64u; // param
const PER_LANE: u32 = 8u; // param

@group(0) @binding(0) var<storage, read_write> value: array<f32>; // [n]
@group(0) @binding(1) var<storage, read_write> grad: array<f32>; // [n]
@group(0) @binding(2) var<storage, read_write> mean: array<f32>; // [n]
@group(0) @binding(3) var<storage, read_write> square: array<f32>; // [n]
@group(0) @binding(4) var<storage, read> info: array<u32>;

fn setting(i: u32) -> f32 {
    return bitcast<f32>(info[1u + i]);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = info[0];
    let clip = setting(0u);
    let beta1 = setting(1u);
    let beta2 = setting(2u);
    let eps = setting(3u);
    let rate = setting(4u);
    let root = setting(5u);
    let keep = setting(6u);
    let first = (group.x + group.y * groups.x) * (WG * PER_LANE) + lane;
    for (var j = 0u; j < PER_LANE; j++) {
        let i = first + j * WG;
        if i < n {
            let g = clip * grad[i];
            let m = beta1 * mean[i] + (1.0 - beta1) * g;
            let s = beta2 * square[i] + (1.0 - beta2) * g * g;
            mean[i] = m;
            square[i] = s;
            value[i] = keep * value[i] - rate * m / (sqrt(s) * root + eps);
        }
    }
}
