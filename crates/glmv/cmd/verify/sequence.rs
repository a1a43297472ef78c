//! Kind `rope_index`: token types and grids → three-dimensional positions.

use super::check::Check;
use super::context::Context;
use super::fields::{Layout, compare_positions, grids};
use glmv_model::rope_index;

/// Positions of unpadded tokens and the rope deltas, exactly.
pub(super) fn positions(context: &Context<'_>, check: &mut Check<'_>) -> anyhow::Result<()> {
    let merge = context.config(check.case())?.vision.spatial_merge_size;
    // The types are given, so the ids do not matter.
    check.input("input_ids");
    let layout = Layout::read(check)?;
    let images = grids(check, "image_grid_thw")?;
    let videos = grids(check, "video_grid_thw")?;
    let ours = rope_index(
        &layout.modality,
        &layout.mask,
        layout.seq,
        &images,
        &videos,
        u32::try_from(merge)?,
    )?;
    compare_positions(check, &layout, &ours)?;
    check.exact("rope_deltas", &ours.rope_delta)
}
