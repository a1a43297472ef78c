//! `glmv run`: one question about pictures and videos, or a chat.

mod chat;
mod report;
mod turn;

use crate::args::RunArgs;
use crate::bundled::{self, Bundled};
use crate::session::{self, INTERRUPTED, Session};
use anyhow::{Context, bail};
use glmv_engine::{
    Conversation, EngineConfig, FinishReason, ImageSource, Message, Part, Role, VideoSource,
};
use glmv_sampling::{draw_boxes, parse_boxes};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use turn::Answer;

/// Runs the subcommand.
pub fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    match &args.model {
        Some(model) => with_model(args, model),
        None => {
            let bundled = Bundled::unpack()?;
            with_model(&with_question(args, &bundled), bundled.model())
        }
    }
}

/// With a picture and a question of the program's own, where nothing is asked.
fn with_question(args: &RunArgs, bundled: &Bundled) -> RunArgs {
    let mut args = args.clone();
    if args.prompt.is_none() && args.image.is_empty() && args.video.is_empty() {
        args.image = vec![bundled.picture()];
        args.prompt = Some(bundled::QUESTION.into());
        if !args.json {
            eprintln!("glmv-tiny, the bundled model, sees {}.", bundled::SHOWS);
            eprintln!("> {}", bundled::QUESTION);
        }
    }
    args
}

fn with_model(args: &RunArgs, model: &Path) -> anyhow::Result<ExitCode> {
    check(args)?;
    session::handle_ctrl_c()?;
    let (quiet, vision) = (args.json, !args.image.is_empty() || !args.video.is_empty());
    let mut session = session::load(model, &args.device, vision, quiet)?;
    session.engine.configure(EngineConfig {
        kv_format: args.kv_dtype.map(Into::into),
        ..EngineConfig::default()
    })?;
    match &args.prompt {
        Some(prompt) => ask(args, &mut session, prompt),
        None => chat::run(args, &mut session),
    }
}

/// Everything that can be refused before the model is loaded.
fn check(args: &RunArgs) -> anyhow::Result<()> {
    match &args.prompt {
        Some(prompt) if prompt.trim().is_empty() => bail!("the prompt is empty"),
        None if args.json => bail!("--json needs a PROMPT"),
        _ => {}
    }
    for path in args.image.iter().chain(&args.video) {
        if !path.exists() {
            bail!("{}: no such file", path.display());
        }
    }
    if let Some(out) = &args.draw_boxes {
        if args.image.is_empty() {
            bail!("--draw-boxes needs an --image to draw on");
        }
        writable(out)?;
    }
    Ok(())
}

/// Fails early if `out` could not be written, without creating or changing it.
fn writable(out: &Path) -> anyhow::Result<()> {
    if out
        .extension()
        .is_none_or(|e| !e.eq_ignore_ascii_case("png"))
    {
        bail!(
            "{}: --draw-boxes writes PNG, name the file .png",
            out.display()
        );
    }
    let parent = out
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let probe = parent.join(format!(".glmv-{}", std::process::id()));
    std::fs::write(&probe, []).with_context(|| format!("cannot write in {}", parent.display()))?;
    std::fs::remove_file(&probe)
        .with_context(|| format!("cannot write in {}", parent.display()))?;
    if out.is_dir() {
        bail!("{}: is a folder", out.display());
    }
    Ok(())
}

/// The user's turn: pictures and videos first, then the text.
fn user_message(images: &[PathBuf], videos: &[PathBuf], text: &str) -> Message {
    let images = images
        .iter()
        .map(|p| Part::Image(ImageSource::Path(p.clone())));
    let videos = videos
        .iter()
        .map(|p| Part::Video(VideoSource::Path(p.clone())));
    let text = std::iter::once(Part::Text(text.to_string()));
    Message::new(Role::User, images.chain(videos).chain(text).collect())
}

fn ask(args: &RunArgs, session: &mut Session, prompt: &str) -> anyhow::Result<ExitCode> {
    let message = user_message(&args.image, &args.video, prompt);
    let conversation = Conversation::new(vec![message]);
    let answer = turn::run(args, session, &conversation)?;
    if args.json {
        report::print(session, &answer)?;
    }
    if let (Some(out), Some(image)) = (&args.draw_boxes, args.image.first()) {
        draw(session, image, &answer, out)?;
    }
    Ok(match answer.completion.finish_reason {
        FinishReason::Cancelled => ExitCode::from(INTERRUPTED),
        FinishReason::Stop | FinishReason::Length => ExitCode::SUCCESS,
    })
}

fn draw(session: &Session, image: &Path, answer: &Answer, out: &Path) -> anyhow::Result<()> {
    let text = answer
        .parts
        .answer
        .as_deref()
        .unwrap_or(&answer.parts.reasoning);
    let parsed = parse_boxes(text);
    let processor = &session.engine.processor().image;
    let mut picture = processor
        .load(&ImageSource::Path(image.to_path_buf()))?
        .into_owned();
    draw_boxes(&mut picture, &parsed.boxes);
    picture
        .save_with_format(out, image::ImageFormat::Png)
        .with_context(|| format!("cannot write {}", out.display()))?;
    let ignored = match parsed.ignored {
        0 => String::new(),
        n => format!(", {n} ignored as no valid box"),
    };
    eprintln!(
        "{}: {} boxes drawn{ignored}",
        out.display(),
        parsed.boxes.len()
    );
    Ok(())
}
