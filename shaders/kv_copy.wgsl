// Rows of a cache tensor to other rows of the same tensor, in place: data[target_rows[i]] = data[source[i]].
//
// source:  copy on write of a paged KV cache's blocks (Kwon et al., arXiv 2309.06180)
// buffers: data [rows, width] Elem, source and target_rows [n] Int, info [n, width in Elem, rows]
// grid:    ceil(n * width in Elem / WG) workgroups, folded above 65535
// work:    one lane per Elem. A pair with a row outside of the tensor is skipped
// domain:  no row is both read and written, none is written twice
// twin:    crates/glmv-kernels/src/kv.rs

alias Elem = vec4<f32>; // param
alias Int = i32; // param
const WG: u32 = 64u; // param

@group(0) @binding(0) var<storage, read_write> data: array<Elem>; // [rows, width]
@group(0) @binding(1) var<storage, read_write> source: array<Int>; // [n]
@group(0) @binding(2) var<storage, read_write> target_rows: array<Int>; // [n]
@group(0) @binding(3) var<storage, read> info: array<u32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let width = info[1];
    let i = (group.x + group.y * groups.x) * WG + lane;
    if i >= info[0] * width {
        return;
    }
    let here = u32(source[i / width]);
    let there = u32(target_rows[i / width]);
    if here < info[2] && there < info[2] {
        data[there * width + i % width] = data[here * width + i % width];
    }
}
