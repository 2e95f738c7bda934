//! What each form saves of a sample, and what it takes to make.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use switchback_variant::{Coding, Level, Levels, encode_whole};

use super::texts;

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

/// A page and a bundle of scripts, of so many lines each, in each coding.
///
/// # Panics
/// When an encoder fails.
#[must_use]
pub fn saved_of_texts(lines: usize) -> Vec<Saved> {
    let texts = [("page", texts::page(lines)), ("bundle", texts::bundle(lines, 1))];
    let mut found = Vec::new();
    for (sample, text) in &texts {
        for (levels, coding) in
            LEVELS.iter().flat_map(|levels| CODINGS.map(|coding| (levels, coding)))
        {
            found.push(coded(sample, text, coding, levels.of(coding)));
        }
    }
    found
}

fn coded(sample: &'static str, text: &[u8], coding: Coding, level: Level) -> Saved {
    let begun = processor_time();
    let coded = encode_whole(coding, level, text, None).expect("an encoder takes text");
    let took = processor_time().saturating_sub(begun);
    let (original, bytes) = (text.len(), coded.len());
    Saved { sample, form: format!("{} {level}", coding.name()), original, bytes, took }
}

/// Of this thread.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let [seconds, nanoseconds] = [time.tv_sec, time.tv_nsec].map(i64::unsigned_abs);
    Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds)
}
