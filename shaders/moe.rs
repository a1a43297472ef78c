//! The mixture-of-experts kernels and the parameter sets they run with.
//!
//! Forward, many slots: router, plan, tiles, gate_up, down, combine. Forward, few slots: router,
//! gate_up_few, down_few. Weights of codes, and on CPU adapters all: router, (plan, tiles,) moe_rows
//! for gate and up, moe_rows for down, combine. Backward: down (for the pre-activations), nn, swiglu_grad, tn,
//! weight_grad, combine (unweighted). A slot is one (token, chosen expert) pair.
//!
//! `Vec` and `Weight` are `vec4` of what is stored when every row length is a multiple of four,
//! else scalars with `ONES` = (1, 0, 0, 0). Activations are f32; weights f32 or f16.
//! On a CPU adapter KL = 1 avoids the barrier (which halves the speed of lavapipe); on a GPU
//! KL > 1 makes adjacent lanes read adjacent weights.

use crate::Shader;
use crate::dense::{kind_sets, plain_sets, tile_sets};

/// Prepends the declarations of each activation/weight storage to the given ones.
macro_rules! weight_sets {
    ($([$($extra:expr),* $(,)?]),+ $(,)?) => {
        &[$(
            &[("Vec", "vec4<f32>"), ("Weight", "vec4<f32>"), ("ONES", "vec4<f32>(1.0, 1.0, 1.0, 1.0)"), $($extra),*],
            &[("Vec", "vec4<f32>"), ("Weight", "vec4<f16>"), ("ONES", "vec4<f32>(1.0, 1.0, 1.0, 1.0)"), $($extra),*],
            &[("Vec", "f32"), ("Weight", "f32"), ("ONES", "vec4<f32>(1.0, 0.0, 0.0, 0.0)"), $($extra),*],
            &[("Vec", "f32"), ("Weight", "f16"), ("ONES", "vec4<f32>(1.0, 0.0, 0.0, 0.0)"), $($extra),*],
        )+]
    };
}

/// As [`weight_sets`], with `LANES`, for both values of `SCALED`.
macro_rules! nn_sets {
    ($([$($extra:expr),* $(,)?]),+ $(,)?) => {
        &[$(
            &[("Vec", "vec4<f32>"), ("Weight", "vec4<f32>"), ("LANES", "4u"), ("ONES", "vec4<f32>(1.0, 1.0, 1.0, 1.0)"), ("SCALED", "false"), $($extra),*],
            &[("Vec", "vec4<f32>"), ("Weight", "vec4<f16>"), ("LANES", "4u"), ("ONES", "vec4<f32>(1.0, 1.0, 1.0, 1.0)"), ("SCALED", "false"), $($extra),*],
            &[("Vec", "f32"), ("Weight", "f32"), ("LANES", "1u"), ("ONES", "vec4<f32>(1.0, 0.0, 0.0, 0.0)"), ("SCALED", "false"), $($extra),*],
            &[("Vec", "f32"), ("Weight", "f16"), ("LANES", "1u"), ("ONES", "vec4<f32>(1.0, 0.0, 0.0, 0.0)"), ("SCALED", "false"), $($extra),*],
            &[("Vec", "vec4<f32>"), ("Weight", "vec4<f32>"), ("LANES", "4u"), ("ONES", "vec4<f32>(1.0, 1.0, 1.0, 1.0)"), ("SCALED", "true"), $($extra),*],
            &[("Vec", "vec4<f32>"), ("Weight", "vec4<f16>"), ("LANES", "4u"), ("ONES", "vec4<f32>(1.0, 1.0, 1.0, 1.0)"), ("SCALED", "true"), $($extra),*],
            &[("Vec", "f32"), ("Weight", "f32"), ("LANES", "1u"), ("ONES", "vec4<f32>(1.0, 0.0, 0.0, 0.0)"), ("SCALED", "true"), $($extra),*],
            &[("Vec", "f32"), ("Weight", "f16"), ("LANES", "1u"), ("ONES", "vec4<f32>(1.0, 0.0, 0.0, 0.0)"), ("SCALED", "true"), $($extra),*],
        )+]
    };
}

const INT: (&str, &str) = ("Int", "i32");
const UINT: (&str, &str) = ("Int", "u32");

/// Tile heights of the grouped products, for a CPU (one lane per column) and a GPU.
const GROUPED: &[&[(&str, &str)]] = weight_sets![
    [INT, ("TM", "1u"), ("KL", "1u"), ("WG", "32u")],
    [INT, ("TM", "2u"), ("KL", "1u"), ("WG", "32u")],
    [INT, ("TM", "4u"), ("KL", "1u"), ("WG", "32u")],
    [INT, ("TM", "8u"), ("KL", "1u"), ("WG", "32u")],
    [INT, ("TM", "1u"), ("KL", "4u"), ("WG", "64u")],
    [INT, ("TM", "2u"), ("KL", "4u"), ("WG", "64u")],
    [INT, ("TM", "4u"), ("KL", "4u"), ("WG", "64u")],
    [INT, ("TM", "8u"), ("KL", "4u"), ("WG", "64u")],
    [UINT, ("TM", "8u"), ("KL", "8u"), ("WG", "64u")],
];

