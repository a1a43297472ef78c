// `products` where a subgroup is eight lanes: a lane owns four weight rows, and the lanes of a subgroup load a
// block of 32 of each row of x together and pass it round. LANES is 1.

// Four elements of x, one lane's part of a block of each row.
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

// Adds part `part` of the block in `v` against chunk `p`'s part j.
fn tap(part: u32, t: mat4x4<f32>, v: ptr<function, Rows>, sums: ptr<function, array<vec4<f32>, 8>>) {
    (*sums)[0] = dots(subgroupShuffle((*v).r0, part), t, (*sums)[0]);
    if M > 1u {
        (*sums)[1] = dots(subgroupShuffle((*v).r1, part), t, (*sums)[1]);
    }
    if M > 2u {
        (*sums)[2] = dots(subgroupShuffle((*v).r2, part), t, (*sums)[2]);
        (*sums)[3] = dots(subgroupShuffle((*v).r3, part), t, (*sums)[3]);
    }
    if M > 4u {
        (*sums)[4] = dots(subgroupShuffle((*v).r4, part), t, (*sums)[4]);
        (*sums)[5] = dots(subgroupShuffle((*v).r5, part), t, (*sums)[5]);
        (*sums)[6] = dots(subgroupShuffle((*v).r6, part), t, (*sums)[6]);
        (*sums)[7] = dots(subgroupShuffle((*v).r7, part), t, (*sums)[7]);
    }
}

// Adds the STEP parts of the chunk at index `c` of each weight row, the first against part `part`.
fn chunk(c: u32, part: u32, starts: vec4<u32>, s: vec4<f32>, v: ptr<function, Rows>, sums: ptr<function, array<vec4<f32>, 8>>) {
    let i = min(c, chunks() - 1u); // behind the end x is zero
    let p = Quad(w[starts.x + i], w[starts.y + i], w[starts.z + i], w[starts.w + i]);
    tap(part + 0u, scaled(columns_of(p, 0u), s), v, sums);
    if STEP > 1u {
        tap(part + 1u, scaled(columns_of(p, 1u), s), v, sums);
    }
    if STEP > 2u {
        tap(part + 2u, scaled(columns_of(p, 2u), s), v, sums);
        tap(part + 3u, scaled(columns_of(p, 3u), s), v, sums);
    }
    if STEP > 4u {
        tap(part + 4u, scaled(columns_of(p, 4u), s), v, sums);
        tap(part + 5u, scaled(columns_of(p, 5u), s), v, sums);
        tap(part + 6u, scaled(columns_of(p, 6u), s), v, sums);
        tap(part + 7u, scaled(columns_of(p, 7u), s), v, sums);
    }
}

fn scaled(t: mat4x4<f32>, s: vec4<f32>) -> mat4x4<f32> {
    if FORMAT < 2u {
        return t;
    }
    return mat4x4<f32>(t[0] * s, t[1] * s, t[2] * s, t[3] * s);
}

fn x_part(start: u32, at: u32) -> vec4<f32> {
    return select(vec4<f32>(0.0), x[start + min(at, k4() - 1u)], at < k4());
}

// The products of the x rows starting at `xs` (vec4) with this lane's weight rows, whole.
fn products(
    lane: u32,
    rows: vec4<u32>,
    xs: ptr<function, array<u32, 8>>,
    sums: ptr<function, array<vec4<f32>, 8>>,
    norms: ptr<function, array<f32, 8>>,
) {
    let starts = rows * chunks();
    let scale_starts = rows * ((chunks() * STEP + 15u) / 16u);
    let blocks = (k4() + 7u) / 8u;
    for (var b = 0u; b < blocks; b++) {
        let at = b * 8u + lane % 8u;
        var v = Rows();
        v.r0 = x_part((*xs)[0], at);
        if M > 1u {
            v.r1 = x_part((*xs)[1], at);
        }
        if M > 2u {
            v.r2 = x_part((*xs)[2], at);
            v.r3 = x_part((*xs)[3], at);
        }
        if M > 4u {
            v.r4 = x_part((*xs)[4], at);
            v.r5 = x_part((*xs)[5], at);
            v.r6 = x_part((*xs)[6], at);
            v.r7 = x_part((*xs)[7], at);
        }
        if NORM {
            let g = gamma_at(min(at, k4() - 1u));
            (*norms)[0] += dot(v.r0, v.r0);
            v.r0 *= g;
            if M > 1u {
                (*norms)[1] += dot(v.r1, v.r1);
                v.r1 *= g;
            }
            if M > 2u {
                (*norms)[2] += dot(v.r2, v.r2);
                v.r2 *= g;
                (*norms)[3] += dot(v.r3, v.r3);
                v.r3 *= g;
            }
            if M > 4u {
                (*norms)[4] += dot(v.r4, v.r4);
                v.r4 *= g;
                (*norms)[5] += dot(v.r5, v.r5);
                v.r5 *= g;
                (*norms)[6] += dot(v.r6, v.r6);
                v.r6 *= g;
                (*norms)[7] += dot(v.r7, v.r7);
                v.r7 *= g;
            }
        }
        let c = b * (8u / STEP);
        let s = vec4<f32>(
            scale(scale_starts.x, c),
            scale(scale_starts.y, c),
            scale(scale_starts.z, c),
            scale(scale_starts.w, c),
        );
        chunk(c, 0u, starts, s, &v, sums);
        if STEP < 8u {
            chunk(c + 1u, STEP, starts, s, &v, sums);
        }
        if STEP < 4u {
            chunk(c + 2u, 2u * STEP, starts, s, &v, sums);
            chunk(c + 3u, 3u * STEP, starts, s, &v, sums);
        }
        if STEP < 2u {
            chunk(c + 4u, 4u * STEP, starts, s, &v, sums);
            chunk(c + 5u, 5u * STEP, starts, s, &v, sums);
            chunk(c + 6u, 6u * STEP, starts, s, &v, sums);
            chunk(c + 7u, 7u * STEP, starts, s, &v, sums);
        }
    }
    if NORM {
        (*norms)[0] = subgroupAdd((*norms)[0]);
        if M > 1u {
            (*norms)[1] = subgroupAdd((*norms)[1]);
        }
        if M > 2u {
            (*norms)[2] = subgroupAdd((*norms)[2]);
            (*norms)[3] = subgroupAdd((*norms)[3]);
        }
        if M > 4u {
            (*norms)[4] = subgroupAdd((*norms)[4]);
            (*norms)[5] = subgroupAdd((*norms)[5]);
            (*norms)[6] = subgroupAdd((*norms)[6]);
            (*norms)[7] = subgroupAdd((*norms)[7]);
        }
    }
}
