// `products` for any adapter: the lanes of a group split k, so that their loads lie side by side.

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
    var t = columns_of(p, j);
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
