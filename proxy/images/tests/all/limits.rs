//! What is too much, and how soon that is known.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use image::ImageFormat;
use switchback_images::{
    Alarm, Job, Limits, Outcome, Pool, PoolSettings, Reason, Submitted, convert,
};

use crate::outcomes::{job, made, reason};
use crate::samples::{encoded, jpeg, photo, screenshot};

/// Heads that claim much more than follows.
fn bombs() -> [(&'static str, Vec<u8>); 4] {
    let mut png = encoded(screenshot(64, 64), ImageFormat::Png);
    png[16..24].copy_from_slice(&[0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50]);
    let mut gif = encoded(image::RgbaImage::new(8, 8), ImageFormat::Gif);
    gif[6..10].fill(0xff);
    let mut webp = encoded(photo(32, 32), ImageFormat::WebP);
    webp[21..25].copy_from_slice(&[0xff, 0xff, 0xff, 0x0f]);
    let mut jpeg = jpeg(&photo(32, 32), 80, None);
    let frame = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].fill(0xfe);
    [("png", png), ("gif", gif), ("webp", webp), ("jpeg", jpeg)]
}

#[test]
fn fifty_thousand_squared_is_refused_in_less_than_five_milliseconds() {
    for (name, bomb) in bombs() {
        let job = job(bomb);
        let quickest = (0..5).map(|_| {
            let begun = Instant::now();
            assert_eq!(reason(&job), Reason::Pixels, "{name}");
            begun.elapsed()
        });
        let quickest = quickest.min().unwrap();
        assert!(quickest < Duration::from_millis(5), "{name}: {quickest:?}");
    }
}

#[test]
fn more_bytes_pixels_or_memory_than_allowed_leave_the_original() {
    let source = jpeg(&photo(200, 100), 90, None);
    let over = |change: fn(&mut Limits, u64)| {
        let mut limits = Limits::default();
        change(&mut limits, source.len() as u64);
        reason(&Job { limits, ..job(source.clone()) })
    };
    assert_eq!(over(|limits, bytes| limits.bytes = bytes - 1), Reason::Bytes);
    assert_eq!(over(|limits, _| limits.pixels = 200 * 100 - 1), Reason::Pixels);
    assert_eq!(over(|limits, _| limits.memory = 200 * 100 * 7), Reason::Memory);
    let limits = Limits { bytes: source.len() as u64, pixels: 200 * 100, ..Limits::default() };
    made(&Job { limits, ..job(source) });
}

#[test]
fn a_narrow_form_needs_less_memory_than_a_wide_one() {
    let source = jpeg(&photo(1000, 600), 90, None);
    let limits = Limits { memory: source.len() as u64 * 2 + 600_000 * 9, ..Limits::default() };
    assert_eq!(reason(&Job { limits, ..job(source.clone()) }), Reason::Memory);
    made(&Job { limits, width: Some(100), ..job(source) });
}

#[test]
fn sides_that_the_format_cannot_say_leave_the_original() {
    let strip = encoded(screenshot(16_400, 4), ImageFormat::Png);
    assert_eq!(reason(&job(strip.clone())), Reason::Dimensions);
    assert_eq!(made(&Job { width: Some(8000), ..job(strip) }).facts.height, 2);
}

#[test]
fn a_profile_that_unfolds_into_gigabytes_stays_within_its_limit() {
    let zeroes = vec![0; 4 << 20];
    let picture = photo(64, 64);
    let mut source = Vec::new();
    let mut encoder = image::codecs::png::PngEncoder::new(&mut source);
    image::ImageEncoder::set_icc_profile(&mut encoder, zeroes).unwrap();
    let colours = image::ExtendedColorType::Rgb8;
    image::ImageEncoder::write_image(encoder, &picture, 64, 64, colours).unwrap();
    assert!(source.len() < 64 << 10);
    // It is too large to keep, and where less memory is allowed it is not unfolded.
    assert_eq!(reason(&job(source.clone())), Reason::Colours);
    let limits = Limits { memory: 1 << 20, ..Limits::default() };
    let outcome = crate::outcomes::run(&Job { limits, ..job(source) });
    assert!(!matches!(outcome, Outcome::Original(Reason::Colours)), "{outcome}");
}

#[test]
fn a_job_stops_at_its_time_and_when_nobody_waits() {
    let job = job(jpeg(&photo(100, 100), 90, None));
    let late = Alarm::after(Duration::ZERO, Arc::default());
    assert!(matches!(convert(&job, &late), Outcome::Original(Reason::Slow)));
    let left = Alarm::after(Duration::from_secs(60), Arc::new(AtomicBool::new(true)));
    assert!(matches!(convert(&job, &left), Outcome::Original(Reason::Abandoned)));
}

#[tokio::test]
async fn a_pool_makes_the_same_as_a_thread() {
    let pool = Pool::start(PoolSettings::for_cores(2)).unwrap();
    let job = job(jpeg(&photo(200, 150), 90, None));
    let Submitted::Queued(ticket) = pool.submit(1, job.clone()) else { panic!("busy") };
    let outcome = ticket.outcome().await;
    let Outcome::Made(made) = &*outcome else { panic!("{outcome}") };
    assert_eq!(made.bytes, crate::outcomes::made(&job).bytes);
    let counts = pool.counts();
    assert_eq!((counts.made, counts.bytes_in), (1, job.source.len() as u64));
    assert_eq!(counts.bytes_out, made.bytes.len() as u64);
    assert!(counts.worked > 0);
    pool.close();
}
