// One step of AdamW on runs of values whose means are codes of 8 bits in blocks of 256, in place.
//
//   mean = scale[0] * q |q|, q = code / 127;  square = root^2, root = scale[1] * (code / 255)^2
//   g = clip * grad;  mean' = beta1 * mean + (1 - beta1) * g;  square' = beta2 * square + (1 - beta2) * g * g
//   value = keep * value - rate * mean' / (sqrt(square') * root_scale + eps)
//   scale' = largest |mean'| and largest sqrt(square') of the block
//   code' = floor(127 sqrt(|mean'| / scale'[0]) + d) with the sign, floor(255 sqrt(root' / scale'[1]) + d), at least
//   1 above 0, where d in (0, 1) follows from place and turn, so that rounding is fair over time
//
// source:  arXiv 2110.02861 (states in blocks of 8 bits); the map of the codes is ours, see the twin
// buffers: value [n], grad [n] f32; codes u32 [blocks, 128], 256 bytes of means then 256 of roots, the lowest byte
//          first; scales f32 [blocks, 2]; info [n, blocks, turn, 7 floats as bits]
// grid:    ceil(blocks / (WG / LANES)) workgroups, folded above 65535
// work:    LANES lanes per block; the new means are made twice, once for the scales and once for the codes
// twin:    crates/glmv-kernels/src/adamw_coded.rs

const WG: u32 = 64u; // param
const LANES: u32 = 64u; // param

@group(0) @binding(0) var<storage, read_write> value: array<f32>; // [n]
@group(0) @binding(1) var<storage, read_write> grad: array<f32>; // [n]
@group(0) @binding(2) var<storage, read_write> codes: array<u32>; // [blocks, 128]
@group(0) @binding(3) var<storage, read_write> scales: array<f32>; // [blocks, 2]
@group(0) @binding(4) var<storage, read> info: array<u32>;

var<workgroup> tops: array<vec2<f32>, WG>;

fn setting(i: u32) -> f32 {
    return bitcast<f32>(info[3u + i]);
}

/// New mean and new square of value k of word w of a block.
fn means(block: u32, w: u32, k: u32, g: f32, scale: vec2<f32>) -> vec2<f32> {
    let first = (codes[block * 128u + w] >> (8u * k)) & 255u;
    let second = (codes[block * 128u + 64u + w] >> (8u * k)) & 255u;
    let q = (f32(first) - select(0.0, 256.0, first >= 128u)) / 127.0;
    let share = f32(second) / 255.0;
    let root = scale.y * share * share;
    let beta1 = setting(1u);
    let beta2 = setting(2u);
    return vec2<f32>(
        beta1 * (scale.x * q * abs(q)) + (1.0 - beta1) * g,
        beta2 * (root * root) + (1.0 - beta2) * g * g,
    );
}

fn code(size: f32, top: f32, most: f32, d: f32) -> f32 {
    if top <= 0.0 {
        return 0.0;
    }
    return min(floor(most * sqrt(size / top) + d), most);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = info[0];
    let block = (group.x + group.y * groups.x) * (WG / LANES) + lane / LANES;
    let inside = block < info[1];
    let own = lane % LANES;
    let clip = setting(0u);
    var old = vec2<f32>(0.0);
    var top = vec2<f32>(0.0);
    if inside {
        old = vec2<f32>(scales[block * 2u], scales[block * 2u + 1u]);
        for (var w = own; w < 64u; w += LANES) {
            for (var k = 0u; k < 4u; k++) {
                let i = block * 256u + w * 4u + k;
                if i < n {
                    let fresh = means(block, w, k, clip * grad[i], old);
                    top = max(top, vec2<f32>(abs(fresh.x), sqrt(fresh.y)));
                }
            }
        }
    }
    if LANES > 1u {
        tops[lane] = top;
        for (var reach = LANES / 2u; reach > 0u; reach /= 2u) {
            workgroupBarrier();
            var other = vec2<f32>(0.0);
            if own < reach {
                other = tops[lane + reach];
            }
            workgroupBarrier();
            tops[lane] = max(tops[lane], other);
        }
        workgroupBarrier();
        top = tops[lane - own];
    }
    if !inside {
        return;
    }
    let eps = setting(3u);
    let rate = setting(4u);
    let correct = setting(5u);
    let keep = setting(6u);
    for (var w = own; w < 64u; w += LANES) {
        var words = vec2<u32>(0u);
        for (var k = 0u; k < 4u; k++) {
            let at = w * 4u + k;
            let i = block * 256u + at;
            if i < n {
                let fresh = means(block, w, k, clip * grad[i], old);
                let root = sqrt(fresh.y);
                value[i] = keep * value[i] - rate * fresh.x / (root * correct + eps);
                let d = (f32((at * 97u + info[2] * 101u) & 255u) + 0.5) / 256.0;
                let size = u32(code(abs(fresh.x), top.x, 127.0, d));
                let first = select(size, (256u - size) & 255u, fresh.x < 0.0);
                var second = u32(code(root, top.y, 255.0, d));
                if root > 0.0 {
                    second = max(second, 1u);
                }
                words = words | (vec2<u32>(first, second) << vec2<u32>(8u * k));
            }
        }
        codes[block * 128u + w] = words.x;
        codes[block * 128u + 64u + w] = words.y;
    }
    if own == 0u {
        scales[block * 2u] = top.x;
        scales[block * 2u + 1u] = top.y;
    }
}
