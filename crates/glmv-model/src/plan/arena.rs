//! A model of the runtime's page allocator: the same rules on numbers alone, so that a plan rounds
//! as the device will.
//!
//! Source: cubecl 0.11, `MemoryConfiguration::Adaptive`, the default on wgpu. Numbered rules:
//! 1. An allocation is padded to the device's alignment.
//! 2. Allocations up to 64 KiB are slices of 8 MiB pages.
//! 3. Larger ones are slices of pages of one size, at first 2 MiB. One that does not fit a page
//!    makes pages of its own size + 1 MiB, rounded up to 1 MiB, the size from then on.
//! 4. The first free slice of the first page that is large enough is taken, after neighbouring free
//!    slices are joined.
//! 5. Pages of a former size go back once they are empty; pages of the present size never do.
//! 6. Weights and the KV cache are made inside a persistent window, outside the pages: each is an
//!    allocation of exactly its size.

/// Largest allocation of the small pages.
const SMALL: u64 = 64 << 10;
const SMALL_PAGE: u64 = 8 << 20;
const FIRST_PAGE: u64 = 2 << 20;
const MIB: u64 = 1 << 20;

/// A live allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block(u64);

impl Block {
    /// Blocks are numbered from 0 in the order of their allocation.
    pub(super) fn number(self) -> usize {
        self.0 as usize
    }
}

#[derive(Debug)]
struct Slice {
    bytes: u64,
    owner: Option<Block>,
}

#[derive(Debug)]
struct Pool {
    page_bytes: u64,
    pages: Vec<Vec<Slice>>,
}

/// Replays allocations and keeps the high-water marks.
#[derive(Debug)]
pub struct Arena {
    alignment: u64,
    max_page: u64,
    small: Pool,
    current: Pool,
    former: Vec<Pool>,
    next: u64,
    live: u64,
    peak_live: u64,
    peak_reserved: u64,
    largest: (u64, &'static str),
}

impl Arena {
    /// An empty allocator of a device whose buffers hold at most `max_page` bytes.
    pub fn new(max_page: u64, alignment: u64) -> Self {
        let alignment = alignment.max(1);
        Arena {
            alignment,
            max_page,
            small: Pool::new(SMALL_PAGE),
            current: Pool::new(FIRST_PAGE.min(max_page)),
            former: Vec::new(),
            next: 0,
            live: 0,
            peak_live: 0,
            peak_reserved: 0,
            largest: (0, ""),
        }
    }

    /// Allocates `bytes` for `what`. An allocation above the device's limit is counted in
    /// [`Arena::largest`] and takes a page of its own, so that the plan goes on.
    pub fn take(&mut self, what: &'static str, bytes: u64) -> Block {
        self.former.retain_mut(Pool::keep_used);
        let padded = bytes.max(1).next_multiple_of(self.alignment);
        if bytes > self.largest.0 {
            self.largest = (bytes, what);
        }
        let block = Block(self.next);
        self.next += 1;
        if padded <= SMALL {
            self.small.take(block, padded);
        } else {
            if padded > self.current.page_bytes {
                let page = (bytes + MIB).next_multiple_of(MIB);
                let page = page.min(self.max_page.max(padded));
                let former = std::mem::replace(&mut self.current, Pool::new(page));
                self.former.push(former);
            }
            self.current.take(block, padded);
        }
        self.live += padded;
        self.peak_live = self.peak_live.max(self.live);
        self.peak_reserved = self.peak_reserved.max(self.reserved());
        block
    }

    /// Gives `block` back.
    pub fn free(&mut self, block: Block) {
        let pools = std::iter::once(&mut self.small)
            .chain(std::iter::once(&mut self.current))
            .chain(&mut self.former);
        let freed = pools.flat_map(|p| p.pages.iter_mut().flatten());
        for slice in freed {
            if slice.owner == Some(block) {
                slice.owner = None;
                self.live -= slice.bytes;
                return;
            }
        }
    }

