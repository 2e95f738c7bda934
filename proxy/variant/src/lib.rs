//! Which form of a response suits a client, and how it is made.
//!
//! For each request whose route wants it:
//!
//! 1. [`Capabilities::of`] reads once from the head what the client can do, as far as the route wants to know ([`Needs`]): a small
//!    value that is copied about.
//! 2. [`Rules::judge`] says of an answer whether it may be coded at all, and how soon what comes in has to be out.
//! 3. [`Offer::choose`] says with which [`Coding`]; [`Store::find`] first, where the client has a dictionary
//!    ([`Offer::with_dictionary`]). What is stored in a coding already goes through [`Offer::handle`].
//! 4. [`Variant`] names the outcome: its [`Variant::token`] is a part of the key under which it is stored.
//! 5. The head: [`Coding::header`], [`Varies::merge`], [`etag::of_variant`], and without [`NO_LONGER_TRUE`].
//! 6. The body: [`Encoder`] or [`Decoder`], piece by piece.
//!
//! ```
//! use http::header::{ACCEPT_ENCODING, CONTENT_TYPE};
//! use http::{HeaderMap, HeaderValue, Method, StatusCode};
//! use switchback_variant::{Capabilities, Choice, Encoder, Levels, Needs, Offer, Rules, Variant, Verdict};
//!
//! # fn main() -> Result<(), switchback_variant::EncoderFailed> {
//! let request = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("gzip, br;q=0.9"))]);
//! let answer = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/html"))]);
//!
//! let client = Capabilities::of(&request, Needs::CODINGS);
//! let verdict = Rules::default().judge(&Method::GET, StatusCode::OK, &answer);
//! let Choice::Send(coding) = Offer::STORED.choose(&client) else { return Ok(()) };
//! assert!(matches!(verdict, Verdict::Code(_)));
//! assert_eq!(Variant::coded(coding).token().as_str(), "gzip");
//!
//! let mut out = Vec::new();
//! let mut encoder = Encoder::new(coding, Levels::FAST.of(coding), None)?;
//! encoder.push(b"<!doctype html>", &mut out)?;
//! encoder.flush(&mut out)?; // nothing more came for a moment: what there is leaves now
//! encoder.push(b"<title>Hello</title>", &mut out)?;
//! encoder.finish(&mut out)
//! # }
//! ```
//!
//! None of this allocates before an [`Encoder`] is made, but for an [`etag::of_variant`] and a `Vary` that is longer than usual. A
//! conditional request is judged by [`etag::is_current`] against the tag that the variant was stored with; an upstream is asked
//! with [`etag::for_upstream`].
//!
//! Nothing here knows configuration, a runtime or the cache. Encoders work as long as it takes: how much is pushed at once, and
//! on which thread, is for the caller to say. At [`Levels::BEST`] they take seconds for each megabyte, and memory in tens of
//! megabytes: that is for a bounded pool beside the way.

mod capabilities;
mod coding;
mod dictionary;
mod eligible;
pub mod etag;
mod image;
mod negotiate;
mod segment;
mod types;
mod variant;
mod vary;
mod weight;

pub use capabilities::{Capabilities, Hints, Needs, check_capabilities};
pub use coding::{
    Broken, Coding, Decoder, Encoder, EncoderFailed, Level, Levels, Limits, Step, check_decoder,
    decode_whole, encode_whole,
};
pub use dictionary::{
    Announcement, BadAnnouncement, BadPattern, Dictionary, Digest, Draft, NotKept, Pattern,
    Preamble, Scope, Store,
};
pub use eligible::{Flush, NO_LONGER_TRUE, Reason, Rules, Verdict, forbids_transforming};
pub use image::ImageType;
pub use negotiate::{Choice, Handling, Offer};
pub use segment::{SEGMENT_COOKIE, Script, Segment, Worker};
pub use types::{BadType, DEFAULT_TYPES, Types};
pub use variant::{ImageForm, Token, Variant};
pub use vary::{ACCEPT_CH, Merged, Varies};
