//! The committed inputs of the fuzzer, replayed.

use std::path::Path;

use image::ImageFormat;
use proptest::prelude::*;
use switchback_images::{Job, check_conversion, check_header};

use crate::outcomes::{job, made};
use crate::samples::{animation, encoded, jpeg, logo, photo, screenshot};

type Check = fn(&[u8]);

const CHECKS: [(&str, Check); 2] =
    [("picture_head", check_header as Check), ("picture", check_conversion as Check)];

#[test]
fn every_committed_input_keeps_every_promise() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../integration/fuzz/corpus");
    for (name, check) in CHECKS {
        let inputs = std::fs::read_dir(corpus.join(name)).unwrap();
        let inputs: Vec<_> = inputs.map(|entry| entry.unwrap().path()).collect();
        assert!(inputs.len() >= 10, "{name}");
        for input in inputs {
            // A test that panics names the input it panicked on.
            eprintln!("{}", input.display());
            check(&std::fs::read(&input).unwrap());
        }
    }
}

/// Small pictures of every kind that the head knows.
fn seeds() -> Vec<Vec<u8>> {
    let photo = photo(40, 30);
    let lossy = made(&job(jpeg(&crate::samples::photo(100, 80), 90, None))).bytes;
    let mut soft = image::DynamicImage::from(photo.clone()).to_rgba8();
    soft.pixels_mut().for_each(|pixel| pixel.0[3] = pixel.0[0]);
    let png = encoded(soft.clone(), ImageFormat::Png);
    let transparent = made(&Job { width: Some(24), ..job(png.clone()) }).bytes;
    vec![
        jpeg(&photo, 80, None),
        jpeg(&photo, 80, moxcms::ColorProfile::new_srgb().encode().ok()),
        png,
        encoded(screenshot(40, 30), ImageFormat::Png),
        encoded(image::DynamicImage::from(photo.clone()).to_luma8(), ImageFormat::Png),
        encoded(image::DynamicImage::from(photo.clone()).to_rgb16(), ImageFormat::Png),
        animation(40, 30, 3),
        encoded(logo(20), ImageFormat::Gif),
        encoded(photo, ImageFormat::WebP),
        lossy.to_vec(),
        transparent.to_vec(),
        made(&job(animation(160, 100, 4))).bytes.to_vec(),
        b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(),
    ]
}

#[test]
#[ignore = "writes the first inputs of the fuzzer"]
fn write_seeds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../integration/fuzz/corpus");
    for (name, _) in CHECKS {
        std::fs::create_dir_all(corpus.join(name)).unwrap();
        for (number, seed) in seeds().iter().enumerate() {
            std::fs::write(corpus.join(name).join(format!("{number:02}")), seed).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_seeds_keep_every_promise(
        which in any::<prop::sample::Index>(),
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        static SEEDS: std::sync::LazyLock<Vec<Vec<u8>>> = std::sync::LazyLock::new(seeds);
        let mut bytes = which.get(&SEEDS).clone();
        for (at, byte) in hits {
            // The head is where damage is understood.
            let at = at.index(bytes.len().min(200));
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        check_header(&bytes);
        check_conversion(&bytes);
    }
}
