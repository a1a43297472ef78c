//! `config.json` of both families → [`Config`]; both spellings of the RoPE keys, class defaults
//! where a key may be absent. Called by the loader and by `glmv inspect`.

use crate::Error;
use section::Section;
use serde_json::{Map, Value};
use std::path::Path;

mod section;

/// Which of the two architectures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// GLM-4.1V: dense decoder, interleaved rotary pairs, four norms per layer.
    Glm4v,
    /// GLM-4.5V: mixture of experts, half-split rotary pairs, two norms per layer.
    Glm4vMoe,
}

/// Mixture-of-experts part of the text configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct MoeConfig {
    pub num_experts: usize,
    pub top_k: usize,
    pub expert_width: usize,
    pub num_shared_experts: usize,
    pub n_group: usize,
    pub topk_group: usize,
    pub norm_topk_prob: bool,
    pub routed_scaling_factor: f32,
    /// Layers below this index have a plain MLP.
    pub first_k_dense_replace: usize,
}

/// Decoder configuration. Source: HF `Glm4vTextConfig`, `Glm4vMoeTextConfig`.
#[derive(Clone, Debug, PartialEq)]
pub struct TextConfig {
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_layers: usize,
    pub num_heads: usize,
    pub num_kv_heads: usize,
    pub head_dim: usize,
    pub max_position_embeddings: usize,
    pub rms_norm_eps: f32,
    pub rope_theta: f64,
    /// Lanes of each head that rotate: `int(head_dim * partial_rotary_factor)`.
    pub rotary_dims: usize,
    pub mrope_section: Vec<usize>,
    /// q, k and v have biases.
    pub qkv_bias: bool,
    pub pad_token_id: Option<u32>,
    pub eos_token_ids: Vec<u32>,
    pub moe: Option<MoeConfig>,
}

/// Vision tower configuration. Source: HF `Glm4vVisionConfig`.
#[derive(Clone, Debug, PartialEq)]
pub struct VisionConfig {
    pub depth: usize,
    pub hidden_size: usize,
    pub num_heads: usize,
    pub head_dim: usize,
    pub patch_size: usize,
    pub temporal_patch_size: usize,
    pub spatial_merge_size: usize,
    pub in_channels: usize,
    /// Side of the learned position grid, in patches.
    pub grid_side: usize,
    /// Width of the projected features, and of the blocks' MLPs.
    pub out_hidden_size: usize,
    /// Inner width of the merger.
    pub intermediate_size: usize,
    pub rms_norm_eps: f32,
    pub rope_theta: f64,
}

impl VisionConfig {
    /// Values of one flattened patch: channels · frames · side².
    pub fn patch_len(&self) -> usize {
        self.in_channels * self.temporal_patch_size * self.patch_size * self.patch_size
    }
}

/// Everything `config.json` says that this crate uses.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub family: Family,
    pub text: TextConfig,
    pub vision: VisionConfig,
    /// Id whose positions receive visual features, for images and video frames alike.
    pub image_token_id: u32,
    pub video_token_id: u32,
    pub tie_word_embeddings: bool,
    /// Type of the stored weights as the file says, if it does.
    pub dtype: Option<String>,
}

impl Config {
    /// Reads `DIR/config.json`.
    ///
    /// # Errors
    /// Names the file and key that is missing or unusable.
    pub fn from_dir(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(|e| Error::File {
            path: path.clone(),
            reason: e.to_string(),
        })?;
        Self::from_json(&text, &path.display().to_string())
    }

    /// Parses the text of a `config.json`; `file` names it in errors.
    ///
    /// # Errors
    /// As [`Config::from_dir`].
    pub fn from_json(text: &str, file: &str) -> Result<Self, Error> {
        let root: Map<String, Value> = serde_json::from_str(text).map_err(|e| Error::File {
            path: file.into(),
            reason: e.to_string(),
        })?;
        let root = Section {
            file,
            name: "",
            map: &root,
        };
        let family = match root.string("model_type")?.as_str() {
            "glm4v" => Family::Glm4v,
            "glm4v_moe" => Family::Glm4vMoe,
            other => return Err(root.bad("model_type", other, "glm4v or glm4v_moe")),
        };
        let text = root.section("text_config")?;
        let tied = text
            .bool("tie_word_embeddings")?
            .or(root.bool("tie_word_embeddings")?);
        let defaults = match family {
            Family::Glm4v => (151_343, 151_344),
            Family::Glm4vMoe => (151_363, 151_364),
        };
        Ok(Config {
            family,
            text: text_config(family, &text)?,
            vision: vision_config(family, &root.section("vision_config")?)?,
            image_token_id: root.id_or("image_token_id", defaults.0)?,
            video_token_id: root.id_or("video_token_id", defaults.1)?,
            tie_word_embeddings: tied.unwrap_or(false),
            dtype: text
                .text_of(&["dtype", "torch_dtype"])
                .or_else(|| root.text_of(&["dtype", "torch_dtype"])),
        })
    }
}

