//! The loop: curriculum ▶ rollout ▶ reward ▶ advantage ▶ loss ▶ optimiser ▶ checkpoint.

use super::agree::{Sides, agree};
use super::batch::{batches, end_rates, reply};
use super::guard::Guard;
use super::learn::learn;
use super::observe::figures;
use super::{
    Agreement, Batch, CompletionLog, CompletionRecord, Exam, Examined, Group, Iteration, Learnt,
    Reference, Rewards, RlEnded, RlRecipe, RlState, RlWatch, Rollouts, Tasks, Times, Undecided,
    fingerprint,
};
use crate::{Checkpoints, Error, Trainer};
use glmv_rl::curriculum::{self, Ask, Curriculum, Selection, State, Step};
use glmv_rl::objective::Objective;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A run with everything it needs.
pub struct RlRun<'a> {
    pub trainer: &'a mut Trainer,
    pub rollouts: &'a mut Rollouts,
    pub rewards: &'a Rewards,
    pub tasks: &'a Tasks,
    /// Held-out tasks; none are asked where there are none.
    pub held_out: &'a Tasks,
    /// Weights of the KL term, where there is one.
    pub reference: Option<&'a Reference>,
    pub checkpoints: &'a Checkpoints,
    /// The checkpoint whose config, tokenizer and processor files go with the weights.
    pub origin: &'a Path,
    /// Folder of the run, for its logs.
    pub folder: &'a Path,
    pub recipe: &'a RlRecipe,
    /// What an earlier part of the run has left.
    pub resumed: Option<RlState>,
}

/// A run that goes on.
struct Running<'a, 'b> {
    run: RlRun<'a>,
    watch: &'b mut dyn RlWatch,
    curriculum: Box<dyn Curriculum>,
    objective: Objective,
    guard: Guard,
    completions: CompletionLog,
    watched: CompletionLog,
    iteration: u64,
    best: Option<(u64, f64)>,
    examined: Option<Examined>,
    /// Workers whose completions were held against the trainer.
    compared: BTreeSet<usize>,
}

/// Completions with what the curriculum made of them.
struct Rolled {
    groups: Vec<Group>,
    selection: Selection,
    undecided: Undecided,
    times: Times,
}

impl RlRun<'_> {
    /// Compares rollout and trainer on one batch of the curriculum, and changes nothing.
    ///
    /// # Errors
    /// [`Error::Disagreement`] beyond the bound.
    pub fn check(self, watch: &mut dyn RlWatch) -> Result<Agreement, Error> {
        let mut curriculum = self.curriculum()?;
        let asks = curriculum.begin()?;
        self.rollouts.follow(self.trainer)?;
        let next = self.resumed.as_ref().map_or(0, |state| state.iteration) + 1;
        let mut phase = |done, total| watch.phase("rollout", done, total);
        let groups = (self.rollouts).run(next, &asks, &|_| 0, self.tasks, &mut phase)?;
        let agreement = agreement(self.trainer, self.rollouts, self.recipe, &groups)?;
        watch.agreed(&agreement)?;
        Ok(agreement)
    }

    /// Learns until the last iteration, until `watch` says stop or a guard does, and saves at the end.
    ///
    /// # Errors
    /// The first failure of data, device, disk or watch; [`Error::Disagreement`] before the first
    /// update. The last complete checkpoint is untouched then.
    pub fn run(self, watch: &mut dyn RlWatch) -> Result<RlEnded, Error> {
        Running::new(self, watch)?.run()
    }

    fn curriculum(&self) -> Result<Box<dyn Curriculum>, Error> {
        let Some(state) = &self.resumed else {
            let rl = &self.recipe.rl;
            let tasks = self.tasks.all().to_vec();
            return Ok(curriculum::new(&rl.curriculum, rl.settings(), tasks)?);
        };
        let state = State::from_json(&state.curriculum)?;
        state.check_tasks(self.tasks.all())?;
        Ok(state.into_curriculum())
    }
}

fn agreement(
    trainer: &Trainer,
    rollouts: &mut Rollouts,
    recipe: &RlRecipe,
    groups: &[Group],
) -> Result<Agreement, Error> {
    let distribution = rollouts.distribution();
    let sides = Sides {
        model: trainer.model(),
        distribution: &distribution,
        pack: &recipe.rl.pack,
        bound: &recipe.rl.bound,
    };
    agree(&sides, rollouts, groups)
}

