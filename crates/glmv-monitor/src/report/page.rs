//! The page: head, figures, curves by group, rollouts, samples, notes, recipe.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use super::data::{Run, Series, Shown};
use super::escape::Text;
use super::text::{date, duration, excerpt, long, number};
use super::{curves, group};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// Figures at the top, at most.
const MAX_TILES: usize = 6;

/// The whole page.
pub(super) fn page(run: &Run) -> String {
    let title = Text(&run.about.title);
    let hash = BASE64_STANDARD.encode(Sha256::digest(SCRIPT));
    let sections = sections(run);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; \
         style-src 'unsafe-inline'; script-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'\">\
         <title>{title}</title><style>{STYLE}</style></head><body><header><h1>{title}</h1>{}<nav>",
        facts(run)
    );
    for (index, (name, _)) in sections.iter().enumerate() {
        let _ = write!(html, "<a href=\"#s{index}\">{}</a> ", Text(name));
    }
    html += "<label><input type=\"checkbox\" id=\"raw\" checked> single steps</label></nav></header>\
             <main>";
    for (index, (name, body)) in sections.iter().enumerate() {
        let _ = write!(
            html,
            "<section id=\"s{index}\"><h2>{}</h2>{body}</section>",
            Text(name)
        );
    }
    let _ = writeln!(html, "</main><script>{SCRIPT}</script></body></html>");
    html
}

/// How far the run is, how long it took, its last numbers.
fn facts(run: &Run) -> String {
    let mut facts = vec![match (run.last_step, run.about.total_steps) {
        (Some(step), Some(total)) => format!("step {step} of {total}"),
        (Some(step), None) => format!("step {step}"),
        (None, _) => "no step is recorded yet".to_owned(),
    }];
    if let Some((first, last)) = run.times {
        facts.push(format!(
            "{} from the first step to the last",
            duration(last - first)
        ));
        facts.push(format!("last step {}", date(last)));
    }
    let mut html = format!(
        "<p class=\"quiet\">{}</p><div class=\"tiles\">",
        facts.join(" · ")
    );
    let is_told = |series: &&Series| series.path.len() == 1 && !series.path[0].starts_with("time/");
    for series in run.series.iter().filter(is_told).take(MAX_TILES) {
        let last = series.points.last().map_or(f64::NAN, |(_, last)| *last);
        let name = &series.path[0];
        let (name, last) = match name.strip_suffix("bytes") {
            Some(start) => (format!("{start}GiB"), last / curves::GIB),
            None => (name.clone(), last),
        };
        let name = Text(&name);
        let _ = write!(
            html,
            "<div><b>{}</b><span>{name}</span></div>",
            number(last)
        );
    }
    html + "</div>"
}

/// Names and bodies of the sections that have anything.
fn sections(run: &Run) -> Vec<(String, String)> {
    let mut sections = curves::sections(run);
    let texts = [
        ("rollouts", rollouts(run)),
        ("samples", samples(run)),
        ("notes", notes(run)),
        ("recipe", recipe(run)),
    ];
    let texts = texts.into_iter().filter(|(_, body)| !body.is_empty());
    sections.extend(texts.map(|(name, body)| (name.to_owned(), body)));
    sections
}

/// What is left out.
fn of_all<T>(shown: &Shown<T>, what: &str) -> String {
    match shown.records.len() {
        len if len == shown.total => String::new(),
        len => format!(
            "<p class=\"quiet\">{len} of {} {what}, evenly spread</p>",
            shown.total
        ),
    }
}

fn rollouts(run: &Run) -> String {
    let groups = &run.groups.records;
    if groups.is_empty() {
        return String::new();
    }
    let mut domains: Vec<&str> = groups.iter().map(|group| group.domain.as_str()).collect();
    domains.sort_unstable();
    domains.dedup();
    let mut html = of_all(&run.groups, "groups");
    if domains.len() > 1 {
        html += "<label>domain <select id=\"domain\"><option value=\"\">all</option>";
        for domain in domains {
            let _ = write!(html, "<option>{}</option>", Text(domain));
        }
        html += "</select></label>";
    }
    for (index, group) in groups.iter().rev().enumerate() {
        html += &group::show(group, &run.pictures, index == 0);
    }
    html
}

fn samples(run: &Run) -> String {
    let mut html = of_all(&run.samples, "samples");
    for (index, sample) in run.samples.records.iter().rev().enumerate() {
        let open = if index == 0 { " open" } else { "" };
        let _ = write!(
            html,
            "<details class=\"group\"{open}><summary>step {} <b class=\"chip\">{}</b> \
             <span class=\"quiet\">{}</span></summary><div class=\"rollout\"><div class=\"asked\">",
            sample.step,
            Text(&sample.name),
            excerpt(&sample.text, 90),
        );
        if let Some(name) = &sample.picture {
            html += &group::picture(&run.pictures, name);
        }
        let _ = write!(
            html,
            "<h4>prompt</h4><pre>{}</pre></div><div class=\"answers\"><pre>{}</pre></div></div></details>",
            long(&sample.prompt),
            long(&sample.text)
        );
    }
    html
}

fn notes(run: &Run) -> String {
    if run.notes.records.is_empty() {
        return String::new();
    }
    let mut html = of_all(&run.notes, "notes") + "<table class=\"notes\">";
    for note in run.notes.records.iter().rev() {
        let _ = write!(
            html,
            "<tr class=\"{}\"><td>step {}</td><td class=\"quiet\">{}</td><td>{}</td></tr>",
            Text(&note.level),
            note.step,
            date(note.time),
            long(&note.text)
        );
    }
    html + "</table>"
}

fn recipe(run: &Run) -> String {
    match run.about.recipe.is_empty() {
        true => String::new(),
        false => format!("<pre>{}</pre>", long(&run.about.recipe)),
    }
}
