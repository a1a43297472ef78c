//! Pictures and videos as files: PNG, and a folder of frames with `metadata.json` for a video.

use crate::{Error, Item, Media};
use image::RgbImage;
use serde_json::json;
use std::fs;
use std::path::Path;

/// Writes what is looked at; the paths relative to `dir`, with `/`, in the order of the question.
pub(super) fn write(item: &Item, dir: &Path) -> Result<Vec<String>, Error> {
    match &item.media {
        Media::Images(pictures) => {
            let folder = "images";
            create(&dir.join(folder))?;
            let one = |(i, picture): (usize, &RgbImage)| {
                let path = format!("{folder}/{}-{i}.png", item.id);
                save(picture, &dir.join(&path)).map(|()| path)
            };
            pictures.iter().enumerate().map(one).collect()
        }
        Media::Video { frames, fps } => {
            let path = format!("videos/{}", item.id);
            let folder = dir.join(&path);
            create(&folder)?;
            for (i, frame) in frames.iter().enumerate() {
                save(frame, &folder.join(format!("{i:03}.png")))?;
            }
            let secs = frames.len() as f64 / f64::from(*fps);
            let about = json!({"fps": f64::from(*fps), "duration": secs}).to_string();
            let file = folder.join("metadata.json");
            fs::write(&file, about).map_err(|e| Error::file(&file, e))?;
            Ok(vec![path])
        }
    }
}

fn create(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))
}

fn save(picture: &RgbImage, path: &Path) -> Result<(), Error> {
    picture.save(path).map_err(|e| Error::picture(path, e))
}

/// The frames of a written video, or the one picture of a file.
pub(super) fn read(path: &Path) -> Result<Vec<RgbImage>, Error> {
    let open = |file: &Path| {
        image::open(file)
            .map(|p| p.to_rgb8())
            .map_err(|e| Error::picture(file, e))
    };
    if !path.is_dir() {
        return Ok(vec![open(path)?]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(|e| Error::file(path, e))? {
        let file = entry.map_err(|e| Error::file(path, e))?.path();
        if file.extension().is_some_and(|e| e == "png") {
            files.push(file);
        }
    }
    files.sort();
    files.iter().map(|file| open(file)).collect()
}