    /// Bytes of the pages held.
    pub fn reserved(&self) -> u64 {
        [&self.small, &self.current]
            .into_iter()
            .chain(&self.former)
            .map(|p| p.page_bytes * p.pages.len() as u64)
            .sum()
    }

    /// Size of a new page.
    pub fn page_bytes(&self) -> u64 {
        self.current.page_bytes
    }

    /// Bytes that are live now.
    pub fn live(&self) -> u64 {
        self.live
    }

    /// The most bytes that were live at once.
    pub fn peak_live(&self) -> u64 {
        self.peak_live
    }

    /// The most bytes of pages that were held at once.
    pub fn peak_reserved(&self) -> u64 {
        self.peak_reserved
    }

    /// The largest single allocation and what it was for.
    pub fn largest(&self) -> (u64, &'static str) {
        self.largest
    }
}

impl Pool {
    fn new(page_bytes: u64) -> Self {
        Pool {
            page_bytes,
            pages: Vec::new(),
        }
    }

    fn take(&mut self, block: Block, bytes: u64) {
        for page in &mut self.pages {
            join_free(page);
            if let Some(at) = page
                .iter()
                .position(|s| s.owner.is_none() && s.bytes >= bytes)
            {
                let rest = page[at].bytes - bytes;
                page[at] = Slice {
                    bytes,
                    owner: Some(block),
                };
                if rest > 0 {
                    let free = Slice {
                        bytes: rest,
                        owner: None,
                    };
                    page.insert(at + 1, free);
                }
                return;
            }
        }
        let mut page = vec![Slice {
            bytes,
            owner: Some(block),
        }];
        if self.page_bytes > bytes {
            page.push(Slice {
                bytes: self.page_bytes - bytes,
                owner: None,
            });
        }
        self.pages.push(page);
    }

    /// Drops empty pages; false once none is left.
    fn keep_used(&mut self) -> bool {
        self.pages.retain(|p| p.iter().any(|s| s.owner.is_some()));
        !self.pages.is_empty()
    }
}

fn join_free(page: &mut Vec<Slice>) {
    let mut joined: Vec<Slice> = Vec::with_capacity(page.len());
    for slice in page.drain(..) {
        match joined.last_mut() {
            Some(last) if last.owner.is_none() && slice.owner.is_none() => {
                last.bytes += slice.bytes;
            }
            _ => joined.push(slice),
        }
    }
    *page = joined;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_grow_to_the_largest_allocation_and_former_ones_go_back() {
        let mut arena = Arena::new(1 << 30, 32);
        let a = arena.take("a", MIB);
        assert_eq!(arena.reserved(), 2 * MIB);
        // Does not fit a page: pages of 10 + 1 MiB from here on, the first page stays while used.
        let b = arena.take("b", 10 * MIB);
        assert_eq!(arena.reserved(), 13 * MIB);
        arena.free(a);
        let c = arena.take("c", MIB);
        assert_eq!(
            arena.reserved(),
            11 * MIB,
            "c lies behind b, a's page went back"
        );
        arena.free(b);
        arena.free(c);
        arena.take("d", 11 * MIB);
        assert_eq!(arena.reserved(), 11 * MIB, "free neighbours are joined");
        assert_eq!(
            (arena.peak_reserved(), arena.peak_live()),
            (13 * MIB, 11 * MIB)
        );
        assert_eq!(arena.largest(), (11 * MIB, "d"));
    }

    #[test]
    fn small_allocations_have_pages_of_their_own() {
        let mut arena = Arena::new(1 << 30, 32);
        arena.take("ids", 12);
        arena.take("ids", SMALL);
        assert_eq!(arena.reserved(), 8 * MIB);
        assert_eq!(arena.peak_live(), 32 + SMALL);
    }

    #[test]
    fn no_page_exceeds_the_limit() {
        let mut arena = Arena::new(128 * MIB, 32);
        arena.take("logits", 128 * MIB);
        assert_eq!(arena.reserved(), 128 * MIB);
    }
}
