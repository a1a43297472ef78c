//! Writes `MANIFEST.json` of `assets/golden`, after its generator has run.

use glmv_testkit::{GoldenSet, Manifest, workspace_golden_dir};

fn main() -> Result<(), glmv_testkit::Error> {
    let dir = workspace_golden_dir();
    let set = GoldenSet::open(&dir)?;
    let manifest = Manifest::of_dir(&dir, set.generator().clone())?;
    manifest.write(&dir)?;
    println!(
        "{}: {} files",
        dir.join("MANIFEST.json").display(),
        manifest.files.len()
    );
    Ok(())
}
