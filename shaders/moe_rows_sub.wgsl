// Expert products on adapters whose subgroups have eight lanes (CPU devices): every slot's row times its own expert's matrix.
//
//   GATED:  out[s, i] = silu(w[e, i, :] . x[s / row_div, :]) * (w[e, columns + i, :] . x[s / row_div, :])
//   else:   out[s, i] = w[e, i, :] . x[s / row_div, :]                e: expert of slot s, without base
//
// source:  HF `Glm4vMoeTextNaiveMoe.forward` (GLM-V), gate_proj and up_proj stacked
// tiles:   SORTED: at most M sorted slots of one expert, from moe_tiles with TM = M; else M is 1, a tile is a slot,
//          `tiles` holds the router's ids and `sorted` and `offsets` may be any buffer of that type
// layout:  a row of weights is `words` 16-byte words: 4 f32, 8 f16, 16 codes of 8 bits or 32 of 4 bits (glmv-quant), and one
//          f16 scale per block of 32 codes, two to a u32
// grid:    tiles * ceil(columns / (per lane * WG)) workgroups, folded above 65535, tile fastest
// work:    a lane owns four columns, or two gates and their two ups, over all of k, as in linear_rows_sub
//          Rows of out whose expert is not in [base, base + experts) are left unwritten
// order:   an output is summed in the same order whatever M is, so that a row does not depend on the others
// domain:  k divisible by 4, with f16 by 8; M 1, 2, 4 or 8; WG a multiple of 8; subgroups of eight consecutive lanes
// twin:    crates/glmv-kernels/src/moe.rs

alias Int = i32; // param
const KIND: u32 = 2u; // param
const GATED: bool = true; // param
const SORTED: bool = true; // param
const M: u32 = 1u; // param
const WG: u32 = 8u; // param

const PER_LANE: u32 = select(4u, 2u, GATED);
const UNUSED: u32 = 0xffffffffu; // tile beyond the last

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>; // [slots / row_div, k / 4]
@group(0) @binding(1) var<storage, read_write> weight: array<vec4<u32>>; // [experts, columns (twice when GATED), words]
@group(0) @binding(2) var<storage, read_write> scales: array<u32>; // [experts, columns (twice when GATED), scale words]
@group(0) @binding(3) var<storage, read_write> sorted: array<Int>; // [slots]
@group(0) @binding(4) var<storage, read_write> offsets: array<Int>; // [experts + 1]
@group(0) @binding(5) var<storage, read_write> tiles: array<Int>; // [tiles, 2]: expert or -1, first sorted row; or ids [tiles]
@group(0) @binding(6) var<storage, read_write> out: array<f32>; // [slots, columns]
// [tiles, columns, k / 4, words, scale words, row_div, base, experts]
@group(0) @binding(7) var<storage, read> info: array<u32>;

const VECS: u32 = 2u; // places in info
const WORDS: u32 = 3u;
const SCALE_WORDS: u32 = 4u;

// Values of KIND.
const F32: u32 = 0u;
const F16: u32 = 1u;
const Q8: u32 = 2u;
const Q4: u32 = 3u;

// Bits of 2^23: a smaller number put under them is, as a float, that number plus 2^23.
const BIG: u32 = 0x4b000000u;

// One value per row of x: its numbers, or its sums for four columns.
struct Rows {
    r0: vec4<f32>,
    r1: vec4<f32>,
    r2: vec4<f32>,
    r3: vec4<f32>,
    r4: vec4<f32>,
    r5: vec4<f32>,
    r6: vec4<f32>,
    r7: vec4<f32>,
}

// Where each row of x starts.
struct Starts {
    r0: u32,
    r1: u32,
    r2: u32,
    r3: u32,
    r4: u32,
    r5: u32,
    r6: u32,
    r7: u32,
}

// Four signed codes of 8 bits times (1, 256, 1, 256), exactly.
fn codes8(q: u32) -> vec4<f32> {
    let low = q ^ 0x80808080u;
    let high = low >> 16u;
    return vec4<f32>(
        bitcast<f32>((low & 0xffu) | BIG) - 8388736.0,
        bitcast<f32>((low & 0xff00u) | BIG) - 8421376.0,
        bitcast<f32>((high & 0xffu) | BIG) - 8388736.0,
        bitcast<f32>((high & 0xff00u) | BIG) - 8421376.0,
    );
}

