//! The tensors of one golden file, read with their type and shape checked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::{Error, RawSafetensors, RawTensor, TensorMeta};

/// The tensors of a case, by name.
#[derive(Debug, Clone)]
pub struct Tensors {
    path: PathBuf,
    tensors: BTreeMap<String, RawTensor>,
}

/// Values of a tensor, row-major, and its shape.
type Values<T> = (Vec<T>, Vec<usize>);

impl Tensors {
    /// Reads a safetensors file, without a list to check it against.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Safetensors`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let raw = RawSafetensors::read(path)?;
        let tensors = raw
            .tensors
            .into_iter()
            .map(|t| (t.name.clone(), t))
            .collect();
        Ok(Self {
            path: path.to_owned(),
            tensors,
        })
    }

    /// Checks that the file holds exactly the tensors that `cases.json` lists.
    pub(crate) fn check(&self, metas: &BTreeMap<String, TensorMeta>) -> Result<(), Error> {
        for (name, meta) in metas {
            let tensor = self.get(name)?;
            let want = file_dtype(&meta.dtype);
            if want != Some(tensor.dtype.as_str()) || tensor.shape != meta.shape {
                let (dtype, shape) = (&tensor.dtype, &tensor.shape);
                let reason = format!(
                    "cases.json says {} {:?}, the file has {dtype} {shape:?}",
                    meta.dtype, meta.shape
                );
                return Err(self.error(name, reason));
            }
        }
        match self.tensors.keys().find(|name| !metas.contains_key(*name)) {
            Some(name) => Err(self.error(name, "cases.json does not list it".into())),
            None => Ok(()),
        }
    }

    /// Names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// True where there is a tensor `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Shape of the tensor `name`, without its values.
    ///
    /// # Errors
    /// [`Error::Tensor`] if it is missing.
    pub fn shape(&self, name: &str) -> Result<&[usize], Error> {
        Ok(&self.get(name)?.shape)
    }

    /// Values of a float32 tensor.
    ///
    /// # Errors
    /// [`Error::Tensor`] if it is missing or of another type.
    pub fn f32(&self, name: &str) -> Result<Values<f32>, Error> {
        self.values(name, "F32", f32::from_le_bytes)
    }

    /// Values of a float64 tensor.
    ///
    /// # Errors
    /// [`Error::Tensor`] if it is missing or of another type.
    pub fn f64(&self, name: &str) -> Result<Values<f64>, Error> {
        self.values(name, "F64", f64::from_le_bytes)
    }

    /// Values of an int64 tensor.
    ///
    /// # Errors
    /// [`Error::Tensor`] if it is missing or of another type.
    pub fn i64(&self, name: &str) -> Result<Values<i64>, Error> {
        self.values(name, "I64", i64::from_le_bytes)
    }

    /// Values of a uint8 tensor.
    ///
    /// # Errors
    /// [`Error::Tensor`] if it is missing or of another type.
    pub fn u8(&self, name: &str) -> Result<Values<u8>, Error> {
        self.values(name, "U8", u8::from_le_bytes)
    }

    fn values<T, const N: usize>(
        &self,
        name: &str,
        dtype: &str,
        read: fn([u8; N]) -> T,
    ) -> Result<Values<T>, Error> {
        let tensor = self.get(name)?;
        if tensor.dtype != dtype {
            return Err(self.error(name, format!("is {}, asked for as {dtype}", tensor.dtype)));
        }
        let (chunks, rest) = tensor.data.as_chunks::<N>();
        if !rest.is_empty() {
            return Err(self.error(name, format!("{} bytes are no {dtype}", tensor.data.len())));
        }
        Ok((
            chunks.iter().map(|bytes| read(*bytes)).collect(),
            tensor.shape.clone(),
        ))
    }

    fn get(&self, name: &str) -> Result<&RawTensor, Error> {
        self.tensors
            .get(name)
            .ok_or_else(|| self.error(name, "is missing".into()))
    }

    fn error(&self, name: &str, reason: String) -> Error {
        Error::Tensor {
            path: self.path.clone(),
            tensor: name.to_owned(),
            reason,
        }
    }
}

/// The safetensors name of a dtype of `cases.json`.
fn file_dtype(dtype: &str) -> Option<&'static str> {
    match dtype {
        "float32" => Some("F32"),
        "float64" => Some("F64"),
        "int64" => Some("I64"),
        "uint8" => Some("U8"),
        _ => None,
    }
}
