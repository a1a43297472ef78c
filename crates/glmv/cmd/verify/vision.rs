//! Kind `vision`: pixel rows and grids → every stage of the tower and the projector.

use super::check::Check;
use super::context::Context;
use super::fields::grids;
use anyhow::Context as _;
use glmv_kernels::device::read;
use glmv_model::{Pixels, Probe, patch_positions};

/// Inputs of a case; everything else is a result.
const INPUTS: [&str; 3] = ["pixel_values", "grid_thw", "run_grid_thw"];

/// All stages from the grids the tower is run with; where the processor's grids differ from them
/// (videos), the last stage also from those, because our tower splits videos itself.
pub(super) fn stages(context: &Context<'_>, check: &mut Check<'_>) -> anyhow::Result<()> {
    let model = context.model(check.case())?;
    let (pixels, _) = check.f32("pixel_values")?;
    let run = grids(check, "run_grid_thw")?;
    let given = grids(check, "grid_thw")?;
    let encode = |grids: &[[u32; 3]], probe: &mut Probe| {
        model.encode(
            Pixels {
                values: &pixels,
                grids,
            },
            probe,
        )
    };
    let mut probe = Probe::on();
    encode(&run, &mut probe)?;
    for name in check.names() {
        if INPUTS.contains(&name.as_str()) {
            continue;
        }
        if name == "position_ids_hw" {
            let frames: Vec<[u32; 2]> = run
                .iter()
                .flat_map(|g| std::iter::repeat_n([g[1], g[2]], g[0] as usize))
                .collect();
            let merge = u32::try_from(model.config().vision.spatial_merge_size)?;
            let ours = patch_positions(&frames, merge);
            let ours: Vec<i64> = ours.iter().flatten().map(|v| i64::from(*v)).collect();
            check.exact(&name, &ours)?;
        } else if name == "pos_embed_only" {
            let stage = |name: &str| probe.get(name).with_context(|| format!("no stage {name}"));
            let added = stage("embeddings")? - stage("post_conv_layernorm")?;
            check.close(&name, &read(added)?)?;
        } else if let Some(stage) = probe.get(&name) {
            check.close(&name, &read(stage)?)?;
        }
    }
    if given != run && check.has("merger") {
        let whole = encode(&given, &mut Probe::off())?;
        check.close("merger", &read(whole)?)?;
    }
    Ok(())
}
