//! Prepared inputs → one left-padded batch with positions.

use crate::Error;
use glmv_model::{PositionIds, Sequences, rope_index};
use glmv_processor::{ModelInputs, VisualPatches};

/// Rows of different lengths brought to one length by padding on the left.
///
/// # Shapes
/// → `Sequences` `[batch, longest]`, and the positions' rope deltas `[batch]`.
///
/// # Errors
/// [`Error::Empty`] without rows or with an empty one; the model's errors for wrong grids.
pub fn left_pad(
    rows: &[&ModelInputs],
    pad_id: u32,
    merge: u32,
) -> Result<(Sequences, PositionIds), Error> {
    let seq = rows.iter().map(|r| r.input_ids.len()).max().unwrap_or(0);
    if seq == 0 || rows.iter().any(|r| r.input_ids.is_empty()) {
        return Err(Error::Empty);
    }
    let (mut ids, mut modality, mut mask) = (Vec::new(), Vec::new(), Vec::new());
    let mut padding = Vec::new();
    for row in rows {
        let pad = seq - row.input_ids.len();
        ids.extend(std::iter::repeat_n(pad_id, pad));
        ids.extend(&row.input_ids);
        modality.extend(std::iter::repeat_n(0u8, pad));
        modality.extend(row.modality.iter().map(|m| *m as u8));
        mask.extend(std::iter::repeat_n(false, pad));
        mask.extend(std::iter::repeat_n(true, seq - pad));
        padding.push(pad);
    }
    let grids = |pick: fn(&ModelInputs) -> Option<&VisualPatches>| -> Vec<[u32; 3]> {
        rows.iter()
            .filter_map(|r| pick(r))
            .flat_map(|p| p.grid_thw.clone())
            .collect()
    };
    let images = grids(|r| r.images.as_ref());
    let videos = grids(|r| r.videos.as_ref());
    let positions = rope_index(&modality, &mask, seq, &images, &videos, merge)?;
    let sequences = Sequences {
        batch: rows.len(),
        seq,
        input_ids: ids,
        modality,
        positions: positions.values.clone(),
        padding,
    };
    Ok((sequences, positions))
}

/// One further token per row: ids `[batch]` at `positions` `[3, batch]`, same padding as before.
pub fn sequences_of(ids: Vec<u32>, positions: Vec<i64>, padding: Vec<usize>) -> Sequences {
    let batch = ids.len();
    Sequences {
        batch,
        seq: 1,
        modality: vec![0; batch],
        input_ids: ids,
        positions,
        padding,
    }
}
