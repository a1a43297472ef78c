//! Building the pipelines of a model before the first request, called behind the loading bar.

use crate::{Batch, Error, Glm4v, KvCache, Pixels, Probe, Sequences};
use glmv_kernels::device::{Kind, compile_only, kind, read, read_int};
use glmv_kernels::warm_sample;

impl Glm4v {
    /// Builds what a prefill of `chunk` tokens, a decode step of one row and, with `vision`, one
    /// picture will launch, so that the first request does not wait for compilers. The pipelines are
    /// created without running them; then one token runs, because some drivers finish a pipeline at
    /// its first use. Nothing else is built: a pipeline that no request uses costs its compilation
    /// all the same. Does nothing on the CPU device.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn warm_up(&self, chunk: usize, vision: bool) -> Result<(), Error> {
        if kind(&self.device()) != Kind::Wgpu {
            return Ok(());
        }
        let compiled = compile_only(|| -> Result<(), Error> {
            let logits = self.warm_pass(chunk, &mut self.new_cache(chunk)?)?;
            warm_sample(&logits);
            if vision {
                self.blank_picture()?;
            }
            Ok(())
        });
        // What the passes cached was never computed.
        self.forget_tables();
        compiled?;
        let logits = self.warm_pass(1, &mut self.new_cache(1)?)?;
        match warm_sample(&logits) {
            Some(chosen) => _ = read_int(chosen)?,
            None => _ = read(logits)?,
        }
        Ok(())
    }

    /// `len` tokens behind `cache`; the logits of the last.
    fn warm_pass(&self, len: usize, cache: &mut KvCache) -> Result<burn::tensor::Tensor<2>, Error> {
        let start = cache.len() as i64;
        let row: Vec<i64> = (start..start + len as i64).collect();
        let sequences = Sequences {
            batch: 1,
            seq: len,
            input_ids: vec![0; len],
            modality: vec![0; len],
            positions: row.repeat(3),
            padding: vec![0],
        };
        let batch = Batch {
            sequences: &sequences,
            images: None,
            videos: None,
        };
        let hidden = self.forward(&batch, Some(cache), &mut Probe::off())?;
        Ok(self.logits(self.select_rows(hidden, &[len - 1])))
    }

    /// A picture of the tower's own size.
    fn blank_picture(&self) -> Result<(), Error> {
        let v = &self.config().vision;
        let merge = v.spatial_merge_size;
        let side = (v.grid_side / merge * merge).max(merge);
        let values = vec![0.0; side * side * v.patch_len()];
        let grid = [1, side as u32, side as u32];
        let pixels = Pixels {
            values: &values,
            grids: &[grid],
        };
        self.encode(pixels, &mut Probe::off())?;
        Ok(())
    }
}