impl<'a, 'b> Running<'a, 'b> {
    fn new(run: RlRun<'a>, watch: &'b mut dyn RlWatch) -> Result<Self, Error> {
        let state = run.resumed.as_ref();
        let iteration = state.map_or(0, |state| state.iteration);
        let path = |name: &str| run.folder.join(name);
        let watched = CompletionLog::open(&path("watch.jsonl"), iteration)?;
        let seen = std::fs::read_to_string(path("watch.jsonl"));
        let seen = seen.map_err(|e| Error::Other(format!("watch.jsonl: {e}")))?;
        let guard = state.map(|state| state.guard.clone()).unwrap_or_default();
        Ok(Running {
            curriculum: run.curriculum()?,
            objective: run.recipe.rl.objective.resolve()?,
            guard: Guard::new(run.recipe.guard.clone(), guard, &seen)?,
            completions: CompletionLog::open(&path("completions.jsonl"), iteration)?,
            watched,
            iteration,
            best: state.and_then(|state| state.best),
            examined: None,
            compared: BTreeSet::new(),
            watch,
            run,
        })
    }

    fn run(mut self) -> Result<RlEnded, Error> {
        let last = self.run.recipe.iterations();
        let (mut saved, mut paused) = (None, None);
        (self.run.trainer).score_under(self.run.rollouts.distribution());
        self.run.rollouts.follow(self.run.trainer)?;
        if self.iteration == 0 && self.run.recipe.rhythm.eval_every > 0 {
            self.examine(0)?;
        }
        while self.iteration < last && paused.is_none() && !self.watch.stop() {
            paused = self.iterate()?;
            let at = self.iteration;
            let rhythm = self.run.recipe.rhythm;
            let is_best = self.best.is_some_and(|(best, _)| best == at);
            if is_best || (rhythm.save_every > 0 && at.is_multiple_of(rhythm.save_every)) {
                saved = Some((at, self.save()?));
            }
        }
        let checkpoint = match saved {
            Some((at, dir)) if at == self.iteration => dir,
            _ if self.run.checkpoints.dir(self.iteration).exists() => {
                self.run.checkpoints.dir(self.iteration)
            }
            _ => self.save()?,
        };
        Ok(RlEnded {
            iteration: self.iteration,
            complete: self.iteration >= last,
            paused,
            checkpoint,
            best: self.best,
        })
    }

    /// One iteration; why the run should end, if a guard says so.
    fn iterate(&mut self) -> Result<Option<String>, Error> {
        let start = Instant::now();
        let at = self.iteration + 1;
        let weights = fingerprint(self.run.rollouts.engine().model())?;
        let mut rolled = self.roll(at)?;
        let members = rolled.groups.iter().flat_map(|group| &group.members);
        let workers: BTreeSet<usize> = members.map(|member| member.worker).collect();
        if !workers.is_subset(&self.compared) {
            let (trainer, recipe) = (&*self.run.trainer, self.run.recipe);
            let agreement = agreement(trainer, self.run.rollouts, recipe, &rolled.groups)?;
            self.watch.agreed(&agreement)?;
            self.compared.extend(workers);
        }
        let training = Instant::now();
        let (learnt, entropies) = self.learn(&rolled)?;
        self.run.rollouts.follow(self.run.trainer)?;
        rolled.times.train = training.elapsed().as_secs_f64();
        rolled.times.all = start.elapsed().as_secs_f64();
        let handling = self.run.rollouts.handling();
        let tasks = self.run.tasks;
        let how = (handling, self.run.recipe.usually_thinks());
        let iteration = Iteration {
            iteration: at,
            domains: figures(&rolled.groups, tasks, how, &entropies),
            ends: end_rates(&rolled.groups, handling),
            groups: rolled.groups,
            selection: rolled.selection,
            undecided: rolled.undecided,
            learnt,
            curriculum: self.curriculum.report(),
            weights,
            times: rolled.times,
        };
        self.iteration = at;
        let records = CompletionRecord::of(&iteration.groups, tasks, at, &iteration.weights);
        self.completions.append(&records)?;
        self.watch.iteration(&iteration, tasks)?;
        let every = self.run.recipe.rhythm.eval_every;
        let is_last = at == self.run.recipe.iterations();
        if every > 0 && (at.is_multiple_of(every) || is_last) {
            self.examine(at)?;
        }
        self.guard(&iteration)
    }

