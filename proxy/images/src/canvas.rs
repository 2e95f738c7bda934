//! The frames of an animated WebP, put together here: the decoder's own blending makes what lies below darker by a level with each
//! frame.

use std::io::Cursor;

use image::codecs::webp::WebPDecoder;
use image::{DynamicImage, ImageDecoder, ImageError, Rgba, RgbaImage};

use crate::header::webp::{WebPFrame, frames};
use crate::webp::riff;

/// What has been shown so far, and what comes.
pub(crate) struct Canvas<'a> {
    picture: RgbaImage,
    frames: Box<dyn Iterator<Item = WebPFrame<'a>> + 'a>,
    /// What is cleared before the next frame.
    cleared: Option<Area>,
}

#[derive(Clone, Copy)]
struct Area {
    place: (u32, u32),
    size: (u32, u32),
}

/// Why a frame cannot be shown.
pub(crate) enum Unshown {
    /// It reaches beyond the canvas, or is of another size than it says.
    Misplaced,
    /// Its picture cannot be decoded.
    Undecoded(ImageError),
}

impl<'a> Canvas<'a> {
    /// A clear canvas of this size for the frames of `file`.
    pub(crate) fn new(file: &'a [u8], (width, height): (u32, u32)) -> Self {
        let picture = RgbaImage::new(width, height);
        Self { picture, frames: Box::new(frames(file)), cleared: None }
    }

    /// The next frame, whole, and for how many milliseconds it is shown.
    pub(crate) fn next(&mut self) -> Option<Result<(RgbaImage, u32), Unshown>> {
        let frame = self.frames.next()?;
        Some(self.show(&frame).map(|()| (self.picture.clone(), frame.shown)))
    }

    fn show(&mut self, frame: &WebPFrame<'_>) -> Result<(), Unshown> {
        let area = Area { place: frame.place, size: frame.size };
        let is_within = |place: u32, size: u32, side: u32| {
            place.checked_add(size).is_some_and(|end| end <= side)
        };
        let (width, height) = self.picture.dimensions();
        if !is_within(area.place.0, area.size.0, width)
            || !is_within(area.place.1, area.size.1, height)
        {
            return Err(Unshown::Misplaced);
        }
        let drawn = decode(frame)?;
        if let Some(cleared) = self.cleared.take() {
            self.change(cleared, |_, _, pixel| *pixel = Rgba([0; 4]));
        }
        self.change(area, |x, y, pixel| {
            let above = *drawn.get_pixel(x, y);
            *pixel = if frame.is_blended { over(*pixel, above) } else { above };
        });
        self.cleared = frame.is_cleared.then_some(area);
        Ok(())
    }

    /// Changes every pixel of an area that lies within the canvas.
    fn change(&mut self, area: Area, mut change: impl FnMut(u32, u32, &mut Rgba<u8>)) {
        for y in 0..area.size.1 {
            for x in 0..area.size.0 {
                change(x, y, self.picture.get_pixel_mut(area.place.0 + x, area.place.1 + y));
            }
        }
    }
}

/// The picture of one frame, which is a file of its own but for its beginning.
fn decode(frame: &WebPFrame<'_>) -> Result<RgbaImage, Unshown> {
    let file = riff::still(frame.image, frame.size).ok_or(Unshown::Misplaced)?;
    let decoder = WebPDecoder::new(Cursor::new(file)).map_err(Unshown::Undecoded)?;
    if decoder.dimensions() != frame.size {
        return Err(Unshown::Misplaced);
    }
    Ok(DynamicImage::from_decoder(decoder).map_err(Unshown::Undecoded)?.into_rgba8())
}

/// One colour over another, neither weighted by how opaque it is.
fn over(Rgba(below): Rgba<u8>, Rgba(above): Rgba<u8>) -> Rgba<u8> {
    let ([r, g, b, covered], [red, green, blue, opaque]) = (below, above);
    match opaque {
        0 => return Rgba(below),
        255 => return Rgba(above),
        _ => {}
    }
    let upper = u32::from(opaque) * 255;
    let lower = u32::from(covered) * (255 - u32::from(opaque));
    let whole = upper + lower;
    let mix = |below: u8, above: u8| {
        let sum = u32::from(above) * upper + u32::from(below) * lower;
        u8::try_from((sum + whole / 2) / whole).unwrap_or(u8::MAX)
    };
    let opaque = u8::try_from((whole + 127) / 255).unwrap_or(u8::MAX);
    Rgba([mix(r, red), mix(g, green), mix(b, blue), opaque])
}

#[cfg(test)]
mod tests {
    use image::Rgba;
    use proptest::prelude::*;

    use super::over;

    proptest! {
        #[test]
        fn a_blend_lies_between_and_nothing_over_something_changes_it_not(below: [u8; 4], above: [u8; 4]) {
            let Rgba(mixed) = over(Rgba(below), Rgba(above));
            prop_assert!(mixed[3] >= below[3].max(above[3]));
            for channel in 0..3 {
                let (low, high) = (below[channel].min(above[channel]), below[channel].max(above[channel]));
                prop_assert!((low..=high).contains(&mixed[channel]));
            }
            let clear = Rgba([above[0], above[1], above[2], 0]);
            prop_assert_eq!(over(Rgba(below), clear), Rgba(below));
        }
    }

    #[test]
    fn half_of_white_over_black_is_grey() {
        assert_eq!(
            over(Rgba([0, 0, 0, 255]), Rgba([255, 255, 255, 128])),
            Rgba([128, 128, 128, 255])
        );
        // Over nothing a colour keeps its own.
        assert_eq!(over(Rgba([9, 9, 9, 0]), Rgba([200, 100, 50, 77])), Rgba([200, 100, 50, 77]));
    }
}
