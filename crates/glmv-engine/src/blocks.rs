//! Who owns which block of the KV pool: references, blocks that still hold a known prefix, and which
//! of them to give up first. Bookkeeping only; the tensors are `glmv_model::KvPool`'s.

use glmv_model::BlockId;
use std::collections::{BTreeMap, HashMap};

/// Digest of a block's tokens and of all tokens before it.
pub(crate) type Key = [u8; 32];

/// State of one block.
#[derive(Clone, Debug, Default)]
struct Block {
    references: u32,
    /// What the block is known to hold.
    key: Option<Key>,
    /// Place in `idle`, while nobody refers to a block with a key.
    idle_since: Option<u64>,
}

/// The blocks of a pool.
#[derive(Debug)]
pub(crate) struct Blocks {
    blocks: Vec<Block>,
    free: Vec<BlockId>,
    known: HashMap<Key, BlockId>,
    /// Blocks without references that hold a known prefix, oldest first.
    idle: BTreeMap<u64, BlockId>,
    clock: u64,
    limit: usize,
    /// Blocks added at once when the others are used up.
    step: usize,
}

impl Blocks {
    /// `start` free blocks; more come into being as they are needed, up to `limit`.
    pub fn new(start: usize, limit: usize) -> Self {
        let mut blocks = Blocks {
            blocks: Vec::new(),
            free: Vec::new(),
            known: HashMap::new(),
            idle: BTreeMap::new(),
            clock: 0,
            limit,
            step: 32,
        };
        blocks.extend(start.min(limit));
        blocks
    }

    fn extend(&mut self, more: usize) {
        let first = self.blocks.len() as u32;
        self.blocks
            .resize(self.blocks.len() + more, Block::default());
        // The lowest is taken first.
        self.free
            .extend((first..first + more as u32).rev().map(BlockId));
    }

    /// Blocks that exist, which the pool has to hold.
    pub fn count(&self) -> usize {
        self.blocks.len()
    }

    /// Most blocks there may ever be.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Blocks that [`Blocks::allocate`] could still give.
    pub fn available(&self) -> usize {
        self.limit - self.in_use()
    }

    /// Blocks that somebody refers to.
    pub fn in_use(&self) -> usize {
        self.blocks.len() - self.free.len() - self.idle.len()
    }

    /// Blocks kept for their prefix without anybody referring to them.
    #[cfg(test)]
    fn idle(&self) -> usize {
        self.idle.len()
    }

    /// A block with one reference and unknown content: a free one, else a new one, else the one
    /// whose prefix was used longest ago. `None` if every block is referred to.
    pub fn allocate(&mut self) -> Option<BlockId> {
        if self.free.is_empty() && self.blocks.len() < self.limit {
            let more = self.step.max(self.blocks.len() / 2);
            self.extend(more.min(self.limit - self.blocks.len()));
        }
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                let (_, id) = self.idle.pop_first()?;
                self.forget(id);
                id
            }
        };
        self.block(id).references = 1;
        Some(id)
    }

    fn block(&mut self, id: BlockId) -> &mut Block {
        &mut self.blocks[id.0 as usize]
    }

    fn forget(&mut self, id: BlockId) {
        let block = self.block(id);
        block.idle_since = None;
        if let Some(key) = block.key.take() {
            self.known.remove(&key);
        }
    }

    /// One more reference.
    pub fn retain(&mut self, id: BlockId) {
        let block = self.block(id);
        block.references += 1;
        if let Some(since) = block.idle_since.take() {
            self.idle.remove(&since);
        }
    }

    /// One reference less; the last one makes the block free, or idle if its content is known.
    pub fn release(&mut self, id: BlockId) {
        self.clock += 1;
        let now = self.clock;
        let block = self.block(id);
        assert!(block.references > 0, "{id:?} released once too often");
        block.references -= 1;
        if block.references > 0 {
            return;
        }
        match block.key {
            Some(_) => {
                block.idle_since = Some(now);
                self.idle.insert(now, id);
            }
            None => self.free.push(id),
        }
    }

    /// True if more than one sequence refers to the block.
    pub fn shared(&self, id: BlockId) -> bool {
        self.blocks[id.0 as usize].references > 1
    }

    /// Notes what a full block holds; of two blocks with the same content the first stays known.
    pub fn register(&mut self, id: BlockId, key: Key) {
        if !self.known.contains_key(&key) && self.blocks[id.0 as usize].key.is_none() {
            self.known.insert(key, id);
            self.block(id).key = Some(key);
        }
    }

    /// The blocks of the longest known prefix of `keys`; takes no reference.
    pub fn known(&self, keys: &[Key]) -> Vec<BlockId> {
        let known = keys.iter().map_while(|key| self.known.get(key));
        known.copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> Key {
        [n; 32]
    }

    #[test]
    fn references_decide_what_is_free() {
        let mut blocks = Blocks::new(2, 3);
        let (a, b) = (blocks.allocate().unwrap(), blocks.allocate().unwrap());
        let c = blocks.allocate().expect("one more comes into being");
        assert_eq!(
            (blocks.count(), blocks.in_use(), blocks.allocate()),
            (3, 3, None)
        );
        blocks.retain(b);
        blocks.release(b);
        assert_eq!((blocks.available(), blocks.shared(b)), (0, false));
        for id in [a, b, c] {
            blocks.release(id);
        }
        assert_eq!((blocks.available(), blocks.in_use()), (3, 0));
    }

    #[test]
    fn a_known_prefix_outlives_its_owner_until_room_is_needed() {
        let mut blocks = Blocks::new(3, 3);
        let ids: Vec<_> = (0..3).map(|_| blocks.allocate().unwrap()).collect();
        blocks.register(ids[0], key(0));
        blocks.register(ids[1], key(1));
        blocks.register(ids[2], key(1));
        assert_eq!(blocks.known(&[key(0), key(1), key(2)]), ids[..2]);
        assert_eq!(
            blocks.known(&[key(1)]),
            [ids[1]],
            "the first with a content stays"
        );
        ids.iter().for_each(|id| blocks.release(*id));
        assert_eq!((blocks.idle(), blocks.available()), (2, 3));
        // Taken up again: not given away.
        blocks.retain(ids[0]);
        let (x, y) = (blocks.allocate().unwrap(), blocks.allocate().unwrap());
        assert_eq!([x, y], [ids[2], ids[1]], "free before idle");
        assert_eq!((blocks.known(&[key(1)]), blocks.allocate()), (vec![], None));
        blocks.release(ids[0]);
        assert_eq!(blocks.known(&[key(0)]), [ids[0]]);
        assert_eq!(blocks.available(), 1);
    }

    #[test]
    #[should_panic(expected = "released once too often")]
    fn a_double_release_is_a_bug() {
        let mut blocks = Blocks::new(1, 1);
        let id = blocks.allocate().unwrap();
        blocks.release(id);
        blocks.release(id);
    }
}
