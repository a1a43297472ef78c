// Linear layer for few rows: out = x * weight^T + bias, weights of 8-bit or 4-bit codes.
//
// source:  torch.nn.functional.linear
// buffers: as bound; scales bias any when HAS_BIAS is false
// layout:  a row of weights is `words` 16-byte words: 16 codes of 8 bits or 32 of 4 bits (glmv-quant), and one
//          f16 scale per block of 32 codes, two to a u32
// grid:    ceil(rows / M) * ceil(n / (4 * WG / LANES)) workgroups, folded above 65535, row tiles fastest
// work:    LANES adjacent lanes read adjacent words of four columns and M rows; their sums meet in shared memory
// order:   an output is summed in the same order whatever M is, so that a row does not depend on the others
// domain:  k divisible by 4; M 1, 2, 4 or 8; LANES divides WG; WG * M * 16 bytes of workgroup memory
// twin:    crates/glmv-kernels/src/linear.rs

const KIND: u32 = 2u; // param
const HAS_BIAS: bool = true; // param
const M: u32 = 1u; // param
const WG: u32 = 64u; // param
const LANES: u32 = 32u; // param

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>; // [rows, k / 4]
@group(0) @binding(1) var<storage, read_write> weight: array<vec4<u32>>; // [n, words]
@group(0) @binding(2) var<storage, read_write> scales: array<u32>; // [n, scale words]
@group(0) @binding(3) var<storage, read_write> bias: array<f32>; // [n]
@group(0) @binding(4) var<storage, read_write> out: array<f32>; // [rows, n]
@group(0) @binding(5) var<storage, read> info: array<u32>; // [rows, n, k / 4, words, scale words]

const VECS: u32 = 2u; // places in info
const WORDS: u32 = 3u;
const SCALE_WORDS: u32 = 4u;

var<workgroup> partial: array<vec4<f32>, M * WG>;

// Values of KIND.
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
    return v * vec4<f32>(1.0, 0.0625, 0.00390625, 0.000244140625);
}

fn mac(sum: vec4<f32>, v: vec4<f32>, w: mat4x4<f32>) -> vec4<f32> {
    let xyz = fma(w[2], vec4<f32>(v.z), fma(w[1], vec4<f32>(v.y), fma(w[0], vec4<f32>(v.x), sum)));
    return fma(w[3], vec4<f32>(v.w), xyz);
}

fn x_at(start: u32, at: u32) -> vec4<f32> {
    let v = x[start + min(at, info[VECS] - 1u)];
    return spread(v); // past the last one the codes are zero
}

// Adds part `at` (four of k) of every row; w0 to w3 are the weights of the four columns.
fn add(sums: Rows, start: Starts, at: u32, w0: vec4<f32>, w1: vec4<f32>, w2: vec4<f32>, w3: vec4<f32>) -> Rows {
    let w = transpose(mat4x4<f32>(w0, w1, w2, w3));
    var s = sums;
    s.r0 = mac(s.r0, x_at(start.r0, at), w);
    if M > 1u {
        s.r1 = mac(s.r1, x_at(start.r1, at), w);
    }
    if M > 2u {
        s.r2 = mac(s.r2, x_at(start.r2, at), w);
        s.r3 = mac(s.r3, x_at(start.r3, at), w);
    }
    if M > 4u {
        s.r4 = mac(s.r4, x_at(start.r4, at), w);
        s.r5 = mac(s.r5, x_at(start.r5, at), w);
        s.r6 = mac(s.r6, x_at(start.r6, at), w);
        s.r7 = mac(s.r7, x_at(start.r7, at), w);
    }
    return s;
}

