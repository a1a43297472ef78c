//! Pictures and videos of a micro-step: their features for the decoder, and the way back through
//! projector and tower, block by block where memory is short.

use crate::pass::{leaf, weighted};
use crate::{Error, Grads, Micro, Recompute};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, s};
use glmv_model::{Features, Glm4v, Pixels, Probe, VisionLayout};

/// What is kept of one set of pictures or videos.
pub(crate) struct Set<'a> {
    pixels: Pixels<'a>,
    /// Inputs of the blocks and of the norm behind them; empty if the tower learns nothing.
    inputs: Vec<Tensor<2>>,
    /// Input of the projector.
    output: Tensor<2>,
    /// Rows of features.
    rows: usize,
}

/// What the decoder sees of the pictures, and what the way back needs.
pub(crate) enum Sight<'a> {
    /// No pictures.
    Blind,
    /// Features of a graph that records the whole tower, made when they are needed.
    Whole,
    /// Features that nothing learns from, outside of any graph.
    Fixed(Features),
    /// Features outside of any graph, with what was kept on the way to them.
    Staged(Features, Vec<Set<'a>>),
}

impl<'a> Sight<'a> {
    /// Looks at the pictures of `micro`; `plain` is `model` without gradients. Where nothing is to be
    /// gained from a pass outside of the graph (`whole`), there is none.
    pub(crate) fn new(
        (model, plain): (&Glm4v, &Glm4v),
        micro: &'a Micro,
        (vision, whole): (Recompute, bool),
    ) -> Result<Self, Error> {
        let sets = [micro.image_pixels(), micro.video_pixels()];
        if sets.iter().all(Option::is_none) {
            return Ok(Sight::Blind);
        }
        let tower = learns(&model.visual);
        let learns = tower || learns(&model.projector);
        match (vision, learns) {
            (Recompute::None, true) => Ok(Sight::Whole),
            (_, false) if whole => Ok(Sight::Whole),
            (_, false) => {
                let [images, videos] = sets;
                let features = plain.encode_all(images, videos, &mut Probe::off())?;
                Ok(features.map_or(Sight::Blind, Sight::Fixed))
            }
            (Recompute::Layer, true) => staged(plain, sets, tower),
        }
    }

    /// The features outside of any graph.
    pub(crate) fn plain(&self, plain: &Glm4v, micro: &Micro) -> Result<Option<Features>, Error> {
        match self {
            Sight::Blind => Ok(None),
            Sight::Whole => encode(plain, micro),
            Sight::Fixed(features) | Sight::Staged(features, _) => Ok(Some(features.clone())),
        }
    }

    /// The features in a graph, whose start they are unless the graph records the tower.
    pub(crate) fn tracked(&self, model: &Glm4v, micro: &Micro) -> Result<Option<Features>, Error> {
        match self {
            Sight::Blind => Ok(None),
            Sight::Whole => encode(model, micro),
            Sight::Fixed(features) => Ok(Some(Features {
                rows: Tensor::from_inner(features.rows.clone()),
                ..*features
            })),
            Sight::Staged(features, _) => Ok(Some(Features {
                rows: leaf(features.rows.clone()),
                ..*features
            })),
        }
    }

    /// The way back from the gradient of the features, where they were the start of a graph.
    pub(crate) fn back(
        self,
        model: &Glm4v,
        above: Option<Tensor<2>>,
        grads: &mut Grads,
    ) -> Result<(), Error> {
        let (Sight::Staged(features, sets), Some(above)) = (self, above) else {
            return Ok(());
        };
        drop(features);
        let mut start = 0;
        for set in sets {
            let rows = start..start + set.rows;
            start = rows.end;
            set.back(model, above.clone().slice(s![rows, ..]), grads)?;
        }
        Ok(())
    }
}

