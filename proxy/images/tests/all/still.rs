//! Still pictures: what is kept, what is left out, how large they get.

use image::{DynamicImage, ImageDecoder, ImageFormat, Rgb};
use moxcms::ColorProfile;
use switchback_images::{Effort, Format, Quality, Reason, Target};

use crate::outcomes::{chunks, decoder, job, likeness, made, reason, seen};
use crate::samples::{encoded, jpeg, logo, photo, screenshot};

#[test]
fn a_photo_loses_a_third_of_its_bytes_and_nothing_that_is_seen() {
    let photo = photo(900, 600);
    let source = jpeg(&photo, 90, None);
    let made = made(&job(source.clone()));
    assert_eq!((made.facts.from, made.facts.frames), (Format::Jpeg, 1));
    assert!(made.saved() >= 30, "{} %", made.saved());
    let original = image::load_from_memory(&source).unwrap();
    let likeness = likeness(&seen(&made), &original);
    assert!(likeness > 34.0, "{likeness} dB");
    assert_eq!(made.facts.quality, Quality::new(79));
    assert_eq!(chunks(&made.bytes), ["VP8 "]);
}

#[test]
fn a_photo_in_a_png_is_treated_as_a_photo() {
    let photo = photo(400, 300);
    let made = made(&job(encoded(photo.clone(), ImageFormat::Png)));
    assert!(made.facts.quality.is_some() && made.saved() > 75, "{} %", made.saved());
    assert!(likeness(&seen(&made), &photo.into()) > 33.0);
}

#[test]
fn what_was_drawn_keeps_every_pixel() {
    let screenshot = screenshot(800, 500);
    for format in [ImageFormat::Png, ImageFormat::Gif] {
        let made = made(&job(encoded(DynamicImage::from(screenshot.clone()).to_rgba8(), format)));
        assert_eq!((made.facts.quality, chunks(&made.bytes)), (None, vec!["VP8L".to_owned()]));
        assert_eq!(seen(&made).to_rgb8(), screenshot, "{format:?}");
    }
}

#[test]
fn what_was_drawn_is_a_photo_after_a_jpeg() {
    let made = made(&job(jpeg(&screenshot(400, 300), 90, None)));
    assert!(made.facts.quality.is_some());
}

#[test]
fn what_is_transparent_stays_so() {
    let logo = logo(200);
    let made_of_few = made(&job(encoded(logo.clone(), ImageFormat::Png)));
    assert_eq!(made_of_few.facts.quality, None);
    let alpha = |picture: &DynamicImage| {
        picture.to_rgba8().pixels().map(|pixel| pixel.0[3]).collect::<Vec<_>>()
    };
    assert_eq!(alpha(&seen(&made_of_few)), alpha(&logo.into()));

    let mut soft = DynamicImage::from(photo(300, 300)).to_rgba8();
    soft.enumerate_pixels_mut().for_each(|(x, _, pixel)| pixel.0[3] = (x * 255 / 299) as u8);
    let made_of_many = made(&job(encoded(soft.clone(), ImageFormat::Png)));
    assert!(made_of_many.facts.quality.is_some());
    assert_eq!(alpha(&seen(&made_of_many)), alpha(&soft.into()));
}

#[test]
fn an_orientation_is_applied_and_its_metadata_dropped() {
    // A red corner at the top left, as stored.
    let mut picture = photo(320, 200);
    (0..60).for_each(|x| (0..60).for_each(|y| picture.put_pixel(x, y, Rgb([250, 0, 0]))));
    let plain = jpeg(&picture, 95, None);
    // From the value of the tag to the size, and where the corner is to be seen.
    for (orientation, size, corner) in [
        (1, (320, 200), (20, 20)),
        (3, (320, 200), (300, 180)),
        (6, (200, 320), (180, 20)),
        (8, (200, 320), (20, 300)),
    ] {
        let made = made(&job(with_orientation(&plain, orientation)));
        let seen = seen(&made).to_rgb8();
        assert_eq!(seen.dimensions(), size, "orientation {orientation}");
        let Rgb([red, green, blue]) = *seen.get_pixel(corner.0, corner.1);
        assert!(red > 200 && green < 60 && blue < 60, "orientation {orientation}");
        assert_eq!(chunks(&made.bytes), ["VP8 "], "no EXIF");
    }
}

#[test]
fn a_width_is_that_of_the_picture_turned_upright() {
    let source = with_orientation(&jpeg(&photo(600, 300), 95, None), 6);
    let narrowed = made(&switchback_images::Job { width: Some(150), ..job(source) });
    assert_eq!(seen(&narrowed).to_rgb8().dimensions(), (150, 300));
}

#[test]
fn wide_colours_keep_their_profile_and_srgb_needs_none() {
    let picture = photo(300, 200);
    let wide = ColorProfile::new_display_p3().encode().unwrap();
    let kept = made(&job(jpeg(&picture, 92, Some(wide.clone()))));
    assert!(kept.facts.profile);
    assert_eq!(chunks(&kept.bytes), ["VP8X", "ICCP", "VP8 "]);
    assert_eq!(decoder(&kept).icc_profile().unwrap(), Some(wide.clone()));
    seen(&kept);
    let srgb = ColorProfile::new_srgb().encode().unwrap();
    let dropped = made(&job(jpeg(&picture, 92, Some(srgb))));
    assert!(!dropped.facts.profile);
    assert_eq!(chunks(&dropped.bytes), ["VP8 "]);
}

