// Behind sample_pick: what candidates are measured by, and arithmetic on unsigned integers of 64
// bits, (high, low).

// The candidates of a lane and what they are measured by.
struct Search {
    changes: Changes,
    listed: bool, // candidate j is what stands at base + j * WG of the list, else that number itself
    base: u32,
    count: u32,
    best: f32,
    scale: f32,
    low: u32, // least key that top_k leaves
    cut: u32, // key in which top_p ends
    last: u32, // largest id of that key which it leaves
    least: vec2<u32>, // least weight by min_p
}

// What is summed, and by what it is found.
const ALL: u32 = 0u; // one each, by key
const MASS: u32 = 1u; // weights from `low` on, by key
const TIES: u32 = 2u; // one each of key `cut`, by id
const KEPT: u32 = 3u; // weights of what passes everything, by id

fn measure(s: Search, kind: u32, id: u32, key: u32) -> vec2<u32> {
    if key == 0u || (kind == MASS && key < s.low) || (kind == TIES && key != s.cut) {
        return vec2<u32>(0u);
    }
    if kind == ALL || kind == TIES {
        return vec2<u32>(0u, 1u);
    }
    if kind == KEPT && (key < s.cut || (key == s.cut && id > s.last)) {
        return vec2<u32>(0u);
    }
    let w = weight(s.best - from_key(key), s.scale);
    if kind == KEPT && less64(w, s.least) {
        return vec2<u32>(0u);
    }
    return w;
}

// a * x / 2^32, rounded down, for a < 2^63.
fn share(a: vec2<u32>, x: u32) -> vec2<u32> {
    // The high word of the low product: 16 bits at a time.
    let p = (a.y & 0xffffu) * (x & 0xffffu);
    let q = (a.y >> 16u) * (x & 0xffffu);
    let r = (a.y & 0xffffu) * (x >> 16u);
    let middle = add64(add64(vec2<u32>(0u, q), vec2<u32>(0u, r)), vec2<u32>(0u, p >> 16u));
    let carried = (a.y >> 16u) * (x >> 16u) + (middle.y >> 16u) + (middle.x << 16u);
    let s = (a.x & 0xffffu) * (x & 0xffffu);
    let t = (a.x >> 16u) * (x & 0xffffu);
    let u = (a.x & 0xffffu) * (x >> 16u);
    let v = (a.x >> 16u) * (x >> 16u);
    let cross = add64(vec2<u32>(0u, t), vec2<u32>(0u, u));
    let high = add64(vec2<u32>(v, s), vec2<u32>((cross.y >> 16u) | (cross.x << 16u), cross.y << 16u));
    return add64(high, vec2<u32>(0u, carried));
}

fn sub64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return vec2<u32>(a.x - b.x - select(0u, 1u, a.y < b.y), a.y - b.y);
}

fn shift_right(a: vec2<u32>, by: u32) -> vec2<u32> {
    return vec2<u32>(a.x >> by, (a.y >> by) | ((a.x << (31u - by)) << 1u));
}

fn shift_left(a: vec2<u32>, by: u32) -> vec2<u32> {
    return vec2<u32>((a.x << by) | ((a.y >> (31u - by)) >> 1u), a.y << by);
}

// a / b for a quotient below 2^20 and b of at most 2^44.
fn quotient(a: vec2<u32>, b: vec2<u32>) -> u32 {
    var rest = a;
    var result = 0u;
    for (var i = 20u; i > 0u; i--) {
        let piece = shift_left(b, i - 1u);
        if !less64(rest, piece) {
            rest = sub64(rest, piece);
            result |= 1u << (i - 1u);
        }
    }
    return result;
}

// ln(sum / 2^44) for a sum of at least 2^44.
fn log_of(sum: vec2<u32>) -> f32 {
    let lead = firstLeadingBit(max(sum.x, 1u));
    let up = 31u - lead;
    let top = shift_left(sum, up).x;
    return (f32(lead) - 12.0) * 0.6931471805599453 + log(f32(top) * 4.656612873077393e-10);
}
