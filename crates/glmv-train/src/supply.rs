//! A run's samples out of data files: packs that a thread makes ahead of time, each a micro-step.

use crate::recipe::DataConfig;
use crate::{Error, Sample, Supply};
use glmv_data::{Encoded, Encoder, Loader, LoaderOptions, LoaderState, Totals, VisualKind};
use glmv_processor::Modality;

/// Packs of a mixture of files, as many per step as the recipe says.
#[derive(Debug)]
pub struct PackedSupply {
    loader: Loader,
    batch: usize,
    state: Option<LoaderState>,
    totals: Totals,
    /// Where the samples of the last step were read.
    places: Vec<String>,
    /// Called with every row that was left out.
    bad_row: fn(&glmv_data::Error),
}

/// How the packs of a recipe are made.
pub(crate) fn options(data: &DataConfig) -> LoaderOptions {
    LoaderOptions {
        long: data.long,
        window_packs: data.window,
        max_bad_rows: data.bad_rows,
        ..LoaderOptions::new(data.sequence)
    }
}

impl PackedSupply {
    /// Opens the files of `data`, at their start or at the cursor of a checkpoint. `bad_row` hears of
    /// every row that cannot be used and is left out.
    ///
    /// # Errors
    /// [`Error::Data`] if a file cannot be read; [`Error::Setting`] for a cursor of something else.
    pub fn open(
        data: &DataConfig,
        encoder: Encoder,
        cursor: Option<&serde_json::Value>,
        bad_row: fn(&glmv_data::Error),
    ) -> Result<Self, Error> {
        let options = options(data);
        let state: Option<LoaderState> = match cursor {
            None | Some(serde_json::Value::Null) => None,
            Some(cursor) => {
                let state = serde_json::from_value(cursor.clone());
                Some(state.map_err(|e| Error::Setting {
                    key: "cursor".into(),
                    reason: e.to_string(),
                })?)
            }
        };
        let loader = Loader::start(data.mixture.clone(), encoder, options, state.clone())?;
        Ok(PackedSupply {
            loader,
            batch: data.batch,
            totals: state.as_ref().map_or_else(Totals::default, |s| s.totals),
            state,
            places: Vec::new(),
            bad_row,
        })
    }

    /// What was read so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }
}

impl Supply for PackedSupply {
    fn next(&mut self) -> Result<Vec<Vec<Sample>>, Error> {
        let mut micros = Vec::with_capacity(self.batch);
        self.places.clear();
        while micros.len() < self.batch {
            let pack = self.loader.next().ok_or_else(|| Error::Sample {
                reason: "the data ended before the last step; give it more epochs".into(),
            })??;
            pack.bad_rows.iter().for_each(self.bad_row);
            self.totals = pack.totals;
            self.state = Some(pack.state);
            let places = pack.samples.iter().map(|s| s.place.to_string());
            self.places.extend(places);
            micros.push(pack.samples.iter().map(sample_of).collect());
        }
        Ok(micros)
    }

    fn cursor(&self) -> serde_json::Value {
        // Counts and file positions: nothing that JSON cannot hold.
        serde_json::to_value(&self.state).unwrap_or(serde_json::Value::Null)
    }

    fn places(&self) -> Vec<String> {
        self.places.clone()
    }
}

/// An encoded sample as the trainer takes it: images, then videos, apart.
pub fn sample_of(encoded: &Encoded) -> Sample {
    let (mut images, mut videos) = (Pixels::default(), Pixels::default());
    for visual in &encoded.visuals {
        let (values, grids) = match visual.kind {
            VisualKind::Image => &mut images,
            VisualKind::Video => &mut videos,
        };
        values.extend(&visual.patches.pixel_values);
        grids.extend(&visual.patches.grid_thw);
    }
    Sample {
        input_ids: encoded.input_ids.clone(),
        modality: encoded.modality.iter().map(kind).collect(),
        counted: encoded.loss_mask.clone(),
        weight: encoded.weight,
        images,
        videos,
    }
}

type Pixels = (Vec<f32>, Vec<[u32; 3]>);

fn kind(modality: &Modality) -> u8 {
    match modality {
        Modality::Text => 0,
        Modality::Image => 1,
        Modality::Video => 2,
    }
}
