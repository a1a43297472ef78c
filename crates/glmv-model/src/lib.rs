//! GLM-4.1V and GLM-4.5V in Burn: token ids and pixels in, hidden states and logits out.
//!
//! Start at [`Glm4v::forward`] in `model.rs`. Field names are those of HF transformers, so that
//! weights map by path. Called by `glmv-engine` (inference) and the trainers.

mod adapter;
mod cast;
mod checkpoint;
mod codes;
pub mod config;
mod decoder;
mod encode;
mod error;
mod export;
mod inputs;
mod linear;
mod loader;
mod model;
mod multimodal;
mod options;
mod packed;
mod paging;
mod piece;
pub mod plan;
mod precision;
mod probe;
mod projector;
mod quantise;
mod random;
pub mod schema;
mod vision;
mod warm_up;
mod weight;
mod writer;

pub use adapter::{
    AdapterConfig, AdapterModule, ExpertLora, Lora, MergeOptions, Targets, adapter_modules,
    average_checkpoints, merge_adapter, save_adapter,
};
pub use checkpoint::{Checkpoint, Stored};
pub use config::Config;
pub use decoder::{BlockId, Decoder, FeedForward, KvCache, KvPool, Layer, Moe, PoolConfig};
pub use error::Error;
pub use export::HubTensors;
pub use inputs::{Batch, Features, Pixels, Sequences};
pub use linear::Linear;
pub use loader::{Loader, Progress};
pub use model::Glm4v;
pub use multimodal::{PositionIds, decode_positions, rope_index};
pub use options::LoadOptions;
pub use packed::{Packed, PackedPass};
pub use paging::Rows;
pub use piece::Piece;
pub use precision::Precision;
pub use probe::{LayerRouting, Probe};
pub use quantise::{Quantisation, quantise_checkpoint};
pub use random::{RandomOptions, Spread, copy_sidecars, write_random};
pub use vision::{Layout as VisionLayout, VisionTower, bicubic_taps, patch_positions};
pub use weight::{CodesParam, WeightParam};
pub use writer::{NewTensor, StoreAs, Values, save, write_floats, write_values};
