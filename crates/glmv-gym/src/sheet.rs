//! Contact sheets: items beside each other with question and answer, for people to look at.

use crate::draw::{Anchor, Face, Label, Scene};
use crate::{Error, Item, Media};
use image::{RgbImage, imageops};

/// Most pictures of an item that are shown; of a video, every second frame.
const SHOWN: usize = 8;
/// Pictures in a row.
const ACROSS: u32 = 4;
/// Height of a line, pixels.
const LINE: u32 = 16;
/// Space around everything, pixels.
const GAP: u32 = 8;
/// The ground.
const PAGE: [u8; 3] = [190, 190, 196];
/// Narrowest column, pixels.
const NARROW: u32 = 230;

/// A picture of all items in `columns` columns. Below each: question, answer, level and task.
///
/// # Errors
/// If there are no items.
pub fn sheet(items: &[Item], columns: usize) -> Result<RgbImage, Error> {
    if items.is_empty() {
        return Err(Error::Nothing { what: "items" });
    }
    let columns = columns.clamp(1, items.len()) as u32;
    let strips: Vec<RgbImage> = items.iter().map(strip).collect();
    let width = strips
        .iter()
        .map(RgbImage::width)
        .max()
        .unwrap_or(1)
        .max(NARROW);
    let height = strips.iter().map(RgbImage::height).max().unwrap_or(1);
    let texts: Vec<Vec<String>> = items.iter().map(|item| wrapped(item, width)).collect();
    let lines = texts.iter().map(Vec::len).max().unwrap_or(1) as u32;
    let cell = [width + 2 * GAP, height + lines * LINE + 2 * GAP];
    let rows = (items.len() as u32).div_ceil(columns);
    let mut page = RgbImage::from_pixel(cell[0] * columns, cell[1] * rows, image::Rgb(PAGE));
    for (i, (text, strip)) in texts.iter().zip(&strips).enumerate() {
        let (x, y) = (
            i as u32 % columns * cell[0] + GAP,
            i as u32 / columns * cell[1] + GAP,
        );
        imageops::replace(&mut page, strip, x.into(), y.into());
        for (n, line) in text.iter().enumerate() {
            let drawn = written(line, width);
            let top = y + height + n as u32 * LINE + 2;
            imageops::replace(&mut page, &drawn, x.into(), top.into());
        }
    }
    Ok(page)
}

/// The pictures of an item side by side.
fn strip(item: &Item) -> RgbImage {
    let pictures: Vec<&RgbImage> = match &item.media {
        Media::Images(pictures) => pictures.iter().take(SHOWN).collect(),
        Media::Video { frames, .. } => frames.iter().step_by(2).take(SHOWN).collect(),
    };
    let side = pictures.first().map_or(1, |p| p.width());
    let n = pictures.len().max(1) as u32;
    let size = |count: u32| count * (side + 4) - 4;
    let (wide, high) = (size(n.min(ACROSS)), size(n.div_ceil(ACROSS)));
    let mut strip = RgbImage::from_pixel(wide, high, image::Rgb(PAGE));
    for (i, picture) in pictures.iter().enumerate() {
        let (x, y) = (
            i as u32 % ACROSS * (side + 4),
            i as u32 / ACROSS * (side + 4),
        );
        imageops::replace(&mut strip, *picture, x.into(), y.into());
    }
    strip
}

/// Size of the letters in thousandths of a line that is `width` pixels wide.
fn em(width: u32) -> i32 {
    (11_500 / width.max(1)) as i32
}

/// What stands under an item, in lines that `width` pixels hold: broken at spaces, and after commas, as a list
/// of boxes has no spaces.
fn wrapped(item: &Item, width: u32) -> Vec<String> {
    let text = format!(
        "{} = {} [{}, level {}]",
        item.question, item.answer, item.template, item.level
    );
    let mut lines = vec![String::new()];
    for part in text.split_inclusive([' ', ',']) {
        match lines.last_mut() {
            Some(line) if line.is_empty() || fits(&format!("{line}{part}"), width) => {
                line.push_str(part);
            }
            _ => lines.push(part.to_owned()),
        }
    }
    lines
}

fn fits(line: &str, width: u32) -> bool {
    Face::Serif.width(line.trim_end(), em(width)) <= 980
}

/// A line of text, cut from a square scene as wide as the column.
fn written(line: &str, width: u32) -> RgbImage {
    let mut scene = Scene::new(PAGE);
    let down = (i64::from(LINE) * 500 / i64::from(width)) as i32;
    let label = Label::new(line, [4, down], em(width), [0, 0, 0]);
    scene.label(label.face(Face::Serif).anchored(Anchor::Start));
    imageops::crop_imm(&scene.render(width), 0, 0, width, LINE).to_image()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Domain, Size, generate};

    #[test]
    fn a_sheet_has_room_for_every_item() {
        let items: Vec<Item> = (0..5)
            .map(|seed| generate(Domain::Compare, 4, seed, Size { side: 56 }).expect("an item"))
            .collect();
        let page = sheet(&items, 2).expect("a page");
        assert_eq!(page.width() % 2, 0);
        assert_eq!(page.height() % 3, 0);
        let ink = page.pixels().filter(|p| p.0 == [0, 0, 0]).count();
        assert!(ink > 100, "{ink}");
        assert!(sheet(&[], 2).is_err());
    }

    #[test]
    fn all_of_a_text_stands_in_lines_that_fit() {
        let mut most = 0;
        for (domain, level, seed) in Domain::ALL
            .iter()
            .flat_map(|domain| (1..=5).map(move |level| (*domain, level)))
            .flat_map(|(domain, level)| (0..40).map(move |seed| (domain, level, seed)))
        {
            let item = generate(domain, level, seed, Size { side: 56 }).expect("an item");
            let lines = wrapped(&item, NARROW);
            let over = lines.iter().find(|line| !fits(line, NARROW));
            assert_eq!(over, None, "{}", item.template);
            let text = lines.concat();
            assert!(text.contains(&item.question) && text.contains(&item.answer));
            assert!(text.ends_with(&format!("level {level}]")), "{text}");
            most = most.max(lines.len());
        }
        // Several boxes need more than the four lines that most items have.
        assert!(most > 4, "{most}");
        assert!(!fits(&"m".repeat(60), NARROW));
    }
}
