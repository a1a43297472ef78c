// What the few_* kernels share: products of up to eight rows of x with four weight rows per group of LANES lanes.
// The kernel declares x, w, scales, `gamma_at(i)`, `k4()` and `chunks()`; `products` is in few_split.wgsl, or in
// few_sub.wgsl for adapters whose subgroups have exactly eight lanes.
//
// Weights are read as vec4<u32> whatever they hold. FORMAT 0: four f32; 1: eight f16; 2: sixteen 8-bit codes;
// 3: thirty-two 4-bit codes (nibble - 8). Codes are multiplied by the f16 scale of their block of 32.
// A sum is taken in the same order whatever the number of rows, so that a row does not depend on its company.
// NORM multiplies x by gamma and collects its squares: RMSNorm with the division taken out of the product.

const FORMAT: u32 = 0u; // param
const M: u32 = 1u; // param
const NORM: bool = false; // param
const WG: u32 = 64u; // param
const LANES: u32 = 8u; // param

const STEP: u32 = 1u << FORMAT; // vec4 of x per vec4<u32> of weights
const GROUPS: u32 = WG / LANES; // of lanes, each with four weight rows

var<workgroup> partial: array<vec4<f32>, M * WG>; // [m, lane]
var<workgroup> squares: array<f32, M * WG>; // [m, lane], if NORM

// One chunk of each of four weight rows.
struct Quad {
    a: vec4<u32>,
    b: vec4<u32>,
    c: vec4<u32>,
    d: vec4<u32>,
}

fn decode(p: vec4<u32>, j: u32) -> vec4<f32> {
    if FORMAT == 0u {
        return bitcast<vec4<f32>>(p);
    }
    if FORMAT == 1u {
        let half = select(p.xy, p.zw, j == 1u);
        return vec4<f32>(unpack2x16float(half.x), unpack2x16float(half.y));
    }
    if FORMAT == 2u {
        return vec4<f32>(vec4<i32>(vec4<u32>(p[j]) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u));
    }
    let nibbles = vec4<u32>(p[j / 2u] >> (16u * (j % 2u))) >> vec4<u32>(0u, 4u, 8u, 12u);
    return vec4<f32>(vec4<i32>(nibbles & vec4<u32>(15u)) - vec4<i32>(8));
}

// Scale of chunk `c` in the row whose scales start at word `start`.
fn scale(start: u32, c: u32) -> f32 {
    if FORMAT < 2u {
        return 1.0;
    }
    let block = select(c, c / 2u, FORMAT == 2u);
    let pair = unpack2x16float(scales[start + block / 2u]);
    return select(pair.x, pair.y, block % 2u == 1u);
}

// Part j of the four rows of a chunk, k by k.
fn columns_of(p: Quad, j: u32) -> mat4x4<f32> {
    return transpose(mat4x4<f32>(decode(p.a, j), decode(p.b, j), decode(p.c, j), decode(p.d, j)));
}

fn dots(v: vec4<f32>, t: mat4x4<f32>, sum: vec4<f32>) -> vec4<f32> {
    return fma(v.wwww, t[3], fma(v.zzzz, t[2], fma(v.yyyy, t[1], fma(v.xxxx, t[0], sum))));
}

// Lays this lane's shares where `total` finds them; the caller's barrier follows.
fn share(lane: u32, sums: ptr<function, array<vec4<f32>, 8>>, norms: ptr<function, array<f32, 8>>) {
    partial[lane] = (*sums)[0];
    if M > 1u {
        partial[min(1u, M - 1u) * WG + lane] = (*sums)[1];
    }
    if M > 2u {
        partial[min(2u, M - 1u) * WG + lane] = (*sums)[2];
        partial[min(3u, M - 1u) * WG + lane] = (*sums)[3];
    }
    if M > 4u {
        partial[min(4u, M - 1u) * WG + lane] = (*sums)[4];
        partial[min(5u, M - 1u) * WG + lane] = (*sums)[5];
        partial[min(6u, M - 1u) * WG + lane] = (*sums)[6];
        partial[min(7u, M - 1u) * WG + lane] = (*sums)[7];
    }
    if NORM {
        squares[lane] = (*norms)[0];
        if M > 1u {
            squares[min(1u, M - 1u) * WG + lane] = (*norms)[1];
        }
        if M > 2u {
            squares[min(2u, M - 1u) * WG + lane] = (*norms)[2];
            squares[min(3u, M - 1u) * WG + lane] = (*norms)[3];
        }
        if M > 4u {
            squares[min(4u, M - 1u) * WG + lane] = (*norms)[4];
            squares[min(5u, M - 1u) * WG + lane] = (*norms)[5];
            squares[min(6u, M - 1u) * WG + lane] = (*norms)[6];
            squares[min(7u, M - 1u) * WG + lane] = (*norms)[7];
        }
    }
}

// Sums of row m with the four weight rows of group g, over its lanes in order; divided by the root mean
// square of the row if NORM.
fn total(m: u32, g: u32, eps: f32) -> vec4<f32> {
    let first = m * WG + g * LANES;
    var sum = vec4<f32>(0.0);
    for (var i = 0u; i < LANES; i++) {
        sum += partial[first + i];
    }
    if NORM {
        var square = 0.0;
        for (var i = 0u; i < LANES; i++) {
            square += squares[first + i];
        }
        sum *= inverseSqrt(square / (4.0 * f32(k4())) + eps);
    }
    return sum;
}

fn silu(v: vec2<f32>) -> vec2<f32> {
    let z = exp(-abs(v)); // cannot overflow
    return v * select(z, vec2<f32>(1.0), v > vec2<f32>(0.0)) / (1.0 + z);
}
