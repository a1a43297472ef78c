//! Filling outlines: four sampled lines per pixel row, coverage along each line in 1/64 pixel.

use super::{FINE, Outline, Rgb};
use image::RgbImage;

/// Units of a pixel.
const PIXEL: i64 = 64;
/// Sampled lines per pixel row.
const LINES: i64 = 4;

/// An edge that goes down: from `(x0, y0)` to `(x1, y1)`, with its winding.
struct Edge {
    x0: i64,
    y0: i64,
    x1: i64,
    y1: i64,
    winding: i32,
}

/// Fills outlines with a colour; `alpha` 255 covers. What lies outside of the picture is cut.
pub(super) fn fill(picture: &mut RgbImage, outline: &Outline, colour: Rgb, alpha: u8) {
    let edges = edges(outline, i64::from(picture.width()));
    let rows = i64::from(picture.height());
    let first = edges.iter().map(|e| e.y0).min().unwrap_or(0);
    let last = edges.iter().map(|e| e.y1).max().unwrap_or(0);
    let width = picture.width() as usize;
    let mut cover = vec![0_i64; width];
    let mut crossings = Vec::new();
    for row in first.div_euclid(PIXEL).max(0)..=last.div_euclid(PIXEL).min(rows - 1) {
        cover.fill(0);
        for line in 0..LINES {
            let y = row * PIXEL + line * (PIXEL / LINES) + PIXEL / LINES / 2;
            crossed(&edges, y, &mut crossings);
            add_spans(&crossings, &mut cover);
        }
        for (x, part) in cover.iter().enumerate().filter(|(_, part)| **part > 0) {
            let share = (part * i64::from(alpha)) / 255;
            let pixel = picture.get_pixel_mut(x as u32, row as u32);
            for (old, new) in pixel.0.iter_mut().zip(colour) {
                let whole = PIXEL * LINES;
                let mixed = i64::from(*old) * (whole - share) + i64::from(new) * share + whole / 2;
                *old = (mixed / whole) as u8;
            }
        }
    }
}

/// The edges of outlines in 1/64 pixels of a picture `side` pixels wide; level ones cross nothing.
fn edges(outline: &Outline, side: i64) -> Vec<Edge> {
    let scale = |v: i64| (v * side * PIXEL + 500 * FINE).div_euclid(1000 * FINE);
    let mut edges = Vec::new();
    for ring in outline {
        for (i, from) in ring.iter().enumerate() {
            let to = ring[(i + 1) % ring.len()];
            let (a, b) = (from.map(scale), to.map(scale));
            let (top, bottom, winding) = match a[1].cmp(&b[1]) {
                std::cmp::Ordering::Less => (a, b, 1),
                std::cmp::Ordering::Greater => (b, a, -1),
                std::cmp::Ordering::Equal => continue,
            };
            edges.push(Edge {
                x0: top[0],
                y0: top[1],
                x1: bottom[0],
                y1: bottom[1],
                winding,
            });
        }
    }
    edges
}

/// Where edges cross the line at `y`, from left to right.
fn crossed(edges: &[Edge], y: i64, crossings: &mut Vec<(i64, i32)>) {
    crossings.clear();
    for e in edges.iter().filter(|e| e.y0 <= y && y < e.y1) {
        let x = e.x0 + ((e.x1 - e.x0) * (y - e.y0)).div_euclid(e.y1 - e.y0);
        crossings.push((x, e.winding));
    }
    crossings.sort_unstable();
}

fn add_spans(crossings: &[(i64, i32)], cover: &mut [i64]) {
    let limit = cover.len() as i64 * PIXEL;
    let (mut winding, mut start) = (0, 0);
    for (x, change) in crossings {
        if winding == 0 {
            start = *x;
        }
        winding += change;
        if winding == 0 {
            add(start.clamp(0, limit), (*x).clamp(0, limit), cover);
        }
    }
}

fn add(from: i64, to: i64, cover: &mut [i64]) {
    if from >= to {
        return;
    }
    let (first, last) = (from / PIXEL, (to - 1) / PIXEL);
    if first == last {
        cover[first as usize] += to - from;
        return;
    }
    cover[first as usize] += (first + 1) * PIXEL - from;
    for x in first + 1..last {
        cover[x as usize] += PIXEL;
    }
    cover[last as usize] += to - last * PIXEL;
}

#[cfg(test)]
mod tests {
    use super::super::fine;
    use super::*;
    use image::Rgb as Pixel;

    fn square(a: i32, b: i32) -> Vec<[i64; 2]> {
        vec![fine(a, a), fine(b, a), fine(b, b), fine(a, b)]
    }

    fn drawn(outline: &Outline) -> RgbImage {
        let mut picture = RgbImage::from_pixel(10, 10, Pixel([0; 3]));
        fill(&mut picture, outline, [255; 3], 255);
        picture
    }

    #[test]
    fn a_square_covers_its_pixels_and_half_of_its_border() {
        let picture = drawn(&vec![square(150, 800)]);
        assert_eq!(picture.get_pixel(5, 5).0, [255; 3]);
        assert_eq!(picture.get_pixel(0, 0).0, [0; 3]);
        let half = picture.get_pixel(1, 5).0[0];
        assert!((120..=136).contains(&half), "{half}");
        assert_eq!(picture.get_pixel(8, 5).0, [0; 3]);
    }

    #[test]
    fn a_hole_winds_the_other_way() {
        let mut hole = square(300, 700);
        hole.reverse();
        let picture = drawn(&vec![square(100, 900), hole]);
        assert_eq!(picture.get_pixel(5, 5).0, [0; 3]);
        assert_eq!(picture.get_pixel(2, 5).0, [255; 3]);
    }

    #[test]
    fn what_lies_outside_is_cut() {
        let picture = drawn(&vec![square(-5000, 5000)]);
        assert!(picture.pixels().all(|p| p.0 == [255; 3]));
        assert!(
            drawn(&vec![square(2000, 3000)])
                .pixels()
                .all(|p| p.0 == [0; 3])
        );
        assert!(drawn(&Vec::new()).pixels().all(|p| p.0 == [0; 3]));
    }
}
