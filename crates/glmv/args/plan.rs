//! Arguments of `glmv inspect --plan`.

use super::{Device, byte_count};
use clap::{Args, ValueEnum};
use glmv_engine::KvFormat;
use glmv_model::plan::{CacheFormat, WeightFormat};

/// What `inspect --plan` plans for.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Tokens per sequence, prompt and answer together.
    #[arg(long, value_name = "N", default_value_t = 4096, requires = "plan")]
    pub ctx: usize,
    /// Sequences at once.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "plan")]
    pub batch: usize,
    /// Form of the decoder's matrices and experts.
    #[arg(long, value_enum, default_value_t, requires = "plan")]
    pub dtype: WeightDtype,
    /// Form of the KV cache; f32 with f32 weights, else f16.
    #[arg(long, value_enum, requires = "plan")]
    pub kv_dtype: Option<CacheDtype>,
    /// Most tokens of one prefill pass.
    #[arg(long, value_name = "N", default_value_t = 512, requires = "plan")]
    pub chunk: usize,
    /// A picture of this size in pixels is encoded too.
    #[arg(long, value_name = "WxH", value_parser = picture_size, requires = "plan")]
    pub image: Option<[usize; 2]>,
    /// The experts of this many last layers stay in host memory.
    #[arg(long, value_name = "LAYERS", default_value_t = 0, requires = "plan")]
    pub experts_on_host: usize,
    /// Device whose limits and memory count.
    #[arg(long, default_value_t, value_name = "DEVICE", requires = "plan")]
    pub device: Device,
    /// Memory of the device, if it does not tell or less may be used: bytes, or with KiB, MiB, GiB.
    #[arg(long, value_name = "BYTES", value_parser = byte_count, requires = "plan")]
    pub memory: Option<u64>,
    /// Print one JSON object.
    #[arg(long, requires = "plan")]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum WeightDtype {
    #[default]
    F32,
    F16,
    Q8,
    Q4,
}

impl From<WeightDtype> for WeightFormat {
    fn from(dtype: WeightDtype) -> Self {
        match dtype {
            WeightDtype::F32 => WeightFormat::F32,
            WeightDtype::F16 => WeightFormat::F16,
            WeightDtype::Q8 => WeightFormat::Q8,
            WeightDtype::Q4 => WeightFormat::Q4,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CacheDtype {
    F32,
    F16,
    Q8,
}

impl From<CacheDtype> for KvFormat {
    fn from(dtype: CacheDtype) -> Self {
        match dtype {
            CacheDtype::F32 => KvFormat::F32,
            CacheDtype::F16 => KvFormat::F16,
            CacheDtype::Q8 => KvFormat::Q8,
        }
    }
}

impl From<CacheDtype> for CacheFormat {
    fn from(dtype: CacheDtype) -> Self {
        match dtype {
            CacheDtype::F32 => CacheFormat::F32,
            CacheDtype::F16 => CacheFormat::F16,
            CacheDtype::Q8 => CacheFormat::Q8,
        }
    }
}

/// Width and height in pixels, as in 1344x896.
fn picture_size(text: &str) -> Result<[usize; 2], String> {
    let bad = || format!("{text:?}, expected WIDTHxHEIGHT in pixels");
    let (w, h) = text.split_once('x').ok_or_else(bad)?;
    let side = |v: &str| v.parse().ok().filter(|v| (1..=1 << 16).contains(v));
    Ok([side(w).ok_or_else(bad)?, side(h).ok_or_else(bad)?])
}
