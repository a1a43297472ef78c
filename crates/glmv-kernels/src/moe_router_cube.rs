//! The WGSL launch of the router.

use crate::launch::{bits, empty, f32_rows, fold, launch};
use crate::moe::RouterConfig;
use burn::backend::TensorMetadata;
use burn::tensor::{DType, Shape};
use burn_cubecl::tensor::CubeTensor;

pub(crate) fn moe_router(
    logits: CubeTensor,
    bias: CubeTensor,
    config: RouterConfig,
) -> (CubeTensor, CubeTensor) {
    let (logits, bias) = (f32_rows(logits), f32_rows(bias));
    let [tokens, experts] = logits.shape().dims::<2>();
    let shape = Shape::new([tokens, config.top_k + config.shared]);
    let ids = empty(&logits, shape.clone(), DType::I32);
    let weights = empty(&logits, shape, DType::F32);
    let info = [
        tokens as u32,
        experts as u32,
        config.top_k as u32,
        config.n_group as u32,
        config.topk_group as u32,
        u32::from(config.normalise),
        bits(config.scale),
        config.shared as u32,
    ];
    launch(
        "moe_router",
        vec![("WG", "32u".to_string())],
        fold(tokens),
        &[&logits, &bias, &ids, &weights],
        &info,
    );
    (ids, weights)
}
