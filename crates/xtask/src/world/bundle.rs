//! `cargo xtask bundle`: the model of a `world`'s last finished stage becomes the one the program carries, with
//! its model card and the tables that tests hold it to.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{STAGES, TINY, left_by};
use crate::pictures::{Commands, Options, text};
use crate::results::Results;

/// Most bytes of the weights.
const MOST_BYTES: u64 = 12_000_000;
const CARD: &str = include_str!("card.md");
/// Questions that the tests ask again, on every device: name and options of `gym eval`.
const CHECK: &str = "--level 1 --domain counting,vqa,chart,ocr,video -n 200 --no-think --max-new-tokens 64 --no-blind";

/// Writes weights, `stages.jsonl`, `eval.json` and the card into `assets/models/glmv-tiny`.
///
/// # Errors
/// If an argument is not known, no stage is finished, the weights are too large, or a command fails.
pub fn run(root: &Path, args: &[&str]) -> Result<()> {
    let mut options = Options::of(root, "world", args)?;
    options.out = std::path::absolute(&options.out).context("the working folder is gone")?;
    let world = options.out.clone();
    let rows = Results(world.join("results.jsonl")).rows()?;
    let why = || format!("{}: run `cargo xtask world` first", text(&world));
    let last = rows.last().and_then(|row| row["stage"].as_str());
    let last = last.with_context(why)?;
    let model = left_by(&world, last);
    let (from, to) = (model.join("model.safetensors"), root.join(TINY));
    let bytes = fs::metadata(&from).with_context(|| text(&from))?.len();
    if bytes > MOST_BYTES {
        bail!(
            "{}: {bytes} bytes, {MOST_BYTES} may be bundled",
            text(&from)
        );
    }
    let commands = Commands { root, options };
    let table = super::table(&commands, CHECK, &model)?;
    let check = json!({ "options": CHECK, "stage": last, "table": table });
    let write = |name: &str, text: String| {
        let path = to.join(name);
        fs::write(&path, text).with_context(|| path.display().to_string())
    };
    let card = card(&rows, bytes)?;
    fs::copy(&from, to.join("model.safetensors")).with_context(|| text(&to))?;
    let lines: Vec<String> = rows.iter().map(|row| format!("{row}\n")).collect();
    write(STAGES, lines.concat())?;
    write("eval.json", format!("{check:#}\n"))?;
    write("README.md", card)
}

/// The model card.
fn card(rows: &[Value], bytes: u64) -> Result<String> {
    let last = rows.last().context("no stage")?;
    let stage = last["stage"].as_str().context("no stage")?;
    let mut tables = String::new();
    let ways = last["tables"].as_object().context("no tables")?;
    for (how, at_last) in ways {
        tables.push_str(&table(rows, how, at_last)?);
    }
    let bytes = bytes as f64 / 1e6;
    let took = rows.iter().filter_map(|row| {
        let (stage, seconds) = (row["stage"].as_str()?, row["seconds"].as_f64()?);
        Some(format!("{stage} {:.0} min", seconds / 60.0))
    });
    let took: Vec<String> = took.collect();
    Ok(CARD
        .replace("{took}", &took.join(", "))
        .replace("{stage}", stage)
        .replace("{megabytes}", &format!("{bytes:.1}"))
        .replace("{tables}", tables.trim_end()))
}

/// Accuracy by level and domain, then over all items: guesser and blind model, and every stage.
fn table(rows: &[Value], how: &str, last: &Value) -> Result<String> {
    let stages = rows.iter().filter_map(|row| row["stage"].as_str());
    let mut head = vec![how.to_owned(), "guesser".into(), "blind".into()];
    head.extend(stages.map(str::to_owned));
    let mut lines = vec![
        cells(&head),
        format!("|---|{}", "---:|".repeat(head.len() - 1)),
    ];
    let levels = last["levels"].as_object().context("no levels")?;
    let mut names: Vec<[&str; 2]> = levels
        .keys()
        .filter_map(|name| name.split_once('/'))
        .map(|(domain, level)| [level, domain])
        .collect();
    names.sort_unstable();
    let mut places: Vec<(String, String)> = names
        .iter()
        .map(|[level, domain]| {
            (
                format!("{domain}, {level}"),
                format!("/levels/{domain}~1{level}"),
            )
        })
        .collect();
    places.push(("all".into(), "/all".into()));
    for (name, at) in places {
        let share = |row: &Value, what: &str| {
            let share = row.pointer(&format!("{at}/{what}")).and_then(Value::as_f64);
            share.map_or("–".to_owned(), |share| format!("{:.1}", 100.0 * share))
        };
        let mut row = vec![name, share(last, "guesser"), share(last, "blind")];
        row.extend(
            rows.iter()
                .map(|row| share(&row["tables"][how], "accuracy")),
        );
        lines.push(cells(&row));
    }
    let formed = last["all"]["well_formed"].as_f64().context("well_formed")?;
    lines.push(String::new());
    lines.push(format!(
        "Well-formed after the last: {:.1} %.\n\n",
        100.0 * formed
    ));
    Ok(lines.join("\n"))
}

fn cells(row: &[String]) -> String {
    format!("| {} |", row.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(stage: &str, share: f64) -> Value {
        let at = |share: f64| json!({"accuracy": share, "guesser": 0.25, "blind": null, "well_formed": 0.995});
        json!({"stage": stage, "seconds": 1800.0, "tables": {"direct": {
            "levels": {"counting/1": at(share), "counting/2": at(0.1)}, "all": at(0.5),
        }}})
    }

    #[test]
    fn the_card_tells_every_stage() {
        let card = card(&[row("long", 0.4), row("sft", 0.875)], 11_900_000).expect("good");
        for want in [
            "| direct | guesser | blind | long | sft |",
            "| counting, 1 | 25.0 | – | 40.0 | 87.5 |\n| counting, 2 | 25.0 | – | 10.0 | 10.0 |",
            "| all | 25.0 | – | 50.0 | 50.0 |",
            "99.5 %",
            "11.9 MB",
            "long 30 min, sft 30 min",
        ] {
            assert!(card.contains(want), "{want}\n{card}");
        }
        assert!(!card.contains('{'), "{card}");
        assert!(super::card(&[], 1).is_err());
    }

    #[test]
    fn a_folder_without_results_is_named() {
        let root = crate::shell::workspace_root();
        let error = run(&root, &["/nowhere"])
            .expect_err("nothing there")
            .to_string();
        assert!(error.contains("/nowhere"), "{error}");
    }
}
