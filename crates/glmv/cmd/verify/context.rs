//! What cases share: the folder, the device, and each checkpoint loaded once.

use super::fields::inside;
use anyhow::{Context as _, anyhow};
use burn::tensor::Device;
use glmv_model::{Config, Glm4v, Precision};
use glmv_processor::Processor;
use glmv_testkit::{Case, GoldenSet};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

/// Values by checkpoint name; failures too, so that a broken checkpoint is read once.
type Cache<T> = RefCell<BTreeMap<String, Result<Rc<T>, String>>>;

/// The folder and device of one `verify`.
pub(super) struct Context<'a> {
    set: &'a GoldenSet,
    device: Device,
    precision: Precision,
    models: Cache<Glm4v>,
    processors: Cache<Processor>,
}

impl<'a> Context<'a> {
    pub(super) fn new(set: &'a GoldenSet, device: Device, precision: Precision) -> Self {
        Context {
            set,
            device,
            precision,
            models: RefCell::default(),
            processors: RefCell::default(),
        }
    }

    /// The golden folder.
    pub(super) fn set(&self) -> &'a GoldenSet {
        self.set
    }

    /// Where tensors live.
    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// A file of the folder, such as `media/grad.png`.
    ///
    /// # Errors
    /// If the path leaves the folder.
    pub(super) fn file(&self, path: &str) -> anyhow::Result<PathBuf> {
        Ok(self.set.dir().join(inside(path)?))
    }

    /// The case's `config.json`.
    ///
    /// # Errors
    /// If the case names no checkpoint, or it has no usable config.
    pub(super) fn config(&self, case: &Case) -> anyhow::Result<Config> {
        Ok(Config::from_dir(&self.checkpoint(case)?)?)
    }

    /// The case's model.
    ///
    /// # Errors
    /// If the case names no checkpoint, or it cannot be loaded.
    pub(super) fn model(&self, case: &Case) -> anyhow::Result<Rc<Glm4v>> {
        self.cached(&self.models, case, |dir| {
            let loaded = Glm4v::load(&dir, &self.device, self.precision, &|_, _| {});
            Ok(loaded?.0)
        })
    }

    /// The case's processor.
    ///
    /// # Errors
    /// If the case names no checkpoint, or it cannot be loaded.
    pub(super) fn processor(&self, case: &Case) -> anyhow::Result<Rc<Processor>> {
        self.cached(&self.processors, case, |dir| Ok(Processor::from_dir(&dir)?))
    }

    fn checkpoint(&self, case: &Case) -> anyhow::Result<PathBuf> {
        let dir = self.set.model_dir(case);
        dir.context("the case names no checkpoint (`model`)")
    }

    fn cached<T>(
        &self,
        cache: &Cache<T>,
        case: &Case,
        load: impl FnOnce(PathBuf) -> anyhow::Result<T>,
    ) -> anyhow::Result<Rc<T>> {
        let dir = self.checkpoint(case)?;
        let mut cache = cache.borrow_mut();
        let name = case.model.clone().unwrap_or_default();
        let entry = cache
            .entry(name)
            .or_insert_with(|| load(dir).map(Rc::new).map_err(|e| format!("{e:#}")));
        entry.clone().map_err(|e| anyhow!(e))
    }
}
