//! Pictures and videos through the vision tower and the projector.

use crate::{Batch, Error, Features, Glm4v, Pixels, Probe};
use burn::tensor::{Tensor, TensorData};

impl Glm4v {
    /// Projected features of the batch's images, then videos; `None` without any.
    ///
    /// # Errors
    /// If grids and pixel rows disagree.
    pub fn features(
        &self,
        batch: &Batch<'_>,
        probe: &mut Probe,
    ) -> Result<Option<Features>, Error> {
        self.encode_all(batch.images, batch.videos, probe)
    }

    /// Projected features of images, then videos; `None` without any.
    ///
    /// # Errors
    /// If grids and pixel rows disagree.
    pub fn encode_all(
        &self,
        images: Option<Pixels<'_>>,
        videos: Option<Pixels<'_>>,
        probe: &mut Probe,
    ) -> Result<Option<Features>, Error> {
        let mut encode = |pixels: Option<Pixels<'_>>| -> Result<Option<Tensor<2>>, Error> {
            pixels.map(|pixels| self.encode(pixels, probe)).transpose()
        };
        let (images, videos) = (encode(images)?, encode(videos)?);
        let rows = |t: &Option<Tensor<2>>| t.as_ref().map_or(0, |t| t.dims()[0]);
        let (num_images, num_videos) = (rows(&images), rows(&videos));
        let rows = match (images, videos) {
            (Some(images), Some(videos)) => Tensor::cat(vec![images, videos], 0),
            (Some(rows), None) | (None, Some(rows)) => rows,
            (None, None) => return Ok(None),
        };
        Ok(Some(Features {
            rows,
            images: num_images,
            videos: num_videos,
        }))
    }

    /// Vision tower and projector over some pixels.
    ///
    /// # Shapes
    /// → `[sum of t * h * w / 4, hidden]`.
    ///
    /// # Errors
    /// If grids and pixel rows disagree.
    pub fn encode(&self, pixels: Pixels<'_>, probe: &mut Probe) -> Result<Tensor<2>, Error> {
        let patches = self.patches(pixels)?;
        let x = self.visual.forward(patches, pixels.grids, probe)?;
        Ok(self.projector.forward(x, probe))
    }

    /// Pixels on this model's device.
    ///
    /// # Shapes
    /// → `[n, channels * frames * side²]`.
    ///
    /// # Errors
    /// [`Error::Input`] if there is no whole number of patches.
    pub fn patches(&self, pixels: Pixels<'_>) -> Result<Tensor<2>, Error> {
        let width = self.config().vision.patch_len();
        if !pixels.values.len().is_multiple_of(width) {
            let reason = format!(
                "{} pixel values are no multiple of {width}",
                pixels.values.len()
            );
            return Err(Error::Input { reason });
        }
        let rows = pixels.values.len() / width;
        let data = TensorData::new(pixels.values.to_vec(), [rows, width]);
        Ok(Tensor::from_data(data, &self.device()))
    }
}
