//! A weight as a module holds it: a float parameter, or frozen codes with their scales.

use burn::module::{Module, Param, ParamId};
use burn::tensor::{Int, Tensor};
use glmv_kernels::{Quantised, Weight};
use glmv_quant::Format;

/// One shard of a matrix (D = 2) or of a stack of experts (D = 3).
#[derive(Module, Debug)]
pub enum WeightParam<const D: usize> {
    /// f32 or f16.
    Float(Param<Tensor<D>>),
    /// 8 or 4 bits; never trained.
    Codes(CodesParam<D>),
}

/// Codes and scales as parameters without gradients.
#[derive(Module, Debug)]
pub struct CodesParam<const D: usize> {
    codes: Param<Tensor<D, Int>>,
    scales: Param<Tensor<D, Int>>,
    #[module(skip)]
    layout: Layout,
}

/// Format of the codes and values per row.
#[derive(Clone, Copy, Debug)]
struct Layout {
    format: Format,
    inner: usize,
}

impl<const D: usize> WeightParam<D> {
    /// The weight for the kernels.
    pub fn val(&self) -> Weight<D> {
        match self {
            WeightParam::Float(param) => Weight::Float(param.val()),
            WeightParam::Codes(param) => {
                let Layout { format, inner } = param.layout;
                let (codes, scales) = (param.codes.val(), param.scales.val());
                Weight::Quantised(Quantised::new(codes, scales, format, inner))
            }
        }
    }

    /// Shape of the values.
    pub fn dims(&self) -> [usize; D] {
        match self {
            WeightParam::Float(param) => param.dims(),
            WeightParam::Codes(param) => {
                let mut dims = param.codes.dims();
                dims[D - 1] = param.layout.inner;
                dims
            }
        }
    }
}

impl<const D: usize> From<Weight<D>> for WeightParam<D> {
    fn from(weight: Weight<D>) -> Self {
        match weight {
            Weight::Float(tensor) => WeightParam::Float(Param::from_tensor(tensor)),
            Weight::Quantised(q) => {
                let param = |t: &Tensor<D, Int>| Param::initialized(ParamId::new(), t.clone());
                WeightParam::Codes(CodesParam {
                    codes: param(q.codes()),
                    scales: param(q.scales()),
                    layout: Layout {
                        format: q.format(),
                        inner: q.dims()[D - 1],
                    },
                })
            }
        }
    }
}
