//! How answers are encoded for clients that can decode them.

use switchback_value::MediaRange;

use super::define::model;
use super::switch::OrOn;
use super::table::OneOrMany;
use super::text::{Count, OrOff};
use crate::at::At;
use crate::plan::Coding;
use crate::units::Bytes;

/// `encode = "on"`, `encode = { .. }` or `encode = "off"`.
pub type EncodeOrOff = OrOff<OrOn<Encode>>;

model! {
    /// Encodes answers for clients that can decode them, as their `Accept-Encoding` says (RFC 9110, section 12.5.3). Where nothing
    /// else is wanted, `encode = "on"`.
    pub struct Encode: Default {
        /// What is offered: `"br"`, `"zstd"`, `"gzip"`. Where a client likes several alike, the first. Without it, all: `br` before
        /// `zstd` before `gzip` for what is stored or a file, `zstd` before `br` before `gzip` for what is encoded as it passes.
        pub codings: Option<At<OneOrMany<At<Coding>>>> = None,
        /// The types of what is encoded: `"text/css"`, `"text/*"`, `"application/*+json"`, `"*/*+xml"`.
        pub types: At<Vec<At<MediaRange>>> = At::from(usual_types()),
        /// Bodies of which it is known that they are shorter are sent as they are.
        pub min_length: Bytes = Bytes(256),
        /// How hard to try while a client waits.
        pub levels: EncodeLevels = EncodeLevels::default(),
        /// How hard to try in the background, once something stored has been asked for twice; what comes out is stored, too. `"off"`
        /// leaves it at `levels`.
        pub best: At<OrOff<OrOn<BestLevels>>> = At::from(OrOff::On(OrOn::default())),
        /// Whether clients that cannot decode what the upstream has encoded get it decoded. Otherwise they get it as it is.
        pub decode: bool = true,
        /// Whether event streams (`text/event-stream`) are encoded if they are among `types`: each piece at once, as it comes.
        pub events: At<bool> = At::from(true),
    }
}

/// What becomes much smaller, and is not packed already.
const USUAL_TYPES: [&str; 17] = [
    "text/*",
    "application/javascript",
    "application/x-javascript",
    "application/json",
    "application/x-ndjson",
    "*/*+json",
    "application/xml",
    "*/*+xml",
    "application/wasm",
    "font/ttf",
    "font/otf",
    "application/x-font-ttf",
    "application/x-font-otf",
    "application/vnd.ms-fontobject",
    "image/x-icon",
    "image/vnd.microsoft.icon",
    "image/bmp",
];

fn usual_types() -> Vec<At<MediaRange>> {
    USUAL_TYPES.iter().filter_map(|text| MediaRange::parse(text).ok()).map(At::from).collect()
}

model! {
    /// How hard to try while a client waits, for each coding.
    pub struct EncodeLevels: Default {
        /// The level of Brotli. Above 9, one answer holds up the others of its worker.
        pub br: At<Count<0, 11>> = At::from(Count::clamped(4)),
        /// The level of Zstandard. Beyond 19 it takes windows that clients need not have (RFC 9659); above 15, one answer holds up the others of its worker.
        pub zstd: At<Count<1, 19>> = At::from(Count::clamped(3)),
        /// The level of gzip.
        pub gzip: At<Count<1, 9>> = At::from(Count::clamped(6)),
    }
}

model! {
    /// How hard to try in the background, for each coding.
    pub struct BestLevels: Default {
        /// The level of Brotli.
        pub br: At<Count<0, 11>> = At::from(Count::clamped(11)),
        /// The level of Zstandard.
        pub zstd: At<Count<1, 19>> = At::from(Count::clamped(19)),
        /// The level of gzip.
        pub gzip: At<Count<1, 9>> = At::from(Count::clamped(9)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_types_are_all_understood() {
        assert_eq!(usual_types().len(), USUAL_TYPES.len());
    }

    #[test]
    fn what_is_packed_already_is_not_among_the_usual_types() {
        let types = usual_types();
        let is_usual = |text: &str| types.iter().any(|range| range.is_match(text.as_bytes()));
        for packed in ["image/jpeg", "image/png", "font/woff2", "application/zip", "video/mp4"] {
            assert!(!is_usual(packed), "{packed}");
        }
        for plain in ["text/html; charset=utf-8", "image/svg+xml", "application/manifest+json"] {
            assert!(is_usual(plain), "{plain}");
        }
    }
}
