//! Checkpoints of a run on disk: weights in the hub layout, or the adapter where one learns, the
//! optimiser's means, and the state of everything else.
//!
//! A checkpoint is written under a hidden name and gets its own by one rename, after its files have
//! reached the disk; one to be deleted loses its name first. So whatever a folder is called
//! `step-N` is complete, at whatever moment the process dies.

use crate::{AdamW, Error, Means, Parameter};
use burn::tensor::Device;
use glmv_model::{
    Checkpoint, Glm4v, NewTensor, StoreAs, copy_sidecars, save, save_adapter, write_values,
};
use serde::{Serialize, de::DeserializeOwned};
use std::fs;
use std::path::{Path, PathBuf};

/// Largest file of weights or of the optimiser, in bytes.
const MAX_SHARD_BYTES: u64 = 2 << 30;
const STATE: &str = "state.json";
const OPTIMIZER: &str = "optimizer";

/// The folder of a run's checkpoints.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    root: PathBuf,
    /// Complete checkpoints that stay, the newest first; the best is kept beside them.
    keep: usize,
}

/// What a checkpoint said, beside its weights, which load like those of any checkpoint.
#[derive(Debug)]
pub struct Resumed<S> {
    /// The checkpoint's folder.
    pub dir: PathBuf,
    /// What [`Checkpoints::save`] was given.
    pub state: S,
}

impl Checkpoints {
    /// Checkpoints in `root` (created), of which the newest `keep` stay, at least one. Removes what
    /// an earlier process left unfinished.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if the folder cannot be made or read.
    pub fn open(root: &Path, keep: usize) -> Result<Self, Error> {
        fs::create_dir_all(root).map_err(|e| fail(root, e))?;
        let checkpoints = Checkpoints {
            root: root.to_path_buf(),
            keep: keep.max(1),
        };
        for entry in fs::read_dir(root).map_err(|e| fail(root, e))? {
            let path = entry.map_err(|e| fail(root, e))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(".partial-") || name.starts_with(".old-") {
                fs::remove_dir_all(&path).map_err(|e| fail(&path, e))?;
            }
        }
        Ok(checkpoints)
    }

