//! The parameters of a model as a flat list: their paths, parts and shapes, in the order in which
//! gradients and optimiser states are kept.

use crate::{Error, Grads, Groups};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;
use glmv_model::Glm4v;
use serde::{Deserialize, Serialize};

/// What a parameter belongs to; learning rates and freezing go by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The vision tower.
    Vision,
    /// Downsample and merger.
    Projector,
    /// Embedding, decoder and output head.
    Text,
    /// The routers of the experts.
    Router,
    /// Both factors of the adapters.
    Adapters,
}

impl Part {
    /// Every part.
    pub const ALL: [Part; 5] = [
        Part::Vision,
        Part::Projector,
        Part::Text,
        Part::Router,
        Part::Adapters,
    ];

    /// Name in recipes and reports.
    pub fn name(self) -> &'static str {
        match self {
            Part::Vision => "vision",
            Part::Projector => "projector",
            Part::Text => "text",
            Part::Router => "router",
            Part::Adapters => "adapters",
        }
    }

    fn of(path: &str) -> Part {
        if path.contains(".adapters.") {
            Part::Adapters
        } else if path.starts_with("visual.") {
            Part::Vision
        } else if path.starts_with("projector.") {
            Part::Projector
        } else if path.ends_with(".gate") {
            Part::Router
        } else {
            Part::Text
        }
    }
}

/// One parameter tensor as the model holds it (q, k and v joined, experts stacked).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Path of fields, such as `language_model.layers.0.self_attn.qkv_proj.weight.0.Float`.
    pub path: String,
    pub part: Part,
    pub shape: Vec<usize>,
    /// False for what no optimiser may change: the routers' correction bias.
    pub learnable: bool,
}

impl Parameter {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// True for a parameter without values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True for a norm or a bias.
    pub fn is_vector(&self) -> bool {
        self.shape.len() == 1
    }
}

/// The path of fields while walking a module.
#[derive(Default)]
struct Path(Vec<String>);

impl Path {
    fn enter(&mut self, name: &str) {
        self.0.push(name.to_string());
    }

    fn exit(&mut self) {
        self.0.pop();
    }

    fn join(&self) -> String {
        self.0.join(".")
    }
}

/// Every float parameter of `model`, in the order of [`Grads`].
pub fn parameters(model: &Glm4v) -> Vec<Parameter> {
    struct Visitor(Path, Vec<Parameter>);
    impl ModuleVisitor for Visitor {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.enter(name);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let path = self.0.join();
            self.1.push(Parameter {
                part: Part::of(&path),
                shape: param.dims().to_vec(),
                learnable: !path.ends_with("e_score_correction_bias"),
                path,
            });
        }
    }
    let mut visitor = Visitor(Path::default(), Vec::new());
    model.visit(&mut visitor);
    visitor.1
}

/// The paths and flat values of the parameters of `part`, in the order of [`parameters`].
pub(crate) fn values_of(model: &Glm4v, part: Part) -> Vec<(String, Tensor<1>)> {
    struct Visitor(Path, Part, Vec<(String, Tensor<1>)>);
    impl ModuleVisitor for Visitor {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.enter(name);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let path = self.0.join();
            if Part::of(&path) == self.1 {
                let values = param.val();
                let len = values.dims().iter().product::<usize>();
                self.2.push((path, values.reshape([len])));
            }
        }
    }
    let mut visitor = Visitor(Path::default(), part, Vec::new());
    model.visit(&mut visitor);
    visitor.2
}

/// Calls `update` for every parameter that `wanted` names, with its place in the list and its values,
/// and puts what it returns in their place. The values come without
/// another handle, so that they can be changed in place unless a copy of the model shares them.
pub(crate) fn map_values(
    model: Glm4v,
    wanted: &dyn Fn(usize) -> bool,
    update: &mut dyn FnMut(usize, Tensor<1>) -> Tensor<1>,
) -> Glm4v {
    struct Mapper<'a> {
        index: usize,
        wanted: &'a dyn Fn(usize) -> bool,
        update: &'a mut dyn FnMut(usize, Tensor<1>) -> Tensor<1>,
    }
    impl ModuleMapper for Mapper<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let index = self.index;
            self.index += 1;
            if !(self.wanted)(index) {
                return param;
            }
            let (id, tensor, mapper) = param.consume();
            let (dims, autodiff) = (tensor.dims(), tensor.is_autodiff());
            let tracked = tensor.is_require_grad();
            let flat = tensor.inner().reshape([dims.iter().product::<usize>()]);
            let new = (self.update)(index, flat).reshape(dims);
            let tensor = match autodiff {
                true => Tensor::from_inner(new).set_require_grad(tracked),
                false => new,
            };
            Param::from_mapped_value(id, tensor, mapper)
        }
    }
    model.map(&mut Mapper {
        index: 0,
        wanted,
        update,
    })
}

/// A model of the same shape with `values` in the places of the parameters, zeros where there is
/// none: gradients under the names of the hub, through `glmv_model::HubTensors`.
pub fn with_values(model: &Glm4v, values: &Grads) -> Glm4v {
    map_values(model.valid(), &|_| true, &mut |index, old| {
        values.get(index).unwrap_or_else(|| old.zeros_like())
    })
}

/// The model with gradients for the parameters that `groups` trains, and none for the others. Beside an
/// adapter nothing else learns.
///
/// # Errors
/// [`Error::Setting`] if nothing would be trained, a weight to be trained is not f32, or `groups` wants
/// another part to learn beside an adapter.
pub fn freeze(model: Glm4v, groups: &Groups) -> Result<Glm4v, Error> {
    struct Mapper<'a> {
        index: usize,
        list: &'a [Parameter],
        groups: &'a Groups,
        adapted: bool,
        trained: usize,
        half: Option<String>,
    }
    impl Mapper<'_> {
        fn trains(&self, part: Part) -> bool {
            (part == Part::Adapters || !self.adapted) && self.groups.trains(part)
        }
    }
    impl ModuleMapper for Mapper<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let parameter = &self.list[self.index];
            self.index += 1;
            let train = parameter.learnable && self.trains(parameter.part);
            if train && param.val().dtype() != burn::tensor::DType::F32 {
                self.half.get_or_insert(parameter.path.clone());
            }
            self.trained += usize::from(train);
            param.set_require_grad(train)
        }
    }
    let list = parameters(&model);
    let adapted = model.adapter().is_some();
    let refuse = |reason: String| {
        Err(Error::Setting {
            key: "groups".into(),
            reason,
        })
    };
    let beside = groups
        .0
        .iter()
        .find(|(part, group)| **part != Part::Adapters && !group.freeze);
    if let (true, Some((part, _))) = (adapted, beside) {
        let name = part.name();
        return refuse(format!(
            "{name}: beside an adapter the model's own weights do not learn"
        ));
    }
    let mut mapper = Mapper {
        index: 0,
        list: &list,
        groups,
        adapted,
        trained: 0,
        half: None,
    };
    let model = model.train().map(&mut mapper);
    match (mapper.half, mapper.trained) {
        (Some(path), _) => refuse(format!("{path} is not f32, so its updates would be lost")),
        (None, 0) => refuse("every parameter is frozen".into()),
        (None, _) => Ok(model),
    }
}