#[test]
fn wide_colours_and_what_is_transparent_go_together() {
    use image::ImageEncoder;
    let wide = ColorProfile::new_adobe_rgb().encode().unwrap();
    let mut soft = DynamicImage::from(photo(300, 200)).to_rgba8();
    soft.pixels_mut().for_each(|pixel| pixel.0[3] = 128);
    for picture in [soft, logo(200)] {
        let mut source = Vec::new();
        let mut encoder = image::codecs::png::PngEncoder::new(&mut source);
        encoder.set_icc_profile(wide.clone()).unwrap();
        let (width, height) = picture.dimensions();
        let colours = image::ExtendedColorType::Rgba8;
        encoder.write_image(&picture, width, height, colours).unwrap();
        let made = made(&job(source));
        assert_eq!(decoder(&made).icc_profile().unwrap(), Some(wide.clone()));
        let alphas = |picture: &image::RgbaImage| {
            picture.pixels().map(|pixel| pixel.0[3]).collect::<Vec<_>>()
        };
        assert_eq!(alphas(&seen(&made).to_rgba8()), alphas(&picture));
    }
}

#[test]
fn a_narrower_picture_is_made_and_never_a_wider_one() {
    let source = jpeg(&photo(640, 427), 90, None);
    let wanted = |width| switchback_images::Job { width: Some(width), ..job(source.clone()) };
    let narrowed = made(&wanted(320));
    assert_eq!((narrowed.facts.width, narrowed.facts.height), (320, 214));
    let expected = image::load_from_memory(&source).unwrap();
    let expected = expected.resize_exact(320, 214, image::imageops::FilterType::Lanczos3);
    let likeness = likeness(&seen(&narrowed), &expected);
    assert!(likeness > 32.0, "{likeness} dB");
    let whole = made(&wanted(1280));
    assert_eq!((whole.facts.width, whole.facts.height), (640, 427));
    assert_eq!(whole.bytes, made(&job(source.clone())).bytes);
}

#[test]
fn what_is_not_clearly_smaller_is_not_sent() {
    let poor = job(jpeg(&photo(400, 300), 12, None));
    let best = switchback_images::Job { quality: Quality::new(100).unwrap(), ..poor };
    assert_eq!(reason(&best), Reason::Size);
}

#[test]
fn who_saves_data_gets_fewer_bytes() {
    let plain = job(jpeg(&photo(500, 400), 90, None));
    let saving = switchback_images::Job { save_data: Quality::new(64), ..plain.clone() };
    let (plain, saving) = (made(&plain), made(&saving));
    assert!(saving.bytes.len() * 100 < plain.bytes.len() * 90);
    assert_eq!(saving.facts.quality, Quality::new(64));
}

#[test]
fn more_effort_makes_fewer_bytes() {
    let quick = job(jpeg(&photo(500, 400), 90, None));
    let thorough = switchback_images::Job { effort: Effort::Thorough, ..quick.clone() };
    assert!(made(&thorough).bytes.len() < made(&quick).bytes.len());
}

#[test]
fn a_webp_is_not_made_again_but_narrowed() {
    let drawn = encoded(DynamicImage::from(photo(300, 200)), ImageFormat::WebP);
    assert_eq!(reason(&job(drawn.clone())), Reason::Format);
    let saving = switchback_images::Job { save_data: Quality::new(64), ..job(drawn.clone()) };
    assert_eq!(reason(&saving), Reason::Format, "it was stored without loss on purpose");
    let narrowed = made(&switchback_images::Job { width: Some(150), ..job(drawn) });
    assert_eq!((narrowed.facts.from, narrowed.facts.height), (Format::WebP, 100));
    let lossy = made(&job(jpeg(&photo(500, 400), 95, None))).bytes;
    assert_eq!(reason(&job(lossy.clone())), Reason::Format);
    let saving = made(&switchback_images::Job { save_data: Quality::new(64), ..job(lossy) });
    assert_eq!(saving.facts.quality, Quality::new(64));
}

#[test]
fn sixteen_bits_and_greys_become_eight_and_colours() {
    let deep = DynamicImage::from(photo(200, 200)).to_rgb16();
    let deep = made(&job(encoded(deep, ImageFormat::Png)));
    assert!(likeness(&seen(&deep), &photo(200, 200).into()) > 33.0);
    let grey = DynamicImage::from(photo(200, 200)).to_luma8();
    let made_of_grey = made(&job(encoded(grey.clone(), ImageFormat::Png)));
    assert_eq!(made_of_grey.facts.quality, None, "256 levels are few colours");
    assert_eq!(seen(&made_of_grey).to_luma8(), grey);
}

#[test]
fn avif_is_made_where_it_is_built() {
    let source = jpeg(&photo(300, 200), 90, None);
    let job = switchback_images::Job {
        target: Target::Avif,
        quality: Quality::default_of(Target::Avif),
        ..job(source)
    };
    if !Target::Avif.is_built() {
        assert_eq!(reason(&job), Reason::NotBuilt);
        return;
    }
    let made = made(&switchback_images::Job { width: Some(150), ..job });
    assert_eq!(made.bytes.get(4..12), Some(b"ftypavif".as_slice()));
    assert_eq!((made.target.media_type(), made.facts.height), ("image/avif", 100));
    let named = b"colrnclx\0\x01\0\x0d\0\x06\x80";
    assert!(made.bytes.windows(named.len()).any(|bytes| bytes == named), "sRGB, in full range");
}

/// The same JPEG with an EXIF orientation (TIFF tag 0x0112).
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01".to_vec();
    exif.extend_from_slice(b"\x01\x12\0\x03\0\0\0\x01\0");
    exif.push(orientation);
    exif.extend_from_slice(b"\0\0\0\0\0\0");
    [&jpeg[..2], &exif, &jpeg[2..]].concat()
}
