//! The paged cache: what lies in it after writes and copies, and attention over it.

use super::{Inputs, Outcome, difference, worst};
use crate::*;

const FORMATS: [KvFormat; 3] = [KvFormat::F32, KvFormat::F16, KvFormat::Q8];
const ROWS: usize = 64;

/// Everything a store holds, as floats.
fn contents(store: &KvStore) -> burn::tensor::Tensor<3> {
    let parts = match store.clone() {
        KvStore::Float { keys, values } => vec![keys, values]
            .into_iter()
            .map(|t| t.cast(burn::tensor::DType::F32))
            .collect(),
        KvStore::Q8 {
            keys,
            values,
            scales,
        } => {
            let part = |i| scales.clone().narrow(2, i, 1);
            vec![kv::decode(keys, part(0)), kv::decode(values, part(1))]
        }
    };
    burn::tensor::Tensor::cat(parts, 0)
}

/// Twelve tokens in scattered rows, routed and by the twin.
fn filled(inputs: &Inputs, format: KvFormat, heads: [usize; 2]) -> [KvStore; 2] {
    let store = || KvStore::zeros(format, [ROWS, heads[0], heads[1]], &inputs.device);
    let shape = [ROWS / 2, heads[0], heads[1]];
    let (k, v) = (inputs.floats(shape), inputs.floats(shape));
    let slots = inputs.ints([ROWS / 2], |i| i * 13 % ROWS);
    [
        kv_write(store(), k.clone(), v.clone(), slots.clone()),
        kv_write_reference(store(), k, v, slots),
    ]
}

pub(super) fn writes(inputs: &Inputs) -> Outcome {
    worst(FORMATS.map(|format| {
        let [got, want] = filled(inputs, format, [2, 12]);
        let written = difference(contents(&got), contents(&want));
        let (from, to) = (inputs.ints([3], |i| i), inputs.ints([3], |i| 60 + i));
        let got = kv_copy(got, from.clone(), to.clone());
        let want = kv_copy_reference(want, from, to);
        let copied = difference(contents(&got), contents(&want));
        // A quotient that is nearly a tie may round to the next code on another device.
        let step = if format == KvFormat::Q8 {
            1.001 / 127.0
        } else {
            0.0
        };
        worst([written, copied].map(|d| d.map(|d| (d - step).max(0.0))))
    }))
}

pub(super) fn attentions(inputs: &Inputs) -> Outcome {
    worst(FORMATS.map(|format| {
        let [store, _] = filled(inputs, format, [2, 64]);
        let q = inputs.floats([3, 1, 6, 64]);
        let table = inputs.ints([3, 4], |i| (i * 3 + 1) % 4);
        let range = inputs.ints([6, 2], |i| if i % 2 == 0 { 0 } else { 9 * i + 7 });
        let range = range.narrow(0, 0, 3);
        let got = attention_paged(q.clone(), &store, table.clone(), range.clone(), 0.125, 16);
        let want = attention_paged_reference(q, &store, table, range, 0.125, 16);
        difference(got, want)
    }))
}
