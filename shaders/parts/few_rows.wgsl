// Products of up to eight rows of x with four weight rows per group of LANES lanes, which split k; shared by
// the few_* kernels, which declare x, w, scales, `gamma_at(i)`, `k4()` and `chunks()`.
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

// Scale of chunk `c` in the row whose scales start at `start`, in words.
fn scale(start: u32, c: u32) -> f32 {
    if FORMAT < 2u {
        return 1.0;
    }
    let block = select(c, c / 2u, FORMAT == 2u);
    let pair = unpack2x16float(scales[start + block / 2u]);
    return select(pair.x, pair.y, block % 2u == 1u);
}

fn dots(v: vec4<f32>, t: mat4x4<f32>, sum: vec4<f32>) -> vec4<f32> {
    return fma(v.wwww, t[3], fma(v.zzzz, t[2], fma(v.yyyy, t[1], fma(v.xxxx, t[0], sum))));
}

// Four elements of x against four of each weight row: part j of chunk c.
fn step(
    j: u32,
    c: u32,
    p: Quad,
    s: vec4<f32>,
    xs: ptr<function, array<u32, 8>>,
    sums: ptr<function, array<vec4<f32>, 8>>,
    norms: ptr<function, array<f32, 8>>,
) {
    let at = c * STEP + j;
    // Behind the end of a row weights are zero, and x is not counted.
    let i = min(at, k4() - 1u);
    let inside = select(0.0, 1.0, at < k4());
    var t = transpose(mat4x4<f32>(
        decode(p.a, j),
        decode(p.b, j),
        decode(p.c, j),
        decode(p.d, j),
    ));
    if FORMAT >= 2u {
        t = mat4x4<f32>(t[0] * s, t[1] * s, t[2] * s, t[3] * s);
    }
    var g = vec4<f32>(1.0);
    if NORM {
        g = gamma_at(i);
    }
    var v = x[(*xs)[0] + i];
    if NORM {
        (*norms)[0] += inside * dot(v, v);
        v *= g;
    }
    (*sums)[0] = dots(v, t, (*sums)[0]);
    if M > 1u {
        v = x[(*xs)[1] + i];
        if NORM {
            (*norms)[1] += inside * dot(v, v);
            v *= g;
        }
        (*sums)[1] = dots(v, t, (*sums)[1]);
    }
    if M > 2u {
        v = x[(*xs)[2] + i];
        if NORM {
            (*norms)[2] += inside * dot(v, v);
            v *= g;
        }
        (*sums)[2] = dots(v, t, (*sums)[2]);
        v = x[(*xs)[3] + i];
        if NORM {
            (*norms)[3] += inside * dot(v, v);
            v *= g;
        }
        (*sums)[3] = dots(v, t, (*sums)[3]);
    }
    if M > 4u {
        v = x[(*xs)[4] + i];
        if NORM {
            (*norms)[4] += inside * dot(v, v);
            v *= g;
        }
        (*sums)[4] = dots(v, t, (*sums)[4]);
        v = x[(*xs)[5] + i];
        if NORM {
            (*norms)[5] += inside * dot(v, v);
            v *= g;
        }
        (*sums)[5] = dots(v, t, (*sums)[5]);
        v = x[(*xs)[6] + i];
        if NORM {
            (*norms)[6] += inside * dot(v, v);
            v *= g;
        }
        (*sums)[6] = dots(v, t, (*sums)[6]);
        v = x[(*xs)[7] + i];
        if NORM {
            (*norms)[7] += inside * dot(v, v);
            v *= g;
        }
        (*sums)[7] = dots(v, t, (*sums)[7]);
    }
}

// This lane's share of the products of the x rows starting at `xs` (vec4) with the weight rows `rows`.
fn products(
    lane: u32,
    rows: vec4<u32>,
    xs: ptr<function, array<u32, 8>>,
    sums: ptr<function, array<vec4<f32>, 8>>,
    norms: ptr<function, array<f32, 8>>,
) {
    let ends = chunks();
    let starts = rows * ends;
    let words = (ends * STEP + 15u) / 16u; // of scales per row
    let scale_starts = rows * words;
    for (var c = lane % LANES; c < ends; c += LANES) {
        let p = Quad(w[starts.x + c], w[starts.y + c], w[starts.z + c], w[starts.w + c]);
        let s = vec4<f32>(scale(scale_starts.x, c), scale(scale_starts.y, c), scale(scale_starts.z, c), scale(scale_starts.w, c));
        step(0u, c, p, s, xs, sums, norms);
        if STEP > 1u {
            step(1u, c, p, s, xs, sums, norms);
        }
        if STEP > 2u {
            step(2u, c, p, s, xs, sums, norms);
            step(3u, c, p, s, xs, sums, norms);
        }
        if STEP > 4u {
            step(4u, c, p, s, xs, sums, norms);
            step(5u, c, p, s, xs, sums, norms);
            step(6u, c, p, s, xs, sums, norms);
            step(7u, c, p, s, xs, sums, norms);
        }
    }
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
