//! Pictures made by code: what photos, screenshots, logos and animations have in common with real ones.

use std::io::Cursor;

use image::codecs::gif::{GifEncoder, Repeat};
use image::codecs::jpeg::JpegEncoder;
use image::{
    Delay, DynamicImage, Frame, ImageEncoder, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage,
};

/// A number that looks random, from 0 to 1, of a place.
fn noise(x: u32, y: u32, seed: u32) -> f32 {
    let mut hash =
        x.wrapping_mul(0x9e37_79b1) ^ y.wrapping_mul(0x85eb_ca77) ^ seed.wrapping_mul(0xc2b2_ae3d);
    hash = (hash ^ (hash >> 15)).wrapping_mul(0x2c1b_3c6d);
    hash = (hash ^ (hash >> 12)).wrapping_mul(0x297a_2d39);
    (hash ^ (hash >> 15)) as f32 / u32::MAX as f32
}

/// Noise of one size of grain, smooth between.
fn smooth(x: u32, y: u32, grain: u32, seed: u32) -> f32 {
    let (cx, cy) = (x / grain, y / grain);
    let fade = |at: u32| {
        let t = (at % grain) as f32 / grain as f32;
        t * t * (3.0 - 2.0 * t)
    };
    let (tx, ty) = (fade(x), fade(y));
    let row = |cy| noise(cx, cy, seed) * (1.0 - tx) + noise(cx + 1, cy, seed) * tx;
    row(cy) * (1.0 - ty) + row(cy + 1) * ty
}

/// Fields of smooth colour with structure of all sizes, edges, and the grain of a sensor.
pub(crate) fn photo(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let field = |seed| {
            0.42 * smooth(x, y, 257, seed)
                + 0.24 * smooth(x, y, 61, seed + 1)
                + 0.16 * smooth(x, y, 17, seed + 2)
                + 0.12 * smooth(x, y, 5, seed + 3)
                + 0.06 * noise(x, y, seed + 4)
        };
        let hill = (height as f32 * (0.3 + 0.4 * smooth(x, 0, 200, 9))) as u32;
        let light = if y > hill { 0.55 } else { 1.0 };
        let shade = field(10);
        let channel = |own: u32, part: f32| {
            ((shade * (1.0 - part) + field(own) * part) * light * 255.0).clamp(0.0, 255.0) as u8
        };
        Rgb([channel(20, 0.25), channel(30, 0.2), channel(40, 0.35)])
    })
}

/// A window with a title, text and a button, in seven colours.
pub(crate) fn screenshot(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let is_ink = noise(x / 2, y / 3, 3) > 0.45 && (x / 2) % 7 != 0;
        Rgb(match (x, y) {
            (_, 0..40) if y == 39 => [160, 160, 170],
            (12..300, 14..26) if is_ink => [240, 240, 245],
            (_, 0..40) => [44, 62, 80],
            (0..160, _) if y % 36 < 12 && (20..140).contains(&x) && is_ink => [70, 70, 80],
            (0..160, _) => [236, 240, 241],
            _ if y % 24 < 11 && x > 190 && x + 60 < width && is_ink => [30, 30, 30],
            _ if y + 80 > height && y + 40 < height && x + 200 > width && x + 60 < width => {
                [39, 174, 96]
            }
            _ => [255, 255, 255],
        })
    })
}

/// A disc with soft edges on nothing.
pub(crate) fn logo(side: u32) -> RgbaImage {
    let centre = side as f32 / 2.0;
    RgbaImage::from_fn(side, side, |x, y| {
        let distance = (x as f32 - centre).hypot(y as f32 - centre);
        let alpha = ((centre * 0.8 - distance).clamp(0.0, 1.0) * 255.0) as u8;
        let stripe = if (x + y) / 16 % 2 == 0 { [192, 57, 43] } else { [243, 156, 18] };
        Rgba([stripe[0], stripe[1], stripe[2], alpha])
    })
}

/// Bytes of a picture in a format.
pub(crate) fn encoded(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A JPEG of a quality, with a colour profile where one is given.
pub(crate) fn jpeg(picture: &RgbImage, quality: u8, profile: Option<Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
    if let Some(profile) = profile {
        encoder.set_icc_profile(profile).unwrap();
    }
    let (width, height) = picture.dimensions();
    encoder.write_image(picture, width, height, image::ExtendedColorType::Rgb8).unwrap();
    bytes
}

/// A square that moves over stripes: this many frames, the first ones for 50 ms, the last for 400 ms.
pub(crate) fn animation(width: u32, height: u32, frames: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut bytes, 10);
    encoder.set_repeat(Repeat::Finite(3)).unwrap();
    for number in 0..frames {
        let picture = RgbaImage::from_fn(width, height, |x, y| {
            let at = number * 8;
            if (at..at + 24).contains(&x) && (20..44).contains(&y) {
                return Rgba([200, 30, 30, 255]);
            }
            let level = ((x * 10 / width * 5 + y * 10 / height * 11) % 24) as u8 * 10;
            Rgba([level, 255 - level, level / 2 + 60, 255])
        });
        let shown = if number + 1 == frames { 400 } else { 50 };
        let delay = Delay::from_numer_denom_ms(shown, 1);
        encoder.encode_frame(Frame::from_parts(picture, 0, 0, delay)).unwrap();
    }
    drop(encoder);
    bytes
}
