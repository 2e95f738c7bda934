//! What is no picture, another one than is said, or broken.

use std::sync::LazyLock;

use image::ImageFormat;
use proptest::prelude::*;
use switchback_images::{Flaw, Format, Job, Limits, Outcome, Reason};

use crate::outcomes::{flaw, job, made, reason, run};
use crate::samples::{animation, encoded, jpeg, logo, photo, screenshot};

static ONE_OF_EACH: LazyLock<[(Format, Vec<u8>); 4]> = LazyLock::new(|| {
    let photo = photo(160, 120);
    [
        (Format::Jpeg, jpeg(&photo, 90, None)),
        (Format::Png, encoded(screenshot(160, 120), ImageFormat::Png)),
        (Format::Gif, animation(160, 100, 3)),
        (Format::WebP, encoded(photo, ImageFormat::WebP)),
    ]
});

#[test]
fn what_is_no_picture_is_left_alone() {
    assert_eq!(reason(&job(b"<svg xmlns='http://www.w3.org/2000/svg'/>")), Reason::Vector);
    for other in [b"".as_slice(), b"<html>", b"GIF", b"BM\x9a\0\0\0", b"\0\0\0\x1cftypavif"] {
        assert_eq!(reason(&job(other)), Reason::Unsupported, "{}", other.escape_ascii());
    }
}

#[test]
fn what_is_not_what_it_says_is_left_alone() {
    for (format, source) in &*ONE_OF_EACH {
        for declared in [Format::Jpeg, Format::Png, Format::Gif, Format::WebP] {
            let job = Job { declared: Some(declared), width: Some(60), ..job(source.clone()) };
            if declared == *format {
                made(&job);
            } else {
                assert_eq!(reason(&job), Reason::Mislabelled);
            }
        }
    }
}

#[test]
fn what_is_cut_short_is_broken() {
    for (format, source) in &*ONE_OF_EACH {
        for cut in [source.len() / 3, source.len() / 2, source.len() * 9 / 10] {
            let job = Job { width: Some(60), ..job(&source[..cut]) };
            assert_eq!(flaw(&job), Flaw::Truncated, "{format:?}, {cut} of {}", source.len());
        }
    }
}

#[test]
fn what_ends_oddly_is_whole_all_the_same() {
    let [(_, jpeg), _, (_, mut gif), _] = ONE_OF_EACH.clone();
    // Many animations have no trailer, and many photos something after their end.
    gif.pop();
    made(&Job { width: Some(60), ..job(gif) });
    made(&job([&jpeg[..], b"something"].concat()));
}

#[test]
fn what_contradicts_itself_is_broken() {
    let png = encoded(logo(64), ImageFormat::Png);
    let mut flipped = png.clone();
    let middle = png.len() / 2;
    flipped[middle] ^= 0x55;
    assert_eq!(flaw(&job(flipped)), Flaw::Corrupt);
    let mut sizeless = png;
    sizeless[16..20].fill(0);
    assert_eq!(flaw(&job(sizeless)), Flaw::Corrupt);
    assert_eq!(flaw(&job(b"\xff\xd8\xff\xd9")), Flaw::Corrupt);
    assert_eq!(flaw(&job(b"GIF89a\x05\0\x05\0\0\0\0;")), Flaw::Corrupt);
}

#[test]
fn colours_that_would_change_are_left_alone() {
    // Of a JPEG in CMYK the head is enough.
    let cmyk = b"\xff\xd8\xff\xc0\0\x14\x08\0\x10\0\x10\x04\x01\x11\0\x02\x11\0\x03\x11\0\x04\x11\0\xff\xda\0\x02\xff\xd9";
    assert_eq!(reason(&job(cmyk)), Reason::Colours);
    // PNG that says by number that it is BT.2100 PQ, and one that says it is sRGB.
    let png = encoded(photo(64, 64), ImageFormat::Png);
    let rest = png[33..].to_vec();
    let with = |chunks: &[&[u8]]| {
        let mut png = png[..33].to_vec();
        for chunk in chunks {
            png.extend_from_slice(&(chunk.len() as u32 - 4).to_be_bytes());
            png.extend_from_slice(chunk);
            png.extend_from_slice(&crc(chunk).to_be_bytes());
        }
        png.extend_from_slice(&rest);
        job(png)
    };
    assert_eq!(reason(&with(&[b"cICP\x09\x10\0\x01"])), Reason::Colours);
    made(&with(&[b"cICP\x01\x0d\0\x01"]));
    // A gamma of 1.0 changes what is seen, unless sRGB is named too; 1/2.2 is sRGB's.
    let linear = b"gAMA\0\x01\x86\xa0".as_slice();
    assert_eq!(reason(&with(&[linear])), Reason::Colours);
    made(&with(&[b"sRGB\0", linear]));
    made(&with(&[b"gAMA\0\0\xb1\x8f"]));
}

/// The checksum of a chunk of a PNG.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever becomes of a picture on its way: there is an outcome, within bounds, and no panic.
    #[test]
    fn damage_ends_in_an_outcome(
        which in 0..4_usize,
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (_, mut source) = ONE_OF_EACH[which].clone();
        for (at, byte) in hits {
            let at = at.index(source.len());
            source[at] = byte;
        }
        if let Some(cut) = cut {
            source.truncate(cut.index(source.len()));
        }
        let limits = Limits { pixels: 1 << 20, memory: 64 << 20, ..Limits::default() };
        let outcome = run(&Job { width: Some(60), limits, ..job(source.clone()) });
        if let Outcome::Made(made) = &outcome {
            prop_assert!(made.bytes.len() * 100 <= source.len() * 95);
            prop_assert!(image::load_from_memory(&made.bytes).is_ok());
        }
        prop_assert!(!matches!(outcome, Outcome::Original(Reason::Panicked)), "{outcome}");
    }
}
