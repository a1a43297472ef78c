//! Picture files to 8-bit RGB, with limits that are checked before memory is taken. Called by the
//! picture and video processors.

use std::io::{Cursor, Read};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageReader, Limits, RgbImage};

use crate::error::Error;

/// Largest picture that is decoded, in pixels (Pillow's threshold for a decompression bomb).
pub const MAX_SOURCE_PIXELS: u64 = 89_478_485;
/// Largest file that is read into memory, in bytes.
pub const MAX_FILE_BYTES: u64 = 1 << 30;
/// Most memory a decoder may allocate, in bytes: 16-bit RGBA at the pixel limit, and working space.
const MAX_DECODER_BYTES: u64 = MAX_SOURCE_PIXELS * 12;

/// Reads a file of at most `max_bytes` into memory.
pub(crate) fn read_file(path: &Path, max_bytes: u64) -> Result<Vec<u8>, Error> {
    let io = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(io)?;
    let bytes = file.metadata().map_err(io)?.len();
    let too_large = |bytes| Error::FileTooLarge {
        path: path.to_owned(),
        bytes,
        max_bytes,
    };
    if bytes > max_bytes {
        return Err(too_large(bytes));
    }
    let mut data = Vec::new();
    // One byte more than allowed shows that a pipe or growing file is longer than its size said.
    file.take(max_bytes + 1)
        .read_to_end(&mut data)
        .map_err(io)?;
    match data.len() as u64 {
        len if len > max_bytes => Err(too_large(len)),
        _ => Ok(data),
    }
}

/// Fails when a picture of `width` x `height` pixels is over [`MAX_SOURCE_PIXELS`].
pub(crate) fn check_pixels(width: u64, height: u64, origin: &str) -> Result<(), Error> {
    if width.saturating_mul(height) > MAX_SOURCE_PIXELS {
        let origin = origin.to_owned();
        return Err(Error::TooLarge {
            origin,
            width,
            height,
            max_pixels: MAX_SOURCE_PIXELS,
        });
    }
    Ok(())
}

/// Limits for a decoder of the `image` crate.
pub(crate) fn decoder_limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODER_BYTES);
    limits
}

/// Decodes a PNG, JPEG, WebP, GIF (first frame) or BMP file held in `bytes` to 8-bit RGB; `origin`
/// names it in errors.
///
/// Transparency is composited onto white with Pillow's integer arithmetic; 16-bit samples keep
/// their high byte; palettes and grey are expanded. An EXIF orientation is not applied, as in HF.
///
/// Departures from HF: 1. 16-bit grey keeps the high byte (Pillow saturates to white). 2. A single
/// transparent colour of an RGB PNG is composited (HF ignores it).
///
/// # Errors
/// [`Error::Image`] when the bytes are no such file or are damaged; [`Error::TooLarge`] before
/// anything of that size is allocated.
pub fn decode_rgb(bytes: &[u8], origin: &str) -> Result<RgbImage, Error> {
    let fail = |e: image::ImageError| Error::image(origin, e);
    let mut reader = ImageReader::new(Cursor::new(bytes));
    reader.limits(decoder_limits());
    let reader = reader
        .with_guessed_format()
        .map_err(|e| Error::image(origin, e))?;
    let mut decoder = reader.into_decoder().map_err(fail)?;
    let (width, height) = decoder.dimensions();
    check_pixels(width.into(), height.into(), origin)?;
    decoder.set_limits(decoder_limits()).map_err(fail)?;
    Ok(to_rgb(DynamicImage::from_decoder(decoder).map_err(fail)?))
}

fn to_rgb(picture: DynamicImage) -> RgbImage {
    let high = |v: u16| (v >> 8) as u8;
    match picture {
        DynamicImage::ImageRgb8(rgb) => rgb,
        DynamicImage::ImageRgba8(p) => map(p.width(), p.height(), p.pixels(), |p| over_white(p.0)),
        DynamicImage::ImageLuma8(p) => map(p.width(), p.height(), p.pixels(), |p| [p.0[0]; 3]),
        DynamicImage::ImageLumaA8(p) => map(
            p.width(),
            p.height(),
            p.pixels(),
            |&image::LumaA([l, a])| over_white([l, l, l, a]),
        ),
        DynamicImage::ImageRgb16(p) => map(p.width(), p.height(), p.pixels(), |p| p.0.map(high)),
        DynamicImage::ImageRgba16(p) => map(p.width(), p.height(), p.pixels(), |p| {
            over_white(p.0.map(high))
        }),
        DynamicImage::ImageLuma16(p) => {
            map(p.width(), p.height(), p.pixels(), |p| [high(p.0[0]); 3])
        }
        DynamicImage::ImageLumaA16(p) => map(
            p.width(),
            p.height(),
            p.pixels(),
            |&image::LumaA([l, a])| over_white([high(l), high(l), high(l), high(a)]),
        ),
        other => other.into_rgb8(),
    }
}

