// Slots of few tokens sorted by expert and cut into tiles of at most TM slots that share an expert.
//
//   order = slots by (expert, slot); tiles[t] = (first place in order, number of slots, expert - base), 0 slots if unused
//
// source:  MegaBlocks (arXiv 2211.15841) topology; stable, so that sums do not depend on the schedule
// buffers: ids [slots] Int, order [slots] Int, tiles [max_tiles, 3] Int,
//          info [slots, base, experts, max_tiles]
// grid:    one workgroup
// work:    each lane owns some slots and counts the slots before them; slots of experts outside
//          [base, base + experts) are left out
// domain:  slots <= 2048; max_tiles at least the number of tiles
// twin:    crates/glmv-kernels/src/moe.rs

alias Int = i32; // param
const TM: u32 = 4u; // param
const WG: u32 = 64u; // param

const MAX_SLOTS: u32 = 2048u;
const NONE: u32 = 0xffffffffu;

@group(0) @binding(0) var<storage, read_write> ids: array<Int>;
@group(0) @binding(1) var<storage, read_write> order: array<Int>;
@group(0) @binding(2) var<storage, read_write> tiles: array<Int>;
@group(0) @binding(3) var<storage, read> info: array<u32>;

var<workgroup> experts: array<u32, MAX_SLOTS>; // of each slot, or NONE
var<workgroup> ranks: array<u32, MAX_SLOTS>; // of each slot among the slots of its expert

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) lane: u32) {
    let slots = min(info[0], MAX_SLOTS);
    for (var s = lane; s < slots; s += WG) {
        let expert = u32(ids[s]) - info[1]; // wraps for an id below base
        experts[s] = select(NONE, expert, expert < info[2]);
    }
    workgroupBarrier();
    for (var s = lane; s < slots; s += WG) {
        var rank = 0u;
        for (var o = 0u; o < s; o++) {
            rank += select(0u, 1u, experts[o] == experts[s]);
        }
        ranks[s] = rank;
    }
    workgroupBarrier();

    // A slot leads a tile if its rank is a multiple of TM; a tile's place is the number of leaders before it.
    var used = 0u;
    for (var s = lane; s < slots; s += WG) {
        let mine = experts[s];
        if mine != NONE {
            var before = 0u; // slots of lower experts
            var count = 0u; // slots of this expert
            var tile = ranks[s] / TM;
            for (var o = 0u; o < slots; o++) {
                let lower = experts[o] < mine;
                before += select(0u, 1u, lower);
                tile += select(0u, 1u, lower && ranks[o] % TM == 0u);
                count += select(0u, 1u, experts[o] == mine);
            }
            order[before + ranks[s]] = Int(s);
            if ranks[s] % TM == 0u && tile < info[3] {
                tiles[3u * tile] = Int(before + ranks[s]);
                tiles[3u * tile + 1u] = Int(min(TM, count - ranks[s]));
                tiles[3u * tile + 2u] = Int(mine);
            }
        }
    }
    // The tiles behind the last leader are empty.
    for (var s = 0u; s < slots; s++) {
        used += select(0u, 1u, experts[s] != NONE && ranks[s] % TM == 0u);
    }
    for (var t = used + lane; t < info[3]; t += WG) {
        tiles[3u * t + 1u] = Int(0);
    }
}
