// Which entries of a list name each row, as linked lists in list order: the plan of scatter_rows.wgsl.
//
// source:  the sorted form of torch `embedding_dense_backward`, without a sort
// buffers: ids [n] Int, links [2 * rows + n] Int: the first entry of each row, the last one, and for each
//          entry the next one of its row, all counted from 1 with 0 for none; info [n, rows, base, lanes in all]
// grid:    lanes in all / WG workgroups; a row belongs to lane row % lanes, which walks the whole list
// work:    every lane reads all ids and writes the links of its own rows: no two lanes write one place
// domain:  ids below base or from base + rows on name no row; lanes is a multiple of WG
// twin:    crates/glmv-kernels/src/scatter.rs

alias Int = i32; // param
const WG: u32 = 64u; // param

@group(0) @binding(0) var<storage, read_write> ids: array<Int>; // [n]
@group(0) @binding(1) var<storage, read_write> links: array<Int>; // [2 * rows + n]
@group(0) @binding(2) var<storage, read> info: array<u32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = info[0];
    let rows = info[1];
    let lanes = info[3];
    let owner = (group.x + group.y * groups.x) * WG + lane;
    if owner >= lanes {
        return;
    }
    // Entry i is stored as i + 1, so that 0 is none in every type of Int.
    for (var row = owner; row < rows; row += lanes) {
        links[row] = Int(0);
        links[rows + row] = Int(0);
    }
    for (var i = 0u; i < n; i++) {
        let row = u32(ids[i]) - info[2]; // wraps for an id below base
        if row < rows && row % lanes == owner {
            let last = u32(links[rows + row]);
            if last == 0u {
                links[row] = Int(i + 1u);
            } else {
                links[2u * rows + last - 1u] = Int(i + 1u);
            }
            links[rows + row] = Int(i + 1u);
            links[2u * rows + i] = Int(0);
        }
    }
}
