//! What is made of images.

use std::sync::Arc;
use std::time::Duration;

use super::build::Findings;
use super::{CachePlan, Plan};
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::model::{ImageMode, Images};
use crate::units::Bytes;

/// What is made of images.
#[derive(Clone, Debug, PartialEq)]
pub struct ImagesPlan {
    /// The formats, with their places; of those that a client likes alike, the first is taken. Never empty. Whether the program can
    /// make them is found when the plan is assembled: [`missing_image_formats`].
    pub formats: Vec<At<ImageFormat>>,
    /// How like the original, 1 to 100.
    pub quality: u8,
    /// The same for clients that ask to save data.
    pub save_data_quality: u8,
    /// The widths, ascending, each once. Without any, each image keeps its own.
    pub widths: Vec<u16>,
    /// When they are made.
    pub mode: ImageModePlan,
    /// Whether browsers are asked to tell what they have room for. Never where there are no widths.
    pub hints: bool,
    /// Whether animated images become animated ones.
    pub animated: bool,
    /// Larger images are sent as they are.
    pub max_bytes: u64,
    /// Images of more pixels, in all frames together, are.
    pub max_pixels: u64,
    /// Images of more frames are.
    pub max_frames: u32,
}

/// A format that images are made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ImageFormat {
    /// Smallest, and slow to make; not in every build.
    Avif,
    /// Known to all browsers.
    Webp,
}

impl ImageFormat {
    /// Its name in configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Avif => "avif",
            Self::Webp => "webp",
        }
    }
}

/// When images are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageModePlan {
    /// Behind the first answer.
    Background,
    /// While the client waits, at most so long.
    Inline {
        /// Then it gets the original.
        deadline: Duration,
    },
}

/// That a build makes only `made`, and `plan` asks for more: one error for each place.
#[must_use]
pub fn missing_image_formats(plan: &Plan, made: &[ImageFormat]) -> Vec<Diagnostic> {
    let mut seen: Vec<*const ImagesPlan> = Vec::new();
    let mut found = Vec::new();
    for images in plan.routes.iter().filter_map(|route| route.variants.images.as_ref()) {
        // Routes that have it from their site share one.
        if seen.contains(&Arc::as_ptr(images)) {
            continue;
        }
        seen.push(Arc::as_ptr(images));
        let missing = images.formats.iter().filter(|format| !made.contains(&format.value));
        found.extend(missing.map(|format| missing_format(format, &images.formats)));
    }
    found
}

fn missing_format(format: &At<ImageFormat>, beside: &[At<ImageFormat>]) -> Diagnostic {
    let name = format.value.name();
    let message = format!("this build makes no images in `{name}`");
    let hint = match beside {
        [_] => "`webp` is made by every build".to_owned(),
        _ => format!("leave it out, or build with the feature `{name}`"),
    };
    Diagnostic::error(Code::ImageFormat, format.at.clone(), message).hint(hint)
}

/// `cache` is what keeps the images.
pub(super) fn plan(
    images: &Images,
    cache: Option<&CachePlan>,
    findings: &mut Findings<'_>,
) -> Arc<ImagesPlan> {
    if images.formats.is_empty() {
        let at = images.formats.at.clone();
        let diagnostic = Diagnostic::error(Code::Empty, at, "nothing is made of images here");
        findings.report(diagnostic.hint("`images = \"off\"` leaves them as they are"));
    }
    findings.each_once(&images.formats.value, "this format is named twice");
    check_effect(images, findings);
    let quality = byte(images.quality.value.value());
    Arc::new(ImagesPlan {
        formats: images.formats.value.0.clone(),
        quality,
        save_data_quality: save_data_quality(images, quality, findings),
        widths: widths(images, findings),
        mode: match images.mode {
            ImageMode::Background => ImageModePlan::Background,
            ImageMode::Inline => ImageModePlan::Inline { deadline: images.deadline.std() },
        },
        hints: images.hints.value && !images.widths.is_empty(),
        animated: images.animated.value,
        max_bytes: max_bytes(images, cache, findings),
        max_pixels: images.max_pixels.value().into(),
        max_frames: images.max_frames.value.value(),
    })
}

/// Percentages fit.
fn byte(count: u32) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}

fn save_data_quality(images: &Images, quality: u8, findings: &mut Findings<'_>) -> u8 {
    const LESS: u8 = 15;
    let Some(said) = &images.save_data_quality else {
        return quality.saturating_sub(LESS).max(1);
    };
    let saving = byte(said.value.value());
    if saving > quality {
        let message =
            format!("who saves data would get more than others: `quality` is {quality} here");
        findings.error(Code::VariantUnfit, &said.at, message);
    }
    saving
}

/// What the table of a route may cost: each image is kept in so many widths at most, in each format.
const MOST_WIDTHS: usize = 32;

fn widths(images: &Images, findings: &mut Findings<'_>) -> Vec<u16> {
    findings.each_once(&images.widths, "this width is named twice");
    if let Some(one_more) = images.widths.get(MOST_WIDTHS) {
        let message = format!("there are {} widths here", images.widths.len());
        let diagnostic = Diagnostic::error(Code::OutOfRange, one_more.at.clone(), message);
        findings.report(
            diagnostic.hint(format!("at most {MOST_WIDTHS}: each image is kept in all of them")),
        );
    }
    let mut widths: Vec<u16> =
        images.widths.iter().filter_map(|width| width.value.value().try_into().ok()).collect();
    widths.sort_unstable();
    widths.dedup();
    widths
}

/// An image is in memory as a whole while another is made of it.
const LARGEST: u64 = 256 << 20;

fn max_bytes(images: &Images, cache: Option<&CachePlan>, findings: &mut Findings<'_>) -> u64 {
    let (most, at) = (images.max_bytes.bytes(), &images.max_bytes.at);
    if most > LARGEST {
        let message = format!("{} are more than one image may have", Bytes(most));
        let diagnostic = Diagnostic::error(Code::OutOfRange, at.clone(), message);
        findings.report(diagnostic.hint(format!("at most {}", Bytes(LARGEST))));
    }
    let kept = cache.map(|cache| cache.max_object).filter(|kept| *kept < most);
    if let Some(kept) = kept.filter(|_| at.file().is_some()) {
        let message = format!("`max_bytes` has no effect: no body over {} is stored", Bytes(kept));
        findings.report(Diagnostic::warning(Code::NoEffect, at.clone(), message));
    }
    most
}

/// What is written and can change nothing beside what else is.
fn check_effect(images: &Images, findings: &mut Findings<'_>) {
    let mut no_effect = |at: &Location, message: &str| {
        if at.file().is_some() {
            findings.report(Diagnostic::warning(Code::NoEffect, at.clone(), message));
        }
    };
    if images.mode == ImageMode::Background {
        no_effect(
            &images.deadline.at,
            "`deadline` has no effect: nobody waits unless `mode` is \"inline\"",
        );
    }
    if images.hints.value && images.widths.is_empty() {
        no_effect(&images.hints.at, "`hints` has no effect: there are no `widths` to choose from");
    }
    if !images.animated.value {
        no_effect(
            &images.max_frames.at,
            "`max_frames` has no effect: with `animated = false`, no image of several is made",
        );
    }
}
