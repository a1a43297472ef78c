// Behind every sample_* kernel: scores as ordered integers, probabilities as integers, sums of 64
// bits in two words (high, low). `rules` and `logits` are the kernel's bindings.

const NONE: u32 = 0xffffffffu;
// Words of a row's rule; masks follow behind all rules.
const RULE: u32 = 16u;
// Vocabulary entries of a workgroup.
const CHUNK: u32 = 2048u;

// A row's rule, as crates/glmv-kernels/src/sample_rules.rs writes it.
const AT_LOGITS: u32 = 0u; // row of the logits
const AT_MODE: u32 = 1u; // BEST, DRAW or FORCED
const AT_GIVEN: u32 = 2u; // the random number of a draw, the id of a forced token
const AT_SCALE: u32 = 3u; // f32: steps of a weight per unit of a score
const AT_TOP_K: u32 = 4u; // 0 = all
const AT_CUT: u32 = 5u; // 1 - top_p in 2^-32, 0 = nothing is cut
const AT_LEAST: u32 = 6u; // smallest weight by min_p, two words
const AT_PENALTY: u32 = 8u; // f32, then its reciprocal
const AT_FORBIDDEN: u32 = 10u; // first word of the mask of forbidden ids, or NONE
const AT_SEEN: u32 = 11u; // first word of the mask of penalised ids, or NONE
const AT_PLAIN: u32 = 12u; // f32: steps per unit of a logit for the log-probability
const AT_MASKED: u32 = 13u; // 1: forbidden ids are no part of the log-probability
const AT_INVERSE: u32 = 14u; // f32: one over the temperature of the log-probability

const BEST: u32 = 0u;
const DRAW: u32 = 1u;
const FORCED: u32 = 2u;

fn rule(row: u32, at: u32) -> u32 {
    return rules[row * RULE + at];
}

fn marked(mask: u32, id: u32) -> bool {
    if mask == NONE {
        return false;
    }
    return ((rules[mask + id / 32u] >> (id % 32u)) & 1u) == 1u;
}

// NaN and +inf.
fn is_bad(bits: u32) -> bool {
    return (bits & 0x7f800000u) == 0x7f800000u && bits != 0xff800000u;
}

// Unsigned integers in the order of the floats: zeros are equal, -inf is 0 and stands for "not allowed".
fn to_key(bits: u32) -> u32 {
    if bits == 0xff800000u {
        return 0u;
    }
    if bits == 0x80000000u {
        return 0x80000000u;
    }
    return bits ^ select(0x80000000u, 0xffffffffu, (bits >> 31u) == 1u);
}

fn from_key(key: u32) -> f32 {
    return bitcast<f32>(key ^ select(0xffffffffu, 0x80000000u, (key >> 31u) == 1u));
}

// What turns a row's logits into scores.
struct Changes {
    first: u32, // of the row's logits
    forbidden: u32,
    seen: u32,
    penalty: f32,
    reciprocal: f32,
    masked: bool,
}

fn changes_of(row: u32, vocab: u32) -> Changes {
    return Changes(
        rule(row, AT_LOGITS) * vocab,
        rule(row, AT_FORBIDDEN),
        rule(row, AT_SEEN),
        bitcast<f32>(rule(row, AT_PENALTY)),
        bitcast<f32>(rule(row, AT_PENALTY + 1u)),
        rule(row, AT_MASKED) == 1u,
    );
}

// (1 if the logit or its score is no number, key of the score, key of the logit for the log-probability)
fn scored(changes: Changes, id: u32) -> vec3<u32> {
    let bits = logits[changes.first + id];
    var bad = is_bad(bits);
    let plain = to_key(bits);
    let forbidden = marked(changes.forbidden, id);
    var key = plain;
    if marked(changes.seen, id) && plain != 0u && !bad {
        let value = bitcast<f32>(bits);
        let score = bitcast<u32>(value * select(changes.reciprocal, changes.penalty, value < 0.0));
        bad = is_bad(score) && !forbidden;
        key = to_key(score);
    }
    return vec3<u32>(
        select(0u, 1u, bad),
        select(key, 0u, forbidden),
        select(plain, 0u, forbidden && changes.masked),
    );
}

// The larger key, the lower id of equal ones: (bad, key, id, key for the log-probability).
fn better(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    let take = b.y > a.y || (b.y == a.y && b.z < a.z);
    return vec4<u32>(a.x | b.x, select(a.y, b.y, take), select(a.z, b.z, take), max(a.w, b.w));
}

fn add64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.y + b.y;
    return vec2<u32>(a.x + b.x + select(0u, 1u, low < b.y), low);
}

fn less64(a: vec2<u32>, b: vec2<u32>) -> bool {
    return a.x < b.x || (a.x == b.x && a.y < b.y);
}

// a * x / 2^16, exactly rounded down, for x < 2^16.
fn part(a: u32, x: u32) -> u32 {
    return (a >> 16u) * x + (((a & 0xffffu) * x) >> 16u);
}

// Weight of a score that lies `below` the best one: 2^44 * 2^(-below * scale / 2^24), as
// crates/glmv-sampling/src/weight.rs defines it: one product, then integers only.
fn weight(below: f32, scale: f32) -> vec2<u32> {
    let steps = u32(min(below * scale, 754974720.0)); // 45 octaves
    let octave = steps >> 24u;
    if octave >= 45u {
        return vec2<u32>(0u);
    }
    let x = (steps >> 8u) & 0xffffu;
    var m = 2740585u - part(235066u, x);
    m = 20574878u - part(m, x);
    m = 119167555u - part(m, x);
    m = 515878397u - part(m, x);
    m = 1488522025u - part(m, x);
    m = 0x80000000u - part(m, x);
    m -= ((((m >> 8u) * (steps & 255u)) >> 16u) * 45426u) >> 16u;
    if octave <= 13u {
        let up = 13u - octave;
        return vec2<u32>((m >> (31u - up)) >> 1u, m << up);
    }
    return vec2<u32>(0u, m >> (octave - 13u));
}