fn map<'a, P: 'a>(
    width: u32,
    height: u32,
    pixels: impl Iterator<Item = &'a P>,
    convert: impl Fn(&P) -> [u8; 3],
) -> RgbImage {
    let data = pixels.flat_map(convert).collect();
    // As many pixels go out as came in, so this is always `Some`.
    RgbImage::from_raw(width, height, data).unwrap_or_default()
}

/// An RGBA pixel over white: Pillow's `alpha_composite` for an opaque background, `(a*v +
/// (255-a)*255) / 255` rounded.
pub(crate) fn over_white([r, g, b, a]: [u8; 4]) -> [u8; 3] {
    let alpha = u32::from(a);
    [r, g, b].map(|v| {
        let sum = ((u32::from(v) * alpha + 255 * (255 - alpha)) << 7) + (0x80 << 7);
        ((((sum >> 8) + sum) >> 8) >> 7) as u8
    })
}

#[cfg(test)]
mod tests {
    use image::{ImageBuffer, ImageFormat, Luma, Rgb};
    use proptest::prelude::*;

    use super::*;

    fn written(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        picture.write_to(&mut out, format).expect("encodable");
        out.into_inner()
    }

    #[test]
    fn sixteen_bits_keep_the_high_byte() {
        let rgb = ImageBuffer::from_pixel(2, 2, Rgb([0x12FF_u16, 0x8000, 0xFFFF]));
        let bytes = written(&DynamicImage::ImageRgb16(rgb), ImageFormat::Png);
        assert_eq!(
            decode_rgb(&bytes, "test").expect("valid").get_pixel(0, 0).0,
            [0x12, 0x80, 0xFF]
        );
        let gray = ImageBuffer::from_pixel(2, 2, Luma([0x34FF_u16]));
        let bytes = written(&DynamicImage::ImageLuma16(gray), ImageFormat::Png);
        assert_eq!(
            decode_rgb(&bytes, "test").expect("valid").get_pixel(1, 1).0,
            [0x34; 3]
        );
    }

    #[test]
    fn compositing_ends_are_exact() {
        assert_eq!(over_white([7, 8, 9, 255]), [7, 8, 9]);
        assert_eq!(over_white([7, 8, 9, 0]), [255; 3]);
        assert_eq!(over_white([0, 100, 255, 128]), [127, 177, 255]);
    }

    #[test]
    fn every_format_is_read() {
        let picture = DynamicImage::ImageRgb8(RgbImage::from_pixel(9, 4, Rgb([255, 0, 0])));
        for format in [
            ImageFormat::Png,
            ImageFormat::Jpeg,
            ImageFormat::WebP,
            ImageFormat::Gif,
            ImageFormat::Bmp,
        ] {
            let decoded = decode_rgb(&written(&picture, format), "test").expect("valid");
            assert_eq!(decoded.dimensions(), (9, 4), "{format:?}");
            let [r, g, b] = decoded.get_pixel(3, 2).0;
            assert!(r >= 250 && g <= 5 && b <= 5, "{format:?}: {r} {g} {b}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), magic in 0..6_usize) {
            let magics: [&[u8]; 6] = [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff\xe0", b"BM", b"RIFF\x00\x01\x00\x00WEBPVP8 "];
            bytes.splice(0..0, magics[magic].iter().copied());
            let _ = decode_rgb(&bytes, "random");
        }

        #[test]
        fn damaged_png_never_panics(at in 8..400_usize, value: u8) {
            let noise = RgbImage::from_fn(11, 13, |x, y| Rgb([(x * 37) as u8, (y * 91) as u8, (x * y) as u8]));
            let mut bytes = written(&DynamicImage::ImageRgb8(noise), ImageFormat::Png);
            let at = at % bytes.len();
            bytes[at] = value;
            let _ = decode_rgb(&bytes, "damaged");
        }
    }
}
