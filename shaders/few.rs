//! The fused kernels of decoding and the parameter sets they run with; the table that `all` chains
//! with `dense` and `moe`. Each is a file of its own followed by `parts/few_rows.wgsl` and the products of the
//! adapter's kind.
//!
//! `FORMAT` says what the weights hold, `M` follows the number of rows, `LANES` is 8 for CPU adapters
//! and 32 for GPUs, 1 where a lane owns its rows.

use crate::Shader;

const NORM: (&str, &str) = ("NORM", "true");
const GPU: (&str, &str) = ("LANES", "32u");
const ONE: (&str, &str) = ("LANES", "1u");
const EIGHT: (&str, &str) = ("WG", "8u");
const HALF: (&str, &str) = ("KvElem", "f16");

/// The file of that name with the products behind it.
macro_rules! source {
    ($file:literal, $products:literal) => {
        concat!(
            include_str!($file),
            "\n",
            include_str!("parts/few_rows.wgsl"),
            "\n",
            include_str!($products)
        )
    };
}

/// A kernel for any adapter and its twin for subgroups of eight lanes.
macro_rules! kernel {
    ($name:literal, $sub:literal, $file:literal, $split:expr, $eight:expr) => {
        [
            Shader {
                name: $name,
                source: source!($file, "parts/few_split.wgsl"),
                sets: $split,
            },
            Shader {
                name: $sub,
                source: source!($file, "parts/few_sub.wgsl"),
                sets: $eight,
            },
        ]
    };
}

/// Every format and number of rows, with each list of further values.
macro_rules! row_sets {
    ($([$($extra:expr),* $(,)?]),+ $(,)?) => {
        &[$(
            &[("FORMAT", "0u"), ("M", "1u"), $($extra),*],
            &[("FORMAT", "0u"), ("M", "2u"), $($extra),*],
            &[("FORMAT", "0u"), ("M", "4u"), $($extra),*],
            &[("FORMAT", "0u"), ("M", "8u"), $($extra),*],
            &[("FORMAT", "1u"), ("M", "1u"), $($extra),*],
            &[("FORMAT", "1u"), ("M", "8u"), $($extra),*],
            &[("FORMAT", "2u"), ("M", "1u"), $($extra),*],
            &[("FORMAT", "2u"), ("M", "8u"), $($extra),*],
            &[("FORMAT", "3u"), ("M", "1u"), $($extra),*],
            &[("FORMAT", "3u"), ("M", "8u"), $($extra),*],
        )+]
    };
}

static LINEAR: [Shader; 2] = kernel!(
    "few_linear",
    "few_linear_sub",
    "few_linear.wgsl",
    row_sets![
        [],
        [NORM],
        [NORM, GPU, ("SWIGLU", "true")],
        [NORM, ("EXTRA", "1u")],
        [GPU, ("EXTRA", "2u")],
    ],
    row_sets![
        [EIGHT, ONE],
        [EIGHT, ONE, NORM, ("SWIGLU", "true")],
        [EIGHT, ONE, NORM, ("EXTRA", "1u")],
        [EIGHT, ONE, ("EXTRA", "2u")],
    ]
);
static QKV: [Shader; 2] = kernel!(
    "few_qkv",
    "few_qkv_sub",
    "few_qkv.wgsl",
    row_sets![
        [NORM, ("HAS_BIAS", "true")],
        [NORM, GPU, HALF, ("INTERLEAVED", "true")],
        [NORM, GPU, HALF, ("HAS_BIAS", "true")],
    ],
    row_sets![
        [EIGHT, ONE, NORM, ("HAS_BIAS", "true")],
        [EIGHT, ONE, NORM, HALF, ("INTERLEAVED", "true")],
    ]
);
static EXPERTS: [Shader; 2] = kernel!(
    "few_experts",
    "few_experts_sub",
    "few_experts.wgsl",
    row_sets![
        [NORM, ("SWIGLU", "true")],
        [NORM, GPU, ("SWIGLU", "true"), ("PLANNED", "false")],
        [GPU],
        [("PLANNED", "false")],
    ],
    row_sets![
        [EIGHT, ONE, NORM, ("SWIGLU", "true")],
        [EIGHT, ONE, NORM, ("SWIGLU", "true"), ("PLANNED", "false")],
        [EIGHT, ONE],
    ]
);
static DOWN: [Shader; 2] = kernel!(
    "few_down",
    "few_down_sub",
    "few_down.wgsl",
    row_sets![[], [GPU]],
    row_sets![[EIGHT, ONE]]
);
static PLAN: [Shader; 1] = [Shader {
    name: "moe_plan_few",
    source: include_str!("moe_plan_few.wgsl"),
    sets: &[&[("TM", "2u")], &[("TM", "4u")], &[("TM", "8u")]],
}];

/// All of them.
pub(crate) fn shaders() -> impl Iterator<Item = &'static Shader> {
    LINEAR
        .iter()
        .chain(&QKV)
        .chain(&EXPERTS)
        .chain(&DOWN)
        .chain(&PLAN)
}
