//! Every place of a model where an adapter may stand, by the hub's names.

use crate::config::{Config, Family};
use crate::decoder::FeedForward;
use crate::schema::{LANGUAGE, VISUAL};
use crate::vision::Mlp;
use crate::{Error, Glm4v, Linear, Moe};

/// What is done at each place.
pub(crate) trait Visit {
    /// `linear` holds the modules `parts` (name, rows), one below the other.
    ///
    /// # Errors
    /// The visitor's.
    fn linear(&mut self, parts: &[(String, usize)], linear: &mut Linear) -> Result<(), Error>;

    /// `moe` holds the experts whose names begin with `prefix`.
    ///
    /// # Errors
    /// The visitor's.
    fn experts(&mut self, prefix: &str, moe: &mut Moe) -> Result<(), Error>;
}

/// Takes `visit` through the model, vision first.
pub(crate) fn walk(model: &mut Glm4v, visit: &mut dyn Visit) -> Result<(), Error> {
    let config = model.config().clone();
    let d = config.vision.hidden_size;
    for (i, block) in model.visual.blocks.iter_mut().enumerate() {
        let name = |rest: &str| format!("{VISUAL}.blocks.{i}.{rest}");
        visit.linear(&[(name("attn.qkv"), 3 * d)], &mut block.attn.qkv)?;
        visit.linear(&[(name("attn.proj"), d)], &mut block.attn.proj)?;
        mlp(&name("mlp"), &mut block.mlp, visit)?;
    }
    let out = config.vision.out_hidden_size;
    let merger = format!("{VISUAL}.merger");
    let proj = [(format!("{merger}.proj"), out)];
    visit.linear(&proj, &mut model.projector.proj)?;
    mlp(&merger, &mut model.projector.mlp, visit)?;
    text(model, &config, visit)
}

/// Rows of a linear layer.
fn rows(linear: &Linear) -> usize {
    linear.weight.iter().map(|shard| shard.dims()[0]).sum()
}

fn mlp(prefix: &str, mlp: &mut Mlp, visit: &mut dyn Visit) -> Result<(), Error> {
    for (name, linear) in [
        ("gate_proj", &mut mlp.gate_proj),
        ("up_proj", &mut mlp.up_proj),
        ("down_proj", &mut mlp.down_proj),
    ] {
        visit.linear(&[(format!("{prefix}.{name}"), rows(linear))], linear)?;
    }
    Ok(())
}

fn text(model: &mut Glm4v, config: &Config, visit: &mut dyn Visit) -> Result<(), Error> {
    let text = &config.text;
    let (q, kv) = (
        text.num_heads * text.head_dim,
        text.num_kv_heads * text.head_dim,
    );
    for (i, layer) in model.language_model.layers.iter_mut().enumerate() {
        let name = |rest: &str| format!("{LANGUAGE}.layers.{i}.{rest}");
        let attention = [("q_proj", q), ("k_proj", kv), ("v_proj", kv)];
        let parts = attention.map(|(part, rows)| (name(&format!("self_attn.{part}")), rows));
        visit.linear(&parts, &mut layer.self_attn.qkv_proj)?;
        let o_proj = [(name("self_attn.o_proj"), text.hidden_size)];
        visit.linear(&o_proj, &mut layer.self_attn.o_proj)?;
        match &mut layer.mlp {
            FeedForward::Experts(moe) => visit.experts(&name("mlp"), moe)?,
            FeedForward::Dense(mlp) => {
                let width = text.intermediate_size;
                let apart = ["gate_proj", "up_proj"];
                let parts: Vec<(String, usize)> = match config.family {
                    Family::Glm4v => vec![(name("mlp.gate_up_proj"), 2 * width)],
                    Family::Glm4vMoe => apart.map(|p| (name(&format!("mlp.{p}")), width)).into(),
                };
                visit.linear(&parts, &mut mlp.gate_up_proj)?;
                let down = [(name("mlp.down_proj"), text.hidden_size)];
                visit.linear(&down, &mut mlp.down_proj)?;
            }
        }
    }
    Ok(())
}
