//! What each form saves of a sample, and what it takes to make.

use std::time::Duration;

use bytes::Bytes;
use image::{DynamicImage, ImageFormat};
use rustix::time::{ClockId, clock_gettime};
use switchback_images::{Alarm, Job, Outcome, Target, convert};
use switchback_variant::{Coding, Dictionary, Level, Levels, encode_whole};

use super::{pictures, texts};

/// One form of one sample.
#[derive(Clone, Debug)]
pub struct Saved {
    /// Of what.
    pub sample: &'static str,
    /// In which form.
    pub form: String,
    /// Bytes of the original.
    pub original: usize,
    /// Bytes of the form.
    pub bytes: usize,
    /// Time of one processor that it took.
    pub took: Duration,
}

impl Saved {
    /// How much smaller it is than `other` bytes, in percent.
    #[must_use]
    pub fn percent_under(&self, other: usize) -> f64 {
        100.0 - 100.0 * self.bytes as f64 / other.max(1) as f64
    }

    /// Milliseconds for a megabyte of the original.
    #[must_use]
    pub fn cost(&self) -> f64 {
        self.took.as_secs_f64() * 1e9 / self.original.max(1) as f64
    }
}

/// The levels of the first answer, and those of what is stored for long.
const LEVELS: [Levels; 2] = [Levels::FAST, Levels::BEST];
const CODINGS: [Coding; 3] = [Coding::Gzip, Coding::Br, Coding::Zstd];

/// A page and a bundle of scripts, of so many lines each, in each coding; and the next version of that bundle for who has the one
/// before.
///
/// # Panics
/// When an encoder fails.
#[must_use]
pub fn saved_of_texts(lines: usize) -> Vec<Saved> {
    let [page, bundle] = [texts::page(lines), texts::bundle(lines, 1)];
    let next = texts::bundle(lines, 2);
    let before = Dictionary::new(Bytes::from(bundle.clone())).expect("a bundle is no giant");
    let mut found = Vec::new();
    for (sample, text) in [("page", &page), ("bundle", &bundle)] {
        for levels in LEVELS {
            found.extend(
                CODINGS.map(|coding| coded(sample, text, (coding, levels.of(coding)), None)),
            );
        }
    }
    for levels in LEVELS {
        found.extend(
            [Coding::Dcb, Coding::Dcz].map(|coding| {
                coded("next bundle", &next, (coding, levels.of(coding)), Some(&before))
            }),
        );
    }
    found
}

fn coded(
    sample: &'static str,
    text: &[u8],
    (coding, level): (Coding, Level),
    dictionary: Option<&Dictionary>,
) -> Saved {
    let begun = processor_time();
    let coded = encode_whole(coding, level, text, dictionary).expect("an encoder takes text");
    let took = processor_time().saturating_sub(begun);
    let (original, bytes) = (text.len(), coded.len());
    Saved { sample, form: format!("{} {level}", coding.name()), original, bytes, took }
}

/// Photos, a screenshot, a logo and an animation as WebP, each side divided by `divisor`. What would not be smaller is the original.
#[must_use]
pub fn saved_of_pictures(divisor: u32) -> Vec<Saved> {
    let photo = pictures::photo(1920 / divisor, 1280 / divisor);
    let jpeg = pictures::jpeg(&photo, 90, None);
    let window = pictures::screenshot(1440 / divisor, 900 / divisor);
    let moving = pictures::animation(640 / divisor, 400 / divisor, 24);
    let png = |picture: DynamicImage| pictures::encoded(picture, ImageFormat::Png);
    [
        ("photo (JPEG)", jpeg),
        ("photo (PNG)", png(photo.into())),
        ("screenshot (PNG)", png(window.into())),
        ("logo (PNG)", png(pictures::logo(512 / divisor).into())),
        ("animation (GIF)", moving),
    ]
    .map(|(sample, source)| converted(sample, source))
    .into()
}

fn converted(sample: &'static str, source: Vec<u8>) -> Saved {
    let original = source.len();
    let begun = processor_time();
    let outcome = convert(&Job::new(source.into(), Target::WebP), &Alarm::never());
    let took = processor_time().saturating_sub(begun);
    let bytes = match &outcome {
        Outcome::Made(made) => made.bytes.len(),
        Outcome::Original(_) | Outcome::Broken(_) => original,
    };
    Saved { sample, form: outcome.to_string(), original, bytes, took }
}

/// Of this thread.
pub(super) fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let [seconds, nanoseconds] = [time.tv_sec, time.tv_nsec].map(i64::unsigned_abs);
    Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds)
}
