//! What the head of a picture says, read before any pixel is: a few hundred bytes looked at, nothing allocated.

mod bytes;
mod gif;
mod jpeg;
mod png;
pub(crate) mod webp;

use crate::outcome::Refusal;
use crate::{Flaw, Format, Reason, Sniffed};

/// What the head of a picture says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The format, by the bytes themselves.
    pub format: Format,
    /// Width in pixels, as stored: an orientation may turn it.
    pub width: u32,
    /// Height in pixels, as stored.
    pub height: u32,
    /// How many frames it has, 1 in a still picture.
    pub frames: u32,
    /// Samples per pixel.
    pub channels: u8,
    /// Bits per sample as they are decoded: 8 or 16.
    pub depth: u8,
    /// Whether it is stored in passes, all of which are held while it is decoded.
    pub progressive: bool,
    /// Whether every pixel is stored as it was.
    pub lossless: bool,
    /// Whether its colours have a meaning that would be lost: CMYK, or a space that is told other than by a profile.
    pub foreign_colours: bool,
    /// Where the pixels begin.
    pub(crate) pixels_at: usize,
}

impl Header {
    /// Reads the head of `bytes`, which are the whole picture: frames are counted.
    ///
    /// # Errors
    /// Why it is no picture that can be read: left alone, or broken.
    pub fn read(bytes: &[u8]) -> Result<Self, Unread> {
        let header = match Format::sniff(bytes) {
            Sniffed::Picture(Format::Jpeg) => jpeg::read(bytes),
            Sniffed::Picture(Format::Png) => png::read(bytes),
            Sniffed::Picture(Format::Gif) => gif::read(bytes),
            Sniffed::Picture(Format::WebP) => webp::read(bytes),
            Sniffed::Vector => return Err(Unread::Vector),
            Sniffed::Other => return Err(Unread::Unsupported),
        }?;
        if header.width == 0 || header.height == 0 || header.frames == 0 {
            return Err(Unread::Flaw(Flaw::Corrupt));
        }
        Ok(header)
    }

    /// A still picture of 8 bits per sample.
    fn still(format: Format, (width, height): (u32, u32), channels: u8) -> Self {
        Self {
            format,
            width,
            height,
            frames: 1,
            channels,
            depth: 8,
            progressive: false,
            lossless: false,
            foreign_colours: false,
            pixels_at: 0,
        }
    }

    /// Pixels of all frames together.
    pub fn pixels(&self) -> u64 {
        self.area().saturating_mul(u64::from(self.frames))
    }

    /// Pixels of one frame.
    pub fn area(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// The same picture in another size, with sides of at least 1: `width` wide, unless it is narrower.
    pub(crate) fn fitted((width, height): (u32, u32), wanted: Option<u32>) -> (u32, u32) {
        let Some(wanted) = wanted.filter(|&wanted| wanted > 0 && wanted < width) else {
            return (width, height);
        };
        let scaled = (u64::from(height) * u64::from(wanted) + u64::from(width) / 2)
            / u64::from(width.max(1));
        (wanted, u32::try_from(scaled).unwrap_or(height).max(1))
    }

    /// Whether the bytes end where a whole picture ends, as far as that is seen without decoding.
    pub(crate) fn is_whole(&self, bytes: &[u8]) -> bool {
        match self.format {
            Format::Jpeg => jpeg::has_end(bytes.get(self.pixels_at..).unwrap_or_default()),
            // Their decoders miss what is missing, or the head has been read to the end.
            Format::Png | Format::Gif | Format::WebP => true,
        }
    }
}

/// Why the head of a picture was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// SVG.
    Vector,
    /// Not a picture, or of a kind that is not read here.
    Unsupported,
    /// A broken picture.
    Flaw(Flaw),
}

impl From<Unread> for Refusal {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Vector => Self::Original(Reason::Vector),
            Unread::Unsupported => Self::Original(Reason::Unsupported),
            Unread::Flaw(flaw) => Self::Broken(flaw),
        }
    }
}

