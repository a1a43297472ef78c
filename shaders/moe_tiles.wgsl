// Cuts each expert's sorted slots into tiles of TM rows: the work list of the grouped products.
//
//   tiles = for each expert e, for r = offsets[e], offsets[e] + TM, ... < offsets[e + 1]: (e, r)
//   then (-1, 0) up to max_tiles = ceil(slots / TM) + experts;  count = number of real tiles
//
// source: the tile schedule of grouped GEMM kernels (e.g. vLLM fused_moe `moe_align_block_size`)
// twin: crates/glmv-kernels/src/moe.rs
// grid: one workgroup
// A lane counts the tiles of a contiguous run of experts; after the scan each lane finds the
// expert of its tiles by bisection, so one expert with all the slots is no slower than a spread.
// domain: experts <= 1024

alias Int = i32; // param
const TM: u32 = 8u; // param
const WG: u32 = 64u; // param

const MAX_EXPERTS: u32 = 1024u;

@group(0) @binding(0) var<storage, read_write> offsets: array<Int>; // [experts + 1]
@group(0) @binding(1) var<storage, read_write> tiles: array<Int>; // [max_tiles, 2]: expert, first sorted row
@group(0) @binding(2) var<storage, read_write> count: array<Int>; // [1]
@group(0) @binding(3) var<storage, read> info: array<u32>; // [experts, max_tiles]

var<workgroup> totals: array<u32, WG>; // tiles per lane
var<workgroup> starts: array<u32, MAX_EXPERTS>; // first tile of each expert

fn tiles_of(expert: u32) -> u32 {
    return (u32(offsets[expert + 1u]) - u32(offsets[expert]) + TM - 1u) / TM;
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) lane: u32) {
    let experts = info[0];
    let run = (experts + WG - 1u) / WG;
    let first = min(lane * run, experts);
    let end = min(first + run, experts);
    var sum = 0u;
    for (var e = first; e < end; e++) {
        sum += tiles_of(e);
    }
    totals[lane] = sum;
    workgroupBarrier();

    var total = 0u;
    var start = 0u;
    for (var i = 0u; i < WG; i++) {
        total += totals[i];
        start += select(0u, totals[i], i < lane);
    }
    for (var e = first; e < end; e++) {
        starts[e] = start;
        start += tiles_of(e);
    }
    workgroupBarrier();

    if lane == 0u {
        count[0] = Int(total);
    }
    for (var t = lane; t < info[1]; t += WG) {
        var expert = 0xffffffffu;
        var row = 0u;
        if t < total {
            var low = 0u; // the last expert whose first tile is not after t
            var high = experts;
            while high - low > 1u {
                let middle = (low + high) / 2u;
                if starts[middle] <= t {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            expert = low;
            row = u32(offsets[low]) + (t - starts[low]) * TM;
        }
        tiles[2u * t] = bitcast<Int>(expert);
        tiles[2u * t + 1u] = Int(row);
    }
}