    /// Rolls out until the curriculum has its step.
    fn roll(&mut self, at: u64) -> Result<Rolled, Error> {
        let (mut groups, mut undecided) = (Vec::<Group>::new(), Undecided::default());
        let mut times = Times::default();
        let mut asks: Vec<Ask> = self.curriculum.begin()?;
        loop {
            let rolling = Instant::now();
            let tasks = self.run.tasks;
            let have = |task: usize| {
                let group = groups.iter().find(|group| group.task == task);
                group.map_or(0, |group| group.members.len() as u64)
            };
            let watch = &mut *self.watch;
            let mut phase = |done, total| watch.phase("rollout", done, total);
            let mut new = (self.run.rollouts).run(at, &asks, &have, tasks, &mut phase)?;
            times.rollout += rolling.elapsed().as_secs_f64();
            let judging = Instant::now();
            undecided += self.run.rewards.judge(&mut new, tasks, at)?;
            times.reward += judging.elapsed().as_secs_f64();
            let handling = self.run.rollouts.handling();
            let replies: Vec<_> = new.iter().map(|group| reply(group, handling)).collect();
            for group in new {
                match groups.iter_mut().find(|known| known.task == group.task) {
                    Some(known) => known.members.extend(group.members),
                    None => groups.push(group),
                }
            }
            match self.curriculum.receive(&replies)? {
                Step::More(more) => asks = more,
                Step::Train(selection) => {
                    return Ok(Rolled {
                        groups,
                        selection,
                        undecided,
                        times,
                    });
                }
            }
        }
    }

    /// The updates of an iteration, and by task the entropy of what was trained on: sum of nats and
    /// tokens.
    #[expect(clippy::type_complexity, reason = "two lists that are used once")]
    fn learn(
        &mut self,
        rolled: &Rolled,
    ) -> Result<(Vec<Learnt>, BTreeMap<usize, (f64, usize)>), Error> {
        let rl = &self.run.recipe.rl;
        let how = (rl.objective.advantage(), self.run.rollouts.handling());
        let everywhere = self.objective.kl != 0.0 || self.objective.entropy != 0.0;
        let updates = self.run.recipe.updates;
        let batches: Vec<Batch> =
            batches(&rolled.groups, &rolled.selection, how, updates, everywhere)?;
        let distribution = self.run.rollouts.distribution();
        let reference = self.run.reference.map(|model| (model, &distribution));
        let (mut learnt, mut entropies) = (Vec::new(), BTreeMap::new());
        for (index, batch) in batches.iter().enumerate() {
            (self.watch).phase("train", index as u64, batches.len() as u64);
            let one = learn(
                self.run.trainer,
                batch,
                &self.objective,
                reference,
                &rl.pack,
            )?;
            for (row, nats) in batch.rows.iter().zip(&one.row_entropies) {
                let sum: &mut (f64, usize) = entropies.entry(row.task).or_default();
                sum.0 += nats;
                sum.1 += row.old.len();
            }
            learnt.push(one);
        }
        Ok((learnt, entropies))
    }

    fn guard(&mut self, iteration: &Iteration) -> Result<Option<String>, Error> {
        let at = iteration.iteration;
        let line = iteration.watch_line(self.examined.take().as_ref());
        self.watched.append(&[&line])?;
        let updates = iteration.learnt.iter();
        let updates = updates.map(|one| (one.report.grad_norm, one.metrics.old_k3()));
        let said = self.guard.look(updates, &line.to_string())?;
        for warning in said.warnings.iter().chain(&said.pause) {
            self.watch.warn(at, warning)?;
        }
        Ok(said.pause)
    }

    fn examine(&mut self, at: u64) -> Result<(), Error> {
        if self.run.held_out.is_empty() {
            return Ok(());
        }
        let exam = Exam {
            temperature: self.run.recipe.eval.temperature,
            thinks: self.run.recipe.thinks(),
        };
        let watch = &mut *self.watch;
        let mut phase = |done, total| watch.phase("held out", done, total);
        let (rollouts, held_out) = (&mut *self.run.rollouts, self.run.held_out);
        let examined = exam.take(rollouts, self.run.rewards, held_out, &mut phase)?;
        if let Some(accuracy) = examined.all.accuracy
            && at > 0
            && self.best.is_none_or(|(_, best)| accuracy > best)
        {
            self.best = Some((at, accuracy));
        }
        self.watch.examined(at, &examined)?;
        self.examined = Some(examined);
        Ok(())
    }

    fn save(&mut self) -> Result<PathBuf, Error> {
        self.completions.sync()?;
        self.watched.sync()?;
        let trainer = &*self.run.trainer;
        let state = RlState {
            iteration: self.iteration,
            step: trainer.steps(),
            updates: trainer.adamw().steps(),
            skipped: trainer.skipped(),
            best: self.best,
            curriculum: self.curriculum.save().to_json()?,
            guard: self.guard.state().clone(),
            weights: fingerprint(&trainer.policy())?,
            settings: self.run.recipe.digest().to_owned(),
        };
        let parts = (trainer.model(), trainer.parameters(), trainer.adamw());
        let best = self.best.map(|(at, _)| at);
        let (checkpoints, origin) = (self.run.checkpoints, self.run.origin);
        let dir = checkpoints.save(self.iteration, parts, origin, &state, best)?;
        self.watch.saved(self.iteration, &dir)?;
        Ok(dir)
    }
}
