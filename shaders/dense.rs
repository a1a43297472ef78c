//! The dense kernels and the parameter sets they run with; the table that `all` chains with `moe`.
//!
//! `Vec`, `Weight` and `KvElem` are `vec4` of what is stored when the row length is a multiple of
//! four, else scalars with `ONES` = (1, 0, 0, 0). Activations are f32; weights and keys f32 or f16.
//! `LANES` is 8 for CPU adapters and 32 for GPUs; `ROW_LANES` falls with the number of rows.

use crate::Shader;

const SCALAR: (&str, &str) = ("ONES", "vec4<f32>(1.0, 0.0, 0.0, 0.0)");
const VEC4: (&str, &str) = ("Vec", "vec4<f32>");
const VEC1: (&str, &str) = ("Vec", "f32");
const UINT: (&str, &str) = ("Int", "u32");
const PAGED: (&str, &str) = ("PAGED", "true");
// An 8-bit cache: four codes in a word, taken apart by a product and a division.
const Q8: (&str, &str) = ("Q8", "true");
const CODES: (&str, &str) = ("KvElem", "u32");
const WIDE: (&str, &str) = ("Wide", "vec4<u32>");
const SPREAD: (&str, &str) = ("SPREAD", "vec4<u32>(0x1000000u, 0x10000u, 0x100u, 1u)");
const TOP: (&str, &str) = ("TOP", "vec4<u32>(0x1000000u)");

/// Prepends each activation storage and each storage of the named operand to the given values; whole
/// sets may follow a semicolon.
macro_rules! storage_sets {
    ($operand:literal, $([$($extra:expr),* $(,)?]),+ $(; $($whole:expr),+)? $(,)?) => {
        &[$($($whole,)+)? $(
            &[VEC4, ($operand, "vec4<f32>"), $($extra),*],
            &[VEC4, ($operand, "vec4<f16>"), $($extra),*],
            &[VEC1, ($operand, "f32"), SCALAR, $($extra),*],
            &[VEC1, ($operand, "f16"), SCALAR, $($extra),*],
        )+]
    };
}

/// As [`storage_sets`] for weights, with and without bias.
macro_rules! bias_sets {
    ($([$($extra:expr),* $(,)?]),+ $(,)?) => {
        storage_sets!["Weight",
            $([("HAS_BIAS", "true"), $($extra),*], [("HAS_BIAS", "false"), $($extra),*]),+]
    };
}

/// Each storage of `Lhs`, for every `ROW_LANES`, with the given values.
macro_rules! lhs_sets {
    ($([$($extra:expr),+]),+ $(,)?) => {
        &[$(
            &[("Lhs", "vec4<f32>"), ("ROW_LANES", "1u"), $($extra),+],
            &[("Lhs", "vec4<f32>"), ("ROW_LANES", "2u"), $($extra),+],
            &[("Lhs", "vec4<f32>"), ("ROW_LANES", "4u"), $($extra),+],
            &[("Lhs", "vec4<f32>"), ("ROW_LANES", "8u"), $($extra),+],
            &[("Lhs", "f32"), SCALAR, ("ROW_LANES", "1u"), $($extra),+],
            &[("Lhs", "f32"), SCALAR, ("ROW_LANES", "2u"), $($extra),+],
            &[("Lhs", "f32"), SCALAR, ("ROW_LANES", "4u"), $($extra),+],
            &[("Lhs", "f32"), SCALAR, ("ROW_LANES", "8u"), $($extra),+],
        )+]
    };
}

/// Rows of one subgroup in the tiled `*_sub` products: `GROUPS` times `HELD`.
macro_rules! tile_sets {
    ($sets:ident, $([$($extra:expr),* $(,)?]),+ $(,)?) => {
        $sets![$(
            [("GROUPS", "1u"), ("HELD", "1u"), $($extra),*],
            [("GROUPS", "1u"), ("HELD", "2u"), $($extra),*],
            [("GROUPS", "1u"), ("HELD", "4u"), $($extra),*],
            [("GROUPS", "1u"), ("HELD", "8u"), $($extra),*],
            [("GROUPS", "2u"), ("HELD", "8u"), $($extra),*],
            [("GROUPS", "4u"), ("HELD", "8u"), $($extra),*],
        )+]
    };
}
pub(crate) use tile_sets;

