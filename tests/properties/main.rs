//! What holds for the repository as a whole: the features of Burn, the texts, the documents.

mod documents;
mod features;
mod texts;

use std::path::Path;

/// The workspace's folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
