//! Smaller forms of pictures: what is made of one, within which limits, and on which threads.
//!
//! JPEG, PNG, GIF and WebP come in; WebP goes out, and AVIF in builds with the feature `avif`. No configuration, no HTTP and no
//! Pingora here: a [`Job`] has bytes and plain parameters, an [`Outcome`] has bytes or a reason.
//!
//! # How it is used
//!
//! A program has one [`Pool`]. Whoever answers a request and holds the whole original submits a job under a key that stands for
//! the original (a strong validator, a digest) and for everything else that decides what is made. [`Pool::submit`] never waits:
//!
//! ```
//! # use std::sync::Arc;
//! # use std::time::Duration;
//! # use switchback_images::{Job, JobKey, Outcome, Pool, Reason, Submitted, Waited};
//! # fn store(_: JobKey, _: &Outcome) {}
//! /// The form of a picture that a client gets who waits for 300 ms at most.
//! async fn form(pool: &Pool, key: JobKey, job: Job) -> Arc<Outcome> {
//!     match pool.submit(key, job) {
//!         // The original is the answer, for a short while.
//!         Submitted::Busy => Arc::new(Outcome::Original(Reason::Busy)),
//!         // Another request made the job, and stores the outcome.
//!         Submitted::Joined(ticket) => match ticket.within(Duration::from_millis(300)).await {
//!             Waited::Done(outcome) => outcome,
//!             Waited::Late(_) => Arc::new(Outcome::Original(Reason::Slow)),
//!         },
//!         Submitted::Queued(ticket) => match ticket.within(Duration::from_millis(300)).await {
//!             Waited::Done(outcome) => {
//!                 store(key, &outcome);
//!                 outcome
//!             }
//!             // The job goes on in the background for as long as somebody holds a ticket.
//!             Waited::Late(ticket) => {
//!                 tokio::spawn(async move { store(key, &*ticket.outcome().await) });
//!                 Arc::new(Outcome::Original(Reason::Slow))
//!             }
//!         },
//!     }
//! }
//! ```
//!
//! To answer with the original at once and make the form behind it, spawn the task without waiting first. [`Outcome`]'s `Display`
//! is the value of `X-Media`; [`Reason::is_lasting`] tells whether "the original" may be remembered. Without a pool,
//! [`convert`] does a job on the calling thread.
//!
//! # What is promised
//!
//! - The head of a picture is read before its pixels ([`Header`]), and [`Limits`] are held to what it says: a picture of 50,000 by
//!   50,000 pixels is refused in microseconds. What a job needs of memory is reckoned before and bounded.
//! - Decoders are of safe Rust. The encoder in C is given pixels only.
//! - What is made is smaller than the original by 5 % at least, is never scaled up, is upright, keeps what is transparent, and
//!   has no metadata but a colour profile that is not sRGB's. PNG, GIF and lossless WebP that were drawn (few colours, or
//!   some in runs) lose nothing.
//! - Animated GIF and WebP become animated WebP with the same durations and repetitions. APNG, CMYK and SVG are left alone.
//! - A pool has a bound on threads, waiting jobs and waiting bytes; a job has a time after which it stops, and stops when
//!   nobody holds a ticket. Many who submit the same share one job.

mod alarm;
#[cfg(feature = "avif")]
mod avif;
mod canvas;
mod colour;
mod content;
mod convert;
mod counts;
mod decode;
mod format;
mod header;
mod job;
mod ladder;
mod outcome;
mod pool;
mod raster;
mod ticket;
mod webp;

pub use alarm::Alarm;
pub use convert::{check_conversion, convert};
pub use counts::Counts;
pub use format::{Format, Sniffed, Target};
pub use header::{Header, Unread, check_header};
pub use job::{Effort, Job, Limits, Quality};
pub use ladder::{Hints, Ladder};
pub use outcome::{Facts, Flaw, Made, Outcome, Reason};
pub use pool::{JobKey, Pool, PoolSettings, Submitted};
pub use ticket::{Ticket, Waited};

/// The version of the encoder of WebP, as `0xMMmmrr`.
pub fn encoder_version() -> u32 {
    webp::version()
}
