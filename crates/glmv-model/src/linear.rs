//! A linear layer whose weight may lie in several row shards, because one buffer of the device is
//! too small for it.

use crate::piece::Piece;
use crate::{Error, Lora, WeightParam, loader::Loader};
use burn::module::{Module, Param};
use burn::tensor::{Tensor, s};
use glmv_kernels::{After, Norm, Weight, fused_linear, linear, rms_norm, swiglu};
use std::ops::Range;

/// `x · Wᵀ + b` with W in the hub's `[out, in]` layout, and what adapters add to it.
#[derive(Module, Debug)]
pub struct Linear {
    /// Row shards `[out_i, in]`.
    pub weight: Vec<WeightParam<2>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// Of the modules that the layer holds, in the order of its rows.
    pub adapters: Vec<Lora>,
}

impl Linear {
    /// Loads `{prefix}.weight` and, if `bias`, `{prefix}.bias`.
    ///
    /// # Errors
    /// As [`Loader::matrix`].
    pub fn load(
        loader: &Loader<'_>,
        prefix: &str,
        [out, inner]: [usize; 2],
        bias: bool,
    ) -> Result<Self, Error> {
        let weight = loader.matrix(&format!("{prefix}.weight"), [out, inner])?;
        let bias = match bias {
            true => Some(loader.f32(&format!("{prefix}.bias"), [out])?),
            false => None,
        };
        Ok(Linear {
            weight,
            bias,
            adapters: Vec::new(),
        })
    }

    /// Loads `{prefix}.{name}.weight` `[rows, inner]` and, if `bias`, `{prefix}.{name}.bias` for each
    /// (name, rows), joined one below the other.
    ///
    /// # Errors
    /// As [`Loader::matrix`].
    pub fn load_joined(
        loader: &Loader<'_>,
        prefix: &str,
        parts: &[(&str, usize)],
        inner: usize,
        bias: bool,
    ) -> Result<Self, Error> {
        let name = |part: &str, rest: &str| format!("{prefix}.{part}.{rest}");
        let pieces: Vec<Piece> = parts
            .iter()
            .map(|(part, rows)| Piece::whole(name(part, "weight"), [*rows, inner]))
            .collect();
        let weight = loader.joined(&pieces)?;
        let biases: Vec<_> = parts.iter().map(|(p, n)| (name(p, "bias"), *n)).collect();
        let bias = match bias {
            true => Some(loader.f32_joined(&biases)?),
            false => None,
        };
        Ok(Linear {
            weight,
            bias,
            adapters: Vec::new(),
        })
    }

    /// # Shapes
    /// `x` `[.., in]` → `[.., out]`, f32.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if self.adapters.is_empty() {
            return self.base(x);
        }
        let y = self.base(x.clone());
        let rows = y.dims()[D - 1];
        self.adapted(y, x, 0..rows)
    }

    /// Rows `rows` of the output, with what the adapters add to them; modules without one get zeros.
    fn adapted<const D: usize>(&self, y: Tensor<D>, x: Tensor<D>, rows: Range<usize>) -> Tensor<D> {
        let zeros = |count: usize| {
            let mut dims = y.dims();
            dims[D - 1] = count;
            Tensor::<D>::zeros(dims, &y.device())
        };
        let (mut at, mut parts) = (rows.start, Vec::new());
        for lora in &self.adapters {
            let own = lora.rows();
            let run = own.start.max(at)..own.end.min(rows.end);
            if run.is_empty() {
                continue;
            }
            if run.start > at {
                parts.push(zeros(run.start - at));
            }
            at = run.end;
            parts.push(lora.delta(x.clone(), run));
        }
        if parts.is_empty() {
            return y;
        }
        if at < rows.end {
            parts.push(zeros(rows.end - at));
        }
        y + Tensor::cat(parts, D - 1)
    }

    /// [`Linear::forward`] without adapters.
    fn base<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if let [weight] = self.weight.as_slice() {
            return linear(x, weight.val(), self.bias.as_ref().map(Param::val));
        }
        let mut start = 0;
        let parts = self.weight.iter().map(|weight| {
            let rows = weight.dims()[0];
            let bias = self
                .bias
                .as_ref()
                .map(|b| b.val().slice(s![start..start + rows]));
            start += rows;
            linear(x.clone(), weight.val(), bias)
        });
        Tensor::cat(parts.collect(), D - 1)
    }

    /// `after(norm(x) · Wᵀ + b)`, in one launch where [`fused_linear`] has one.
    ///
    /// # Shapes
    /// `x` `[rows, in]` → `[rows, out]`, half as wide for SwiGLU.
    pub fn fused(&self, x: Tensor<2>, norm: Option<Norm>, after: After) -> Tensor<2> {
        let after = match (after, &self.bias) {
            (After::Nothing, Some(bias)) => After::Bias(bias.val()),
            (after, _) => after,
        };
        let whole = self.bias.is_none() || matches!(after, After::Bias(_));
        if let [weight] = self.weight.as_slice()
            && whole
        {
            let fused = |after| fused_linear(x.clone(), norm.clone(), weight.val(), after);
            if self.adapters.is_empty() {
                return fused(after);
            }
            // The base's own launch, so that what it gives is the same to the bit.
            let (y, bends) = match after {
                After::SwiGlu => (fused(After::Nothing), true),
                after => (fused(after), false),
            };
            let x = match norm {
                Some(norm) => rms_norm(x, norm.weight, norm.eps),
                None => x,
            };
            let rows = 0..y.dims()[1];
            let y = self.adapted(y, x, rows);
            return if bends { swiglu(y) } else { y };
        }
        let x = match norm {
            Some(norm) => rms_norm(x, norm.weight, norm.eps),
            None => x,
        };
        let y = self.forward(x);
        match after {
            After::Nothing | After::Bias(_) => y,
            After::Residual(residual) => residual + y,
            After::SwiGlu => swiglu(y),
        }
    }

    /// The weight and bias, if the weight lies in one shard and is all there is.
    pub fn whole(&self) -> Option<(Weight<2>, Option<Tensor<1>>)> {
        match self.weight.as_slice() {
            [weight] if self.adapters.is_empty() => {
                Some((weight.val(), self.bias.as_ref().map(Param::val)))
            }
            _ => None,
        }
    }

    /// Rows `range` of an unsharded weight applied to `x`; the shards of a sharded one are run
    /// whole and sliced.
    ///
    /// # Shapes
    /// `x` `[tokens, in]` → `[tokens, range.len()]`.
    pub fn forward_rows(&self, x: Tensor<2>, range: Range<usize>) -> Tensor<2> {
        match self.weight.as_slice() {
            [weight] => {
                let rows = s![range.start..range.end];
                let bias = self.bias.as_ref().map(|b| b.val().slice(rows));
                let weight = weight.val().narrow(range.start, range.end);
                match self.adapters.is_empty() {
                    true => linear(x, weight, bias),
                    false => self.adapted(linear(x.clone(), weight, bias), x, range),
                }
            }
            _ => self.forward(x).slice(s![.., range.start..range.end]),
        }
    }
}
