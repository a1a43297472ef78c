//! Kinds whose data is in `cases.json`: `smart_resize`, `video_sampling` and `chat_template`.

use super::check::Check;
use super::context::Context;
use super::fields::{field, flag, list, number, object, optional_number, string, unsigned};
use anyhow::Context as _;
use glmv_processor::{
    Processor, RenderOptions, ResizeArgs, SamplingArgs, pair_seconds, sample_frames, smart_resize,
};
use serde_json::{Value, json};

/// Target sizes; a golden null is a size that must be refused.
pub(super) fn sizes(check: &mut Check<'_>) -> anyhow::Result<()> {
    let case = check.case();
    let rows = rows(check)?;
    for (i, row) in rows.iter().enumerate() {
        let at = || format!("rows[{i}] of {}", case.id);
        let args = field(row, "args");
        let of = |key: &str| unsigned(args, key).with_context(at);
        let args = ResizeArgs {
            num_frames: of("num_frames")?,
            height: of("height")?,
            width: of("width")?,
            temporal_factor: of("temporal_factor")?,
            factor: of("factor")?,
            min_pixels: of("min_pixels")?,
            max_pixels: of("max_pixels")?,
        };
        let got = smart_resize(&args).map_or(Value::Null, |(h, w)| json!([h, w]));
        check.equal(
            &format!("rows[{i}].result"),
            &got,
            required(row, "result").with_context(at)?,
        );
    }
    Ok(())
}

/// Frame indices; long lists are given by count, ends and sum.
pub(super) fn sampling(check: &mut Check<'_>) -> anyhow::Result<()> {
    let rows = rows(check)?;
    let defaults = check.extra("defaults");
    for (i, row) in rows.iter().enumerate() {
        sample(check, &format!("rows[{i}]"), row, defaults)
            .with_context(|| format!("rows[{i}]"))?;
    }
    Ok(())
}

fn sample(check: &mut Check<'_>, name: &str, row: &Value, defaults: &Value) -> anyhow::Result<()> {
    let fps = number(row, "fps")?;
    let target_fps = match optional_number(row, "requested_fps")? {
        Some(fps) => fps,
        None => number(defaults, "fps")?,
    };
    let indices = sample_frames(&SamplingArgs {
        total_num_frames: usize::try_from(unsigned(row, "total_num_frames")?)?,
        fps,
        duration_secs: optional_number(row, "duration")?,
        target_fps,
        max_duration_secs: number(defaults, "max_duration")?,
    })?;
    /// Seconds that a row gives at most.
    const SECONDS: usize = 40;
    let seconds: Vec<u64> = pair_seconds(&indices, fps)
        .into_iter()
        .take(SECONDS)
        .collect();
    let first = list(row, "first")?.len().min(indices.len());
    let last = indices.len() - list(row, "last")?.len().min(indices.len());
    check.equal(
        &format!("{name}.count"),
        &json!(indices.len()),
        required(row, "count")?,
    );
    check.equal(
        &format!("{name}.sum"),
        &json!(indices.iter().sum::<usize>()),
        required(row, "sum")?,
    );
    check.equal(
        &format!("{name}.first"),
        &json!(indices[..first]),
        field(row, "first"),
    );
    check.equal(
        &format!("{name}.last"),
        &json!(indices[last..]),
        field(row, "last"),
    );
    check.equal(
        &format!("{name}.seconds"),
        &json!(seconds),
        required(row, "frame_seconds_in_text")?,
    );
    if !required(row, "indices")?.is_null() {
        check.equal(
            &format!("{name}.indices"),
            &json!(indices),
            field(row, "indices"),
        );
    }
    Ok(())
}

/// Messages to text, text to ids, ids to text; ids of special tokens.
pub(super) fn chat(context: &Context<'_>, check: &mut Check<'_>) -> anyhow::Result<()> {
    let processor = context.processor(check.case())?;
    for (i, row) in rows(check)?.iter().enumerate() {
        let name = format!(
            "rows[{i}] {}",
            field(row, "name").as_str().unwrap_or_default()
        );
        conversation(check, &processor, &name, row).with_context(|| name.clone())?;
    }
    let ids = check.extra("special_ids").as_object();
    for (token, id) in ids.context("the case has no `special_ids`")? {
        let ours = json!(processor.tokenizer.id(token));
        check.equal(&format!("special_ids {token}"), &ours, id);
    }
    Ok(())
}

fn conversation(
    check: &mut Check<'_>,
    processor: &Processor,
    name: &str,
    row: &Value,
) -> anyhow::Result<()> {
    let mut extra = object(row, "kwargs")?.clone();
    let tools = extra.remove("tools");
    let options = RenderOptions {
        add_generation_prompt: flag(row, "add_generation_prompt")?,
        enable_thinking: None,
        extra,
    };
    let messages = required(row, "messages")?;
    let text = processor
        .template
        .render_messages(messages, tools.as_ref(), &options)?;
    check.equal(
        &format!("{name}.text"),
        &json!(text),
        required(row, "text")?,
    );
    let ids = processor.tokenizer.encode(string(row, "text")?)?;
    check.equal(
        &format!("{name}.input_ids"),
        &json!(ids),
        required(row, "input_ids")?,
    );
    for (key, skip) in [("decoded", false), ("decoded_skip_special", true)] {
        let decoded = processor.tokenizer.decode(&ids, skip)?;
        check.equal(
            &format!("{name}.{key}"),
            &json!(decoded),
            required(row, key)?,
        );
    }
    Ok(())
}

/// The case's rows; none is an error, because nothing would be compared.
fn rows<'a>(check: &Check<'a>) -> anyhow::Result<&'a [Value]> {
    let rows = check
        .extra("rows")
        .as_array()
        .filter(|rows| !rows.is_empty());
    Ok(rows.context("the case has no `rows`")?)
}

/// The entry `key`, which may be null but must be there.
fn required<'v>(value: &'v Value, key: &str) -> anyhow::Result<&'v Value> {
    value
        .get(key)
        .with_context(|| format!("`{key}` is missing"))
}
