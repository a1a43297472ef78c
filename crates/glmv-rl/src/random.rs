//! Random choices of the curricula: every draw is a function of the seed, its purpose and a counter,
//! so that there is no generator to save, and a resumed run draws what the first would have.

use glmv_sampling::Draws;

/// What a draw is for; each purpose has streams of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The order of a domain's tasks in one pass; the counter holds domain and pass.
    Deck,
    /// Which tasks of a cell are taken; the counter is the iteration.
    Cell,
    /// The order in which an iteration's tasks are asked; the counter is the iteration.
    Order,
}

/// The generator of a purpose and counter (the low 56 bits count).
pub(crate) fn stream(seed: u64, purpose: Purpose, counter: u64) -> Draws {
    let purpose = match purpose {
        Purpose::Deck => 1_u64,
        Purpose::Cell => 2,
        Purpose::Order => 3,
    };
    Draws::with_stream(seed, (purpose << 56) | (counter & ((1 << 56) - 1)))
}

/// Moves `count` random elements to the front, in random order (Fisher and Yates).
pub(crate) fn draw_front<T>(items: &mut [T], count: usize, rng: &mut Draws) {
    let len = items.len();
    for at in 0..count.min(len) {
        // The remainder is below `len - at`, so it fits; its bias is below 2^-40 for any list.
        let offset = (rng.next_u64() % (len - at) as u64) as usize;
        items.swap(at, at + offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_even_and_streams_apart() {
        let mut firsts = [0_u32; 5];
        for counter in 0..5000 {
            let mut items = [0, 1, 2, 3, 4];
            draw_front(&mut items, 2, &mut stream(9, Purpose::Cell, counter));
            firsts[items[0]] += 1;
            let mut sorted = items;
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4]);
        }
        // 1000 expected, standard deviation 28.
        assert!(firsts.iter().all(|n| n.abs_diff(1000) < 130), "{firsts:?}");
        let first = |purpose| stream(9, purpose, 1).next_u64();
        assert_ne!(first(Purpose::Cell), first(Purpose::Order));
        assert_eq!(first(Purpose::Deck), first(Purpose::Deck));
    }
}
