//! `glmv gym eval`: a model's answers to items it has never seen, judged by the reward rules of each,
//! beside what the guesser and the same model without its pictures reach.

mod ask;
mod table;

use crate::args::GymEvalArgs;
use crate::session::{self, Session};
use anyhow::Context as _;
use ask::{Asked, Look};
use glmv_engine::{EngineConfig, SamplingOverrides};
use glmv_gym::write::{Layout, Plan};
use glmv_gym::{Domain, Guesser, Item, Size, Split, Tally};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::process::ExitCode;
use std::time::Instant;
use table::{Run, Table};

/// Runs the subcommand.
pub fn run(args: &GymEvalArgs) -> anyhow::Result<ExitCode> {
    let plan = plan(args)?;
    let mut answers = answers_file(args)?;
    session::handle_ctrl_c()?;
    let mut session = session::load(&args.model, &args.device, true, args.json)?;
    session.engine.configure(EngineConfig {
        max_running: args.batch.max(1),
        ..EngineConfig::default()
    })?;
    let guesser = guesser(&plan, args.guess_from)?;
    let start = Instant::now();
    let (mut seen, mut blind) = (Tally::default(), Tally::default());
    let bar = bar(plan.n, args.json)?;
    for items in batches(&plan, args.batch.max(1) as u64) {
        let items = items?;
        let judged = judge(args, &mut session, &items, Look::Pictures)?;
        for (item, text) in items.iter().zip(&judged) {
            let verdict = seen.add(item, text, Some(&guesser))?;
            if let Some(file) = &mut answers {
                write_answer(file, item, text, verdict.reward)?;
            }
        }
        if !args.no_blind {
            let judged = judge(args, &mut session, &items, Look::Blank)?;
            for (item, text) in items.iter().zip(&judged) {
                blind.add(item, text, None)?;
            }
        }
        bar.inc(items.len() as u64);
    }
    bar.finish_and_clear();
    if let Some(mut file) = answers {
        file.flush().context("the answers cannot be written")?;
    }
    let run = Run::new(args, &session, start.elapsed().as_secs_f64());
    let table = Table::new(run, &seen, (!args.no_blind).then_some(&blind));
    let mut stdout = std::io::stdout().lock();
    match args.json {
        true => writeln!(stdout, "{}", serde_json::to_string_pretty(&table)?),
        false => write!(stdout, "{table}"),
    }
    .context("the table cannot be written")?;
    let bars = [
        (
            "accuracy",
            Some(table.accuracy()),
            "--at-least",
            args.at_least,
        ),
        (
            "accuracy above that with blank pictures",
            table.over_blind(),
            "--over-blind",
            args.over_blind,
        ),
    ];
    Ok(verdict(&bars))
}

/// Failure only where a bar was set and not cleared.
fn verdict(bars: &[(&str, Option<f64>, &str, Option<f64>)]) -> ExitCode {
    for (what, found, flag, bar) in bars {
        if let (Some(found), Some(bar)) = (found, bar)
            && found < bar
        {
            eprintln!("{what} {found:.4} is below {flag} {bar}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// What the options ask for.
fn plan(args: &GymEvalArgs) -> anyhow::Result<Plan> {
    let plan = Plan {
        domains: Domain::list(&args.domain)?,
        levels: args.level.clone(),
        tasks: args.task.clone(),
        split: Split::find(&args.split)?,
        seed: args.seed,
        n: args.n,
        size: Size { side: args.side },
        layout: Layout::Rl,
        nothink: 0.0,
    };
    plan.check()?;
    if args.n == 0 {
        anyhow::bail!("-n 0: expected at least one item");
    }
    Ok(plan)
}

/// The items of a plan, a few at a time.
fn batches(plan: &Plan, batch: u64) -> impl Iterator<Item = anyhow::Result<Vec<Item>>> {
    (0..plan.n.div_ceil(batch)).map(move |b| -> anyhow::Result<Vec<Item>> {
        let items = b * batch..((b + 1) * batch).min(plan.n);
        let items = items.map(|i| plan.item(i)).collect::<Result<Vec<_>, _>>();
        Ok(items?)
    })
}

/// Counts the answers of `each` training items per domain and level of the plan.
fn guesser(plan: &Plan, each: u64) -> anyhow::Result<Guesser> {
    let [side, _] = Size::RANGE;
    let kinds = (plan.domains.len() * plan.levels.len()) as u64;
    let training = Plan {
        split: Split::Train,
        seed: 0,
        n: each * kinds,
        size: Size { side },
        ..plan.clone()
    };
    let mut guesser = Guesser::default();
    for i in 0..training.n {
        guesser.see(&training.item(i)?);
    }
    Ok(guesser)
}

/// Completions of the model for a batch.
fn judge(
    args: &GymEvalArgs,
    session: &mut Session,
    items: &[Item],
    look: Look,
) -> anyhow::Result<Vec<String>> {
    let user = SamplingOverrides {
        greedy: args.temperature.is_none(),
        temperature: args.temperature,
        max_new_tokens: Some(args.max_new_tokens),
        seed: Some(items.first().map_or(args.seed, |item| item.seed)),
        ..SamplingOverrides::default()
    };
    let params = session.engine.params(&user)?;
    let asked = Asked {
        params,
        think: args.think || !args.no_think,
        look,
    };
    asked.completions(&mut session.engine, items)
}

fn answers_file(args: &GymEvalArgs) -> anyhow::Result<Option<BufWriter<File>>> {
    let Some(path) = &args.answers else {
        return Ok(None);
    };
    let file = File::create(path).with_context(|| path.display().to_string())?;
    Ok(Some(BufWriter::new(file)))
}

/// A row that `glmv reward score --cases` reads too.
fn write_answer(
    file: &mut impl Write,
    item: &Item,
    text: &str,
    reward: Option<f64>,
) -> anyhow::Result<()> {
    let row = serde_json::json!({
        "id": item.id,
        "domain": item.reward_domain,
        "level": "extract_and_judge",
        "question": item.question,
        "response": text,
        "ground_truth": item.answer,
        "template": item.template,
        "reward": reward,
    });
    writeln!(file, "{row}").context("an answer cannot be written")
}

fn bar(n: u64, quiet: bool) -> anyhow::Result<ProgressBar> {
    let target = match quiet {
        true => ProgressDrawTarget::hidden(),
        false => ProgressDrawTarget::stderr(),
    };
    let bar = ProgressBar::with_draw_target(Some(n), target);
    bar.set_style(ProgressStyle::with_template(
        "answering {bar:32} {pos}/{len} {eta}",
    )?);
    Ok(bar)
}
