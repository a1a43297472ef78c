//! Kinds `image_processor` and `video_processor`: files → pixel rows, grids, text and ids.

use super::check::Check;
use super::context::Context;
use super::fields::{field, flat, list, number, optional_number, string, unsigned};
use super::verdict::Golden;
use anyhow::{Context as _, bail, ensure};
use glmv_processor::{
    IMAGE_TOKEN, ImageSource, Processor, RgbImage, VIDEO_TOKEN, VideoSource, VisualPatches,
};
use glmv_testkit::{Bound, Tensors};
use serde_json::{Value, json};

/// Name of the entry that is several pictures in one call.
const BATCH: &str = "batch";

/// Every picture of the case, and the batch.
pub(super) fn pictures(context: &Context<'_>, check: &mut Check<'_>) -> anyhow::Result<()> {
    let processor = context.processor(check.case())?;
    let images = check
        .extra("images")
        .as_object()
        .context("the case has no `images`")?;
    for (name, info) in images {
        let outcome = match name == BATCH {
            true => batch(context, check, &processor, info),
            false => picture(context, check, &processor, name, info),
        };
        outcome.with_context(|| name.clone())?;
    }
    Ok(())
}

fn picture(
    context: &Context<'_>,
    check: &mut Check<'_>,
    processor: &Processor,
    name: &str,
    info: &Value,
) -> anyhow::Result<()> {
    let source = ImageSource::Path(context.file(string(info, "file")?)?);
    let at = |part: &str| format!("{name}.{part}");
    let original = processor.image.load(&source)?;
    for (key, value) in [("width", original.width()), ("height", original.height())] {
        check.equal(&at(key), &json!(value), field(info, key));
    }
    let resized = processor.image.resized(&source)?;
    let size = [resized.height(), resized.width()];
    check.equal(&at("resized"), &json!(size), field(info, "resized"));
    compare_bytes(check, name, &resized)?;
    let patches = processor.image.process(&source)?;
    check.equal(
        &at("grid"),
        &json!(patches.grid_thw[0]),
        field(info, "grid_thw"),
    );
    if check.has(&at("grid_thw")) {
        check.exact(&at("grid_thw"), &flat(&patches.grid_thw))?;
    }
    if check.has(&at("pixel_values")) {
        compare_rows(check, &at("pixel_values"), &patches, info)?;
    }
    compare_moments(check, name, &patches.pixel_values, info)
}

/// The resized picture: byte by byte against torchvision's, informative against Pillow's.
fn compare_bytes(check: &mut Check<'_>, name: &str, resized: &RgbImage) -> anyhow::Result<()> {
    let exact = format!("{name}.resized_u8_torchvision");
    if check.has(&exact) {
        let (want, shape) = check.u8(&exact)?;
        check.exact_list(&exact, resized.as_raw(), &want, &shape);
    }
    let pillow = format!("{name}.resized_u8_pil");
    if check.has(&pillow) {
        let (want, _) = check.u8(&pillow)?;
        let levels = resized
            .as_raw()
            .iter()
            .zip(&want)
            .map(|(a, b)| a.abs_diff(*b))
            .max()
            .unwrap_or(0);
        check.inform(
            &pillow,
            f64::from(levels),
            format!("Pillow differs by {levels} grey levels at most"),
        );
    }
    Ok(())
}

/// Pixel rows; a golden block may be the first `rows_stored` rows only.
fn compare_rows(
    check: &mut Check<'_>,
    name: &str,
    patches: &VisualPatches,
    info: &Value,
) -> anyhow::Result<()> {
    let (want, shape) = check.f32(name)?;
    let rows = patches.num_patches();
    let stored = match field(info, "rows_stored") {
        Value::Null => rows,
        _ => usize::try_from(unsigned(info, "rows_stored")?)?.min(rows),
    };
    ensure!(
        shape == [stored, patches.row_len],
        "{name}: shape {shape:?}, ours is [{stored}, {}]",
        patches.row_len
    );
    let bound = check.bound(name)?;
    let got = &patches.pixel_values[..stored * patches.row_len];
    check.compare(
        name,
        got,
        &Golden {
            values: &want,
            shape: &shape,
        },
        |_| bound,
    );
    Ok(())
}

/// Mean and (sample) standard deviation of all rows, where the case states them: they cover the
/// rows that are not stored.
fn compare_moments(
    check: &mut Check<'_>,
    name: &str,
    values: &[f32],
    info: &Value,
) -> anyhow::Result<()> {
    let count = values.len() as f64;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
    let squares: f64 = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum();
    let deviation = (squares / (count - 1.0)).sqrt();
    let bound = check.bound(name)?;
    let allowed = Bound::new(bound.mean_abs.unwrap_or(bound.abs), 0.0);
    for (key, got) in [("mean", mean), ("std", deviation)] {
        if let Some(want) = optional_number(info, key)? {
            scalar(check, &format!("{name}.{key}"), got, want, allowed);
        }
    }
    Ok(())
}

fn scalar(check: &mut Check<'_>, name: &str, got: f64, want: f64, bound: Bound) {
    check.compare(
        name,
        &[got as f32],
        &Golden {
            values: &[want as f32],
            shape: &[1],
        },
        |_| bound,
    );
}

