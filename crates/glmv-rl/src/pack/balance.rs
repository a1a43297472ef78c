//! Costs onto workers, as evenly as largest differencing gets them.

use crate::Error;
use crate::error::require;

/// A partial assignment: items per worker with their cost, costliest first.
struct Partial {
    parts: Vec<(f64, Vec<usize>)>,
}

impl Partial {
    /// How uneven it is.
    fn difference(&self) -> f64 {
        let first = self.parts.first().map_or(0.0, |part| part.0);
        first - self.parts.last().map_or(0.0, |part| part.0)
    }

    /// Puts the costliest parts of one on the cheapest of the other.
    fn merge(self, other: Self) -> Self {
        let pairs = self.parts.into_iter().zip(other.parts.into_iter().rev());
        let mut parts: Vec<(f64, Vec<usize>)> = pairs
            .map(|((a, mut items), (b, more))| {
                items.extend(more);
                (a + b, items)
            })
            .collect();
        parts.sort_by(|a, b| b.0.total_cmp(&a.0));
        Self { parts }
    }
}

/// Assigns items of `costs` to `workers`: indices per worker, costliest worker first, each ascending.
///
/// Source: Karmarkar and Karp's largest differencing method ("The differencing method of set
/// partitioning", 1982) for any number of parts. The same costs always give the same parts.
///
/// # Errors
/// [`Error::Setting`] without a worker, [`Error::NotFinite`] for a cost that is negative or not
/// finite.
pub fn balance(costs: &[f64], workers: usize) -> Result<Vec<Vec<usize>>, Error> {
    require(workers > 0, "workers", workers, "at least 1")?;
    if let Some(sample) = costs.iter().position(|c| !(c.is_finite() && *c >= 0.0)) {
        return Err(Error::NotFinite {
            what: "cost",
            sample,
            token: 0,
            value: costs[sample],
        });
    }
    let single = |(item, &cost): (usize, &f64)| {
        let mut parts = vec![(0.0, Vec::new()); workers];
        parts[0] = (cost, vec![item]);
        Partial { parts }
    };
    let mut open: Vec<Partial> = costs.iter().enumerate().map(single).collect();
    // Ascending, so that the most uneven ones are at the end.
    open.sort_by(|a, b| a.difference().total_cmp(&b.difference()));
    while open.len() > 1 {
        // The two most uneven ones.
        let Some(merged) = open.pop().zip(open.pop()).map(|(a, b)| a.merge(b)) else {
            break;
        };
        let at = open.partition_point(|p| p.difference() <= merged.difference());
        open.insert(at, merged);
    }
    let parts = open.pop().map(|all| all.parts).unwrap_or_default();
    let mut assigned: Vec<Vec<usize>> = parts.into_iter().map(|(_, items)| items).collect();
    assigned.resize(workers, Vec::new());
    assigned.iter_mut().for_each(|items| items.sort_unstable());
    Ok(assigned)
}
