//! Backward steps of ops that look rows up: embeddings, position embeddings, the splice.

use super::{Differentiable, of_type, register, tracked};
use crate::gather::TAPS;
use burn::backend::TensorMetadata;
use burn::backend::autodiff::{
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{DType, FloatDType, Shape};

#[derive(Debug)]
pub(super) struct EmbedBackward;

impl<B: Differentiable> Backward<B, 1> for EmbedBackward {
    /// Ids, first row, rows, the table's type.
    type State = (IntTensor<B>, usize, usize, DType);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let ([parent], grad) = (tracked(&ops), grads.consume::<B>(&ops.node));
        let (ids, base, rows, dtype) = ops.state;
        let value = B::scatter_rows(grad, ids, None, 1, base, rows);
        register::<B>(grads, parent, of_type::<B>(value, dtype));
    }
}

#[derive(Debug)]
pub(super) struct PosEmbedBackward;

/// Parents are x and the table; the taps are no parameters.
impl<B: Differentiable> Backward<B, 2> for PosEmbedBackward {
    /// Index and weight of the taps, rows of the table, its type.
    type State = (IntTensor<B>, FloatTensor<B>, usize, DType);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let ([x, table], grad) = (tracked(&ops), grads.consume::<B>(&ops.node));
        let (index, weight, rows, dtype) = ops.state;
        register::<B>(grads, x, grad.clone());
        if table.is_some() {
            let value = B::scatter_rows(grad, index, Some(weight), TAPS, 0, rows);
            register::<B>(grads, table, of_type::<B>(value, dtype));
        }
    }
}

#[derive(Debug)]
pub(super) struct SpliceBackward;

/// Parents are the text rows and the features.
impl<B: Differentiable> Backward<B, 2> for SpliceBackward {
    /// Where rows come from, number of features.
    type State = (IntTensor<B>, usize);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let ([embeds, features], grad) = (tracked(&ops), grads.consume::<B>(&ops.node));
        let (source, rows) = ops.state;
        if embeds.is_some() {
            // Rows that were replaced have no gradient: replace them by zeros.
            let shape = Shape::new([rows.max(1), grad.shape()[1]]);
            let zeros = B::float_zeros(shape, &grad.device(), FloatDType::F32);
            let value = B::splice(grad.clone(), zeros, source.clone());
            register::<B>(grads, embeds, value);
        }
        if features.is_some() && rows > 0 {
            let value = B::scatter_rows(grad, source, None, 1, 0, rows);
            register::<B>(grads, features, value);
        }
    }
}
