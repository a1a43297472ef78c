//! The kernels of the backward passes and the parameter sets they run with; those of linear layers
//! and experts stand in `dense` and `moe`.

use crate::Shader;

const SCALAR: (&str, &str) = ("ONES", "vec4<f32>(1.0, 0.0, 0.0, 0.0)");
const VEC4: (&str, &str) = ("Vec", "vec4<f32>");
const VEC1: (&str, &str) = ("Vec", "f32");
const UINT: (&str, &str) = ("Int", "u32");
const MASKED: (&str, &str) = ("MASKED", "true");
const WEIGHTED: (&str, &str) = ("WEIGHTED", "true");

const ELEMENTWISE: &[crate::Params] = &[&[VEC4], &[VEC1]];
const SCORES: &[crate::Params] = &[&[], &[MASKED], &[UINT], &[UINT, MASKED]];
const ATTENTION: &[crate::Params] = &[
    &[VEC4, ("DH", "1u")],
    &[VEC4, ("DH", "20u"), UINT],
    &[VEC4, ("DH", "32u")],
    &[VEC4, ("DH", "64u")],
    &[VEC1, SCALAR, ("DH", "3u")],
    &[VEC1, SCALAR, ("DH", "255u")],
];

pub(crate) const SHADERS: &[Shader] = &[
    Shader {
        name: "rms_norm_grad",
        source: include_str!("rms_norm_grad.wgsl"),
        sets: &[&[VEC4], &[VEC1, SCALAR]],
    },
    Shader {
        name: "rms_norm_grad_weight",
        source: include_str!("rms_norm_grad_weight.wgsl"),
        sets: ELEMENTWISE,
    },
    Shader {
        name: "swiglu_grad",
        source: include_str!("swiglu_grad.wgsl"),
        sets: ELEMENTWISE,
    },
    Shader {
        name: "silu_mul_grad",
        source: include_str!("silu_mul_grad.wgsl"),
        sets: ELEMENTWISE,
    },
    Shader {
        name: "attention_grad_rows",
        source: include_str!("attention_grad_rows.wgsl"),
        sets: ATTENTION,
    },
    Shader {
        name: "attention_grad_keys",
        source: include_str!("attention_grad_keys.wgsl"),
        sets: ATTENTION,
    },
    Shader {
        name: "scatter_links",
        source: include_str!("scatter_links.wgsl"),
        sets: &[&[], &[UINT]],
    },
    Shader {
        name: "scatter_rows",
        source: include_str!("scatter_rows.wgsl"),
        sets: &[
            &[VEC4],
            &[VEC1],
            &[VEC4, WEIGHTED],
            &[VEC1, WEIGHTED],
            &[VEC4, WEIGHTED, UINT],
        ],
    },
    Shader {
        name: "moe_router_grad",
        source: include_str!("moe_router_grad.wgsl"),
        sets: &[&[], &[UINT]],
    },
    Shader {
        name: "score_fold",
        source: include_str!("score_fold.wgsl"),
        sets: SCORES,
    },
    Shader {
        name: "score_grad",
        source: include_str!("score_grad.wgsl"),
        sets: SCORES,
    },
];
