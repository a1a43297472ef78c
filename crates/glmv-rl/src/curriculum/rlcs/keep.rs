//! Which groups are trained on: those whose right and wrong counts are closest, each domain by its
//! share of the batch.
//!
//! The spread of a group's rewards orders by `|2 right - size|` where rewards are binary, and is what
//! stands for it where they are not.

use std::collections::BTreeMap;

use super::Rlcs;
use crate::curriculum::core::Group;

impl Rlcs {
    /// Tasks to train on, most balanced first, and those that fill the batch.
    pub(super) fn keep(&mut self, groups: &[Group]) -> (Vec<usize>, Vec<usize>) {
        let batch = self.core.settings.batch;
        let mut useful: Vec<&Group> = groups.iter().filter(|group| group.is_useful()).collect();
        // A stable sort: equals stay in the order of asking, which is random.
        useful.sort_by(|a, b| b.stats.spread.total_cmp(&a.stats.spread));
        let mut available: BTreeMap<String, usize> = BTreeMap::new();
        for group in &useful {
            *available
                .entry(self.core.tasks[group.task].domain.clone())
                .or_default() += 1;
        }
        let mut quotas = self.kept.quotas(batch, &available);
        let mut train = Vec::with_capacity(batch);
        for group in useful {
            let domain = &self.core.tasks[group.task].domain;
            if let Some(left) = quotas.get_mut(domain).filter(|left| **left > 0) {
                *left -= 1;
                train.push(group.task);
            }
        }
        let short = if self.config.fill {
            batch - train.len()
        } else {
            0
        };
        let mut rest: Vec<&Group> = groups.iter().filter(|group| group.can_fill()).collect();
        rest.sort_by(|a, b| b.stats.spread.total_cmp(&a.stats.spread));
        let filler = rest.iter().take(short).map(|group| group.task).collect();
        (train, filler)
    }
}