/// The given sets.
macro_rules! plain_sets {
    ($([$($extra:expr),* $(,)?]),+ $(,)?) => {
        &[$(&[$($extra),*]),+]
    };
}
pub(crate) use plain_sets;

/// Each storage of the weights of a tiled product.
macro_rules! kind_sets {
    ($([$($extra:expr),* $(,)?]),+ $(,)?) => {
        &[$(
            &[("KIND", "0u"), ("Word", "vec4<f32>"), ("Four", "vec4<f32>"), ("PARTS", "1u"), $($extra),*],
            &[("KIND", "1u"), ("Word", "vec4<f16>"), ("Four", "vec4<f16>"), ("PARTS", "1u"), $($extra),*],
            &[("KIND", "2u"), ("Word", "u32"), ("Four", "vec4<u32>"), ("PARTS", "1u"), $($extra),*],
            &[("KIND", "3u"), ("Word", "u32"), ("Four", "vec4<u32>"), ("PARTS", "2u"), $($extra),*],
        )+]
    };
}
pub(crate) use kind_sets;

/// Key storages of `attention_sub`, in order and through a table.
macro_rules! key_sets {
    ($([$($extra:expr),* $(,)?]),+ $(,)?) => {
        &[$(
            &[("KvElem", "vec4<f32>"), $($extra),*],
            &[("KvElem", "vec4<f16>"), $($extra),*],
            &[("KvElem", "vec4<f32>"), PAGED, $($extra),*],
            &[Q8, CODES, WIDE, SPREAD, TOP, PAGED, ("BLOCK", "32u"), $($extra),*],
        )+]
    };
}

const ATTENTION_SUB: &[crate::Params] = tile_sets![
    key_sets,
    [("DH", "16u"), ("WIDTH", "2u")],
    [("DH", "1u"), ("WIDTH", "1u"), UINT],
    [("DH", "64u"), ("WIDTH", "8u")],
];

const ELEMENTWISE: &[crate::Params] = &[&[VEC4], &[VEC1]];
const INDEXED: &[crate::Params] = &[&[VEC4], &[VEC1], &[VEC4, UINT], &[VEC1, UINT]];
const NORM: &[crate::Params] = storage_sets![
    "Weight",
    [("LANES", "8u")],
    [("LANES", "32u")],
    [("LANES", "64u")],
];
const ATTENTION: &[crate::Params] = storage_sets![
    "KvElem",
    [("DH", "1u"), ("ROW_LANES", "8u")],
    [("DH", "3u"), ("ROW_LANES", "4u")],
    [("DH", "16u"), ("ROW_LANES", "8u")],
    [("DH", "20u"), ("ROW_LANES", "2u")],
    [("DH", "32u"), ("ROW_LANES", "8u")],
    [("DH", "32u"), ("ROW_LANES", "4u")],
    [("DH", "32u"), ("ROW_LANES", "2u")],
    [("DH", "32u"), ("ROW_LANES", "1u")],
    [("DH", "64u"), ("ROW_LANES", "8u")],
    [("DH", "64u"), ("ROW_LANES", "1u")],
    [("DH", "32u"), ("ROW_LANES", "8u"), UINT],
    [("DH", "32u"), ("ROW_LANES", "4u"), PAGED],
    [("DH", "32u"), ("ROW_LANES", "8u"), PAGED, ("BLOCK", "32u")],
    [("DH", "3u"), ("ROW_LANES", "1u"), PAGED, UINT];
    &[Q8, CODES, WIDE, SPREAD, TOP, PAGED, ("DH", "32u"), ("ROW_LANES", "8u")],
    &[Q8, CODES, WIDE, SPREAD, TOP, PAGED, ("DH", "3u"), ("ROW_LANES", "1u"), UINT],
];
const KV_WRITE: &[crate::Params] = &[
    &[VEC4, ("KvElem", "vec4<f32>")],
    &[VEC4, ("KvElem", "vec4<f16>"), UINT],
    &[VEC1, ("KvElem", "f32")],
    &[VEC1, ("KvElem", "f16")],
];
const KV_COPY: &[crate::Params] = &[
    &[("Elem", "vec4<f32>")],
    &[("Elem", "vec4<f16>")],
    &[("Elem", "vec4<u32>")],
    &[("Elem", "f32"), UINT],
    &[("Elem", "f16")],
    &[("Elem", "u32")],
];

