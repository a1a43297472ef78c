// The token of each row and its log-probability: last of three kernels that choose tokens.
//
//   BEST   the best score's lowest id
//   FORCED the given id
//   DRAW   of the scores that pass top_k, top_p and min_p the first, by id, at which the running sum
//          of weights exceeds random * total
//   out[row] = (id, log-probability as bits), (NONE, 0) where a logit is no number or none is allowed
//
// source: HF `TopKLogitsWarper`, `TopPLogitsWarper`, `MinPLogitsWarper`, `torch.multinomial`
// twin: crates/glmv-sampling/src/choose.rs
// grid: rows workgroups, folded
// A workgroup chooses for one row. Candidates are the part of the row that the draw falls into or,
// with filters, a list in memory of everything that may pass them. Every threshold (k-th score, end of
// top_p, the tie it ends in, the draw) is found BITS at a time: each lane sums what has the known
// leading bits by the next ones, the lanes are added, and the sum that exceeds the target says how the
// bits go on. Integers, so the order of summation does not matter.
// domain: as sample_sum; WG << BITS = 1024, BITS = 2 or 4; at most 256 chunks

const WG: u32 = 64u; // param
const BITS: u32 = 4u; // param
const BINS: u32 = 1u << BITS;
const ID_BITS: u32 = 20u;
const CHUNK_BITS: u32 = 12u; // a multiple of BITS, ids of a part have less
const MAX_CHUNKS: u32 = 256u;

@group(0) @binding(0) var<storage, read_write> logits: array<u32>; // [rows of logits, vocab], bits of f32
@group(0) @binding(1) var<storage, read_write> rules: array<u32>; // [rows, 16], then masks
@group(0) @binding(2) var<storage, read_write> maxima: array<vec4<u32>>; // [rows, chunks]
@group(0) @binding(3) var<storage, read_write> sums: array<vec4<u32>>; // [rows, chunks]
@group(0) @binding(4) var<storage, read_write> list: array<u32>; // [rows, listed], if a row has filters
@group(0) @binding(5) var<storage, read_write> out: array<vec2<u32>>; // [rows]
@group(0) @binding(6) var<storage, read> info: array<u32>; // [rows, vocab, chunks, listed]

var<workgroup> pool: array<vec4<u32>, WG>;
var<workgroup> bins: array<vec2<u32>, 1024>; // [WG, BINS]
var<workgroup> chunk_keys: array<u32, MAX_CHUNKS>;
var<workgroup> chunk_sums: array<vec2<u32>, MAX_CHUNKS>;
var<workgroup> shared_key: u32;
var<workgroup> plan: vec4<u32>; // mode, top_k, cut, 1 with filters

fn candidate(s: Search, j: u32) -> u32 {
    let at = s.base + j * WG;
    if s.listed {
        return list[at];
    }
    return at;
}

fn add_lanes(lane: u32, mine: vec4<u32>) -> vec4<u32> {
    workgroupBarrier();
    pool[lane] = mine;
    workgroupBarrier();
    for (var half = WG / 2u; half > 0u; half /= 2u) {
        if lane < half {
            let a = pool[lane];
            let b = pool[lane + half];
            pool[lane] = vec4<u32>(add64(a.xy, b.xy), add64(a.zw, b.zw));
        }
        workgroupBarrier();
    }
    return pool[0];
}

// Sum of a measure over all candidates.
fn total_of(s: Search, kind: u32, lane: u32) -> vec2<u32> {
    var sum = vec2<u32>(0u);
    for (var j = 0u; j < s.count; j++) {
        let id = candidate(s, j);
        sum = add64(sum, measure(s, kind, id, scored(s.changes, id).y));
    }
    return add_lanes(lane, vec4<u32>(sum, 0u, 0u)).xy;
}

// Where the running sum of a measure, in the order of the key or id, first exceeds `goal`.
struct Place {
    value: u32, // the key or id
    before: vec2<u32>, // sum of everything before it
}