// The products of 16-byte word i of the codes of each column: 16 or 32 of k.
fn word(start: Starts, i: u32, at_row: vec4<u32>) -> Rows {
    let a = weight[at_row.x + i];
    let b = weight[at_row.y + i];
    let c = weight[at_row.z + i];
    let d = weight[at_row.w + i];
    var s = Rows();
    if KIND == Q8 {
        let at = i * 4u;
        s = add(s, start, at, codes8(a.x), codes8(b.x), codes8(c.x), codes8(d.x));
        s = add(s, start, at + 1u, codes8(a.y), codes8(b.y), codes8(c.y), codes8(d.y));
        s = add(s, start, at + 2u, codes8(a.z), codes8(b.z), codes8(c.z), codes8(d.z));
        s = add(s, start, at + 3u, codes8(a.w), codes8(b.w), codes8(c.w), codes8(d.w));
    } else {
        let at = i * 8u;
        s = add(s, start, at, codes4(a.x), codes4(b.x), codes4(c.x), codes4(d.x));
        s = add(s, start, at + 1u, codes4(a.x >> 16u), codes4(b.x >> 16u), codes4(c.x >> 16u), codes4(d.x >> 16u));
        s = add(s, start, at + 2u, codes4(a.y), codes4(b.y), codes4(c.y), codes4(d.y));
        s = add(s, start, at + 3u, codes4(a.y >> 16u), codes4(b.y >> 16u), codes4(c.y >> 16u), codes4(d.y >> 16u));
        s = add(s, start, at + 4u, codes4(a.z), codes4(b.z), codes4(c.z), codes4(d.z));
        s = add(s, start, at + 5u, codes4(a.z >> 16u), codes4(b.z >> 16u), codes4(c.z >> 16u), codes4(d.z >> 16u));
        s = add(s, start, at + 6u, codes4(a.w), codes4(b.w), codes4(c.w), codes4(d.w));
        s = add(s, start, at + 7u, codes4(a.w >> 16u), codes4(b.w >> 16u), codes4(c.w >> 16u), codes4(d.w >> 16u));
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

// The scale of block b of the row whose scales start there.
fn scale_at(start: u32, b: u32) -> f32 {
    let pair = unpack2x16float(scales[start + b / 2u]);
    return select(pair.x, pair.y, b % 2u == 1u);
}

// This lane's share of the sums over k for four columns.
fn products(start: Starts, rows: vec4<u32>, lane: u32) -> Rows {
    let at_row = rows * info[WORDS];
    let at_scale = rows * info[SCALE_WORDS];
    var totals = Rows();
    for (var i = lane % LANES; i < info[WORDS]; i += LANES) {
        var b = i; // block of this word
        if KIND == Q8 {
            b = i / 2u;
        }
        let scale = vec4<f32>(
            scale_at(at_scale.x, b),
            scale_at(at_scale.y, b),
            scale_at(at_scale.z, b),
            scale_at(at_scale.w, b),
        );
        totals = scaled(totals, word(start, i, at_row), scale);
    }
    return totals;
}

// Keeps this lane's share of the sums for `total`.
fn share(totals: Rows, lane: u32) {
    partial[lane] = totals.r0;
    if M > 1u {
        partial[min(1u, M - 1u) * WG + lane] = totals.r1;
    }
    if M > 2u {
        partial[min(2u, M - 1u) * WG + lane] = totals.r2;
        partial[min(3u, M - 1u) * WG + lane] = totals.r3;
    }
    if M > 4u {
        partial[min(4u, M - 1u) * WG + lane] = totals.r4;
        partial[min(5u, M - 1u) * WG + lane] = totals.r5;
        partial[min(6u, M - 1u) * WG + lane] = totals.r6;
        partial[min(7u, M - 1u) * WG + lane] = totals.r7;
    }
}

// Sums of row m over the lanes from `first` on, in their order.
fn total(m: u32, first: u32) -> vec4<f32> {
    var sum = partial[m * WG + first];
    for (var i = 1u; i < LANES; i++) {
        sum += partial[m * WG + first + i];
    }
    return sum;
}

// Rows past the end repeat the last one and are never stored.
fn start(row: u32) -> u32 {
    return min(row, info[0] - 1u) * info[VECS];
}

fn store(row: u32, column: u32, sums: vec4<f32>) {
    let n = info[1];
    if row < info[0] {
        for (var i = 0u; i < 4u; i++) {
            if column + i < n {
                out[row * n + column + i] = sums[i] + select(0.0, bias[select(0u, column + i, HAS_BIAS)], HAS_BIAS);
            }
        }
    }
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = info[1];
    if info[0] == 0u || n == 0u {
        return;
    }
    let tiles = (info[0] + M - 1u) / M;
    let index = group.x + group.y * groups.x;
    let row = index % tiles * M;
    let first = index / tiles * (WG / LANES);
    let column = (first + lane / LANES) * 4u;
    let rows = min(vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(n - 1u));
    let starts = Starts(
        start(row),
        start(row + 1u),
        start(row + 2u),
        start(row + 3u),
        start(row + 4u),
        start(row + 5u),
        start(row + 6u),
        start(row + 7u),
    );
    share(products(starts, rows, lane), lane);
    workgroupBarrier();
    for (var i = lane; i < M * (WG / LANES); i += WG) {
        let part = i % (WG / LANES);
        store(row + i / (WG / LANES), (first + part) * 4u, total(i / (WG / LANES), part * LANES));
    }
}
