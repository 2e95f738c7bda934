//! What is asked for: what clients say that they can decode, and answers of many types, lengths and pieces.

use switchback_variant::{Coding, encode_whole};

use super::super::texts;
use crate::message::pattern;

/// What a client says, and what it is sent for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// Its lines `Accept-Encoding`.
    pub(super) lines: &'static [&'static str],
    /// Of what is encoded as it passes, where `zstd`, `br` and `gzip` are offered in this order.
    pub(super) passing: Option<&'static str>,
    /// Of what is stored, where it is `br`, `zstd` and `gzip`.
    pub(super) stored: Option<&'static str>,
    /// Of what the origin has sent as gzip.
    pub(super) of_gzip: Option<&'static str>,
}

const fn form(lines: &'static [&'static str], sent: [&'static str; 3]) -> Form {
    let [passing, stored, of_gzip] = sent;
    Form { lines, passing: some(passing), stored: some(stored), of_gzip: some(of_gzip) }
}

const fn some(coding: &'static str) -> Option<&'static str> {
    if coding.is_empty() { None } else { Some(coding) }
}

const GZIP: [&str; 3] = ["gzip"; 3];
const NONE: [&str; 3] = [""; 3];

/// Worked out by hand from RFC 9110, section 12.5.3: the client's weights decide, the order of the offer breaks ties, and what is
/// as it is comes last where it is not named. What the origin has encoded stays so for who takes it.
pub(super) const FORMS: [Form; 26] = [
    form(&[], NONE),
    form(&[""], NONE),
    form(&["gzip, deflate, br, zstd"], ["zstd", "br", "gzip"]),
    form(&["gzip, deflate, br"], ["br", "br", "gzip"]),
    form(&["gzip, deflate"], GZIP),
    form(&["gzip"], GZIP),
    form(&["br"], ["br", "br", ""]),
    form(&["zstd"], ["zstd", "zstd", ""]),
    form(&["x-gzip"], GZIP),
    form(&["GZIP;Q=0.5"], GZIP),
    form(&["deflate"], NONE),
    form(&["compress, exi"], NONE),
    form(&["*"], ["zstd", "br", "gzip"]),
    form(&["*;q=0"], NONE),
    form(&["identity"], NONE),
    form(&["gzip;q=0"], NONE),
    form(&["gzip;q=0, br;q=0, *"], ["zstd", "zstd", ""]),
    form(&["*;q=0.1, zstd;q=0, br;q=0"], GZIP),
    form(&["zstd;q=0.5, br;q=0.8, gzip;q=0.9"], GZIP),
    form(&["zstd;q=0.9, br;q=0.8, gzip;q=0.1"], ["zstd", "zstd", "gzip"]),
    form(&["zstd;q=0, br;q=0, gzip"], GZIP),
    form(&["identity;q=0, gzip;q=0.001"], GZIP),
    form(&["identity, gzip;q=0.5"], NONE),
    form(&["identity;q=0.5, gzip;q=0.5, br;q=0.25"], GZIP),
    form(&["gzip;q=0.2", "br;q=0.7"], ["br", "br", "gzip"]),
    form(&["br;q=2, gzip;q=x, zstd;q=0"], NONE),
];

/// A type of body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    content_type: Option<&'static str>,
    /// Whether it is among those that are encoded.
    pub(super) is_text: bool,
    /// Whether the origin has encoded it.
    pub(super) is_packed: bool,
}

const fn kind(name: &'static str, content_type: &'static str) -> Kind {
    Kind { name, content_type: some(content_type), is_text: true, is_packed: false }
}

const fn left(name: &'static str, content_type: &'static str) -> Kind {
    Kind { is_text: false, ..kind(name, content_type) }
}

/// Those that are encoded, and three that are not or not only.
const KINDS: [Kind; 9] = [
    kind("page", "text/html; charset=utf-8"),
    Kind { is_packed: true, ..kind("packed", "text/css") },
    left("picture", "image/png"),
    left("untyped", ""),
    kind("script", "text/javascript"),
    kind("values", "application/vnd.api+json"),
    kind("drawing", "image/svg+xml"),
    kind("noise", "text/plain"),
    left("font", "font/woff2"),
];

