//! The fused kernels of decoding and the parameter sets they run with; the table that `all` chains
//! with `dense` and `moe`. Each is a file of its own followed by `parts/few_rows.wgsl`.
//!
//! `FORMAT` says what the weights hold, `M` follows the number of rows, `LANES` is 8 for CPU adapters
//! and 32 for GPUs.

use crate::Shader;

const NORM: (&str, &str) = ("NORM", "true");
const GPU: (&str, &str) = ("LANES", "32u");
const HALF: (&str, &str) = ("KvElem", "f16");

/// The file of that name with the products behind it.
macro_rules! source {
    ($file:literal) => {
        concat!(
            include_str!($file),
            "\n",
            include_str!("parts/few_rows.wgsl")
        )
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

pub(crate) const SHADERS: &[Shader] = &[
    Shader {
        name: "few_linear",
        source: source!("few_linear.wgsl"),
        sets: row_sets![
            [],
            [NORM],
            [NORM, GPU, ("SWIGLU", "true")],
            [NORM, ("EXTRA", "1u")],
            [GPU, ("EXTRA", "2u")],
        ],
    },
    Shader {
        name: "few_qkv",
        source: source!("few_qkv.wgsl"),
        sets: row_sets![
            [NORM, ("HAS_BIAS", "true")],
            [NORM, GPU, HALF, ("INTERLEAVED", "true")],
            [NORM, GPU, HALF, ("HAS_BIAS", "true")],
        ],
    },
    Shader {
        name: "few_experts",
        source: source!("few_experts.wgsl"),
        sets: row_sets![
            [NORM, ("SWIGLU", "true")],
            [NORM, GPU, ("SWIGLU", "true"), ("PLANNED", "false")],
            [GPU],
            [("PLANNED", "false")],
        ],
    },
    Shader {
        name: "few_down",
        source: source!("few_down.wgsl"),
        sets: row_sets![[], [GPU]],
    },
    Shader {
        name: "moe_plan_few",
        source: include_str!("moe_plan_few.wgsl"),
        sets: &[&[("TM", "2u")], &[("TM", "4u")], &[("TM", "8u")]],
    },
];
