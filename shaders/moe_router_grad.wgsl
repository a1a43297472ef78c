// Backward of the router's weights for the logits: with s = sigmoid(logits), w_j = scale * s_j [/ S, S = sum of the
// chosen s + 1e-20], ds_j = scale * g_j, or scale * (g_j - sum_k g_k s_k / S) / S; dlogits = ds * s * (1 - s).
//
// source: derivative of HF `Glm4vMoeTextTopkRouter.forward`; the choice and the bias have no gradient
// twin: crates/glmv-kernels/src/moe.rs
// grid: ceil(tokens * experts / WG) workgroups, folded
// buffers: logits and dlogits [tokens, experts] f32, ids [tokens, slots] Int, grad [tokens, slots] f32,
//          info [tokens, experts, top_k, slots, norm (0 or 1), scale as f32 bits]
// work: one logit per lane, zero unless its expert is among the first top_k ids
// domain: tokens * experts < 2^32

alias Int = i32; // param
const WG: u32 = 64u; // param

@group(0) @binding(0) var<storage, read_write> logits: array<f32>; // [tokens, experts]
@group(0) @binding(1) var<storage, read_write> ids: array<Int>; // [tokens, slots]
@group(0) @binding(2) var<storage, read_write> grad: array<f32>; // [tokens, slots]
@group(0) @binding(3) var<storage, read_write> dlogits: array<f32>; // [tokens, experts]
@group(0) @binding(4) var<storage, read> info: array<u32>;

fn sigmoid(x: f32) -> f32 {
    let z = exp(max(-abs(x), -80.0)); // cannot overflow
    return select(z, 1.0, x > 0.0) / (1.0 + z);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let experts = info[1];
    let index = (group.x + group.y * groups.x) * WG + lane;
    if index >= info[0] * experts {
        return;
    }
    let token = index / experts;
    let expert = index % experts;
    var mine = 0.0;
    var chosen = false;
    var sum = 0.0;
    var weighted = 0.0;
    for (var slot = token * info[3]; slot < token * info[3] + info[2]; slot++) {
        let id = u32(ids[slot]);
        let s = sigmoid(logits[token * experts + min(id, experts - 1u)]);
        sum += s;
        weighted = fma(grad[slot], s, weighted);
        if id == expert {
            mine = grad[slot];
            chosen = true;
        }
    }
    if info[4] == 1u {
        sum += 1.0e-20;
        mine = (mine - weighted / sum) / sum;
    }
    let s = sigmoid(logits[index]);
    dlogits[index] = select(0.0, mine * bitcast<f32>(info[5]) * s * (1.0 - s), chosen);
}