// Keys and ids have `bits` bits behind those that all candidates share, `start`.
fn find(s: Search, kind: u32, lane: u32, goal: vec2<u32>, bits: u32, start: u32) -> Place {
    var value = start;
    var before = vec2<u32>(0u);
    var shift = bits;
    while shift > 0u {
        shift -= BITS;
        for (var b = 0u; b < BINS; b++) {
            bins[lane * BINS + b] = vec2<u32>(0u);
        }
        for (var j = 0u; j < s.count; j++) {
            let id = candidate(s, j);
            let key = scored(s.changes, id).y;
            let field = select(id, key, kind == ALL || kind == MASS);
            if ((field >> shift) >> BITS) == value {
                let bin = lane * BINS + ((field >> shift) & (BINS - 1u));
                bins[bin] = add64(bins[bin], measure(s, kind, id, key));
            }
        }
        workgroupBarrier();
        for (var half = WG / 2u; half > 0u; half /= 2u) {
            if lane < half {
                for (var b = 0u; b < BINS; b++) {
                    let at = lane * BINS + b;
                    bins[at] = add64(bins[at], bins[at + half * BINS]);
                }
            }
            workgroupBarrier();
        }
        var bin = 0u;
        while bin < BINS - 1u {
            let next = add64(before, bins[bin]);
            if less64(goal, next) {
                break;
            }
            before = next;
            bin++;
        }
        value = (value << BITS) | bin;
        workgroupBarrier();
    }
    return Place(value, before);
}

// The k-th largest best key of all parts: no more than k scores of the row are larger.
fn kth_of_chunks(k: u32, chunks: u32, lane: u32) -> u32 {
    for (var chunk = lane; chunk < chunks; chunk += WG) {
        let mine = chunk_keys[chunk];
        var rank = 0u;
        for (var other = 0u; other < chunks; other++) {
            let key = chunk_keys[other];
            rank += select(0u, 1u, key > mine || (key == mine && other < chunk));
        }
        if rank == k - 1u {
            shared_key = mine;
        }
    }
    return workgroupUniformLoad(&shared_key);
}

// Lists what may pass the filters: keys from `from_least` on whose weight exceeds `floor`, or whatever
// their weight if `any`.
fn collect(start: Search, row: u32, vocab: u32, lane: u32, from_least: u32, floor: vec2<u32>, any: bool) -> Search {
    var s = start;
    s.listed = true;
    s.base = row * info[3] + lane;
    s.count = 0u;
    for (var id = lane; id < vocab; id += WG) {
        let key = scored(s.changes, id).y;
        if key >= max(from_least, 1u) && (any || less64(floor, weight(s.best - from_key(key), s.scale))) {
            list[s.base + s.count * WG] = id;
            s.count++;
        }
    }
    return s;
}

// Narrows the candidates by top_k, top_p and min_p; `mass` is the sum over the whole row.
fn filter_row(start: Search, row: u32, vocab: u32, chunks: u32, lane: u32, mass: vec2<u32>) -> Search {
    var s = start;
    let filters = workgroupUniformLoad(&plan);
    let top_k = filters.y;
    let share_cut = filters.z;
    if top_k > 0u {
        var from_least = 1u;
        if top_k <= chunks {
            from_least = kth_of_chunks(top_k, chunks, lane);
        }
        s = collect(s, row, vocab, lane, from_least, vec2<u32>(0u), true);
        let all = total_of(s, ALL, lane).y;
        let kth = find(s, ALL, lane, vec2<u32>(0u, max(all, top_k) - top_k), 32u, 0u).value;
        s.low = select(1u, kth, all > top_k);
        s.cut = s.low;
    } else {
        // All that weigh at most a 2^19th of what may go weigh less than it together.
        let floor = shift_right(share(mass, share_cut), 19u);
        s = collect(s, row, vocab, lane, 1u, floor, false);
    }
    if share_cut > 0u {
        let held = total_of(s, MASS, lane);
        var whole = held;
        if top_k == 0u {
            whole = mass;
        }
        let budget = share(whole, share_cut);
        var removed = sub64(whole, held);
        let place = find(s, MASS, lane, sub64(budget, removed), 32u, 0u);
        removed = add64(removed, place.before);
        s.cut = place.value;
        let ties = total_of(s, TIES, lane).y;
        let gone = quotient(sub64(budget, removed), weight(s.best - from_key(s.cut), s.scale));
        let place_of_last = find(s, TIES, lane, vec2<u32>(0u, ties - min(gone, ties - 1u) - 1u), ID_BITS, 0u);
        s.last = place_of_last.value;
    }
    return s;
}

