//! Projected visual features by content, so that a picture seen again is not encoded again.

use crate::blocks::Key;
use burn::tensor::Tensor;
use std::collections::HashMap;

struct Entry {
    /// `[tokens, hidden]`.
    rows: Tensor<2>,
    bytes: u64,
    used: u64,
}

/// Features on the device, the least recently used given up beyond a limit of bytes.
pub(crate) struct FeatureCache {
    entries: HashMap<Key, Entry>,
    bytes: u64,
    limit: u64,
    clock: u64,
}

impl FeatureCache {
    /// An empty cache; a limit of 0 keeps nothing.
    pub fn new(limit: u64) -> Self {
        FeatureCache {
            entries: HashMap::new(),
            bytes: 0,
            limit,
            clock: 0,
        }
    }

    /// Bytes held.
    #[cfg(test)]
    fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The features `[tokens, hidden]` of some content.
    pub fn get(&mut self, key: &Key) -> Option<Tensor<2>> {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.clock;
        Some(entry.rows.clone())
    }

    /// Keeps features, giving up older ones for them; those above the limit alone are not kept.
    pub fn insert(&mut self, key: Key, rows: Tensor<2>) {
        let bytes = 4 * rows.shape().num_elements() as u64;
        if bytes > self.limit || self.entries.contains_key(&key) {
            return;
        }
        while self.bytes + bytes > self.limit {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(key, _)| *key) else {
                break;
            };
            if let Some(entry) = self.entries.remove(&oldest) {
                self.bytes -= entry.bytes;
            }
        }
        self.clock += 1;
        self.bytes += bytes;
        let used = self.clock;
        self.entries.insert(key, Entry { rows, bytes, used });
    }
}

impl std::fmt::Debug for FeatureCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "FeatureCache({} entries, {} bytes)",
            self.entries.len(),
            self.bytes
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn the_least_recently_used_goes_first() {
        let rows = |n: usize| Tensor::<2>::zeros([n, 2], &Device::flex());
        let mut cache = FeatureCache::new(40);
        cache.insert([1; 32], rows(2));
        cache.insert([2; 32], rows(2));
        assert_eq!(cache.bytes(), 32);
        assert!(cache.get(&[1; 32]).is_some());
        cache.insert([3; 32], rows(3));
        assert_eq!(cache.bytes(), 40);
        assert!(cache.get(&[2; 32]).is_none() && cache.get(&[1; 32]).is_some());
        cache.insert([4; 32], rows(6));
        assert!(cache.get(&[4; 32]).is_none(), "larger than the limit");
    }
}
