//! The optimiser's two means of one parameter: in f32, or as codes of 8 bits.

use crate::{Error, Parameter};
use burn::tensor::{Device, Tensor, TensorData};
use glmv_kernels::device::{read, read_int};
use glmv_kernels::{AdamWStep, CodedMeans, MEANS_BLOCK, adamw, adamw_coded};
use glmv_model::{Checkpoint, NewTensor, Values};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Tensors below this many values keep f32 means; so do norms and biases.
const LEAST_CODED: usize = 4096;

/// How the means are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum States {
    /// 8 bytes per value.
    #[default]
    #[serde(rename = "f32")]
    F32,
    /// 2 bytes per value, in the blocks of [`CodedMeans`]; small tensors, norms and biases in f32.
    #[serde(rename = "8bit")]
    Blocks,
}

impl States {
    fn codes(self, parameter: &Parameter) -> bool {
        self == States::Blocks && !parameter.is_vector() && parameter.len() >= LEAST_CODED
    }
}

/// Means of gradients and of their squares of one parameter, flat.
#[derive(Clone, Debug)]
pub enum Means {
    Float([Tensor<1>; 2]),
    Coded(CodedMeans),
}

/// Names of the tensors in a checkpoint.
const FLOAT: [&str; 2] = ["mean", "square"];
const CODED: [&str; 2] = ["codes", "scales"];

impl Means {
    /// Means of zero, each in an allocation of its own size, because they stay.
    pub(crate) fn zeros(states: States, parameter: &Parameter, device: &Device) -> Self {
        let len = parameter.len();
        device.memory_persistent_allocations(len, |len| match states.codes(parameter) {
            true => Means::Coded(CodedMeans::zeros(len, device)),
            false => Means::Float([0; 2].map(|_| Tensor::zeros([len], device))),
        })
    }

    /// A step; `turn` is its number.
    pub(crate) fn step(
        self,
        value: Tensor<1>,
        grad: Tensor<1>,
        step: AdamWStep,
        turn: u64,
    ) -> (Tensor<1>, Self) {
        match self {
            Means::Float(means) => {
                let (value, means) = adamw(value, grad, means, step);
                (value, Means::Float(means))
            }
            Means::Coded(means) => {
                let (value, means) = adamw_coded(value, grad, means, step, turn);
                (value, Means::Coded(means))
            }
        }
    }

    /// The means in f32, `[values]` each.
    pub fn decode(&self, values: usize) -> [Tensor<1>; 2] {
        match self {
            Means::Float(means) => means.clone(),
            Means::Coded(means) => means.decode(values),
        }
    }

    /// What a checkpoint has of them.
    pub(crate) fn tensors(&self, parameter: &Parameter) -> [NewTensor; 2] {
        let blocks = parameter.len().div_ceil(MEANS_BLOCK);
        let tensor = |name: &str, shape: &[usize], words: bool| NewTensor {
            name: format!("{name}.{}", parameter.path),
            shape: shape.to_vec(),
            words,
        };
        match self {
            Means::Float(_) => FLOAT.map(|name| tensor(name, &parameter.shape, false)),
            Means::Coded(_) => [
                tensor(CODED[0], &[blocks, MEANS_BLOCK / 2], true),
                tensor(CODED[1], &[blocks, 2], false),
            ],
        }
    }

    /// Values of one of [`Means::tensors`].
    ///
    /// # Errors
    /// If the device fails.
    pub(crate) fn values(&self, which: usize) -> Result<Values, glmv_kernels::device::Error> {
        Ok(match (self, which) {
            (Means::Float(means), _) => Values::Floats(read(means[which].clone())?),
            (Means::Coded(means), 0) => {
                let words = read_int(means.codes().clone())?;
                // Words come as integers of any width; their low half is the word.
                Values::Words(words.into_iter().map(|w| w as u32).collect())
            }
            (Means::Coded(means), _) => Values::Floats(read(means.scales().clone())?),
        })
    }

    /// Reads what was written of a parameter in the form that `states` says.
    ///
    /// # Errors
    /// [`Error::Model`] if the file is damaged, [`Error::Checkpoint`] if it is of another model or of
    /// another form.
    pub(crate) fn read(
        (dir, file): (&Path, &Checkpoint),
        states: States,
        parameter: &Parameter,
        device: &Device,
    ) -> Result<Self, Error> {
        let check = |name: &str, found: &[usize], expected: &[usize]| match found == expected {
            true => Ok(()),
            false => Err(Error::Checkpoint {
                path: dir.to_path_buf(),
                reason: format!("{name}: {found:?}, the model has {expected:?}"),
            }),
        };
        let name = |part: &str| format!("{part}.{}", parameter.path);
        if states.codes(parameter) {
            let blocks = parameter.len().div_ceil(MEANS_BLOCK);
            let [codes, scales] = CODED.map(name);
            let (words, shape) = file.words(&codes)?;
            check(&codes, &shape, &[blocks, MEANS_BLOCK / 2])?;
            let (values, shape) = file.floats(&scales)?;
            check(&scales, &shape, &[blocks, 2])?;
            let both = (words, values);
            return Ok(
                device.memory_persistent_allocations(both, |(words, values)| {
                    Means::Coded(CodedMeans::from_parts(words, values, device))
                }),
            );
        }
        let [mean, square] = FLOAT.map(|part| -> Result<Tensor<1>, Error> {
            let name = name(part);
            let (values, shape) = file.floats(&name)?;
            check(&name, &shape, &parameter.shape)?;
            let n = values.len();
            Ok(device.memory_persistent_allocations(values, |values| {
                Tensor::from_data(TensorData::new(values, [n]), device)
            }))
        });
        Ok(Means::Float([mean?, square?]))
    }
}
