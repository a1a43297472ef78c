//! Grammar of a completion: `<think>…</think>`, then the answer, bare (GLM-4.5V) or within
//! `<answer>…</answer>` (GLM-4.1V), with exactly one `<|begin_of_box|>…<|end_of_box|>` where the task
//! is verifiable and none where it is not (GLM-V paper, arXiv 2507.01006, §5.2).
//!
//! White space around the parts is dropped; tags are read in either case. Whatever is unclosed,
//! nested, repeated or misplaced is a [`Fault`].

/// Opens the box of the final answer.
pub const BEGIN_BOX: &str = "<|begin_of_box|>";
/// Closes it.
pub const END_BOX: &str = "<|end_of_box|>";
/// Longest answer, characters.
pub const MAX_ANSWER_CHARS: usize = 20_000;

/// What a completion must have before its answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Think {
    /// `<think>…</think>` at the start.
    #[default]
    Required,
    /// The prompt has opened the block: the completion closes it.
    Opened,
    /// A block may be there; if so, it is well formed.
    Optional,
}

/// What the answer must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boxed {
    /// Exactly one box: its content is compared.
    One,
    /// No box: the task is not verifiable.
    None,
}

/// A completion that keeps the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion<'a> {
    /// Text of the think block; empty where there is none.
    pub think: &'a str,
    /// Text of the answer, without the answer tags.
    pub answer: &'a str,
    /// Content of the box.
    pub boxed: Option<&'a str>,
}

/// How a completion breaks the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No think block.
    #[error("does not start with <think>")]
    NoThink,
    /// A think block without its end.
    #[error("<think> is not closed")]
    UnclosedThink,
    /// A second or stray think tag.
    #[error("think tags are repeated, nested or out of order")]
    ThinkTags,
    /// Text before the think block.
    #[error("text before <think>")]
    TextBefore,
    /// An answer block without its end, or an end without a start.
    #[error("<answer> is not closed, or not opened")]
    UnclosedAnswer,
    /// Answer tags elsewhere.
    #[error("answer tags are repeated, nested or misplaced")]
    AnswerTags,
    /// Text outside of the answer block.
    #[error("text outside of <answer>…</answer>")]
    TextAround,
    /// Nothing after the think block.
    #[error("the answer is empty")]
    EmptyAnswer,
    /// A box that must be there is not.
    #[error("no box around the final answer")]
    NoBox,
    /// A begin marker without its end.
    #[error("the box is not closed")]
    UnclosedBox,
    /// An end marker without its begin.
    #[error("a box ends that was not begun")]
    StrayBoxEnd,
    /// A box inside of a box.
    #[error("boxes are nested")]
    NestedBox,
    /// More than one box.
    #[error("more than one box")]
    SeveralBoxes,
    /// A box marker in the think block.
    #[error("box markers inside of <think>")]
    BoxInThink,
    /// `\boxed{…}` in the answer.
    #[error("\\boxed{{}} is not the marker of an answer")]
    LatexBox,
    /// A box where the task is not verifiable.
    #[error("box markers in an answer that cannot be verified")]
    UnexpectedBox,
    /// An answer that is too long.
    #[error("the answer is longer than {MAX_ANSWER_CHARS} characters")]
    TooLong,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    Think,
    EndThink,
    Answer,
    EndAnswer,
    Box,
    EndBox,
}

const TAGS: [(&str, Tag); 6] = [
    ("<think>", Tag::Think),
    ("</think>", Tag::EndThink),
    ("<answer>", Tag::Answer),
    ("</answer>", Tag::EndAnswer),
    (BEGIN_BOX, Tag::Box),
    (END_BOX, Tag::EndBox),
];
/// More tags than this are repeated ones in any case.
const MAX_TAGS: usize = 64;

#[derive(Clone, Copy)]
struct Found {
    tag: Tag,
    start: usize,
    end: usize,
}

fn tags(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for (start, _) in text.match_indices('<') {
        let rest = &text.as_bytes()[start..];
        if !matches!(rest.get(1), Some(b't' | b'T' | b'a' | b'A' | b'/' | b'|')) {
            continue;
        }
        let hit = TAGS.iter().find(|(name, _)| {
            rest.get(..name.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(name.as_bytes()))
        });
        if let Some((name, tag)) = hit {
            found.push(Found {
                tag: *tag,
                start,
                end: start + name.len(),
            });
            if found.len() > MAX_TAGS {
                break;
            }
        }
    }
    found
}

/// Reads a completion.
///
/// # Errors
/// The first [`Fault`] found, from the think block to the box.
pub fn read(text: &str, think: Think, boxed: Boxed) -> Result<Completion<'_>, Fault> {
    let found = tags(text);
    let (think, rest_at) = think_block(text, &found, think)?;
    let after: Vec<Found> = found
        .iter()
        .copied()
        .filter(|f| f.start >= rest_at)
        .collect();
    let (start, end) = answer_block(text, rest_at, &after)?;
    let answer = text[start..end].trim();
    if answer.is_empty() {
        return Err(Fault::EmptyAnswer);
    }
    if is_too_long(answer) {
        return Err(Fault::TooLong);
    }
    let inside = boxes(text, &after)?;
    let boxed = match boxed {
        Boxed::None if inside.is_some() || answer.contains("\\boxed{") => {
            return Err(Fault::UnexpectedBox);
        }
        Boxed::None => None,
        Boxed::One if answer.contains("\\boxed{") => return Err(Fault::LatexBox),
        Boxed::One => Some(inside.ok_or(Fault::NoBox)?),
    };
    Ok(Completion {
        think,
        answer,
        boxed,
    })
}