/// How the origin sends a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length,
    Chunks(usize),
    /// Chunks of lengths that grow, each in a packet of its own.
    Pieces,
    UntilClose,
}

/// Something that can be asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub(super) is_cached: bool,
    pub(super) kind: Kind,
    pub(super) length: usize,
    pub(super) framing: Framing,
}

/// All of them; fewer where there is little time.
pub(super) fn cells(is_quick: bool) -> Vec<Cell> {
    let (kinds, lengths) = match is_quick {
        true => (&KINDS[..4], &[0, 1, 255, 256, 40_000][..]),
        false => (&KINDS[..], &[0, 1, 255, 256, 4_096, 65_536, 65_537, 400_000][..]),
    };
    let mut cells = Vec::new();
    for &kind in kinds {
        for &length in lengths {
            for framing in framings(length) {
                let cell = Cell { is_cached: false, kind, length, framing };
                cells.extend([cell, Cell { is_cached: true, ..cell }]);
            }
        }
    }
    cells
}

fn framings(length: usize) -> Vec<Framing> {
    let mut framings = vec![Framing::Length, Framing::Chunks(1_000), Framing::UntilClose];
    match length {
        0..2 => {}
        2..1_000 => framings.push(Framing::Chunks(1)),
        _ => framings.extend([Framing::Chunks(70_000), Framing::Pieces]),
    }
    framings
}

impl Cell {
    /// Where it is.
    pub(super) fn target(&self) -> String {
        let zone = if self.is_cached { "cached" } else { "passing" };
        let framing = match self.framing {
            Framing::Length => "length".to_owned(),
            Framing::Chunks(size) => format!("chunks-{size}"),
            Framing::Pieces => "pieces".to_owned(),
            Framing::UntilClose => "close".to_owned(),
        };
        format!("/{zone}/{}/{}/{framing}", self.kind.name, self.length)
    }

    /// What it comes to, decoded.
    pub(super) fn text(&self) -> Vec<u8> {
        if self.kind.name == "noise" {
            return pattern(self.length);
        }
        let mut text = texts::page(self.length / 100 + 1);
        let line = text.len().min(1_000);
        while text.len() < self.length {
            text.extend_from_within(text.len() - line..);
        }
        text.truncate(self.length);
        text
    }

    /// Its tag at the origin.
    pub(super) fn tag(&self) -> String {
        format!("\"{}-{}\"", self.kind.name, self.length)
    }

    /// What the origin answers with but for the tag and what frames it.
    pub(super) fn answer(&self) -> (String, Vec<u8>) {
        let mut head = String::from("Cache-Control: max-age=6000\r\n");
        if let Some(content_type) = self.kind.content_type {
            head.push_str(&format!("Content-Type: {content_type}\r\n"));
        }
        let text = self.text();
        if !self.kind.is_packed {
            return (head, text);
        }
        let packed = encode_whole(Coding::Gzip, 6, &text, None).expect("an encoder takes text");
        (head + "Content-Encoding: gzip\r\n", packed)
    }

    /// What may be sent to a client of this form: more than one where it depends on whether the length was known.
    pub(super) fn may_be(&self, form: &Form) -> Vec<Option<&'static str>> {
        let chosen = match self {
            Self { kind: Kind { is_packed: true, .. }, .. } => form.of_gzip,
            Self { kind: Kind { is_text: false, .. }, .. } => None,
            Self { is_cached: true, .. } => form.stored,
            Self { is_cached: false, .. } => form.passing,
        };
        let is_short = self.length < 256 && !self.kind.is_packed;
        match (is_short, self.framing, self.is_cached) {
            (true, Framing::Length, _) => vec![None],
            // Nobody knows how long it is as it comes, and everybody once it is stored.
            (true, _, true) => vec![chosen, None],
            _ => vec![chosen],
        }
    }

    /// Whether its `Vary` has to name the codings; `None` where either is right.
    pub(super) fn varies(&self) -> Option<bool> {
        let is_short = self.length < 256 && !self.kind.is_packed;
        match (self.kind.is_text, is_short, self.framing, self.is_cached) {
            (false, ..) | (_, true, Framing::Length, _) => Some(false),
            (true, true, _, true) => None,
            (true, ..) => Some(true),
        }
    }
}
