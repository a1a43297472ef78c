//! Every task in turn: one shuffled pass after another over the tasks of each domain. Used by the
//! curricula that do not look at difficulty when they ask.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::core::Core;
use crate::random::{Purpose, draw_front, stream};

/// Where each domain's pass stands.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Decks {
    places: BTreeMap<String, Place>,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Place {
    pass: u64,
    next: usize,
}

impl Decks {
    /// Draws `count` tasks that were not asked in this iteration (or all there are), by the mixture.
    pub(super) fn draw(&mut self, core: &mut Core, count: usize) -> Vec<usize> {
        let open = core.open_tasks();
        let available = open
            .iter()
            .map(|(name, tasks)| (name.clone(), tasks.len()))
            .collect();
        let quotas = core.mixture.quotas(count, &available);
        let mut drawn = Vec::with_capacity(count);
        for (number, (domain, quota)) in quotas.iter().enumerate() {
            let open = open.get(domain).map_or(&[][..], Vec::as_slice);
            drawn.extend(self.domain(core, domain, number as u64, open, *quota));
        }
        let mut rng = stream(core.settings.seed, Purpose::Order, core.iteration);
        let len = drawn.len();
        draw_front(&mut drawn, len, &mut rng);
        drawn
    }

    /// The next `quota` of the domain's `open` tasks, which are at least as many.
    fn domain(
        &mut self,
        core: &Core,
        domain: &str,
        number: u64,
        open: &[usize],
        quota: usize,
    ) -> Vec<usize> {
        let all: Vec<usize> = (0..core.tasks.len())
            .filter(|&t| core.tasks[t].domain == domain)
            .collect();
        let order = |pass: u64| {
            let mut order = all.clone();
            let mut rng = stream(core.settings.seed, Purpose::Deck, (number << 32) | pass);
            draw_front(&mut order, all.len(), &mut rng);
            order
        };
        let place = self.places.entry(domain.to_owned()).or_default();
        let mut order_now = order(place.pass);
        let mut drawn: Vec<usize> = Vec::with_capacity(quota);
        while drawn.len() < quota.min(open.len()) {
            if place.next >= order_now.len() {
                place.pass += 1;
                place.next = 0;
                order_now = order(place.pass);
            }
            let task = order_now[place.next];
            place.next += 1;
            if open.binary_search(&task).is_ok() && !drawn.contains(&task) {
                drawn.push(task);
            }
        }
        drawn
    }
}