/// Each product, slot by slot and in tiles, for the given storages of weights in 16-byte words.
macro_rules! row_sets {
    ($([$($extra:expr),+ $(,)?]),+ $(,)?) => {
        &[$(
            &[INT, ("GATED", "true"), ("SORTED", "false"), ("M", "1u"), $($extra),+],
            &[INT, ("GATED", "false"), ("SORTED", "false"), ("M", "1u"), $($extra),+],
            &[INT, ("GATED", "true"), ("SORTED", "true"), ("M", "2u"), $($extra),+],
            &[INT, ("GATED", "false"), ("SORTED", "true"), ("M", "2u"), $($extra),+],
            &[INT, ("GATED", "true"), ("SORTED", "true"), ("M", "4u"), $($extra),+],
            &[INT, ("GATED", "false"), ("SORTED", "true"), ("M", "8u"), $($extra),+],
            &[UINT, ("GATED", "true"), ("SORTED", "true"), ("M", "8u"), $($extra),+],
        )+]
    };
}

/// Every kernel of the mixture of experts.
pub const SHADERS: &[Shader] = &[
    Shader {
        name: "moe_router",
        source: include_str!("moe_router.wgsl"),
        sets: &[
            &[INT, ("WG", "32u")],
            &[INT, ("WG", "64u")],
            &[INT, ("WG", "128u")],
            &[UINT, ("WG", "32u")],
        ],
    },
    Shader {
        name: "moe_plan",
        source: include_str!("moe_plan.wgsl"),
        sets: &[
            &[INT, ("WG", "64u")],
            &[INT, ("WG", "256u")],
            &[UINT, ("WG", "64u")],
        ],
    },
    Shader {
        name: "moe_tiles",
        source: include_str!("moe_tiles.wgsl"),
        sets: &[
            &[INT, ("TM", "1u")],
            &[INT, ("TM", "2u")],
            &[INT, ("TM", "4u")],
            &[INT, ("TM", "8u")],
            &[INT, ("TM", "16u")],
            &[INT, ("TM", "32u")],
            &[UINT, ("TM", "8u")],
        ],
    },
    Shader {
        name: "moe_gate_up",
        source: include_str!("moe_gate_up.wgsl"),
        sets: GROUPED,
    },
    Shader {
        name: "moe_down",
        source: include_str!("moe_down.wgsl"),
        sets: GROUPED,
    },
    Shader {
        name: "moe_product",
        source: include_str!("moe_product.wgsl"),
        sets: kind_sets![
            [INT, ("PAIRED", "true"), ("ROWS_PER_LANE", "1u")],
            [INT, ("PAIRED", "false"), ("ROWS_PER_LANE", "2u")],
            [INT, ("PAIRED", "true"), ("ROWS_PER_LANE", "4u")],
            [UINT, ("PAIRED", "false"), ("ROWS_PER_LANE", "4u")],
        ],
    },
    Shader {
        name: "moe_product_sub",
        source: include_str!("moe_product_sub.wgsl"),
        sets: tile_sets![
            kind_sets,
            [INT, ("PAIRED", "true")],
            [UINT, ("PAIRED", "false")],
        ],
    },
    Shader {
        name: "moe_combine",
        source: include_str!("moe_combine.wgsl"),
        sets: &[
            &[INT, ("Vec", "vec4<f32>"), ("WEIGHTED", "true")],
            &[INT, ("Vec", "vec4<f32>"), ("WEIGHTED", "false")],
            &[INT, ("Vec", "f32"), ("WEIGHTED", "true")],
            &[
                INT,
                ("Vec", "vec4<f32>"),
                ("WEIGHTED", "true"),
                ("RESIDUAL", "true"),
            ],
            &[
                INT,
                ("Vec", "f32"),
                ("WEIGHTED", "true"),
                ("RESIDUAL", "true"),
            ],
            &[INT, ("Vec", "f32"), ("WEIGHTED", "false")],
            &[UINT, ("Vec", "vec4<f32>"), ("WEIGHTED", "true")],
        ],
    },
    Shader {
        name: "moe_gate_up_few",
        source: include_str!("moe_gate_up_few.wgsl"),
        sets: weight_sets![
            [INT, ("WG", "64u"), ("KL", "8u")],
            [INT, ("WG", "32u"), ("KL", "1u")],
            [UINT, ("WG", "64u"), ("KL", "16u")],
        ],
    },
    Shader {
        name: "moe_down_few",
        source: include_str!("moe_down_few.wgsl"),
        sets: weight_sets![
            [INT, ("WG", "64u"), ("KL", "8u"), ("JL", "1u")],
            [INT, ("WG", "64u"), ("KL", "8u"), ("JL", "8u")],
            [INT, ("WG", "8u"), ("KL", "1u"), ("JL", "1u")],
            [UINT, ("WG", "64u"), ("KL", "8u"), ("JL", "1u")],
        ],
    },
    Shader {
        name: "moe_nn",
        source: include_str!("moe_nn.wgsl"),
        sets: nn_sets![
            [INT, ("TM", "1u"), ("WG", "32u")],
            [INT, ("TM", "2u"), ("WG", "32u")],
            [INT, ("TM", "4u"), ("WG", "32u")],
            [INT, ("TM", "8u"), ("WG", "32u")],
            [UINT, ("TM", "8u"), ("WG", "64u")],
        ],
    },
    Shader {
        name: "moe_tn",
        source: include_str!("moe_tn.wgsl"),
        sets: &[
            &[
                INT,
                ("Vec", "vec4<f32>"),
                ("LANES", "4u"),
                ("SCALED", "false"),
                ("WG", "32u"),
            ],
            &[
                INT,
                ("Vec", "vec4<f32>"),
                ("LANES", "4u"),
                ("SCALED", "true"),
                ("WG", "32u"),
            ],
            &[
                INT,
                ("Vec", "f32"),
                ("LANES", "1u"),
                ("SCALED", "false"),
                ("WG", "32u"),
            ],
            &[
                INT,
                ("Vec", "f32"),
                ("LANES", "1u"),
                ("SCALED", "true"),
                ("WG", "32u"),
            ],
            &[
                UINT,
                ("Vec", "vec4<f32>"),
                ("LANES", "4u"),
                ("SCALED", "true"),
                ("WG", "64u"),
            ],
        ],
    },
    Shader {
        name: "moe_nn_sub",
        source: include_str!("moe_nn_sub.wgsl"),
        sets: tile_sets![
            plain_sets,
            [INT, ("Weight", "vec4<f32>"), ("SCALED", "true")],
            [INT, ("Weight", "vec4<f32>"), ("SCALED", "false")],
            [INT, ("Weight", "vec4<f16>"), ("SCALED", "false")],
        ],
    },
    Shader {
        name: "moe_tn_sub",
        source: include_str!("moe_tn_sub.wgsl"),
        sets: &[
            &[INT, ("SCALED", "true")],
            &[INT, ("SCALED", "false")],
            &[UINT, ("SCALED", "false")],
        ],
    },
    Shader {
        name: "moe_swiglu_grad",
        source: include_str!("moe_swiglu_grad.wgsl"),
        sets: &[&[("Vec", "vec4<f32>")], &[("Vec", "f32")]],
    },
    Shader {
        name: "moe_weight_grad",
        source: include_str!("moe_weight_grad.wgsl"),
        sets: &[
            &[
                INT,
                ("Vec", "vec4<f32>"),
                ("ONES", "vec4<f32>(1.0, 1.0, 1.0, 1.0)"),
                ("KL", "8u"),
            ],
            &[
                INT,
                ("Vec", "vec4<f32>"),
                ("ONES", "vec4<f32>(1.0, 1.0, 1.0, 1.0)"),
                ("KL", "1u"),
            ],
            &[
                INT,
                ("Vec", "f32"),
                ("ONES", "vec4<f32>(1.0, 0.0, 0.0, 0.0)"),
                ("KL", "8u"),
            ],
            &[
                INT,
                ("Vec", "f32"),
                ("ONES", "vec4<f32>(1.0, 0.0, 0.0, 0.0)"),
                ("KL", "1u"),
            ],
            &[
                UINT,
                ("Vec", "vec4<f32>"),
                ("ONES", "vec4<f32>(1.0, 1.0, 1.0, 1.0)"),
                ("KL", "8u"),
            ],
        ],
    },
    Shader {
        name: "moe_rows",
        source: include_str!("moe_rows.wgsl"),
        sets: row_sets![
            [("KIND", "2u"), ("WG", "64u"), ("LANES", "32u")],
            [("KIND", "3u"), ("WG", "64u"), ("LANES", "32u")],
        ],
    },
    Shader {
        name: "moe_rows_sub",
        source: include_str!("moe_rows_sub.wgsl"),
        sets: row_sets![
            [("KIND", "0u"), ("WG", "8u")],
            [("KIND", "1u"), ("WG", "8u")],
            [("KIND", "2u"), ("WG", "8u")],
            [("KIND", "3u"), ("WG", "8u")],
            [("KIND", "3u"), ("WG", "32u")],
        ],
    },
];
