//! Data files in, packs out: readers, mixtures, encoding, cutting, the loader and the check, on small
//! files that the tests write, with the tokenizers and templates of `assets/golden`.

mod check;
mod encode;
mod encode_media;
mod loader;
mod mixture;
#[cfg(feature = "parquet")]
mod parquet;
mod read;
mod support;
