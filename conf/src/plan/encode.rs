//! How answers are encoded.

use std::sync::Arc;

use switchback_value::MediaRange;

use super::Coding;
use super::build::Findings;
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::{BestLevels, Count, Encode, EncodeLevels, OrOff};

/// How answers are encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodePlan {
    /// What is offered for what is stored or a file; of those that a client likes alike, the first is taken. Never empty.
    pub stored: Vec<Coding>,
    /// The same for what is encoded as it passes.
    pub streamed: Vec<Coding>,
    /// The types of what is encoded.
    pub types: Vec<MediaRange>,
    /// Bodies known to be shorter are sent as they are.
    pub min_length: u64,
    /// The levels while a client waits.
    pub levels: CodingLevels,
    /// The levels in the background; `None` is never.
    pub best: Option<CodingLevels>,
    /// Whether clients that lack the coding of what is stored get it decoded.
    pub decodes: bool,
    /// Whether event streams are encoded.
    pub events: bool,
}

impl EncodePlan {
    /// Whether a body is encoded of which this is the `Content-Type`.
    #[must_use]
    pub fn is_for(&self, content_type: &[u8]) -> bool {
        self.types.iter().any(|range| range.is_match(content_type))
            && (self.events || !is_event_stream(content_type))
    }
}

/// One level for each coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodingLevels {
    /// 0 to 11.
    pub br: u8,
    /// 1 to 19.
    pub zstd: u8,
    /// 1 to 9.
    pub gzip: u8,
}

impl CodingLevels {
    /// That of `coding`.
    #[must_use]
    pub const fn of(self, coding: Coding) -> u8 {
        match coding {
            Coding::Br => self.br,
            Coding::Zstd => self.zstd,
            Coding::Gzip => self.gzip,
        }
    }
}

const STORED: [Coding; 3] = [Coding::Br, Coding::Zstd, Coding::Gzip];
const STREAMED: [Coding; 3] = [Coding::Zstd, Coding::Br, Coding::Gzip];

