//! What became of a job, and what another decoder sees of it.

use std::io::Cursor;

use bytes::Bytes;
use image::DynamicImage;
use image::codecs::webp::WebPDecoder;
use switchback_images::{Alarm, Flaw, Job, Made, Outcome, Reason, Target, convert};

/// A job on these bytes.
pub(crate) fn job(source: impl Into<Vec<u8>>) -> Job {
    Job::new(Bytes::from(source.into()), Target::WebP)
}

pub(crate) fn run(job: &Job) -> Outcome {
    convert(job, &Alarm::never())
}

pub(crate) fn made(job: &Job) -> Made {
    match run(job) {
        Outcome::Made(made) => made,
        other => panic!("{other}"),
    }
}

pub(crate) fn reason(job: &Job) -> Reason {
    match run(job) {
        Outcome::Original(reason) => reason,
        other => panic!("{other}"),
    }
}

pub(crate) fn flaw(job: &Job) -> Flaw {
    match run(job) {
        Outcome::Broken(flaw) => flaw,
        other => panic!("{other}"),
    }
}

pub(crate) fn decoder(made: &Made) -> WebPDecoder<Cursor<&[u8]>> {
    WebPDecoder::new(Cursor::new(&made.bytes[..])).unwrap()
}

/// What was made, as another decoder sees it.
pub(crate) fn seen(made: &Made) -> DynamicImage {
    let picture = DynamicImage::from_decoder(decoder(made)).unwrap();
    assert_eq!((picture.width(), picture.height()), (made.facts.width, made.facts.height));
    picture
}

/// How alike two pictures are, in decibels: above 30 few see a difference.
pub(crate) fn likeness(one: &DynamicImage, other: &DynamicImage) -> f64 {
    let (one, other) = (one.to_rgba8(), other.to_rgba8());
    assert_eq!(one.dimensions(), other.dimensions());
    let squares = one.iter().zip(other.iter()).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    let mean = squares.sum::<f64>() / one.len() as f64;
    10.0 * (255.0 * 255.0 / mean.max(1e-9)).log10()
}

/// The names of the chunks of a WebP.
pub(crate) fn chunks(webp: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = &webp[12..];
    while let Some((head, after)) = rest.split_at_checked(8) {
        names.push(String::from_utf8_lossy(&head[..4]).into_owned());
        let length = u32::from_le_bytes(head[4..].try_into().unwrap()) as usize;
        rest = &after[(length + length % 2).min(after.len())..];
    }
    names
}