/// What [`Header::read`] promises of any bytes, for the fuzzer: a picture has pixels, and cut short it is either none or of the
/// same size.
///
/// # Panics
/// When a promise is broken.
pub fn check_header(data: &[u8]) {
    let Ok(header) = Header::read(data) else { return };
    assert_eq!(Format::sniff(data), Sniffed::Picture(header.format));
    assert!(header.width > 0 && header.height > 0 && header.frames > 0, "{header:?}");
    assert!(header.pixels_at <= data.len() && header.channels > 0, "{header:?}");
    let cuts = [data.len() / 4, data.len() / 2, data.len() - 1];
    for cut in cuts.into_iter().filter_map(|cut| data.get(..cut)) {
        let Ok(short) = Header::read(cut) else { continue };
        assert_eq!((short.width, short.height), (header.width, header.height));
        assert!(short.frames <= header.frames, "{short:?} of {header:?}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Header, Unread};
    use crate::Flaw;

    /// A JPEG of 300 by 200 pixels, up to its first scan, whose frame has this marker, precision and number of components.
    fn jpeg(marker: u8, precision: u8, components: u8) -> Vec<u8> {
        let mut bytes = b"\xff\xd8\xff\xe0\0\x04JF\xff\xff".to_vec();
        bytes.extend_from_slice(&[marker, 0, 9, precision, 0, 200, 1, 44, components, 0]);
        bytes.extend_from_slice(b"\xff\xda\0\x02");
        bytes
    }

    #[test]
    fn the_frame_of_a_jpeg_tells_size_passes_and_colours() {
        let header = Header::read(&jpeg(0xc0, 8, 3)).unwrap();
        assert_eq!((header.width, header.height, header.channels), (300, 200, 3));
        assert!(!header.progressive && !header.lossless && !header.foreign_colours);
        assert!(Header::read(&jpeg(0xc2, 8, 1)).is_ok_and(|header| header.progressive));
        assert!(Header::read(&jpeg(0xc1, 8, 4)).is_ok_and(|header| header.foreign_colours));
        // Without loss, by arithmetic, of twelve bits.
        for other in [jpeg(0xc3, 8, 3), jpeg(0xc9, 8, 3), jpeg(0xc1, 12, 3)] {
            assert_eq!(Header::read(&other), Err(Unread::Unsupported));
        }
        // A table is no frame.
        assert_eq!(Header::read(&jpeg(0xc4, 8, 3)), Err(Unread::Flaw(Flaw::Corrupt)));
    }

    #[test]
    fn what_a_png_is_decoded_to_follows_from_type_depth_and_transparency() {
        let png = |depth, kind, chunk: &[u8]| {
            let head = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x01\x2c\0\0\0\xc8".as_slice();
            let bytes = [head, &[depth, kind, 0, 0, 0, 1, 2, 3, 4], chunk, b"\0\0\0\0IDAT"];
            Header::read(&bytes.concat())
        };
        let clear = b"\0\0\0\x01tRNS\0crc!".as_slice();
        let cases = [
            (1, 0, b"".as_slice(), (1, 8)),
            (16, 0, clear, (2, 16)),
            (8, 2, b"", (3, 8)),
            (4, 3, b"", (3, 8)),
            (8, 3, clear, (4, 8)),
            (8, 4, b"", (2, 8)),
            (16, 6, b"", (4, 16)),
        ];
        for (depth, kind, chunk, expected) in cases {
            let header = png(depth, kind, chunk).unwrap();
            assert_eq!((header.channels, header.depth), expected, "{kind} of {depth} bits");
            assert_eq!((header.width, header.height, header.lossless), (300, 200, true));
        }
        assert_eq!(png(8, 5, b""), Err(Unread::Flaw(Flaw::Corrupt)));
        assert_eq!(png(8, 2, b"\0\0\0\0IEND"), Err(Unread::Flaw(Flaw::Corrupt)));
    }

    proptest! {
        #[test]
        fn a_picture_keeps_its_proportions_and_never_grows(width in 1..40_000_u32, height in 1..40_000_u32, wanted in 0..50_000_u32) {
            let (w, h) = Header::fitted((width, height), Some(wanted));
            prop_assert!(w >= 1 && h >= 1 && w <= width && h <= height);
            prop_assert!(wanted == 0 || w == width.min(wanted));
            let exact = f64::from(height) * f64::from(w) / f64::from(width);
            prop_assert!((f64::from(h) - exact.max(1.0)).abs() <= 0.5 + 1e-9 || h == 1);
        }
    }
}
