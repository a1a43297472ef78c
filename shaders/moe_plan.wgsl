// Stable counting sort of slots by expert, without atomics: the same result on every run.
//
//   offsets[e] = number of slots s with base <= ids[s] < base + e;  offsets[experts] = all of them
//   sorted = slots of expert base, then of base + 1, ..., each in ascending order of slot
//
// source: counting sort; replaces the per-expert `torch.where` of HF `Glm4vMoeTextMoE.moe`
// twin: crates/glmv-kernels/src/moe.rs
// grid: experts workgroups (x only, experts <= 65535)
// A workgroup serves one expert. A lane owns a contiguous run of ids and counts its hits and the
// ids that sort before them; after one barrier each lane knows where its hits go and writes them.
// sorted[offsets[experts] ..] is left unwritten (slots of other shards).

alias Int = i32; // param
const WG: u32 = 64u; // param

@group(0) @binding(0) var<storage, read_write> ids: array<Int>; // [slots]
@group(0) @binding(1) var<storage, read_write> offsets: array<Int>; // [experts + 1]
@group(0) @binding(2) var<storage, read_write> sorted: array<Int>; // [slots]
@group(0) @binding(3) var<storage, read> info: array<u32>; // [slots, base, experts]

var<workgroup> counts: array<vec2<u32>, WG>; // per lane: ids before this expert, hits

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let slots = info[0];
    let base = info[1];
    let expert = wg.x;
    if expert >= info[2] {
        return;
    }
    let run = (slots + WG - 1u) / WG;
    let start = min(lane * run, slots);
    let end = min(start + run, slots);
    var count = vec2<u32>(0u);
    for (var s = start; s < end; s++) {
        let id = u32(ids[s]) - base; // wraps to a large number for an id below base
        count += vec2<u32>(select(0u, 1u, id < expert), select(0u, 1u, id == expert));
    }
    counts[lane] = count;
    workgroupBarrier();

    var before = 0u; // slots of earlier experts
    var hits = 0u; // of all lanes
    var mine = 0u; // of the lanes before this one
    for (var i = 0u; i < WG; i++) {
        let other = counts[i];
        before += other.x;
        hits += other.y;
        mine += select(0u, other.y, i < lane);
    }
    if lane == 0u {
        offsets[expert] = Int(before);
        if expert + 1u == info[2] {
            offsets[expert + 1u] = Int(before + hits);
        }
    }
    if count.y > 0u {
        var at = before + mine;
        for (var s = start; s < end; s++) {
            if u32(ids[s]) - base == expert {
                sorted[at] = Int(s);
                at++;
            }
        }
    }
}
