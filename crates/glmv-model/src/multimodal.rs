//! Three-dimensional positions of text, image and video tokens.

use crate::Error;

/// Positions of a batch along time, height and width.
#[derive(Clone, Debug, PartialEq)]
pub struct PositionIds {
    /// `[3, batch, seq]` row-major; 0 at padding.
    pub values: Vec<i64>,
    /// `[batch]`: largest position + 1 - number of unpadded tokens.
    pub rope_delta: Vec<i64>,
}

/// Token kinds in `modality`: 0 text, 1 image, 2 video (HF `mm_token_type_ids`).
const IMAGE: u8 = 1;

/// Positions of every token.
///
/// Text advances all three axes together; a visual group spans its merged grid from the current
/// position, and the next token starts at that position + max(height, width) of the merged grid.
///
/// # Shapes
/// `modality` and `mask` are `[batch, seq]` row-major; `mask` is false at padding. Grids are
/// (frames, height, width) in patches, consumed in order over the batch.
///
/// # Errors
/// When a visual group has no grid or another number of tokens than its grid.
///
/// Source: HF `Glm4vModel.get_rope_index`.
pub fn rope_index(
    modality: &[u8],
    mask: &[bool],
    seq: usize,
    image_grids: &[[u32; 3]],
    video_grids: &[[u32; 3]],
    merge: u32,
) -> Result<PositionIds, Error> {
    let batch = modality.len() / seq.max(1);
    let mut values = vec![0i64; 3 * batch * seq];
    let mut rope_delta = Vec::with_capacity(batch);
    let mut images = image_grids.iter().copied();
    // A video row contributes its frames one by one: text stands between them.
    let mut frames = video_grids
        .iter()
        .flat_map(|g| std::iter::repeat_n([1, g[1], g[2]], g[0] as usize));
    for b in 0..batch {
        let tokens: Vec<usize> = (0..seq).filter(|i| mask[b * seq + i]).collect();
        let (mut next, mut highest, mut at) = (0i64, -1i64, 0);
        while at < tokens.len() {
            let kind = modality[b * seq + tokens[at]];
            let same = |i: &&usize| modality[b * seq + **i] == kind;
            let group = tokens[at..].iter().take_while(same).count();
            let mut set = |i: usize, p: [i64; 3]| {
                for (axis, p) in p.into_iter().enumerate() {
                    values[(axis * batch + b) * seq + tokens[at + i]] = p;
                    highest = highest.max(p);
                }
            };
            if kind == 0 {
                (0..group).for_each(|i| set(i, [next + i as i64; 3]));
                next += group as i64;
            } else {
                let grid = if kind == IMAGE {
                    images.next()
                } else {
                    frames.next()
                };
                let grid = grid.ok_or_else(|| Error::Input {
                    reason: format!("a group of {group} visual tokens in row {b} has no grid"),
                })?;
                let [t, h, w] = [grid[0], grid[1] / merge, grid[2] / merge].map(i64::from);
                if t * h * w != group as i64 {
                    let reason = format!("{group} visual tokens in row {b} for grid {grid:?}");
                    return Err(Error::Input { reason });
                }
                for i in 0..t * h * w {
                    let place = [i / (h * w), i / w % h, i % w];
                    set(i as usize, place.map(|p| next + p));
                }
                next += i64::from(grid[1].max(grid[2]) / merge);
            }
            at += group;
        }
        rope_delta.push(highest + 1 - tokens.len() as i64);
    }
    Ok(PositionIds { values, rope_delta })
}

/// Positions of one further token per row: all axes are (unpadded tokens so far) + rope_delta.
///
/// # Shapes
/// `seen`, `rope_delta` `[batch]` → `[3, batch, 1]`.
pub fn decode_positions(seen: &[usize], rope_delta: &[i64]) -> Vec<i64> {
    let row: Vec<i64> = seen
        .iter()
        .zip(rope_delta)
        .map(|(n, d)| *n as i64 + d)
        .collect();
    [row.clone(), row.clone(), row].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_between_text() {
        let modality = [0, 1, 1, 1, 1, 1, 1, 0];
        let p = rope_index(&modality, &[true; 8], 8, &[[1, 4, 6]], &[], 2).unwrap();
        assert_eq!(p.values[..8], [0, 1, 1, 1, 1, 1, 1, 4]);
        assert_eq!(p.values[8..16], [0, 1, 1, 1, 2, 2, 2, 4]);
        assert_eq!(p.values[16..], [0, 1, 2, 3, 1, 2, 3, 4]);
        assert_eq!(p.rope_delta, [5 - 8]);
        assert_eq!(decode_positions(&[8], &p.rope_delta), [5, 5, 5]);
    }

    #[test]
    fn wrong_grids_are_errors() {
        assert!(rope_index(&[1, 1], &[true; 2], 2, &[[1, 4, 4]], &[], 2).is_err());
        assert!(rope_index(&[2, 2], &[true; 2], 2, &[[1, 2, 4]], &[], 2).is_err());
    }
}
