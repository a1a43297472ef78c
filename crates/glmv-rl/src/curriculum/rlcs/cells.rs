//! Which tasks are asked: domains by the mixture, then cells of (sub-domain, tier) by weight, then
//! tasks of a cell at random.
//!
//! `weight = (mean p (1 - p) + floor) * deficit * tasks ^ count_power`: the variance of a binary
//! reward is the signal of GRPO, the floor keeps every tier in sight, the deficit prefers sub-domains
//! that lag. No task is asked twice in an iteration, so a small cell leaves its rest to others.

use std::collections::BTreeMap;

use super::Rlcs;
use crate::allot::allot;
use crate::curriculum::{Cell, Tier};
use crate::random::{Purpose, draw_front, stream};

/// Tasks of a domain by sub-domain and tier.
type Members = BTreeMap<(String, Tier), Vec<usize>>;

impl Rlcs {
    /// Chooses `count` tasks, or all there are.
    pub(super) fn choose(&mut self, count: usize) -> Vec<usize> {
        let open = self.core.open_tasks();
        let available = open
            .iter()
            .map(|(name, tasks)| (name.clone(), tasks.len()))
            .collect();
        let quotas = self.core.mixture.quotas(count, &available);
        self.cells.clear();
        let mut chosen = Vec::with_capacity(count);
        for (domain, tasks) in &open {
            let quota = quotas.get(domain).copied().unwrap_or(0);
            chosen.extend(self.choose_in_domain(domain, tasks, quota));
        }
        chosen
    }

    fn choose_in_domain(&mut self, domain: &str, tasks: &[usize], quota: usize) -> Vec<usize> {
        let members = self.members(tasks);
        let mut cells = self.weigh(domain, tasks, &members);
        let name = |cell: &Cell| format!("{domain}/{}/{}", cell.sub_domain, cell.tier.name());
        let weights: Vec<f64> = cells.iter().map(|cell| cell.weight).collect();
        let limits: Vec<usize> = cells.iter().map(|cell| cell.tasks).collect();
        let owed = |cell: &Cell| self.credit.get(&name(cell)).copied().unwrap_or(0.0);
        let mut credit: Vec<f64> = cells.iter().map(owed).collect();
        let counts = allot(&weights, &limits, quota, &mut credit);
        let mut chosen = Vec::with_capacity(quota);
        for (((cell, mut tasks), count), owed) in cells
            .iter_mut()
            .zip(members.into_values())
            .zip(counts)
            .zip(credit)
        {
            self.credit.insert(name(cell), owed);
            cell.asked = count;
            // One stream per iteration and first task, so that cells do not share their draws.
            let first = tasks.first().map_or(0, |&task| task as u64);
            let counter = (self.core.iteration << 24) ^ first;
            let mut rng = stream(self.core.settings.seed, Purpose::Cell, counter);
            draw_front(&mut tasks, count, &mut rng);
            chosen.extend(&tasks[..count]);
        }
        self.cells.extend(cells);
        chosen
    }

    fn members(&self, tasks: &[usize]) -> Members {
        let mut members = Members::new();
        for &task in tasks {
            let sub_domain = self.core.tasks[task].sub_domain.clone();
            let tier = self.core.beliefs[task].tier();
            members.entry((sub_domain, tier)).or_default().push(task);
        }
        members
    }

    /// The cells of a domain, in the order of `members`.
    fn weigh(&self, domain: &str, tasks: &[usize], members: &Members) -> Vec<Cell> {
        let rate = |task: &usize| self.core.beliefs[*task].pass_rate();
        let mean = |tasks: &mut dyn Iterator<Item = &usize>| -> f64 {
            let (sum, count) = tasks.fold((0.0, 0_usize), |(s, n), t| (s + rate(t), n + 1));
            if count == 0 { 0.0 } else { sum / count as f64 }
        };
        let of_domain = mean(&mut tasks.iter());
        let deficit = |sub_domain: &str| {
            let mut inside = tasks
                .iter()
                .filter(|task| self.core.tasks[**task].sub_domain == sub_domain);
            let lag = of_domain - mean(&mut inside);
            (1.0 + self.config.deficit * lag).clamp(0.5, 2.0)
        };
        let subs: std::collections::BTreeSet<&str> =
            members.keys().map(|(sub, _)| sub.as_str()).collect();
        let deficits: BTreeMap<&str, f64> = subs.into_iter().map(|s| (s, deficit(s))).collect();
        let mut cells: Vec<Cell> = members
            .iter()
            .map(|((sub_domain, tier), tasks)| {
                let varies: f64 = tasks.iter().map(|t| rate(t) * (1.0 - rate(t))).sum();
                let variance = varies / tasks.len() as f64;
                let deficit = deficits[sub_domain.as_str()];
                let count = (tasks.len() as f64).powf(self.config.count_power);
                Cell {
                    domain: domain.to_owned(),
                    sub_domain: sub_domain.clone(),
                    tier: *tier,
                    tasks: tasks.len(),
                    variance,
                    deficit,
                    weight: (variance + self.config.floor) * deficit * count,
                    share: 0.0,
                    asked: 0,
                }
            })
            .collect();
        let sum: f64 = cells.iter().map(|cell| cell.weight).sum();
        for cell in &mut cells {
            cell.share = cell.weight / sum;
        }
        cells
    }
}
