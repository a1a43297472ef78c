//! Drawing: a [`Scene`] of filled outlines and texts in thousandths of the picture's side goes in, an
//! RGB picture of any size comes out. Everything is integer arithmetic, so that every machine draws
//! the same bytes.

mod font;
mod raster;
mod scene;
mod shape;
mod trig;

pub use font::Face;
pub use scene::{Anchor, Label, Scene};
pub use shape::Shape;
pub(crate) use trig::turn;

/// Fine units of a thousandth of the side.
pub(crate) const FINE: i64 = 16;

/// A colour: red, green, blue.
pub type Rgb = [u8; 3];

/// A place in fine units, from the top left corner.
pub(crate) type Point = [i64; 2];

/// Closed outlines; what winds around is inside.
pub(crate) type Outline = Vec<Vec<Point>>;

/// A place in thousandths in fine units.
pub(crate) fn fine(x: i32, y: i32) -> Point {
    [i64::from(x) * FINE, i64::from(y) * FINE]
}
