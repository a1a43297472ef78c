//! The modules that may have an adapter: every linear module of the hub's model but the head.

use crate::config::Config;
use crate::schema::tensors;

/// A linear module of the hub's model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterModule {
    /// Its name, such as `model.language_model.layers.0.self_attn.q_proj`.
    pub name: String,
    /// Of its weight: outputs, inputs.
    pub shape: [usize; 2],
}

/// What has a matrix and no adapter: tables, the routers, whose weights are no module of their own, and
/// the head, which training never runs as a layer.
const OTHERS: [&str; 4] = ["embed_tokens", "position_embedding", "mlp.gate", "lm_head"];

/// Every module that an adapter can stand beside, in the order of the hub's tensors.
pub fn adapter_modules(config: &Config) -> Vec<AdapterModule> {
    let modules = tensors(config).into_iter().filter_map(|spec| {
        let name = spec.name.strip_suffix(".weight")?;
        let [out, inner] = spec.shape[..] else {
            return None;
        };
        let other = |end: &&str| name == *end || name.ends_with(&format!(".{end}"));
        (!OTHERS.iter().any(other)).then(|| AdapterModule {
            name: name.to_string(),
            shape: [out, inner],
        })
    });
    modules.collect()
}
