//! A batch of prompts from beginning to end.

use crate::completion::{Completion, Event, Step, Timings};
use crate::{Engine, Error, ModelInputs, Request, RequestId, SamplingParams, Stats};
use std::ops::ControlFlow;

impl Engine {
    /// Generates one completion per prompt; `on_step` sees every token as it comes and may break.
    /// Other requests of the engine go on meanwhile; their events come with the next step.
    ///
    /// Row i draws from stream i of its own seed, so a row's tokens do not depend on its neighbours.
    ///
    /// # Errors
    /// Those of [`Engine::add`] and [`Engine::step`]. A failed step resets the engine.
    pub fn generate(
        &mut self,
        prompts: &[ModelInputs],
        params: &[SamplingParams],
        on_step: &mut dyn FnMut(Step) -> ControlFlow<()>,
    ) -> Result<(Vec<Completion>, Timings), Error> {
        if prompts.len() != params.len() {
            return Err(Error::Count {
                prompts: prompts.len(),
                params: params.len(),
            });
        }
        if prompts.is_empty() {
            return Err(Error::Empty);
        }
        let before = *self.stats();
        let mut ids = Vec::with_capacity(prompts.len());
        for (i, (inputs, params)) in prompts.iter().zip(params).enumerate() {
            let mut request = Request::new(inputs.clone(), params.clone());
            request.stream = i as u64;
            match self.add(request) {
                Ok(id) => ids.push(id),
                Err(error) => {
                    let others = self.cancelled(&ids);
                    self.put_back(others);
                    return Err(error);
                }
            }
        }
        match self.finish(&ids, on_step) {
            Ok(completions) => Ok((completions, timings(&before, self.stats()))),
            Err(error) => {
                self.reset()?;
                Err(error)
            }
        }
    }

    /// Steps until every request of `ids` is finished.
    fn finish(
        &mut self,
        ids: &[RequestId],
        on_step: &mut dyn FnMut(Step) -> ControlFlow<()>,
    ) -> Result<Vec<Completion>, Error> {
        let mut done: Vec<Option<Completion>> = vec![None; ids.len()];
        let (mut others, mut stopped) = (Vec::new(), false);
        while done.iter().any(Option::is_none) {
            for event in self.step()? {
                let Some(row) = ids.iter().position(|id| *id == event.request()) else {
                    others.push(event);
                    continue;
                };
                match event {
                    // The step of the break has run: its tokens are in the completions.
                    Event::Token(_) if stopped => {}
                    Event::Token(token) => {
                        let step = Step {
                            row,
                            token: token.token,
                            logprob: token.logprob,
                            stop: token.stop,
                        };
                        if on_step(step).is_break() {
                            stopped = true;
                            ids.iter().for_each(|id| _ = self.cancel(*id));
                        }
                    }
                    Event::Finished { completion, .. } => done[row] = Some(completion),
                }
            }
        }
        self.put_back(others);
        Ok(done.into_iter().flatten().collect())
    }

    /// Cancels requests; returns the events of all others that were queued.
    fn cancelled(&mut self, ids: &[RequestId]) -> Vec<Event> {
        ids.iter().for_each(|id| _ = self.cancel(*id));
        let queued = std::mem::take(&mut self.queued);
        let of_others = |event: &Event| !ids.contains(&event.request());
        queued.into_iter().filter(of_others).collect()
    }
}

fn timings(before: &Stats, after: &Stats) -> Timings {
    Timings {
        vision_s: after.vision_s - before.vision_s,
        prefill_s: after.prefill_s - before.prefill_s,
        decode_s: after.decode_s - before.decode_s,
    }
}
