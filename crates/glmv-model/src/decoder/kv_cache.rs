//! Keys and values of the tokens seen so far, one pair of tensors per layer, grown by doubling.

use crate::Precision;
use burn::tensor::{DType, Device, Tensor, s};

/// KV cache of one batch: per layer `[batch, capacity, kv_heads, head_dim]` for keys and values.
#[derive(Debug)]
pub struct KvCache {
    layers: Vec<Option<(Tensor<4>, Tensor<4>)>>,
    /// Tokens held per row, padding included.
    len: usize,
    capacity: usize,
    precision: Precision,
    device: Device,
}

impl KvCache {
    /// An empty cache for `layers` layers; `capacity` tokens are allocated at the first append.
    pub fn new(layers: usize, capacity: usize, precision: Precision, device: &Device) -> Self {
        KvCache {
            layers: (0..layers).map(|_| None).collect(),
            len: 0,
            capacity: capacity.max(1),
            precision,
            device: device.clone(),
        }
    }

    /// Tokens held per row, left padding included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True before the first forward pass.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets the tokens behind the first `len`, in every row; their memory stays.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Bytes of all keys and values on the device.
    pub fn bytes(&self) -> usize {
        let used = self.layers.iter().flatten();
        used.map(|(k, v)| {
            (k.shape().num_elements() + v.shape().num_elements()) * self.precision.bytes()
        })
        .sum()
    }

    /// Writes `[batch, seq, kv_heads, head_dim]` behind the tokens already held and returns the
    /// layer's whole keys and values (capacity rows; rows beyond the written ones are undefined).
    pub(crate) fn append(
        &mut self,
        layer: usize,
        k: Tensor<4>,
        v: Tensor<4>,
    ) -> (Tensor<4>, Tensor<4>) {
        let [batch, seq, heads, head_dim] = k.dims();
        let needed = self.len + seq;
        if needed > self.capacity {
            self.capacity = needed.max(self.capacity * 2);
        }
        let dtype = self.precision.dtype();
        let (k, v) = (k.cast(dtype), v.cast(dtype));
        let shape = [batch, self.capacity, heads, head_dim];
        // Taken out, so that the only handle is ours and the write happens in place.
        let (mut keys, mut values) = match self.layers[layer].take() {
            Some((keys, values)) if keys.dims()[1] == self.capacity => (keys, values),
            Some((keys, values)) => {
                let room = || room(shape, dtype, &self.device);
                let old = keys.dims()[1];
                let all = s![.., 0..old];
                (
                    room().slice_assign(all, keys),
                    room().slice_assign(all, values),
                )
            }
            None => {
                let room = || room(shape, dtype, &self.device);
                (room(), room())
            }
        };
        let rows = s![.., self.len..needed];
        keys = keys.slice_assign(rows, k);
        values = values.slice_assign(rows, v);
        self.layers[layer] = Some((keys.clone(), values.clone()));
        (keys, values)
    }

    /// Counts `seq` tokens as held, once all layers appended them.
    pub(crate) fn advance(&mut self, seq: usize) {
        self.len += seq;
    }
}

/// Empty keys or values. They outlive every pass, so they have an allocation of their own size: on
/// the pages of the activations each would take most of a page.
fn room(shape: [usize; 4], dtype: DType, device: &Device) -> Tensor<4> {
    device.memory_persistent_allocations(shape, |shape| Tensor::zeros(shape, (device, dtype)))
}
