//! Backward step of the scores of a language model's head.

use super::{Differentiable, of_type, register, tracked};
use crate::logprobs::{Form, Head, backward};
use burn::backend::autodiff::{
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::DType;

#[derive(Debug)]
pub(super) struct HeadBackward;

/// What the head keeps: three numbers per row beside its inputs.
#[derive(Clone, Debug)]
pub(super) struct HeadState<B: Differentiable> {
    pub hidden: FloatTensor<B>,
    pub head: Head<B>,
    pub targets: IntTensor<B>,
    pub mask: FloatTensor<B>,
    pub form: Form,
    pub state: FloatTensor<B>,
    pub dtype: DType,
}

/// Parents are the hidden states and, for floats, the head's weight.
impl<B: Differentiable, const N: usize> Backward<B, N> for HeadBackward {
    type State = HeadState<B>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (parents, grad) = (tracked(&ops), grads.consume::<B>(&ops.node));
        let s = ops.state;
        let weight = parents.get(1).copied().flatten();
        let wants = [parents[0].is_some(), weight.is_some()];
        let inputs = (s.hidden, &s.head, s.targets, s.mask);
        let [dhidden, dweight] = backward::<B>(inputs, s.form, s.state, grad, wants);
        if let Some(value) = dhidden {
            register::<B>(grads, parents[0], value);
        }
        if let Some(value) = dweight {
            register::<B>(grads, weight, of_type::<B>(value, s.dtype));
        }
    }
}