fn is_event_stream(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

/// `is_kept` says whether anything is stored that `best` could be for.
pub(super) fn plan(encode: &Encode, is_kept: bool, findings: &mut Findings<'_>) -> Arc<EncodePlan> {
    let codings = codings(encode, findings);
    let offered = codings.as_deref().unwrap_or(&STORED);
    let types = types(encode, findings);
    let plan = EncodePlan {
        types,
        min_length: encode.min_length.0,
        levels: levels(&encode.levels, offered, findings),
        best: best(encode, offered, is_kept, findings),
        decodes: encode.decode,
        events: encode.events.value,
        stored: offered.to_vec(),
        streamed: codings.unwrap_or_else(|| STREAMED.to_vec()),
    };
    check_events(encode, &plan, findings);
    Arc::new(plan)
}

/// What is said to be offered, each once.
fn codings(encode: &Encode, findings: &mut Findings<'_>) -> Option<Vec<Coding>> {
    let said = encode.codings.as_ref()?;
    if said.is_empty() {
        let diagnostic = Diagnostic::error(Code::Empty, said.at.clone(), "nothing is offered here");
        findings.report(diagnostic.hint("`encode = \"off\"` encodes nothing"));
    }
    findings.each_once(&said.value, "this encoding is named twice");
    Some(said.iter().map(|coding| coding.value).collect())
}

fn types(encode: &Encode, findings: &mut Findings<'_>) -> Vec<MediaRange> {
    if encode.types.is_empty() {
        let at = encode.types.at.clone();
        let diagnostic = Diagnostic::error(Code::Empty, at, "no type is encoded here");
        findings.report(diagnostic.hint("`encode = \"off\"` encodes nothing"));
    }
    findings.each_once(&encode.types.value, "this type is named twice");
    encode.types.iter().map(|range| range.value.clone()).collect()
}

fn levels(levels: &EncodeLevels, offered: &[Coding], findings: &mut Findings<'_>) -> CodingLevels {
    let EncodeLevels { br, zstd, gzip } = levels;
    not_slow("Brotli", br, 9, findings);
    not_slow("Zstandard", zstd, 15, findings);
    CodingLevels {
        br: level(br, ("levels", Coding::Br), offered, findings),
        zstd: level(zstd, ("levels", Coding::Zstd), offered, findings),
        gzip: level(gzip, ("levels", Coding::Gzip), offered, findings),
    }
}

fn best(
    encode: &Encode,
    offered: &[Coding],
    is_kept: bool,
    findings: &mut Findings<'_>,
) -> Option<CodingLevels> {
    let written = encode.best.at.file().is_some();
    if written && !is_kept {
        let message = "`best` has no effect: nothing is stored here that could be encoded again";
        let diagnostic = Diagnostic::warning(Code::NoEffect, encode.best.at.clone(), message);
        findings.report(diagnostic.hint("`cache` stores it"));
    }
    let OrOff::On(best) = &encode.best.value else { return None };
    let EncodeLevels { br, zstd, gzip } = &encode.levels;
    not_below(&best.br, br, findings);
    not_below(&best.zstd, zstd, findings);
    not_below(&best.gzip, gzip, findings);
    let BestLevels { br, zstd, gzip } = &best.0;
    Some(CodingLevels {
        br: level(br, ("best", Coding::Br), offered, findings),
        zstd: level(zstd, ("best", Coding::Zstd), offered, findings),
        gzip: level(gzip, ("best", Coding::Gzip), offered, findings),
    })
}

/// One level, and that it is for something that is offered, if it is written at all.
fn level<const MIN: u32, const MAX: u32>(
    level: &At<Count<MIN, MAX>>,
    (table, coding): (&str, Coding),
    offered: &[Coding],
    findings: &mut Findings<'_>,
) -> u8 {
    if level.at.file().is_some() && !offered.contains(&coding) {
        let message = format!("this level in `{table}` has no effect: `codings` leaves it out");
        findings.report(Diagnostic::warning(Code::NoEffect, level.at.clone(), message));
    }
    u8::try_from(level.value.value()).unwrap_or(u8::MAX)
}

/// Warns of a level above `most`: workers encode what passes, 64 KiB at a time, and serve nobody else meanwhile. Below it that takes
/// some milliseconds; Brotli 10 and 11 take a tenth of a second.
fn not_slow<const MIN: u32, const MAX: u32>(
    name: &str,
    level: &At<Count<MIN, MAX>>,
    most: u32,
    findings: &mut Findings<'_>,
) {
    let said = level.value.value();
    if said > most {
        let message = format!(
            "{name} at level {said} holds up all other requests of a worker while it encodes"
        );
        let diagnostic = Diagnostic::warning(Code::VariantUnfit, level.at.clone(), message);
        findings.report(diagnostic.hint(format!(
            "up to {most} is quick enough; `best` is for what is stored, and holds up nobody"
        )));
    }
}

fn not_below<const MIN: u32, const MAX: u32>(
    best: &At<Count<MIN, MAX>>,
    fast: &At<Count<MIN, MAX>>,
    findings: &mut Findings<'_>,
) {
    if best.value < fast.value {
        let message = format!(
            "{} is less than the {} in `levels`: what is stored would become larger",
            best.value.value(),
            fast.value.value()
        );
        let diagnostic = Diagnostic::error(Code::VariantUnfit, best.at.clone(), message);
        findings.report(diagnostic.hint("`best = \"off\"` leaves it at `levels`"));
    }
}

/// Event streams are encoded where both `types` and `events` have it so.
fn check_events(encode: &Encode, plan: &EncodePlan, findings: &mut Findings<'_>) {
    const EVENTS: &[u8] = b"text/event-stream";
    let are_meant = plan.types.iter().any(|range| range.is_match(EVENTS));
    let is_said = !encode.events.value || encode.events.at.file().is_some();
    if is_said && !are_meant {
        let message = "`events` has no effect: `types` leaves out `text/event-stream`";
        let at = encode.events.at.clone();
        findings.report(Diagnostic::warning(Code::NoEffect, at, message));
    }
}

impl Findings<'_> {
    /// That nothing in a list is said twice.
    pub(super) fn each_once<T: PartialEq>(&mut self, list: &[At<T>], message: &str) {
        for (place, one) in list.iter().enumerate() {
            if list.iter().take(place).any(|before| before == one) {
                self.error(Code::Duplicate, &one.at, message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::Gaps;

    #[test]
    fn event_streams_are_left_alone_where_they_are_switched_off() {
        let gaps = Gaps::default();
        let mut findings = Findings::new(&gaps);
        let on = plan(&Encode::default(), false, &mut findings);
        let off = Encode { events: false.into(), ..Encode::default() };
        let off = plan(&off, false, &mut findings);
        let is_for = |content_type: &str| {
            (on.is_for(content_type.as_bytes()), off.is_for(content_type.as_bytes()))
        };
        assert_eq!(is_for("Text/Event-Stream; charset=utf-8"), (true, false));
        assert_eq!(is_for("text/html; charset=utf-8"), (true, true));
        assert_eq!(is_for("image/png"), (false, false));
        assert_eq!(findings.count(), 0);
    }
}