// The lower four signed codes of 4 bits times (1, 16, 256, 4096), exactly.
fn codes4(q: u32) -> vec4<f32> {
    return vec4<f32>(
        bitcast<f32>((q & 0xfu) | BIG) - 8388616.0,
        bitcast<f32>((q & 0xf0u) | BIG) - 8388736.0,
        bitcast<f32>((q & 0xf00u) | BIG) - 8390656.0,
        bitcast<f32>((q & 0xf000u) | BIG) - 8421376.0,
    );
}

// Takes the powers of two that codes8 and codes4 leave in from x instead.
fn spread(v: vec4<f32>) -> vec4<f32> {
    if KIND == Q8 {
        return v * vec4<f32>(1.0, 0.00390625, 1.0, 0.00390625);
    }
    if KIND == F32 || KIND == F16 {
        return v;
    }
    return v * vec4<f32>(1.0, 0.0625, 0.00390625, 0.000244140625);
}

fn mac(sum: vec4<f32>, v: vec4<f32>, w: mat4x4<f32>) -> vec4<f32> {
    let xyz = fma(w[2], vec4<f32>(v.z), fma(w[1], vec4<f32>(v.y), fma(w[0], vec4<f32>(v.x), sum)));
    return fma(w[3], vec4<f32>(v.w), xyz);
}

// Adds a part (four of k) of the block that the subgroup holds in `v`; w0 to w3 are the weights of the four columns.
fn add(sums: Rows, v: Rows, part: u32, w0: vec4<f32>, w1: vec4<f32>, w2: vec4<f32>, w3: vec4<f32>) -> Rows {
    let w = transpose(mat4x4<f32>(w0, w1, w2, w3));
    var s = sums;
    s.r0 = mac(s.r0, subgroupShuffle(v.r0, part), w);
    if M > 1u {
        s.r1 = mac(s.r1, subgroupShuffle(v.r1, part), w);
    }
    if M > 2u {
        s.r2 = mac(s.r2, subgroupShuffle(v.r2, part), w);
        s.r3 = mac(s.r3, subgroupShuffle(v.r3, part), w);
    }
    if M > 4u {
        s.r4 = mac(s.r4, subgroupShuffle(v.r4, part), w);
        s.r5 = mac(s.r5, subgroupShuffle(v.r5, part), w);
        s.r6 = mac(s.r6, subgroupShuffle(v.r6, part), w);
        s.r7 = mac(s.r7, subgroupShuffle(v.r7, part), w);
    }
    return s;
}

fn halves(low: u32, high: u32) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(low), unpack2x16float(high));
}

// Adds the 4, 8, 16 or 32 products of one 16-byte word per column, from part `part` on.
fn word(sums: Rows, v: Rows, part: u32, at: u32, at_row: vec4<u32>) -> Rows {
    let i = min(at, info[WORDS] - 1u);
    let a = weight[at_row.x + i];
    let b = weight[at_row.y + i];
    let c = weight[at_row.z + i];
    let d = weight[at_row.w + i];
    var s = sums;
    if KIND == F32 {
        s = add(s, v, part, bitcast<vec4<f32>>(a), bitcast<vec4<f32>>(b), bitcast<vec4<f32>>(c), bitcast<vec4<f32>>(d));
    } else if KIND == F16 {
        s = add(s, v, part, halves(a.x, a.y), halves(b.x, b.y), halves(c.x, c.y), halves(d.x, d.y));
        s = add(s, v, part + 1u, halves(a.z, a.w), halves(b.z, b.w), halves(c.z, c.w), halves(d.z, d.w));
    } else if KIND == Q8 {
        s = add(s, v, part, codes8(a.x), codes8(b.x), codes8(c.x), codes8(d.x));
        s = add(s, v, part + 1u, codes8(a.y), codes8(b.y), codes8(c.y), codes8(d.y));
        s = add(s, v, part + 2u, codes8(a.z), codes8(b.z), codes8(c.z), codes8(d.z));
        s = add(s, v, part + 3u, codes8(a.w), codes8(b.w), codes8(c.w), codes8(d.w));
    } else {
        s = add(s, v, part, codes4(a.x), codes4(b.x), codes4(c.x), codes4(d.x));
        s = add(s, v, part + 1u, codes4(a.x >> 16u), codes4(b.x >> 16u), codes4(c.x >> 16u), codes4(d.x >> 16u));
        s = add(s, v, part + 2u, codes4(a.y), codes4(b.y), codes4(c.y), codes4(d.y));
        s = add(s, v, part + 3u, codes4(a.y >> 16u), codes4(b.y >> 16u), codes4(c.y >> 16u), codes4(d.y >> 16u));
        s = add(s, v, part + 4u, codes4(a.z), codes4(b.z), codes4(c.z), codes4(d.z));
        s = add(s, v, part + 5u, codes4(a.z >> 16u), codes4(b.z >> 16u), codes4(c.z >> 16u), codes4(d.z >> 16u));
        s = add(s, v, part + 6u, codes4(a.w), codes4(b.w), codes4(c.w), codes4(d.w));
        s = add(s, v, part + 7u, codes4(a.w >> 16u), codes4(b.w >> 16u), codes4(c.w >> 16u), codes4(d.w >> 16u));
    }
    return s;
}

