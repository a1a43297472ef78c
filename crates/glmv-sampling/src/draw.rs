//! Draws boxes on a picture, for `glmv run --draw-boxes`.

use image::{Rgb, RgbImage};

use crate::BBox;

/// Bright, mutually distinct colours; box `i` takes colour `i` modulo their number.
const COLOURS: [[u8; 3]; 8] = [
    [255, 45, 45],
    [30, 200, 60],
    [50, 110, 255],
    [255, 190, 0],
    [220, 60, 230],
    [0, 210, 220],
    [255, 120, 20],
    [150, 90, 40],
];

/// Draws the outline of each box, the first ones below the later ones.
///
/// Coordinate 1000 is the image's right or bottom edge. Outlines are 1/200 of the image's shorter
/// side thick (at least 1 px) and lie inside of the box. An image without pixels stays as it is.
pub fn draw_boxes(image: &mut RgbImage, boxes: &[BBox]) {
    let (width, height) = image.dimensions();
    if width == 0 || height == 0 {
        return;
    }
    let thickness = (width.min(height) / 200).max(1);
    for (bbox, colour) in boxes.iter().zip(COLOURS.iter().cycle()) {
        let (left, right) = span(bbox.x1, bbox.x2, width);
        let (top, bottom) = span(bbox.y1, bbox.y2, height);
        for y in top..=bottom {
            let near_y = y - top < thickness || bottom - y < thickness;
            for x in left..=right {
                if near_y || x - left < thickness || right - x < thickness {
                    image.put_pixel(x, y, Rgb(*colour));
                }
            }
        }
    }
}

/// First and last pixel of `low..high` thousandths of `size` pixels, both inside of the image.
fn span(low: f32, high: f32, size: u32) -> (u32, u32) {
    let pixel = |thousandths: f32| {
        let thousandths = f64::from(thousandths.clamp(0.0, 1000.0));
        // At most `size`, so the cast loses nothing; NaN becomes 0.
        (thousandths / 1000.0 * f64::from(size)).round() as u32
    };
    let first = pixel(low).min(size - 1);
    (first, pixel(high).saturating_sub(1).clamp(first, size - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(size: (u32, u32), boxes: &[[f32; 4]]) -> RgbImage {
        let mut image = RgbImage::new(size.0, size.1);
        let boxes: Vec<BBox> = boxes
            .iter()
            .map(|&b| BBox::new(b, None).expect("valid"))
            .collect();
        draw_boxes(&mut image, &boxes);
        image
    }

    fn painted(image: &RgbImage) -> usize {
        image.pixels().filter(|p| p.0 != [0; 3]).count()
    }

    #[test]
    fn outline_lies_where_the_box_is() {
        let image = draw((100, 50), &[[100.0, 200.0, 500.0, 800.0]]);
        for corner in [(10, 10), (49, 10), (10, 39), (49, 39)] {
            assert_eq!(
                image.get_pixel(corner.0, corner.1).0,
                COLOURS[0],
                "{corner:?}"
            );
        }
        for outside in [(9, 10), (10, 9), (50, 39), (49, 40), (30, 25)] {
            assert_eq!(
                image.get_pixel(outside.0, outside.1).0,
                [0; 3],
                "{outside:?}"
            );
        }
        assert_eq!(painted(&image), 2 * 40 + 2 * 28);
    }

    #[test]
    fn thickness_grows_with_the_image_and_colours_differ() {
        let image = draw(
            (1000, 800),
            &[[0.0, 0.0, 1000.0, 1000.0], [250.0, 250.0, 750.0, 750.0]],
        );
        assert_eq!(image.get_pixel(3, 400).0, COLOURS[0]);
        assert_eq!(image.get_pixel(4, 400).0, [0; 3]);
        assert_eq!(image.get_pixel(250, 400).0, COLOURS[1]);
    }

    #[test]
    fn small_and_extreme_images_are_safe() {
        assert_eq!(painted(&draw((1, 1), &[[999.0, 999.0, 1000.0, 1000.0]])), 1);
        assert_eq!(painted(&draw((3, 1), &[[0.0, 0.0, 0.001, 0.001]])), 1);
        assert_eq!(painted(&draw((1, 400), &[[0.0, 0.0, 1000.0, 1000.0]])), 400);
        draw_boxes(
            &mut RgbImage::new(0, 0),
            &[BBox::new([0.0, 0.0, 1.0, 1.0], None).expect("valid")],
        );
        let odd = BBox {
            x1: f32::NAN,
            y1: -5.0,
            x2: 1e9,
            y2: 3.0,
            label: None,
        };
        draw_boxes(&mut RgbImage::new(7, 7), &[odd]);
    }
}
