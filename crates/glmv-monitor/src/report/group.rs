//! Groups of completions: read, and shown.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value};

use super::escape::Text;
use super::text::{excerpt, long, number};
use crate::Error;
use crate::log::{Field, Line};
use crate::picture::data_uri;

/// A group as the report shows it.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) step: u64,
    pub(super) domain: String,
    tier: Option<String>,
    prompt: String,
    pictures: Vec<String>,
    truth: Option<String>,
    completions: Vec<Completion>,
}

#[derive(Debug)]
struct Completion {
    text: String,
    num_tokens: f64,
    reward: Option<f64>,
    parts: Vec<(String, f64)>,
    advantage: Option<f64>,
    flags: Vec<String>,
    replay_id: Option<String>,
}

/// Reads a group.
///
/// # Errors
/// With the member that is not what it must be.
pub(super) fn read(line: &Line, members: &Map<String, Value>) -> Result<Group, Error> {
    let field = |name| line.field(members, name);
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let list = field("completions");
    let completions = list.list()?.iter();
    let completions = completions.map(|value| completion(list.inner("completions[]", value)));
    Ok(Group {
        step: line.step,
        domain: field("domain").text()?.to_owned(),
        tier: owned(field("tier").optional_text()?),
        prompt: field("prompt").text()?.to_owned(),
        pictures: texts(field("pictures"), "pictures[]")?,
        truth: owned(field("truth").optional_text()?),
        completions: completions.collect::<Result<_, _>>()?,
    })
}

fn completion(field: Field) -> Result<Completion, Error> {
    let optional = |name| {
        let member = field.member(name)?;
        if member.is_missing() {
            return Ok(None);
        }
        member.number().map(Some)
    };
    let parts = field.member("parts")?;
    let parts = parts.object()?.iter();
    let part = |(name, value)| Ok((String::clone(name), field.inner(name, value).number()?));
    Ok(Completion {
        text: field.member("text")?.text()?.to_owned(),
        num_tokens: field.member("num_tokens")?.number()?,
        reward: optional("reward")?,
        parts: parts.map(part).collect::<Result<_, Error>>()?,
        advantage: optional("advantage")?,
        flags: texts(field.member("flags")?, "flags[]")?,
        replay_id: field
            .member("replay_id")?
            .optional_text()?
            .map(str::to_owned),
    })
}

fn texts<'a>(list: Field<'a>, name: &'a str) -> Result<Vec<String>, Error> {
    let texts = list.list()?.iter();
    texts
        .map(|text| Ok(list.inner(name, text).text()?.to_owned()))
        .collect()
}

/// A picture of the run, or why it cannot be shown.
pub(super) fn picture(dir: &Path, name: &str) -> String {
    match data_uri(dir, name) {
        Ok(uri) => format!("<img alt=\"\" loading=\"lazy\" src=\"{uri}\">"),
        Err(error) => format!("<p class=\"error\">{}</p>", Text(&error.to_string())),
    }
}

/// The group, folded; its completions from the best to the worst, folded too.
pub(super) fn show(group: &Group, pictures: &Path, is_open: bool) -> String {
    let mut html = format!(
        "<details class=\"group\" data-domain=\"{}\"{}><summary>{}</summary><div class=\"rollout\">\
         <div class=\"asked\">",
        Text(&group.domain),
        if is_open { " open" } else { "" },
        summary(group),
    );
    for name in &group.pictures {
        html += &picture(pictures, name);
    }
    let _ = write!(html, "<h4>prompt</h4><pre>{}</pre>", long(&group.prompt));
    if let Some(truth) = &group.truth {
        let _ = write!(html, "<h4>right answer</h4><pre>{}</pre>", long(truth));
    }
    html += "</div><div class=\"answers\">";
    let mut completions: Vec<_> = group.completions.iter().collect();
    let key = |completion: &Completion| completion.reward.unwrap_or(f64::NEG_INFINITY);
    completions.sort_by(|a, b| key(b).total_cmp(&key(a)));
    for completion in completions {
        html += &show_completion(completion);
    }
    html + "</div></div></details>"
}

fn summary(group: &Group) -> String {
    let rewards = group
        .completions
        .iter()
        .filter_map(|completion| completion.reward);
    let (count, sum) = rewards.fold((0_u32, 0.0), |(count, sum), reward| {
        (count + 1, sum + reward)
    });
    let mean = match count {
        0 => "no reward".to_owned(),
        count => format!("mean reward {}", number(sum / f64::from(count))),
    };
    let tier = group
        .tier
        .as_deref()
        .map(|tier| format!(" <b class=\"chip\">{}</b>", Text(tier)));
    format!(
        "step {} <b class=\"chip\">{}</b>{} {mean} <span class=\"quiet\">{}</span>",
        group.step,
        Text(&group.domain),
        tier.unwrap_or_default(),
        excerpt(&group.prompt, 90),
    )
}

fn show_completion(completion: &Completion) -> String {
    let reward = completion.reward.map_or_else(|| "none".to_owned(), number);
    let mut html = format!("<details class=\"answer\"><summary>reward <b>{reward}</b>");
    if let Some(advantage) = completion.advantage {
        let class = match advantage {
            advantage if advantage > 0.0 => "good",
            advantage if advantage < 0.0 => "bad",
            _ => "quiet",
        };
        let sign = if advantage > 0.0 { "+" } else { "" };
        let _ = write!(
            html,
            " <b class=\"{class}\">{sign}{}</b>",
            number(advantage)
        );
    }
    let _ = write!(
        html,
        " <span class=\"quiet\">{} tokens</span>",
        completion.num_tokens
    );
    for flag in &completion.flags {
        let _ = write!(html, " <b class=\"chip flag\">{}</b>", Text(flag));
    }
    let tail: Vec<char> = completion.text.chars().rev().take(80).collect();
    let tail: String = tail.into_iter().rev().collect();
    let _ = write!(
        html,
        " <span class=\"quiet tail\">{}</span></summary>",
        excerpt(&tail, 80)
    );
    let _ = write!(html, "<pre>{}</pre>", long(&completion.text));
    if !completion.parts.is_empty() {
        html += "<table class=\"parts\">";
        for (name, part) in &completion.parts {
            let _ = write!(
                html,
                "<tr><th>{}</th><td>{}</td></tr>",
                Text(name),
                number(*part)
            );
        }
        html += "</table>";
    }
    if let Some(id) = &completion.replay_id {
        let _ = write!(
            html,
            "<p class=\"quiet\">replay <code>{}</code></p>",
            Text(id)
        );
    }
    html + "</details>"
}
