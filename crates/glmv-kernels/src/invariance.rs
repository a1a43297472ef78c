//! Row invariance: a scope in which a row's result does not depend on how many other rows are in
//! the call. Entered by the engine around a decoding pass; consulted by the launches that choose a
//! kernel by the number of rows.

use std::cell::Cell;

/// Most rows of one call for which [`row_invariant`] holds.
pub const INVARIANT_ROWS: usize = 64;

thread_local! {
    static ACTIVE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` so that every row of every op called in it on this thread has the same bits for any
/// number of rows from 1 to [`INVARIANT_ROWS`]: one kernel with one order of summation serves them
/// all, and experts are always sorted. Costs speed at a single row.
pub fn row_invariant<R>(f: impl FnOnce() -> R) -> R {
    struct Leave(bool);
    impl Drop for Leave {
        fn drop(&mut self) {
            ACTIVE.set(self.0);
        }
    }
    let _leave = Leave(ACTIVE.replace(true));
    f()
}

/// True inside of [`row_invariant`].
pub(crate) fn active() -> bool {
    ACTIVE.get()
}

/// Up to how many rows the kernel for few rows runs: `usually`, or all of the scope's.
pub(crate) fn few_rows(usually: usize) -> usize {
    match active() {
        true => INVARIANT_ROWS,
        false => usually,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scope_ends_with_a_panic_too() {
        assert_eq!(few_rows(4), 4);
        assert_eq!(row_invariant(|| row_invariant(|| few_rows(4))), 64);
        let caught = std::panic::catch_unwind(|| row_invariant(|| panic!("inside")));
        assert!(caught.is_err() && !active());
    }
}