// Adds the products of one block of 32.
fn block(sums: Rows, v: Rows, b: u32, at_row: vec4<u32>) -> Rows {
    var s = sums;
    if KIND == Q4 {
        s = word(s, v, 0u, b, at_row);
    } else if KIND == Q8 {
        s = word(s, v, 0u, 2u * b, at_row);
        s = word(s, v, 4u, 2u * b + 1u, at_row);
    } else if KIND == F16 {
        s = word(s, v, 0u, 4u * b, at_row);
        s = word(s, v, 2u, 4u * b + 1u, at_row);
        s = word(s, v, 4u, 4u * b + 2u, at_row);
        s = word(s, v, 6u, 4u * b + 3u, at_row);
    } else {
        s = word(s, v, 0u, 8u * b, at_row);
        s = word(s, v, 1u, 8u * b + 1u, at_row);
        s = word(s, v, 2u, 8u * b + 2u, at_row);
        s = word(s, v, 3u, 8u * b + 3u, at_row);
        s = word(s, v, 4u, 8u * b + 4u, at_row);
        s = word(s, v, 5u, 8u * b + 5u, at_row);
        s = word(s, v, 6u, 8u * b + 6u, at_row);
        s = word(s, v, 7u, 8u * b + 7u, at_row);
    }
    return s;
}

fn scaled(totals: Rows, sums: Rows, scale: vec4<f32>) -> Rows {
    var t = totals;
    t.r0 = fma(sums.r0, scale, t.r0);
    if M > 1u {
        t.r1 = fma(sums.r1, scale, t.r1);
    }
    if M > 2u {
        t.r2 = fma(sums.r2, scale, t.r2);
        t.r3 = fma(sums.r3, scale, t.r3);
    }
    if M > 4u {
        t.r4 = fma(sums.r4, scale, t.r4);
        t.r5 = fma(sums.r5, scale, t.r5);
        t.r6 = fma(sums.r6, scale, t.r6);
        t.r7 = fma(sums.r7, scale, t.r7);
    }
    return t;
}

fn x_at(start: u32, at: u32) -> vec4<f32> {
    let v = x[start + min(at, info[VECS] - 1u)];
    return spread(select(vec4<f32>(0.0), v, at < info[VECS]));
}

// This lane's part of block b of every row of x.
fn load(start: Starts, b: u32, lane: u32) -> Rows {
    let at = b * 8u + lane % 8u;
    var v = Rows();
    v.r0 = x_at(start.r0, at);
    if M > 1u {
        v.r1 = x_at(start.r1, at);
    }
    if M > 2u {
        v.r2 = x_at(start.r2, at);
        v.r3 = x_at(start.r3, at);
    }
    if M > 4u {
        v.r4 = x_at(start.r4, at);
        v.r5 = x_at(start.r5, at);
        v.r6 = x_at(start.r6, at);
        v.r7 = x_at(start.r7, at);
    }
    return v;
}

