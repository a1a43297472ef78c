//! Safetensors files as bytes and names, so that tests can write what a sane writer would not.

use std::path::Path;

use safetensors::SafeTensors;
use serde_json::{Map, Value, json};

use crate::Error;

/// One tensor of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct RawTensor {
    /// Name.
    pub name: String,
    /// Type as in the header: `F32`, `BF16`, `I64`, …
    pub dtype: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Little-endian values, row-major.
    pub data: Vec<u8>,
}

/// A whole file: the `__metadata__` entry and the tensors in order of their data.
#[derive(Debug, Clone, PartialEq)]
pub struct RawSafetensors {
    /// The `__metadata__` entry, if there is one.
    pub metadata: Option<Map<String, Value>>,
    /// Tensors in the order of their data.
    pub tensors: Vec<RawTensor>,
}

impl RawSafetensors {
    /// Reads a valid file.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Safetensors`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let broken = |error: safetensors::SafeTensorError| Error::Safetensors {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let file = SafeTensors::deserialize(&bytes).map_err(broken)?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(broken)?;
        let metadata = header.metadata().as_ref().map(|entries| {
            let sorted: std::collections::BTreeMap<_, _> = entries.iter().collect();
            sorted
                .into_iter()
                .map(|(k, v)| (k.clone(), Value::from(v.as_str())))
                .collect()
        });
        let mut tensors = Vec::with_capacity(file.len());
        for name in header.offset_keys() {
            let view = file.tensor(&name).map_err(broken)?;
            tensors.push(RawTensor {
                dtype: format!("{:?}", view.dtype()),
                shape: view.shape().to_vec(),
                data: view.data().to_vec(),
                name,
            });
        }
        Ok(Self { metadata, tensors })
    }

    /// The file's bytes: header length, header padded to 8 bytes with spaces, data.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut header = Map::new();
        if let Some(metadata) = &self.metadata {
            header.insert("__metadata__".into(), Value::Object(metadata.clone()));
        }
        let mut end = 0;
        for tensor in &self.tensors {
            let start = end;
            end += tensor.data.len();
            let entry =
                json!({"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [start, end]});
            header.insert(tensor.name.clone(), entry);
        }
        let mut header = Value::Object(header).to_string().into_bytes();
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        self.tensors
            .iter()
            .for_each(|tensor| bytes.extend(&tensor.data));
        bytes
    }

    /// Writes the file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        std::fs::write(path, self.to_bytes()).map_err(Error::io(path))
    }
}

/// Bytes per element of a header dtype that checkpoints use.
pub(crate) fn dtype_size(dtype: &str) -> Option<usize> {
    match dtype {
        "F64" | "I64" | "U64" => Some(8),
        "F32" | "I32" | "U32" => Some(4),
        "F16" | "BF16" | "I16" | "U16" => Some(2),
        "U8" | "I8" | "BOOL" => Some(1),
        _ => None,
    }
}
