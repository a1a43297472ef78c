// Choice of experts: sigmoid scores, biased selection inside the best groups, unbiased weights.
//
//   s = sigmoid(logits), c = s + bias
//   group score = sum of the two largest c of the group; the topk_group best groups stay
//   ids = the top_k largest c among them, descending, ties to the lower index
//   weights = s[ids] / (sum(s[ids]) + 1e-20 if norm) * scale
//   then the shared experts: ids = experts, experts + 1, .. with weight 1
//
// source: HF `Glm4vMoeTextTopkRouter.forward` (GLM-V, GLM-4.5V); order of the chosen is ours
// twin: crates/glmv-kernels/src/moe.rs
// grid: tokens workgroups, folded (token = x + y * num_workgroups.x)
// A workgroup routes one token. Scores become ordered integer keys in shared memory. A lane owns
// four experts and counts the keys ahead of each of them: that rank is the place in `ids`.
// Integer keys are totally ordered, so every place is written once even for NaN logits.
// domain: experts <= 1024, top_k + shared <= 32, top_k <= (topk_group * experts / n_group), n_group divides
// experts, 1 <= topk_group <= n_group, WG >= 32

alias Int = i32; // param
const WG: u32 = 32u; // param

const MAX_EXPERTS: u32 = 1024u;
const MAX_TOP_K: u32 = 32u;

@group(0) @binding(0) var<storage, read_write> logits: array<f32>; // [tokens, experts]
@group(0) @binding(1) var<storage, read_write> bias: array<f32>; // [experts]
@group(0) @binding(2) var<storage, read_write> ids: array<Int>; // [tokens, top_k + shared]
@group(0) @binding(3) var<storage, read_write> weights: array<f32>; // [tokens, top_k + shared]
// [tokens, experts, top_k, n_group, topk_group, norm (0 or 1), scale (f32 bits), shared]
@group(0) @binding(4) var<storage, read> info: array<u32>;

var<workgroup> keys: array<vec4<u32>, MAX_EXPERTS / 4u>; // four experts each
var<workgroup> group_keys: array<u32, MAX_EXPERTS>;
var<workgroup> chosen: array<u32, MAX_TOP_K>;
var<workgroup> scores: array<f32, MAX_TOP_K>;

fn sigmoid(x: f32) -> f32 {
    let z = exp(-abs(x)); // cannot overflow
    return select(z, 1.0, x > 0.0) / (1.0 + z);
}

// Unsigned integers in the order of the floats; 0 and 1 are kept for "no expert" and "masked".
fn to_key(c: f32) -> u32 {
    let bits = bitcast<u32>(c);
    return max(bits ^ select(0x80000000u, 0xffffffffu, (bits >> 31u) == 1u), 2u);
}

fn from_key(key: u32) -> f32 {
    return bitcast<f32>(key ^ select(0xffffffffu, 0x80000000u, (key >> 31u) == 1u));
}

fn expert_key(token: u32, e: u32, experts: u32) -> u32 {
    if e >= experts {
        return 0u;
    }
    return to_key(sigmoid(logits[token * experts + e]) + bias[e]);
}

// One where `other` stands ahead of a key whose limit is given: `key` itself for a later
// expert, `key - 1` for an earlier one, which also wins ties.
fn ahead(other: u32, limit: vec4<u32>) -> vec4<u32> {
    return select(vec4<u32>(0u), vec4<u32>(1u), vec4<u32>(other) > limit);
}

fn ahead4(others: vec4<u32>, limit: vec4<u32>) -> vec4<u32> {
    return (ahead(others.x, limit) + ahead(others.y, limit)) + (ahead(others.z, limit) + ahead(others.w, limit));
}

fn score_group(group: u32, size: u32) {
    var best = 0u;
    var second = 0u;
    for (var e = group * size; e < (group + 1u) * size; e++) {
        let key = keys[e / 4u][e % 4u];
        second = max(second, min(best, key));
        best = max(best, key);
    }
    var score = from_key(best);
    if size > 1u {
        score += from_key(second);
    }
    group_keys[group] = to_key(score);
}

fn group_is_kept(group: u32, n_group: u32, topk_group: u32) -> bool {
    let mine = group_keys[group];
    var rank = 0u;
    for (var g = 0u; g < n_group; g++) {
        let other = group_keys[g];
        rank += select(0u, 1u, other > mine || (other == mine && g < group));
    }
    return rank < topk_group;
}

fn place(rank: u32, e: u32, experts: u32, top_k: u32) {
    if e < experts && rank < top_k {
        chosen[rank] = e;
    }
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let experts = info[1];
    let top_k = info[2];
    let slots = top_k + info[7];
    let n_group = info[3];
    let token = wg.x + wg.y * grid.x;
    if token >= info[0] {
        return;
    }
    let quads = (experts + 3u) / 4u;
    for (var q = lane; q < quads; q += WG) {
        let e = q * 4u;
        keys[q] = vec4<u32>(
            expert_key(token, e, experts),
            expert_key(token, e + 1u, experts),
            expert_key(token, e + 2u, experts),
            expert_key(token, e + 3u, experts),
        );
    }
    workgroupBarrier();

    if n_group > 1u {
        let size = experts / n_group;
        for (var g = lane; g < n_group; g += WG) {
            score_group(g, size);
        }
        workgroupBarrier();
        for (var q = lane; q < quads; q += WG) {
            for (var i = 0u; i < 4u; i++) {
                let e = q * 4u + i;
                if e < experts && !group_is_kept(e / size, n_group, info[4]) {
                    keys[q][i] = 1u;
                }
            }
        }
        workgroupBarrier();
    }

    for (var q = lane; q < quads; q += WG) {
        let mine = keys[q];
        let below = mine - vec4<u32>(1u);
        var rank = vec4<u32>(0u);
        for (var j = 0u; j < q; j++) {
            rank += ahead4(keys[j], below);
        }
        for (var j = q + 1u; j < quads; j++) {
            rank += ahead4(keys[j], mine);
        }
        rank += ahead(mine.x, mine - vec4<u32>(0u, 1u, 1u, 1u));
        rank += ahead(mine.y, mine - vec4<u32>(0u, 0u, 1u, 1u));
        rank += ahead(mine.z, mine - vec4<u32>(0u, 0u, 0u, 1u));
        rank += ahead(mine.w, mine);
        place(rank.x, q * 4u, experts, top_k);
        place(rank.y, q * 4u + 1u, experts, top_k);
        place(rank.z, q * 4u + 2u, experts, top_k);
        place(rank.w, q * 4u + 3u, experts, top_k);
    }
    workgroupBarrier();

    if lane < top_k {
        scores[lane] = sigmoid(logits[token * experts + chosen[lane]]);
    }
    workgroupBarrier();

    if lane < top_k {
        var weight = scores[lane];
        if info[5] != 0u {
            var sum = 0.0;
            for (var j = 0u; j < top_k; j++) {
                sum += scores[j];
            }
            weight /= sum + 1e-20;
        }
        ids[token * slots + lane] = Int(chosen[lane]);
        weights[token * slots + lane] = weight * bitcast<f32>(info[6]);
    } else if lane < slots {
        ids[token * slots + lane] = Int(experts + lane - top_k);
        weights[token * slots + lane] = 1.0;
    }
}
