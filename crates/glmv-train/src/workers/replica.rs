//! A model's twin for another thread or another device.

use crate::params::map_values;
use crate::{Error, Parameter};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use glmv_kernels::device::read;
use glmv_model::Glm4v;

/// The same weights with leaves of their own, so that what one thread records does not meet what
/// another does: graphs that share a leaf are one graph behind one lock.
pub(super) fn apart(model: &Glm4v) -> Glm4v {
    struct Mapper;
    impl ModuleMapper for Mapper {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (id, value, mapper) = param.consume();
            let tracked = value.is_require_grad();
            let value = match value.is_autodiff() {
                true => Tensor::from_inner(value.inner()).set_require_grad(tracked),
                false => value,
            };
            Param::from_mapped_value(id, value, mapper)
        }
    }
    model.clone().map(&mut Mapper)
}

/// True for what a step changes: what learns, and the routers' biases, which follow a rule.
fn changes(parameter: &Parameter, tracked: bool) -> bool {
    tracked || !parameter.learnable
}

/// The values that a step changes, on the host, by place in `list`; `None` for the others.
///
/// # Errors
/// If the device fails.
pub(super) fn values(model: &Glm4v, list: &[Parameter]) -> Result<Vec<Option<Vec<f32>>>, Error> {
    struct Visitor<'a> {
        list: &'a [Parameter],
        values: Vec<Result<Option<Vec<f32>>, Error>>,
    }
    impl ModuleVisitor for Visitor<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let wanted = changes(&self.list[self.values.len()], param.is_require_grad());
            let value = match wanted {
                true => read(param.val()).map(Some).map_err(Error::from),
                false => Ok(None),
            };
            self.values.push(value);
        }
    }
    let mut visitor = Visitor {
        list,
        values: Vec::new(),
    };
    model.visit(&mut visitor);
    visitor.values.into_iter().collect()
}

/// `model` with `values` in their places.
pub(super) fn refreshed(model: Glm4v, list: &[Parameter], values: &[Option<Vec<f32>>]) -> Glm4v {
    debug_assert_eq!(list.len(), values.len(), "one entry per parameter");
    let wanted = |index: usize| values.get(index).is_some_and(Option::is_some);
    map_values(model, &wanted, &mut |index, old| match &values[index] {
        Some(new) => {
            let data = TensorData::new(new.clone(), [new.len()]);
            Tensor::from_data(data, &old.device())
        }
        None => old,
    })
}
