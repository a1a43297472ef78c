//! Which worker takes what.

use crate::Error;
use glmv_rl::pack::balance;

/// Jobs of `costs` onto workers that take `shares` of the work: the numbers of the jobs of each
/// worker, ascending. Of equal shares as evenly as [`balance`] gets them; otherwise the longest first,
/// each to the worker that would be done with it first. The same costs and shares always give the same.
///
/// # Errors
/// [`Error::Rl`] without a worker or for a cost that is no number.
pub(crate) fn deal(costs: &[f64], shares: &[f64]) -> Result<Vec<Vec<usize>>, Error> {
    if shares.windows(2).all(|pair| pair[0] == pair[1]) {
        let mut dealt = balance(costs, shares.len())?;
        // The first job is the first worker's, whose results need not travel.
        dealt.sort_by_key(|own| own.first().copied().unwrap_or(usize::MAX));
        return Ok(dealt);
    }
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_by(|a, b| costs[*b].total_cmp(&costs[*a]));
    let mut dealt = vec![Vec::new(); shares.len()];
    let mut loads = vec![0.0; shares.len()];
    for job in order {
        let end = |at: &usize| (loads[*at] + costs[job]) / shares[*at];
        let first = (0..shares.len()).min_by(|a, b| end(a).total_cmp(&end(b)));
        if let Some(at) = first {
            loads[at] += costs[job];
            dealt[at].push(job);
        }
    }
    dealt
        .iter_mut()
        .for_each(|own: &mut Vec<usize>| own.sort_unstable());
    Ok(dealt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_dealt_once_and_evenly() {
        for shares in [
            vec![1.0],
            vec![1.0; 2],
            vec![1.0; 3],
            vec![3.0, 1.0],
            vec![1.0, 0.25, 2.0],
        ] {
            let costs: Vec<f64> = (0..17).map(|i| f64::from(i * 7 % 11 + 1)).collect();
            let dealt = deal(&costs, &shares).unwrap();
            assert_eq!(dealt.len(), shares.len());
            assert!(dealt.iter().all(|own| own.is_sorted()), "{dealt:?}");
            let mut all = dealt.concat();
            all.sort_unstable();
            assert_eq!(all, (0..17).collect::<Vec<_>>());
            let load = |own: &Vec<usize>| own.iter().map(|at| costs[*at]).sum::<f64>();
            let even = costs.iter().sum::<f64>() / shares.iter().sum::<f64>();
            for (own, share) in dealt.iter().zip(&shares) {
                // No further from its share than one job.
                assert!(
                    (load(own) - even * share).abs() <= 11.0,
                    "{dealt:?} of {shares:?}"
                );
            }
        }
    }

    #[test]
    fn few_jobs_leave_workers_idle() {
        assert_eq!(deal(&[5.0], &[1.0, 1.0]).unwrap(), [vec![0], vec![]]);
        assert_eq!(deal(&[5.0, 5.0], &[1.0, 1.0]).unwrap(), [vec![0], vec![1]]);
        assert_eq!(
            deal(&[5.0, 5.0], &[4.0, 1.0]).unwrap(),
            [vec![0, 1], vec![]]
        );
        assert_eq!(
            deal(&[], &[1.0, 1.0]).unwrap(),
            [vec![], vec![]] as [Vec<usize>; 2]
        );
        assert!(deal(&[1.0], &[]).is_err());
    }
}