// The sums over k for the columns whose weights start at word `row` * words, scales likewise.
fn products(start: Starts, rows: vec4<u32>, lane: u32) -> Rows {
    let at_row = rows * info[WORDS];
    let blocks = (info[VECS] + 7u) / 8u;
    var totals = Rows();
    if KIND == F32 || KIND == F16 {
        for (var b = 0u; b < blocks; b++) {
            totals = block(totals, load(start, b, lane), b, at_row);
        }
        return totals;
    }
    let at_scale = rows * info[SCALE_WORDS];
    for (var b = 0u; b < blocks; b += 2u) {
        let p = unpack2x16float(scales[at_scale.x + b / 2u]);
        let q = unpack2x16float(scales[at_scale.y + b / 2u]);
        let r = unpack2x16float(scales[at_scale.z + b / 2u]);
        let s = unpack2x16float(scales[at_scale.w + b / 2u]);
        totals = scaled(totals, block(Rows(), load(start, b, lane), b, at_row), vec4<f32>(p.x, q.x, r.x, s.x));
        // Past the last block x is zero.
        totals = scaled(totals, block(Rows(), load(start, b + 1u, lane), b + 1u, at_row), vec4<f32>(p.y, q.y, r.y, s.y));
    }
    return totals;
}

// Slot of a row of the tile.
fn slot_of(row: u32) -> u32 {
    if SORTED {
        return u32(sorted[row]);
    }
    return row;
}

// First number of its input row; rows past the last repeat that one.
fn start(row: u32, last: u32) -> u32 {
    return slot_of(min(row, last)) / info[5] * info[VECS];
}

fn silu(v: vec2<f32>) -> vec2<f32> {
    let z = exp(-abs(v)); // cannot overflow
    return v * select(z, vec2<f32>(1.0), v > vec2<f32>(0.0)) / (1.0 + z);
}

fn store(row: u32, end: u32, column: u32, sums: vec4<f32>) {
    if row < end {
        let columns = info[1];
        let at = slot_of(row) * columns;
        if GATED {
            let act = silu(sums.xy) * sums.zw;
            for (var i = 0u; i < 2u; i++) {
                if column + i < columns {
                    out[at + column + i] = act[i];
                }
            }
        } else {
            for (var i = 0u; i < 4u; i++) {
                if column + i < columns {
                    out[at + column + i] = sums[i];
                }
            }
        }
    }
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) place: u32,
) {
    let index = group.x + group.y * groups.x;
    let columns = info[1];
    let tile = index % info[0];
    let column = (index / info[0] * WG + lane) * PER_LANE;
    var expert = 0u;
    var first = tile;
    var end = tile + 1u; // past the last row of the tile; no row where the tile is not ours
    if SORTED {
        expert = u32(tiles[2u * tile]);
        first = u32(tiles[2u * tile + 1u]);
        end = first;
        if expert != UNUSED {
            end = min(u32(offsets[expert + 1u]), first + M);
        }
    } else {
        expert = u32(tiles[tile]) - info[6]; // wraps for an id below base
        end = select(first, end, expert < info[7]);
    }
    if first < end {
        let last = columns - 1u;
        var rows = expert * columns + min(vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(last));
        if GATED {
            let gates = expert * 2u * columns + min(vec2<u32>(column, column + 1u), vec2<u32>(last));
            rows = vec4<u32>(gates, gates + columns);
        }
        let starts = Starts(
            start(first, end - 1u),
            start(first + 1u, end - 1u),
            start(first + 2u, end - 1u),
            start(first + 3u, end - 1u),
            start(first + 4u, end - 1u),
            start(first + 5u, end - 1u),
            start(first + 6u, end - 1u),
            start(first + 7u, end - 1u),
        );
        let totals = products(starts, rows, place);
        store(first, end, column, totals.r0);
        if M > 1u {
            store(first + 1u, end, column, totals.r1);
        }
        if M > 2u {
            store(first + 2u, end, column, totals.r2);
            store(first + 3u, end, column, totals.r3);
        }
        if M > 4u {
            store(first + 4u, end, column, totals.r4);
            store(first + 5u, end, column, totals.r5);
            store(first + 6u, end, column, totals.r6);
            store(first + 7u, end, column, totals.r7);
        }
    }
}