/// Values of `KIND`, the storage of weights in 16-byte words.
const WORDS_F32: (&str, &str) = ("KIND", "0u");
const WORDS_F16: (&str, &str) = ("KIND", "1u");
const WORDS_Q8: (&str, &str) = ("KIND", "2u");
const WORDS_Q4: (&str, &str) = ("KIND", "3u");

/// Each number of rows, with and without bias, for the given storages.
macro_rules! row_sets {
    ($([$($extra:expr),+ $(,)?]),+ $(,)?) => {
        &[$(
            &[("M", "1u"), ("HAS_BIAS", "true"), $($extra),+],
            &[("M", "1u"), ("HAS_BIAS", "false"), $($extra),+],
            &[("M", "2u"), ("HAS_BIAS", "true"), $($extra),+],
            &[("M", "4u"), ("HAS_BIAS", "false"), $($extra),+],
            &[("M", "8u"), ("HAS_BIAS", "true"), $($extra),+],
            &[("M", "8u"), ("HAS_BIAS", "false"), $($extra),+],
        )+]
    };
}

pub(crate) const SHADERS: &[Shader] = &[
    Shader {
        name: "rope_angles",
        source: include_str!("rope_angles.wgsl"),
        sets: &[&[], &[UINT]],
    },
    Shader {
        name: "rms_norm",
        source: include_str!("rms_norm.wgsl"),
        sets: NORM,
    },
    Shader {
        name: "rms_norm_add",
        source: include_str!("rms_norm_add.wgsl"),
        sets: NORM,
    },
    Shader {
        name: "add_rms_norm",
        source: include_str!("add_rms_norm.wgsl"),
        sets: NORM,
    },
    Shader {
        name: "swiglu",
        source: include_str!("swiglu.wgsl"),
        sets: ELEMENTWISE,
    },
    Shader {
        name: "adamw",
        source: include_str!("adamw.wgsl"),
        sets: &[&[]],
    },
    Shader {
        name: "adamw_coded",
        source: include_str!("adamw_coded.wgsl"),
        sets: &[&[], &[("LANES", "1u")]],
    },
    Shader {
        name: "silu_mul",
        source: include_str!("silu_mul.wgsl"),
        sets: ELEMENTWISE,
    },
    Shader {
        name: "rope",
        source: include_str!("rope.wgsl"),
        sets: &[&[("Int", "i32")], &[UINT], &[("PER_LANE", "1u")]],
    },
    Shader {
        name: "pos_embed",
        source: include_str!("pos_embed.wgsl"),
        sets: INDEXED,
    },
    Shader {
        name: "splice",
        source: include_str!("splice.wgsl"),
        sets: INDEXED,
    },
    Shader {
        name: "linear_vec",
        source: include_str!("linear_vec.wgsl"),
        sets: bias_sets![
            [("M", "1u"), ("LANES", "8u")],
            [("M", "2u"), ("LANES", "8u")],
            [("M", "4u"), ("LANES", "8u")],
            [("M", "8u"), ("LANES", "8u")],
            [("M", "1u"), ("LANES", "32u")],
            [("M", "2u"), ("LANES", "32u")],
            [("M", "4u"), ("LANES", "32u")],
            [("M", "8u"), ("LANES", "32u")],
        ],
    },
    Shader {
        name: "linear",
        source: include_str!("linear.wgsl"),
        sets: bias_sets![
            [("ROW_LANES", "1u")],
            [("ROW_LANES", "2u")],
            [("ROW_LANES", "4u")],
            [("ROW_LANES", "8u")],
        ],
    },
    Shader {
        name: "linear_tile",
        source: include_str!("linear_tile.wgsl"),
        sets: kind_sets![
            [("HAS_BIAS", "true"), ("ROWS_PER_LANE", "8u")],
            [("HAS_BIAS", "false"), ("ROWS_PER_LANE", "8u")],
        ],
    },
    Shader {
        name: "linear_coop",
        source: include_str!("linear_coop.wgsl"),
        sets: kind_sets![
            [("HAS_BIAS", "true"), ("WG", "128u")],
            [("HAS_BIAS", "false"), ("WG", "256u")],
        ],
    },
    Shader {
        name: "linear_tile_sub",
        source: include_str!("linear_tile_sub.wgsl"),
        sets: tile_sets![kind_sets, [("HAS_BIAS", "true")], [("HAS_BIAS", "false")],],
    },
    Shader {
        name: "matmul_nn",
        source: include_str!("matmul_nn.wgsl"),
        sets: lhs_sets![
            [VEC4, ("Weight", "vec4<f32>")],
            [VEC4, ("Weight", "vec4<f16>")],
            [VEC1, ("Weight", "f32")],
            [VEC1, ("Weight", "f16")],
        ],
    },
    Shader {
        name: "matmul_tn",
        source: include_str!("matmul_tn.wgsl"),
        sets: lhs_sets![[VEC4], [VEC1]],
    },
    Shader {
        name: "matmul_nn_sub",
        source: include_str!("matmul_nn_sub.wgsl"),
        sets: tile_sets![
            plain_sets,
            [("Weight", "vec4<f32>")],
            [("Weight", "vec4<f16>")],
        ],
    },
    Shader {
        name: "matmul_tn_sub",
        source: include_str!("matmul_tn_sub.wgsl"),
        sets: &[&[]],
    },
    Shader {
        name: "attention",
        source: include_str!("attention.wgsl"),
        sets: ATTENTION,
    },
    Shader {
        name: "attention_sub",
        source: include_str!("attention_sub.wgsl"),
        sets: ATTENTION_SUB,
    },
    Shader {
        name: "attention_merge",
        source: include_str!("attention_merge.wgsl"),
        sets: ELEMENTWISE,
    },
    Shader {
        name: "kv_write",
        source: include_str!("kv_write.wgsl"),
        sets: KV_WRITE,
    },
    Shader {
        name: "kv_write_q8",
        source: include_str!("kv_write_q8.wgsl"),
        sets: &[&[("Int", "i32")], &[UINT]],
    },
    Shader {
        name: "kv_copy",
        source: include_str!("kv_copy.wgsl"),
        sets: KV_COPY,
    },
    Shader {
        name: "embed_rows",
        source: include_str!("embed_rows.wgsl"),
        sets: &[
            &[WORDS_F32],
            &[WORDS_F16],
            &[WORDS_Q8],
            &[WORDS_Q4],
            &[WORDS_Q8, UINT],
        ],
    },
    Shader {
        name: "linear_rows",
        source: include_str!("linear_rows.wgsl"),
        sets: row_sets![
            [WORDS_Q8, ("WG", "64u"), ("LANES", "32u")],
            [WORDS_Q4, ("WG", "64u"), ("LANES", "32u")],
        ],
    },
    Shader {
        name: "linear_rows_sub",
        source: include_str!("linear_rows_sub.wgsl"),
        sets: row_sets![
            [WORDS_F32, ("WG", "8u")],
            [WORDS_F16, ("WG", "8u")],
            [WORDS_Q8, ("WG", "8u")],
            [WORDS_Q4, ("WG", "8u")],
            [WORDS_Q4, ("WG", "32u")],
        ],
    },
];