    /// Steps that have a complete checkpoint, in ascending order.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if the folder cannot be read.
    pub fn steps(&self) -> Result<Vec<u64>, Error> {
        let mut steps = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(|e| fail(&self.root, e))? {
            let name = entry.map_err(|e| fail(&self.root, e))?.file_name();
            let step = name.to_string_lossy().strip_prefix("step-").map(str::parse);
            if let Some(Ok(step)) = step {
                steps.push(step);
            }
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// The folder of a step.
    pub fn dir(&self, step: u64) -> PathBuf {
        Checkpoints::dir_in(&self.root, step)
    }

    /// The folder of a step in the folder of checkpoints `root`, which is not touched.
    pub fn dir_in(root: &Path, step: u64) -> PathBuf {
        root.join(format!("step-{step:08}"))
    }

    /// Writes the checkpoint of `step` and deletes old ones, never `best` and never this one.
    /// `origin` is the checkpoint the model was loaded from: its config, tokenizer and processor
    /// files are copied, so that the result runs like any model; an adapter only names it.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] and [`Error::Model`] if something cannot be written (a full disk, say);
    /// earlier checkpoints are untouched then. [`Error::Device`] if the device fails.
    pub fn save<S: Serialize>(
        &self,
        step: u64,
        (model, list, adamw): (&Glm4v, &[Parameter], &AdamW),
        origin: &Path,
        state: &S,
        best: Option<u64>,
    ) -> Result<PathBuf, Error> {
        let partial = self.root.join(format!(".partial-{step:08}"));
        let target = self.dir(step);
        if target.exists() {
            return Err(fail(&target, "this step was saved before"));
        }
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(|e| fail(&partial, e))?;
        }
        let written = write(&partial, (model, list, adamw), origin, state);
        if let Err(error) = written {
            // The first error matters more than what is left of the folder.
            let _ = fs::remove_dir_all(&partial);
            return Err(error);
        }
        fs::rename(&partial, &target).map_err(|e| fail(&target, e))?;
        sync(&self.root)?;
        self.prune(step, best)?;
        Ok(target)
    }

    fn prune(&self, newest: u64, best: Option<u64>) -> Result<(), Error> {
        let steps = self.steps()?;
        let old = steps.len().saturating_sub(self.keep);
        for step in &steps[..old] {
            if *step != newest && Some(*step) != best {
                let (dir, old) = (self.dir(*step), self.root.join(format!(".old-{step:08}")));
                fs::rename(&dir, &old).map_err(|e| fail(&dir, e))?;
                fs::remove_dir_all(&old).map_err(|e| fail(&old, e))?;
            }
        }
        Ok(())
    }

    /// The newest complete checkpoint; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if its state cannot be read.
    pub fn latest<S: DeserializeOwned>(&self) -> Result<Option<Resumed<S>>, Error> {
        let Some(step) = self.steps()?.pop() else {
            return Ok(None);
        };
        let dir = self.dir(step);
        let path = dir.join(STATE);
        let text = fs::read_to_string(&path).map_err(|e| fail(&path, e))?;
        let state = serde_json::from_str(&text).map_err(|e| fail(&path, e))?;
        Ok(Some(Resumed { dir, state }))
    }
}

impl<S> Resumed<S> {
    /// Puts the saved means into `adamw`, which has taken `steps` steps.
    ///
    /// # Errors
    /// [`Error::Model`] if a file is damaged, [`Error::Checkpoint`] if it is of another model.
    pub fn restore(
        &self,
        adamw: &mut AdamW,
        list: &[Parameter],
        steps: u64,
        device: &Device,
    ) -> Result<(), Error> {
        let dir = self.dir.join(OPTIMIZER);
        let mut states = vec![None; list.len()];
        let index = dir.join(STATE);
        let text = fs::read_to_string(&index).map_err(|e| fail(&index, e))?;
        let saved: Vec<usize> = serde_json::from_str(&text).map_err(|e| fail(&index, e))?;
        if saved.is_empty() {
            adamw.restore(steps, states);
            return Ok(());
        }
        let file = Checkpoint::open(&dir)?;
        for index in saved {
            let parameter = (list.get(index))
                .ok_or_else(|| fail(&dir, format!("has a parameter {index}, the model has not")))?;
            let means = Means::read((&dir, &file), adamw.states(), parameter, device)?;
            states[index] = Some(means);
        }
        adamw.restore(steps, states);
        Ok(())
    }
}

fn write<S: Serialize>(
    dir: &Path,
    (model, list, adamw): (&Glm4v, &[Parameter], &AdamW),
    origin: &Path,
    state: &S,
) -> Result<(), Error> {
    match model.adapter() {
        Some(_) => save_adapter(model, dir, origin)?,
        None => {
            save(model, dir, StoreAs::F32, MAX_SHARD_BYTES)?;
            copy_sidecars(origin, dir)?;
        }
    }
    let means = (0..list.len()).filter_map(|i| Some((i, adamw.state(i)?)));
    let means: Vec<(usize, &Means)> = means.collect();
    let tensors: Vec<NewTensor> = (means.iter())
        .flat_map(|(i, means)| means.tensors(&list[*i]))
        .collect();
    let optimizer = dir.join(OPTIMIZER);
    if tensors.is_empty() {
        fs::create_dir_all(&optimizer).map_err(|e| fail(&optimizer, e))?;
    } else {
        write_values(&optimizer, &tensors, MAX_SHARD_BYTES, &mut |at| {
            let (_, means) = means[at / 2];
            Ok(means.values(at % 2)?)
        })?;
    }
    let saved: Vec<usize> = means.iter().map(|(i, _)| *i).collect();
    json(&optimizer.join(STATE), &saved)?;
    json(&dir.join(STATE), state)?;
    for folder in [&optimizer, dir] {
        for entry in fs::read_dir(folder).map_err(|e| fail(folder, e))? {
            sync(&entry.map_err(|e| fail(folder, e))?.path())?;
        }
        sync(folder)?;
    }
    Ok(())
}

fn json<S: Serialize>(path: &Path, value: &S) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value).map_err(|e| fail(path, e))?;
    fs::write(path, text + "\n").map_err(|e| fail(path, e))
}

/// Waits until a file, or the names in a folder, are on the disk.
fn sync(path: &Path) -> Result<(), Error> {
    if cfg!(windows) && path.is_dir() {
        return Ok(()); // folders cannot be opened there
    }
    let file = fs::File::open(path).map_err(|e| fail(path, e))?;
    file.sync_all().map_err(|e| fail(path, e))
}

fn fail(path: &Path, reason: impl ToString) -> Error {
    Error::Checkpoint {
        path: path.to_path_buf(),
        reason: reason.to_string(),
    }
}
