//! One product per expert: every slot's row times the matrix of the expert it goes to. What
//! `moe_experts` fuses is done in parts with it, where something is added in between, as adapters do.

use crate::backend_expert::ExpertOps;
use crate::route::{Op, Route, route};
use crate::weight::Weight;
use burn::backend::Dispatch;
use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};

#[path = "expert_linear_native.rs"]
pub(crate) mod native;

/// Most experts in one stack that the kernels take; beyond, the twin runs.
const MAX_EXPERTS: usize = 1024;

/// `y[s] = weight[ids[s] - base] · x[s / spread]` for every slot s, zeros for ids outside of the stack.
///
/// # Shapes
/// `x` `[tokens, in]` (spread is top_k) or `[tokens * top_k, in]` (spread is 1), `ids`
/// `[tokens, top_k]`, `weight` `[experts, out, in]` f32, f16 or codes → `[tokens * top_k, out]` f32.
///
/// # Panics
/// If shapes disagree.
///
/// Source: the linear layers of HF `Glm4vMoeTextNaiveMoe.forward`, before the weighted sum.
pub fn expert_linear(
    x: Tensor<2>,
    ids: Tensor<2, Int>,
    weight: impl Into<Weight<3>>,
    base: usize,
) -> Tensor<2> {
    let weight = weight.into();
    let ([rows, width], [tokens, top_k], [experts, out, inner]) =
        (x.dims(), ids.dims(), weight.dims());
    assert!(
        width == inner && (rows == tokens || rows == tokens * top_k),
        "expert products: x {:?}, ids {:?}, weight {:?}",
        x.dims(),
        ids.dims(),
        weight.dims()
    );
    let routed = route(Op::MoeExperts, &x.device());
    if routed == Route::Twin || experts > MAX_EXPERTS {
        return expert_linear_reference(x, ids, weight, base);
    }
    // The kernels for codes read rows in fours.
    let fours = inner.is_multiple_of(4) && out.is_multiple_of(4);
    let codes_run = routed == Route::Native || fours;
    let (x, ids) = (x.into_dispatch(), ids.into_dispatch());
    Tensor::from_dispatch(match weight {
        Weight::Quantised(q) if codes_run => {
            let (codes, scales, format) = q.into_parts();
            let (codes, scales) = (codes.into_dispatch(), scales.into_dispatch());
            Dispatch::expert_linear_codes(x, ids, codes, scales, format, base)
        }
        weight => Dispatch::expert_linear(x, ids, weight.into_float().into_dispatch(), base),
    })
}

/// Definition of [`expert_linear`]. Reads the ids to the host to know the rows, which no other path
/// does.
///
/// # Panics
/// If the ids cannot be read from the device.
pub fn expert_linear_reference(
    x: Tensor<2>,
    ids: Tensor<2, Int>,
    weight: impl Into<Weight<3>>,
    base: usize,
) -> Tensor<2> {
    let weight = weight.into();
    let ([rows, _], [experts, out, inner]) = (x.dims(), weight.dims());
    let device = x.device();
    let host: Vec<i64> = match ids.try_into_data() {
        Ok(data) => data.iter::<i64>().collect(),
        Err(error) => panic!("expert ids cannot be read: {error:?}"),
    };
    let spread = host.len() / rows.max(1);
    let mut sum = Tensor::<2>::zeros([host.len(), out], &device);
    for e in 0..experts {
        let slots: Vec<i64> = (0..host.len() as i64)
            .filter(|s| host[*s as usize] == (base + e) as i64)
            .collect();
        if slots.is_empty() {
            continue;
        }
        let n = slots.len();
        let from: Vec<i64> = slots.iter().map(|s| s / spread as i64).collect();
        let index = |list| Tensor::<1, Int>::from_data(TensorData::new(list, [n]), &device);
        let matrix = weight.clone().narrow(e, e + 1).dequantise();
        let matrix = matrix.reshape([out, inner]).transpose();
        let y = x.clone().select(0, index(from)).matmul(matrix);
        sum = sum.select_assign(0, index(slots), y, IndexingUpdateOp::Add);
    }
    sum
}
