//! What a supervised run shows: metrics, answers to held-out questions, notes, and when to stop.

use crate::session;
use anyhow::Context as _;
use burn::module::Module as _;
use glmv_data::{Body, Mixture, Record, Totals};
use glmv_engine::{Conversation, Engine, RenderOptions, SamplingOverrides};
use glmv_model::Glm4v;
use glmv_monitor::{Level, Monitor, Sample, Values};
use glmv_processor::{Part, Role};
use glmv_train::{Error, Recipe, SupervisedStep, Watch};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Says which row was left out.
pub(super) fn bad_row(error: &glmv_data::Error) {
    eprintln!("left out: {error}");
}

/// Held-out prompts that are answered at every evaluation.
pub(super) struct Questions {
    /// The checkpoint whose processor and generation defaults are used.
    dir: PathBuf,
    prompts: Vec<Conversation>,
    tokens: usize,
    engine: Option<Engine>,
}

/// Records a run.
pub(super) struct Report {
    monitor: Monitor,
    questions: Questions,
    last: Instant,
    held_out: Option<f64>,
}

impl Report {
    pub(super) fn new(monitor: Monitor, questions: Questions) -> Self {
        Report {
            monitor,
            questions,
            last: Instant::now(),
            held_out: None,
        }
    }

    /// Notes what ended the run, if it still can.
    pub(super) fn failed(&mut self, step: u64, error: &Error) {
        if let Err(second) = self.monitor.note(step, Level::Error, &error.to_string()) {
            eprintln!("note: the failure could not be recorded: {second}");
        }
    }

    /// Writes the report.
    pub(super) fn finish(mut self, step: u64, totals: Totals) -> anyhow::Result<PathBuf> {
        let text = format!(
            "{} rows read, {} bad, {} dropped, {} cut by {} tokens",
            totals.records, totals.bad_rows, totals.dropped, totals.cut, totals.cut_tokens
        );
        self.monitor.note(step, Level::Info, &text)?;
        self.monitor.finish().context("cannot write the report")
    }
}

fn other(error: impl std::fmt::Display) -> Error {
    Error::Other(error.to_string())
}

impl Watch for Report {
    fn step(&mut self, step: &SupervisedStep) -> Result<(), Error> {
        let seconds = self.last.elapsed().as_secs_f64();
        self.last = Instant::now();
        let report = &step.report;
        let mut values = Values::new();
        values
            .set("loss/train", step.loss)
            .set("rate/learning", report.rate)
            .set(
                "rate/tokens_per_sec",
                report.tokens as f64 / seconds.max(1e-9),
            )
            .set("grad/norm", report.grad_norm)
            .set("grad/skipped", f64::from(u8::from(!report.applied)))
            .set("data/tokens", report.tokens as f64)
            .set("data/counted", report.counted as f64)
            .set("data/samples", step.samples as f64)
            .set("time/step", seconds);
        if report.expert_load > 0.0 {
            values.set("experts/largest_load", report.expert_load);
        }
        if let Some(loss) = self.held_out.take() {
            values.set("loss/held_out", loss);
        }
        self.monitor.step(report.step, &values).map_err(other)
    }

    fn evaluation(&mut self, step: u64, loss: f64, model: &Glm4v) -> Result<(), Error> {
        // Recorded with the next step, as steps are written once.
        self.held_out = Some(loss);
        let text = format!("held-out loss {loss:.5} after step {step}");
        self.monitor.note(step, Level::Info, &text).map_err(other)?;
        for sample in self
            .questions
            .answer(model)
            .map_err(|e| other(format!("{e:#}")))?
        {
            self.monitor.sample(step, &sample).map_err(other)?;
        }
        self.last = Instant::now();
        Ok(())
    }

    fn saved(&mut self, step: u64, dir: &Path) -> Result<(), Error> {
        let text = format!("checkpoint {}", dir.display());
        self.monitor.note(step, Level::Info, &text).map_err(other)?;
        self.last = Instant::now();
        Ok(())
    }

    fn stop(&mut self) -> bool {
        session::stop_asked()
    }
}

impl Questions {
    /// The prompts of the first held-out dialogues of a recipe.
    pub(super) fn new(recipe: &Recipe, dir: &Path) -> anyhow::Result<Self> {
        let eval = &recipe.eval;
        let mut prompts = Vec::new();
        if eval.generations > 0 && !eval.sources.is_empty() {
            for record in Mixture::open(eval.mixture())? {
                let record = record.context("held-out data")?;
                prompts.extend(question(record));
                if prompts.len() == eval.generations {
                    break;
                }
            }
        }
        Ok(Questions {
            dir: dir.to_path_buf(),
            prompts,
            tokens: eval.tokens,
            engine: None,
        })
    }

    /// Greedy answers of the model as it is.
    fn answer(&mut self, model: &Glm4v) -> anyhow::Result<Vec<Sample>> {
        if self.prompts.is_empty() {
            return Ok(Vec::new());
        }
        let engine = match self.engine.take() {
            Some(mut engine) => {
                engine.set_model(model.valid())?;
                engine
            }
            None => Engine::of_model(model.valid(), &self.dir)?,
        };
        let engine = self.engine.insert(engine);
        let params = engine.params(&SamplingOverrides {
            temperature: Some(0.0),
            max_new_tokens: Some(self.tokens),
            ..SamplingOverrides::default()
        })?;
        let options = RenderOptions {
            add_generation_prompt: true,
            ..RenderOptions::default()
        };
        let inputs = (self.prompts.iter()).map(|prompt| engine.prepare(prompt, &options));
        let inputs: Vec<_> = inputs.collect::<Result<_, _>>()?;
        let mut go = |_| ControlFlow::Continue(());
        let params = vec![params; inputs.len()];
        let (completions, _) = engine.generate(&inputs, &params, &mut go)?;
        let tokenizer = &engine.processor().tokenizer;
        let answers = completions.iter().zip(&self.prompts).enumerate();
        let answers = answers.map(|(index, (completion, prompt))| {
            Ok(Sample {
                name: format!("held out/{index}"),
                prompt: texts(prompt),
                text: tokenizer.decode(&completion.token_ids, true)?,
                picture: None,
            })
        });
        answers.collect()
    }
}

/// A record's dialogue up to the last answer; nothing for running text.
fn question(record: Record) -> Option<Conversation> {
    let conversation = match record {
        Record::Task(task) => return Some(task.prompt),
        Record::Sample(sample) => match sample.body {
            Body::Text(_) => return None,
            Body::Chat(conversation) => conversation,
        },
    };
    let mut messages = conversation.messages;
    let last = messages.iter().rposition(|m| m.role == Role::Assistant)?;
    messages.truncate(last);
    (!messages.is_empty()).then(|| Conversation {
        messages,
        tools: conversation.tools,
    })
}

/// The texts of a dialogue.
fn texts(conversation: &Conversation) -> String {
    let parts = conversation.messages.iter().flat_map(|m| &m.parts);
    let texts: Vec<&str> = parts
        .map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Image(_) => "[picture]",
            Part::Video(_) => "[video]",
        })
        .collect();
    texts.join(" ")
}