fn text_config(family: Family, c: &Section<'_>) -> Result<TextConfig, Error> {
    let hidden_size = c.size("hidden_size")?;
    let num_heads = c.size("num_attention_heads")?;
    let num_kv_heads = c.size_or("num_key_value_heads", num_heads)?;
    let head_dim = match family {
        // HF's dense class derives it and does not read the key.
        Family::Glm4v => hidden_size / num_heads,
        Family::Glm4vMoe => c.size_or("head_dim", hidden_size / num_heads)?,
    };
    if !num_heads.is_multiple_of(num_kv_heads) {
        let expected = format!("a divisor of num_attention_heads {num_heads}");
        return Err(c.bad("num_key_value_heads", num_kv_heads, &expected));
    }
    let factor = match family {
        Family::Glm4v => 1.0,
        Family::Glm4vMoe => 0.5,
    };
    let factor = c.rope_number("partial_rotary_factor", factor)?;
    let rotary_dims = (head_dim as f64 * factor) as usize;
    if rotary_dims == 0 || rotary_dims > head_dim || !rotary_dims.is_multiple_of(2) {
        return Err(c.bad("partial_rotary_factor", factor, "an even part of head_dim"));
    }
    let mrope_section = c.mrope_section()?;
    if mrope_section.iter().sum::<usize>() != rotary_dims / 2 {
        let expected = format!("runs that sum to {} frequencies", rotary_dims / 2);
        return Err(c.bad("mrope_section", format!("{mrope_section:?}"), &expected));
    }
    let qkv_bias = match family {
        Family::Glm4v => true,
        Family::Glm4vMoe => c.bool("attention_bias")?.unwrap_or(false),
    };
    c.expect_silu()?;
    Ok(TextConfig {
        vocab_size: c.size("vocab_size")?,
        hidden_size,
        intermediate_size: c.size("intermediate_size")?,
        num_layers: c.size("num_hidden_layers")?,
        num_heads,
        num_kv_heads,
        head_dim,
        max_position_embeddings: c.size_or("max_position_embeddings", 32_768)?,
        rms_norm_eps: c.number_or("rms_norm_eps", 1e-5)? as f32,
        rope_theta: c.rope_number("rope_theta", 10_000.0)?,
        rotary_dims,
        mrope_section,
        qkv_bias,
        pad_token_id: c.optional_id("pad_token_id")?,
        eos_token_ids: c.ids("eos_token_id")?,
        moe: match family {
            Family::Glm4v => None,
            Family::Glm4vMoe => Some(moe_config(c)?),
        },
    })
}

fn moe_config(c: &Section<'_>) -> Result<MoeConfig, Error> {
    let moe = MoeConfig {
        num_experts: c.size("n_routed_experts")?,
        top_k: c.size("num_experts_per_tok")?,
        expert_width: c.size("moe_intermediate_size")?,
        num_shared_experts: c.count_or("n_shared_experts", 1)?,
        n_group: c.size_or("n_group", 1)?,
        topk_group: c.size_or("topk_group", 1)?,
        norm_topk_prob: c.bool("norm_topk_prob")?.unwrap_or(true),
        routed_scaling_factor: c.number_or("routed_scaling_factor", 1.0)? as f32,
        first_k_dense_replace: c.count_or("first_k_dense_replace", 1)?,
    };
    if !moe.num_experts.is_multiple_of(moe.n_group) || moe.topk_group > moe.n_group {
        let expected = format!("groups that divide {} experts", moe.num_experts);
        return Err(c.bad("n_group", moe.n_group, &expected));
    }
    let eligible = moe.num_experts / moe.n_group * moe.topk_group;
    if moe.top_k > eligible {
        return Err(c.bad(
            "num_experts_per_tok",
            moe.top_k,
            &format!("at most {eligible}"),
        ));
    }
    Ok(moe)
}

fn vision_config(family: Family, c: &Section<'_>) -> Result<VisionConfig, Error> {
    c.expect_silu()?;
    let hidden_size = c.size_or("hidden_size", 1536)?;
    let num_heads = c.size_or("num_heads", 12)?;
    let patch_size = c.size_or("patch_size", 14)?;
    let head_dim = hidden_size / num_heads;
    if !hidden_size.is_multiple_of(num_heads) || !head_dim.is_multiple_of(4) {
        return Err(c.bad(
            "num_heads",
            num_heads,
            "heads whose width is a multiple of 4",
        ));
    }
    let merge = c.size_or("spatial_merge_size", 2)?;
    if merge != 2 {
        return Err(c.bad("spatial_merge_size", merge, "2"));
    }
    if c.bool("attention_bias")? == Some(true) {
        return Err(c.bad(
            "attention_bias",
            "true",
            "false (the released towers have none)",
        ));
    }
    let default_width = match family {
        Family::Glm4v | Family::Glm4vMoe => 13_696,
    };
    Ok(VisionConfig {
        depth: c.size_or("depth", 24)?,
        hidden_size,
        num_heads,
        head_dim,
        patch_size,
        temporal_patch_size: c.size_or("temporal_patch_size", 2)?,
        spatial_merge_size: merge,
        in_channels: c.size_or("in_channels", 3)?,
        grid_side: c.size_or("image_size", 336)? / patch_size,
        out_hidden_size: c.size_or("out_hidden_size", 4096)?,
        intermediate_size: c.size_or("intermediate_size", default_width)?,
        rms_norm_eps: c.number_or("rms_norm_eps", 1e-5)? as f32,
        rope_theta: c.rope_number("rope_theta", 10_000.0)?,
    })
}

#[cfg(test)]
mod tests;