fn logprob(changes: Changes, row: u32, token: u32, top: f32, sum: vec2<u32>) -> u32 {
    let key = scored(changes, token).z;
    if key == 0u {
        return 0xff800000u; // -inf
    }
    let distance = (from_key(key) - top) * bitcast<f32>(rule(row, AT_INVERSE));
    return bitcast<u32>(min(distance - log_of(sum), 0.0));
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let vocab = info[1];
    let chunks = info[2];
    let row = wg.x + wg.y * grid.x;
    if row >= info[0] {
        return;
    }
    var s: Search;
    s.changes = changes_of(row, vocab);
    s.scale = bitcast<f32>(rule(row, AT_SCALE));
    s.least = vec2<u32>(rule(row, AT_LEAST), rule(row, AT_LEAST + 1u));
    if lane == 0u {
        let filters = rule(row, AT_TOP_K) | rule(row, AT_CUT) | s.least.x | s.least.y;
        plan = vec4<u32>(rule(row, AT_MODE), rule(row, AT_TOP_K), rule(row, AT_CUT), min(filters, 1u));
    }
    // The row's best and its sums.
    var mine = vec4<u32>(0u, 0u, NONE, 0u);
    var mass = vec4<u32>(0u);
    for (var chunk = lane; chunk < chunks; chunk += WG) {
        let top = maxima[row * chunks + chunk];
        let sum = sums[row * chunks + chunk];
        mine = better(mine, top);
        mass = vec4<u32>(add64(mass.xy, sum.xy), add64(mass.zw, sum.zw));
        chunk_keys[chunk] = top.y;
        chunk_sums[chunk] = sum.zw;
    }
    mass = add_lanes(lane, mass);
    workgroupBarrier();
    pool[lane] = mine;
    workgroupBarrier();
    for (var half = WG / 2u; half > 0u; half /= 2u) {
        if lane < half {
            pool[lane] = better(pool[lane], pool[lane + half]);
        }
        workgroupBarrier();
    }
    let top = workgroupUniformLoad(&pool[0]);
    let mode = workgroupUniformLoad(&plan).x;
    if top.x != 0u || top.w == 0u || (top.y == 0u && mode != FORCED) {
        if lane == 0u {
            out[row] = vec2<u32>(NONE, 0u);
        }
        return;
    }
    s.best = from_key(top.y);
    s.low = 1u;
    s.cut = 0u;
    s.last = NONE;
    let given = rule(row, AT_GIVEN);
    var token = select(top.z, given, mode == FORCED);
    if mode == DRAW {
        if workgroupUniformLoad(&plan).w == 1u {
            s = filter_row(s, row, vocab, chunks, lane, mass.zw);
            token = find(s, KEPT, lane, share(total_of(s, KEPT, lane), given), ID_BITS, 0u).value;
        } else {
            var goal = share(mass.zw, given);
            var chunk = 0u;
            while chunk + 1u < chunks && !less64(goal, chunk_sums[chunk]) {
                goal = sub64(goal, chunk_sums[chunk]);
                chunk++;
            }
            s.listed = false;
            s.base = chunk * CHUNK + lane;
            s.count = (min(CHUNK, vocab - chunk * CHUNK) + WG - 1u - lane) / WG;
            token = find(s, KEPT, lane, goal, CHUNK_BITS, (chunk * CHUNK) >> CHUNK_BITS).value;
        }
    }
    if lane == 0u {
        out[row] = vec2<u32>(token, logprob(s.changes, row, token, from_key(top.w), mass.xy));
    }
}
