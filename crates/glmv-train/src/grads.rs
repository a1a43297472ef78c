//! Sums of gradients, one flat tensor per parameter, on the device and outside of any graph.

use crate::Error;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use glmv_kernels::device::read;
use glmv_model::Glm4v;

/// Gradients in the order of [`crate::parameters`].
#[derive(Clone, Debug, Default)]
pub struct Grads {
    values: Vec<Option<Tensor<1>>>,
}

impl Grads {
    /// No gradient yet.
    pub fn new() -> Self {
        Grads::default()
    }

    /// The gradient of parameter `index`, flat; `None` if it has none.
    pub fn get(&self, index: usize) -> Option<Tensor<1>> {
        self.values.get(index).cloned().flatten()
    }

    /// True if parameter `index` has a gradient.
    pub fn has(&self, index: usize) -> bool {
        self.values.get(index).is_some_and(Option::is_some)
    }

    /// Takes the gradients of `model`'s parameters out of `from` and adds them up here.
    pub fn collect(&mut self, model: &Glm4v, from: &mut Gradients) {
        struct Visitor<'a>(usize, &'a mut Grads, &'a mut Gradients);
        impl ModuleVisitor for Visitor<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                if let Some(grad) = param.val().grad_remove(self.2) {
                    self.1.add(self.0, grad);
                }
                self.0 += 1;
            }
        }
        model.visit(&mut Visitor(0, self, from));
    }

    /// Adds to the gradient of parameter `index`.
    pub fn add<const D: usize>(&mut self, index: usize, grad: Tensor<D>) {
        let n = grad.dims().iter().product::<usize>();
        let grad = grad.reshape([n]);
        if self.values.len() <= index {
            self.values.resize(index + 1, None);
        }
        let slot = &mut self.values[index];
        *slot = Some(match slot.take() {
            Some(sum) => sum + grad,
            None => grad,
        });
    }

    /// Adds all gradients of `other`.
    pub(crate) fn absorb(&mut self, other: Grads) {
        for (index, grad) in other.values.into_iter().enumerate() {
            if let Some(grad) = grad {
                self.add(index, grad);
            }
        }
    }

    /// The same on `device`, through the host; where they are on it already, themselves.
    ///
    /// # Errors
    /// If the device that they are on fails.
    pub(crate) fn to(self, device: &Device) -> Result<Self, Error> {
        let moved = |grad: Option<Tensor<1>>| match grad {
            Some(grad) if grad.device() != *device => {
                let values = read(grad)?;
                let len = values.len();
                let data = TensorData::new(values, [len]);
                Ok(Some(Tensor::from_data(data, device)))
            }
            grad => Ok::<_, Error>(grad),
        };
        let values = self.values.into_iter().map(moved);
        Ok(Grads {
            values: values.collect::<Result<_, _>>()?,
        })
    }

    /// The L2 norm of each gradient, in the order of the parameters, from one read.
    ///
    /// # Errors
    /// If the device fails.
    pub fn norms(&self) -> Result<Vec<Option<f64>>, Error> {
        let squares: Vec<Tensor<1>> = (self.values.iter().flatten())
            .map(|g| g.clone().powi_scalar(2).sum())
            .collect();
        if squares.is_empty() {
            return Ok(vec![None; self.values.len()]);
        }
        let mut squares = read(Tensor::cat(squares, 0))?.into_iter();
        let norm = |g: &Option<Tensor<1>>| {
            g.as_ref()
                .and_then(|_| squares.next())
                .map(|square| f64::from(square).sqrt())
        };
        Ok(self.values.iter().map(norm).collect())
    }
}

/// The norm of all gradients together.
pub(crate) fn global_norm(norms: &[Option<f64>]) -> f64 {
    norms.iter().flatten().map(|n| n * n).sum::<f64>().sqrt()
}