/// Tower and projector as one.
pub(crate) fn encode(model: &Glm4v, micro: &Micro) -> Result<Option<Features>, Error> {
    let (images, videos) = (micro.image_pixels(), micro.video_pixels());
    Ok(model.encode_all(images, videos, &mut Probe::off())?)
}

fn layout(model: &Glm4v, pixels: Pixels<'_>, device: &Device) -> Result<VisionLayout, Error> {
    let width = model.config().vision.patch_len();
    let shape = [pixels.values.len() / width.max(1), width];
    Ok(model.visual.layout(shape, pixels.grids, device)?)
}

/// Tower and projector over every set, outside of any graph; inputs of the blocks are kept for a tower
/// that learns.
fn staged<'a>(
    plain: &Glm4v,
    sets: [Option<Pixels<'a>>; 2],
    tower: bool,
) -> Result<Sight<'a>, Error> {
    let (mut kept, mut features, mut counts) = (Vec::new(), Vec::new(), [0, 0]);
    for (kind, pixels) in sets.into_iter().enumerate() {
        let Some(pixels) = pixels else { continue };
        let layout = layout(plain, pixels, &plain.device())?;
        let (visual, mut inputs) = (&plain.visual, Vec::new());
        let mut x = visual.embed(plain.patches(pixels)?, &layout, &mut Probe::off());
        for index in 0..visual.blocks.len() {
            let y = visual.block(index, x.clone(), &layout)?;
            inputs.push(x);
            if !tower {
                inputs.clear();
            }
            x = y;
        }
        let output = visual.norm(x.clone());
        if tower {
            inputs.push(x);
        }
        let rows = plain.projector.forward(output.clone(), &mut Probe::off());
        counts[kind] = rows.dims()[0];
        kept.push(Set {
            pixels,
            inputs,
            output,
            rows: counts[kind],
        });
        features.push(rows);
    }
    let rows = match features.len() {
        1 => features.remove(0),
        _ => Tensor::cat(features, 0),
    };
    let [images, videos] = counts;
    let features = Features {
        rows,
        images,
        videos,
    };
    Ok(Sight::Staged(features, kept))
}

impl Set<'_> {
    /// Runs projector and blocks again, the last first.
    fn back(mut self, model: &Glm4v, above: Tensor<2>, grads: &mut Grads) -> Result<(), Error> {
        let mut stage = |x: Tensor<2>, y: &dyn Fn(Tensor<2>) -> Result<Tensor<2>, Error>, above| {
            let x = leaf(x);
            let mut found = weighted(y(x.clone())?, above).backward();
            let up = x.grad_remove(&mut found);
            grads.collect(model, &mut found);
            Ok::<_, Error>(up)
        };
        let (visual, projector) = (&model.visual, &model.projector);
        let output = self.output;
        let project = |x| Ok(projector.forward(x, &mut Probe::off()));
        let mut up = stage(output, &project, above)?;
        let Some(last) = self.inputs.pop() else {
            return Ok(());
        };
        if let Some(above) = up.take() {
            up = stage(last, &|x| Ok(visual.norm(x)), above)?;
        }
        let layout = layout(model, self.pixels, &model.device())?;
        for (index, x) in self.inputs.into_iter().enumerate().rev() {
            let Some(above) = up else { break };
            let block = |x| Ok(visual.block(index, x, &layout)?);
            up = stage(x, &block, above)?;
        }
        if let Some(above) = up {
            let x = visual.embed(model.patches(self.pixels)?, &layout, &mut Probe::off());
            if x.is_tracked() {
                let mut found = weighted(x, above).backward();
                grads.collect(model, &mut found);
            }
        }
        Ok(())
    }
}

/// True if some parameter of a module has a gradient.
fn learns(module: &impl Module) -> bool {
    struct Visitor(bool);
    impl ModuleVisitor for Visitor {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0 |= param.is_require_grad();
        }
    }
    let mut visitor = Visitor(false);
    module.visit(&mut visitor);
    visitor.0
}
