//! Pixels, and another size of them.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::DynamicImage;

use crate::Reason;

/// Pixels of 8 bits per sample, row by row without gaps.
pub(crate) struct Raster {
    width: u32,
    height: u32,
    has_alpha: bool,
    samples: Vec<u8>,
}

impl Raster {
    /// Three samples per pixel, or four where some of it may be transparent.
    pub(crate) fn new(picture: DynamicImage) -> Self {
        let (width, height) = (picture.width(), picture.height());
        let has_alpha = picture.color().has_alpha();
        let samples = if has_alpha {
            picture.into_rgba8().into_raw()
        } else {
            picture.into_rgb8().into_raw()
        };
        Self { width, height, has_alpha, samples }
    }

    pub(crate) fn width(&self) -> u32 {
        self.width
    }

    pub(crate) fn height(&self) -> u32 {
        self.height
    }

    pub(crate) fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    pub(crate) fn has_alpha(&self) -> bool {
        self.has_alpha
    }

    /// Samples per pixel: 3 or 4.
    pub(crate) fn channels(&self) -> usize {
        if self.has_alpha { 4 } else { 3 }
    }

    /// Exactly width times height times channels of them.
    pub(crate) fn samples(&self) -> &[u8] {
        &self.samples
    }

    /// The same picture in another size: by Lanczos' filter, with colours weighted by how opaque they are.
    pub(crate) fn resized(self, (width, height): (u32, u32)) -> Result<Self, Reason> {
        if self.size() == (width, height) {
            return Ok(self);
        }
        let pixel = if self.has_alpha { PixelType::U8x4 } else { PixelType::U8x3 };
        let source = ImageRef::new(self.width, self.height, &self.samples, pixel)
            .map_err(|_| Reason::Encoder)?;
        let mut resized = Image::new(width, height, pixel);
        let filter = ResizeAlg::Convolution(FilterType::Lanczos3);
        let options = ResizeOptions::new().resize_alg(filter).use_alpha(self.has_alpha);
        Resizer::new().resize(&source, &mut resized, &options).map_err(|_| Reason::Encoder)?;
        Ok(Self { width, height, has_alpha: self.has_alpha, samples: resized.into_vec() })
    }
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, Rgba, RgbaImage};

    use super::Raster;

    #[test]
    fn colours_of_what_is_transparent_do_not_bleed() {
        // Opaque green beside red that nobody sees.
        let picture = RgbaImage::from_fn(64, 64, |x, _| {
            if x < 32 { Rgba([0, 255, 0, 255]) } else { Rgba([255, 0, 0, 0]) }
        });
        let small = Raster::new(DynamicImage::ImageRgba8(picture)).resized((16, 16)).ok().unwrap();
        assert_eq!((small.size(), small.channels()), ((16, 16), 4));
        for pixel in small.samples().chunks_exact(4).filter(|pixel| pixel[3] > 8) {
            assert!(pixel[0] < 16 && pixel[1] > 239, "{pixel:?}");
        }
    }
}
