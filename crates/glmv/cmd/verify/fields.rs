//! Typed access to the JSON and integer tensors of a case: what is wrong is an error that names
//! the field, never a default.

use super::check::Check;
use anyhow::{Context as _, bail};
use glmv_model::PositionIds;
use serde_json::{Map, Value};
use std::path::{Component, Path};

/// Largest grid side and position that is taken seriously: far above any context, and small enough
/// that products fit.
const MAX_INDEX: i64 = 1 << 20;

/// `path` if it stays inside the folder.
pub(super) fn inside(path: &str) -> anyhow::Result<&Path> {
    let checked = Path::new(path);
    let normal = checked
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    match normal && !path.is_empty() {
        true => Ok(checked),
        false => bail!("path {path:?} leaves the folder"),
    }
}

/// The entry `key` of `value`; null where there is none.
pub(super) fn field<'v>(value: &'v Value, key: &str) -> &'v Value {
    value.get(key).unwrap_or(&Value::Null)
}

fn wrong(key: &str, expected: &str, value: &Value) -> anyhow::Error {
    anyhow::anyhow!("`{key}`: expected {expected}, found {value}")
}

pub(super) fn string<'v>(value: &'v Value, key: &str) -> anyhow::Result<&'v str> {
    let found = field(value, key);
    found.as_str().ok_or_else(|| wrong(key, "a string", found))
}

pub(super) fn number(value: &Value, key: &str) -> anyhow::Result<f64> {
    let found = field(value, key);
    found.as_f64().ok_or_else(|| wrong(key, "a number", found))
}

/// A number or null.
pub(super) fn optional_number(value: &Value, key: &str) -> anyhow::Result<Option<f64>> {
    match field(value, key) {
        Value::Null => Ok(None),
        _ => number(value, key).map(Some),
    }
}

pub(super) fn unsigned(value: &Value, key: &str) -> anyhow::Result<u64> {
    let found = field(value, key);
    found.as_u64().ok_or_else(|| wrong(key, "a count", found))
}

/// A positive count.
pub(super) fn size(value: &Value, key: &str) -> anyhow::Result<usize> {
    match usize::try_from(unsigned(value, key)?)? {
        0 => bail!("`{key}` is 0"),
        size => Ok(size),
    }
}

pub(super) fn flag(value: &Value, key: &str) -> anyhow::Result<bool> {
    let found = field(value, key);
    found
        .as_bool()
        .ok_or_else(|| wrong(key, "true or false", found))
}

pub(super) fn list<'v>(value: &'v Value, key: &str) -> anyhow::Result<&'v [Value]> {
    let found = field(value, key);
    let list = found
        .as_array()
        .ok_or_else(|| wrong(key, "a list", found))?;
    Ok(list)
}

pub(super) fn object<'v>(value: &'v Value, key: &str) -> anyhow::Result<&'v Map<String, Value>> {
    found_object(value, key).with_context(|| format!("`{key}`: expected an object"))
}

fn found_object<'v>(value: &'v Value, key: &str) -> Option<&'v Map<String, Value>> {
    field(value, key).as_object()
}

/// Token ids of an int64 tensor.
pub(super) fn token_ids(check: &mut Check<'_>, name: &str) -> anyhow::Result<Vec<u32>> {
    let ids = check.i64(name)?.0.into_iter().map(u32::try_from);
    ids.collect::<Result<_, _>>()
        .with_context(|| format!("{name}: a token id is negative or too large"))
}

/// The rows of a grid tensor `[n, 3]`; none where there is no such tensor.
pub(super) fn grids(check: &mut Check<'_>, name: &str) -> anyhow::Result<Vec<[u32; 3]>> {
    if !check.has(name) {
        return Ok(Vec::new());
    }
    let (values, shape) = check.i64(name)?;
    if shape.len() != 2 || shape[1] != 3 {
        bail!("{name}: shape {shape:?} instead of [n, 3]");
    }
    let (rows, _) = values.as_chunks::<3>();
    if let Some(row) = rows
        .iter()
        .find(|row| row.iter().any(|v| !(1..=MAX_INDEX).contains(v)))
    {
        bail!("{name}: {row:?} is no grid");
    }
    Ok(rows.iter().map(|row| row.map(|v| v as u32)).collect())
}

/// Grids as the flat list of a grid tensor.
pub(super) fn flat(grids: &[[u32; 3]]) -> Vec<i64> {
    grids.iter().flatten().map(|v| i64::from(*v)).collect()
}

/// Positions of an int64 tensor, and one more than the largest.
pub(super) fn positions(
    check: &mut Check<'_>,
    name: &str,
) -> anyhow::Result<(Vec<i64>, Vec<usize>, usize)> {
    let (values, shape) = check.i64(name)?;
    if let Some(p) = values.iter().find(|p| !(0..MAX_INDEX).contains(*p)) {
        bail!("{name}: position {p} is out of range");
    }
    let most = values.iter().max().map_or(0, |p| *p as usize + 1);
    Ok((values, shape, most))
}

/// What the tensors `attention_mask` and `mm_token_type_ids`, `[batch, seq]`, say.
pub(super) struct Layout {
    pub batch: usize,
    pub seq: usize,
    /// False at padding.
    pub mask: Vec<bool>,
    /// 0 text, 1 image, 2 video.
    pub modality: Vec<u8>,
}

impl Layout {
    pub(super) fn read(check: &mut Check<'_>) -> anyhow::Result<Self> {
        let (mask, shape) = check.i64("attention_mask")?;
        let (modality, kinds) = check.i64("mm_token_type_ids")?;
        let &[batch, seq] = shape.as_slice() else {
            bail!("attention_mask: shape {shape:?} instead of [batch, seq]");
        };
        if kinds != shape || batch * seq == 0 {
            bail!("mm_token_type_ids {kinds:?} and attention_mask {shape:?}");
        }
        if mask.iter().any(|m| !(0..=1).contains(m))
            || modality.iter().any(|m| !(0..=2).contains(m))
        {
            bail!("attention_mask holds more than 0 and 1, or mm_token_type_ids more than 0, 1, 2");
        }
        Ok(Layout {
            batch,
            seq,
            mask: mask.iter().map(|m| *m == 1).collect(),
            modality: modality.iter().map(|m| *m as u8).collect(),
        })
    }
}

/// Compares `position_ids` `[3, batch, seq]` where the mask is true.
pub(super) fn compare_positions(
    check: &mut Check<'_>,
    layout: &Layout,
    ours: &PositionIds,
) -> anyhow::Result<()> {
    let tokens = layout.batch * layout.seq;
    check.exact_where("position_ids", &ours.values, |i| layout.mask[i % tokens])
}