/// True above [`MAX_ANSWER_CHARS`].
pub fn is_too_long(answer: &str) -> bool {
    answer.len() > MAX_ANSWER_CHARS && answer.chars().count() > MAX_ANSWER_CHARS
}

/// The think block, and where the rest begins.
fn think_block<'a>(text: &'a str, found: &[Found], rule: Think) -> Result<(&'a str, usize), Fault> {
    let of = |tag: Tag| found.iter().copied().filter(move |f| f.tag == tag);
    let (opens, closes) = (of(Tag::Think).count(), of(Tag::EndThink).count());
    let wanted = usize::from(rule != Think::Opened);
    if opens > 1 || closes > 1 {
        return Err(Fault::ThinkTags);
    }
    if opens == 0 && closes == 0 && rule == Think::Optional {
        return Ok(("", 0));
    }
    if opens < wanted {
        return Err(Fault::NoThink);
    }
    let open = of(Tag::Think).next();
    let inside_at = open.map_or(0, |f| f.end);
    let close = of(Tag::EndThink).next().ok_or(Fault::UnclosedThink);
    if close.is_ok_and(|close| close.start < inside_at) {
        return Err(Fault::ThinkTags);
    }
    if open.is_some_and(|open| !text[..open.start].trim().is_empty()) {
        return Err(Fault::TextBefore);
    }
    let close = close?;
    for tag in found
        .iter()
        .filter(|f| f.end <= close.start && f.start >= inside_at)
    {
        match tag.tag {
            Tag::Box | Tag::EndBox => return Err(Fault::BoxInThink),
            Tag::Answer | Tag::EndAnswer => return Err(Fault::AnswerTags),
            Tag::Think | Tag::EndThink => {}
        }
    }
    Ok((text[inside_at..close.start].trim(), close.end))
}

/// Where the answer lies in `text`.
fn answer_block(text: &str, rest_at: usize, after: &[Found]) -> Result<(usize, usize), Fault> {
    let of = |tag: Tag| after.iter().copied().filter(move |f| f.tag == tag);
    let (opens, closes) = (of(Tag::Answer).count(), of(Tag::EndAnswer).count());
    if opens > 1 || closes > 1 {
        return Err(Fault::AnswerTags);
    }
    match (of(Tag::Answer).next(), of(Tag::EndAnswer).next()) {
        (None, None) => Ok((rest_at, text.len())),
        (Some(open), Some(close)) if open.end <= close.start => {
            let outside = [&text[rest_at..open.start], &text[close.end..]];
            if outside.iter().any(|part| !part.trim().is_empty()) {
                return Err(Fault::TextAround);
            }
            Ok((open.end, close.start))
        }
        (Some(_), Some(_)) => Err(Fault::AnswerTags),
        _ => Err(Fault::UnclosedAnswer),
    }
}

/// The content of the one box.
fn boxes<'a>(text: &'a str, after: &[Found]) -> Result<Option<&'a str>, Fault> {
    let mut open: Option<Found> = None;
    let mut content = None;
    for tag in after {
        match (tag.tag, open) {
            (Tag::Box, Some(_)) => return Err(Fault::NestedBox),
            (Tag::Box, None) if content.is_some() => return Err(Fault::SeveralBoxes),
            (Tag::Box, None) => open = Some(*tag),
            (Tag::EndBox, None) => return Err(Fault::StrayBoxEnd),
            (Tag::EndBox, Some(begin)) => {
                content = Some(text[begin.end..tag.start].trim());
                open = None;
            }
            // An answer ends outside of its box.
            (Tag::Answer | Tag::EndAnswer, Some(_)) => return Err(Fault::UnclosedBox),
            (Tag::Think | Tag::EndThink | Tag::Answer | Tag::EndAnswer, _) => {}
        }
    }
    if open.is_some() {
        return Err(Fault::UnclosedBox);
    }
    Ok(content)
}

/// The answer part of a ground truth, which may be a bare answer or a whole completion; `None`
/// where a box is begun and not closed.
pub fn truth_answer(truth: &str) -> Option<&str> {
    if let Some((_, rest)) = truth.split_once(BEGIN_BOX) {
        return rest.split_once(END_BOX).map(|(inside, _)| inside.trim());
    }
    let rest = truth
        .rsplit_once("</think>")
        .map_or(truth, |(_, rest)| rest)
        .trim();
    let inner = rest
        .strip_prefix("<answer>")
        .and_then(|r| r.strip_suffix("</answer>"));
    Some(inner.unwrap_or(rest).trim())
}

#[cfg(test)]
mod tests;