/// Several pictures in one call: grids, number of rows, and their sum.
fn batch(
    context: &Context<'_>,
    check: &mut Check<'_>,
    processor: &Processor,
    info: &Value,
) -> anyhow::Result<()> {
    let file = |value: &Value| -> anyhow::Result<ImageSource> {
        Ok(ImageSource::Path(context.file(
            value.as_str().context("`files`: expected names")?,
        )?))
    };
    let images = list(info, "files")?
        .iter()
        .map(file)
        .collect::<anyhow::Result<Vec<_>>>()?;
    let prompt = IMAGE_TOKEN.repeat(images.len());
    let inputs = processor.process_prompt(&prompt, &images, &[])?;
    let patches = inputs.images.context("no pictures in the batch")?;
    check.equal(
        "batch.rows",
        &json!(patches.num_patches()),
        field(info, "rows"),
    );
    if check.has("batch.grid_thw") {
        check.exact("batch.grid_thw", &flat(&patches.grid_thw))?;
    }
    let sum: f64 = patches.pixel_values.iter().map(|v| f64::from(*v)).sum();
    let bound = check.bound("batch")?;
    let per_value = bound.mean_abs.unwrap_or(bound.abs);
    let count = patches.pixel_values.len() as f64;
    scalar(
        check,
        "batch.sum",
        sum / count,
        number(info, "sum")? / count,
        Bound::new(per_value, 0.0),
    );
    Ok(())
}

/// A clip: sampled frames, pixel rows, the expanded text and its ids.
pub(super) fn video(context: &Context<'_>, check: &mut Check<'_>) -> anyhow::Result<()> {
    let processor = context.processor(check.case())?;
    let extra = Value::Object(check.case().extra.clone());
    let source = clip(context, &extra)?;
    let video = processor.video.process(&source)?;
    check.equal(
        "frames_indices",
        &json!(video.frames_indices),
        field(&extra, "frames_indices"),
    );
    check.equal(
        "timestamps",
        &json!(video.timestamps_secs),
        field(&extra, "timestamps"),
    );
    check.equal(
        "frame_seconds_in_text",
        &json!(video.pair_seconds),
        field(&extra, "frame_seconds_in_text"),
    );
    if check.has("video_grid_thw") {
        check.exact("video_grid_thw", &flat(&video.patches.grid_thw))?;
    }
    compare_rows(check, "pixel_values_videos", &video.patches, &extra)?;
    let text = string(&extra, "expanded_text")?;
    let prompt = collapsed(text)?;
    let expanded = processor.expand_prompt(&prompt, &[], std::slice::from_ref(&video))?;
    check.equal("expanded_text", &json!(expanded), &json!(text));
    let inputs = processor.process_prompt(&prompt, &[], &[source])?;
    if check.has("input_ids") {
        let ids: Vec<i64> = inputs.input_ids.iter().map(|id| i64::from(*id)).collect();
        check.exact("input_ids", &ids)?;
    }
    if check.has("mm_token_type_ids") {
        let kinds: Vec<i64> = inputs
            .modality
            .iter()
            .map(|m| i64::from(*m as u8))
            .collect();
        check.exact("mm_token_type_ids", &kinds)?;
    }
    let same = inputs.videos.as_ref() == Some(&video.patches);
    check.equal("pixels through the prompt", &json!(same), &json!(true));
    Ok(())
}

/// The prompt before its one video was expanded.
fn collapsed(expanded: &str) -> anyhow::Result<String> {
    const BEGIN: &str = "<|begin_of_video|>";
    const END: &str = "<|end_of_video|>";
    let (head, rest) = expanded
        .split_once(BEGIN)
        .context("expanded_text holds no video")?;
    let (_, tail) = rest
        .split_once(END)
        .context("expanded_text: the video does not end")?;
    Ok(format!("{head}{BEGIN}{VIDEO_TOKEN}{END}{tail}"))
}

/// The frames of the case's clip with the rate and length it states.
fn clip(context: &Context<'_>, extra: &Value) -> anyhow::Result<VideoSource> {
    let (data, shape) = Tensors::read(&context.file(string(extra, "file_in")?)?)?.u8("frames")?;
    let &[count, height, width, 3] = shape.as_slice() else {
        bail!("frames: shape {shape:?} instead of [n, height, width, 3]");
    };
    ensure!(height * width > 0, "frames: shape {shape:?}");
    let metadata = field(extra, "metadata");
    let stated = unsigned(metadata, "total_num_frames")?;
    ensure!(
        stated == count as u64,
        "{count} frames, `total_num_frames` says {stated}"
    );
    let (w, h) = (u32::try_from(width)?, u32::try_from(height)?);
    let frame =
        |data: &[u8]| RgbImage::from_raw(w, h, data.to_vec()).context("a frame is too short");
    Ok(VideoSource::Frames {
        frames: data
            .chunks_exact(height * width * 3)
            .map(frame)
            .collect::<anyhow::Result<_>>()?,
        fps: optional_number(metadata, "fps")?,
        duration_secs: optional_number(metadata, "duration")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expanded_video_is_collapsed() {
        let text =
            "a<|begin_of_video|><|begin_of_image|><|image|><|end_of_image|>0<|end_of_video|>b";
        let want = "a<|begin_of_video|><|video|><|end_of_video|>b";
        assert_eq!(collapsed(text).expect("a video"), want);
        assert!(collapsed("a").is_err());
    }
}
