//! What is made of images.

use super::define::model;
use super::switch::OrOn;
use super::table::OneOrMany;
use super::text::{Count, OrOff};
use crate::at::At;
use crate::plan::ImageFormat;
use crate::units::{Size, Timeout};

/// `images = "on"`, `images = { .. }` or `images = "off"`.
pub type ImagesOrOff = OrOff<OrOn<Images>>;

model! {
    /// Makes smaller images of those that an upstream answers with (JPEG, PNG, GIF and WebP), for clients that say in `Accept` that they
    /// know the format. What would not be smaller, is broken or too large is sent as it is. Where nothing else is wanted,
    /// `images = "on"`.
    pub struct Images: Default {
        /// What is made: `"webp"`, and `"avif"` in builds that have it. Where a client likes several alike, the first.
        pub formats: At<OneOrMany<At<ImageFormat>>> = At::from(OneOrMany(vec![At::from(ImageFormat::Webp)])),
        /// How like the original an image stays that loses something, as WebP counts it; AVIF gets what looks alike.
        pub quality: At<Count<1, 100>> = At::from(Count::clamped(80)),
        /// The same for clients that ask to save data (`Save-Data`). Without it, 15 less than `quality`, and at least 1.
        pub save_data_quality: Option<At<Count<1, 100>>> = None,
        /// The widths in pixels that images are made in: the next one up from what the client has room for, but never more than the
        /// image has. Without it, each keeps its own.
        pub widths: Vec<At<Count<1, 16_383>>> = Vec::new(),
        /// When they are made. `"background"` sends the original first and makes the image for those who ask later. `"inline"` has
        /// clients wait for it, at most for `deadline`, if the original is stored already.
        pub mode: ImageMode = ImageMode::Background,
        /// How long clients wait with `mode = "inline"` before they get the original.
        pub deadline: At<Timeout> = Timeout::milliseconds(300).into(),
        /// Whether pages of the site ask browsers to tell what they have room for (`Accept-CH`), where there are `widths`. Without it,
        /// only those that tell it unasked get other widths.
        pub hints: At<bool> = At::from(true),
        /// Whether animated images become animated WebP. Otherwise they are sent as they are.
        pub animated: At<bool> = At::from(true),
        /// Larger images are sent as they are.
        pub max_bytes: At<Size> = Size::mib(20).into(),
        /// Images of more pixels, in all frames together, are sent as they are.
        pub max_pixels: Count<1, 268_402_689> = Count::clamped(40_000_000),
        /// Images of more frames are sent as they are.
        pub max_frames: At<Count<1, 1000>> = At::from(Count::clamped(60)),
    }
}

/// When images are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageMode {
    /// Behind the first answer, for those who ask later.
    Background,
    /// While the client waits.
    Inline,
}
