//! How routes encode their answers.

use std::num::NonZeroUsize;
use std::sync::Arc;

use http::{HeaderMap, header};
use switchback_cache::BodyId;
use switchback_conf::plan::{self, CodingLevels, EncodePlan, EncodersPlan, Plan, RoutePlan};
use switchback_conf::{Code, Diagnostic, Location};
use switchback_variant::{
    Capabilities, Choice, Coding, Level, Needs, Offer, Rules, Types, usual_codings,
};

use crate::encoders::Room;

/// How a route encodes its answers.
#[derive(Debug)]
pub(crate) struct EncodeSettings {
    /// What may be encoded; of which types is for [`EncodeSettings::is_for`] to say.
    pub(crate) rules: Rules,
    /// What is offered for what is stored or a file.
    pub(crate) stored: Offer,
    /// What is offered for what is encoded as it passes.
    pub(crate) streamed: Offer,
    /// Whether clients that lack the coding of an answer get it decoded.
    pub(crate) decodes: bool,
    /// How much is encoded beside the way.
    pub(crate) room: Room,
    /// Which settings these are: no others most likely have this number. Its lowest byte is 0.
    pub(crate) number: u64,
    /// What most clients are sent of what is stored, by their `Accept-Encoding`.
    usual: Box<[(&'static str, Choice)]>,
    plan: Arc<EncodePlan>,
}

impl EncodeSettings {
    /// What a client is sent of what is stored.
    pub(crate) fn choose(&self, headers: &HeaderMap) -> Choice {
        let mut lines = headers.get_all(header::ACCEPT_ENCODING).iter();
        if let (Some(line), None) = (lines.next(), lines.next())
            && let Some((_, choice)) = self.usual.iter().find(|(usual, _)| *line == *usual)
        {
            return *choice;
        }
        self.stored.choose(&Capabilities::of(headers, Needs::CODINGS))
    }

    /// Whether a body of this `Content-Type` is encoded.
    pub(crate) fn is_for(&self, content_type: &[u8]) -> bool {
        self.plan.is_for(content_type)
    }

    /// How hard to try while a client waits.
    pub(crate) fn level(&self, coding: Coding) -> Level {
        of(self.plan.levels, coding)
    }

    /// How hard to try beside the way, if that is done and any harder.
    pub(crate) fn best(&self, coding: Coding) -> Option<Level> {
        let best = of(self.plan.best?, coding);
        (best > self.level(coding)).then_some(best)
    }
}

fn of(levels: CodingLevels, coding: Coding) -> Level {
    match coding {
        Coding::Br | Coding::Dcb => levels.br,
        Coding::Zstd | Coding::Dcz => levels.zstd,
        Coding::Gzip | Coding::Deflate | Coding::Identity => levels.gzip,
    }
}

/// Those of each route, in order; empty when no route encodes anything.
pub(super) fn assemble(
    plan: &Plan,
    found: &mut Vec<Diagnostic>,
) -> Box<[Option<Arc<EncodeSettings>>]> {
    check_rest(plan, found);
    if plan.routes.iter().all(|route| route.variants.encode.is_none()) {
        return Box::default();
    }
    let room = room(plan.encoders);
    let mut shared: Vec<Arc<EncodeSettings>> = Vec::new();
    let of_route = |route: &RoutePlan| {
        let own = route.variants.encode.as_ref()?;
        // Routes that have it from their site share one, and stand together.
        if let Some(last) = shared.last().filter(|last| Arc::ptr_eq(&last.plan, own)) {
            return Some(Arc::clone(last));
        }
        shared.push(Arc::new(settings(own, room)));
        shared.last().cloned()
    };
    plan.routes.iter().map(of_route).collect()
}

fn room(plan: EncodersPlan) -> Room {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = plan.threads.map_or(cores.saturating_sub(1), usize::from).max(1);
    let queue = plan.queue.map_or(2 * threads, |queue| queue as usize);
    Room { threads, queue }
}

fn settings(plan: &Arc<EncodePlan>, room: Room) -> EncodeSettings {
    // What is empty has nothing to encode.
    let min_length = plan.min_length.max(1);
    // This one text is understood.
    let types = Types::parse(["*"]).unwrap_or_default();
    let stored = offer(&plan.stored);
    let chosen = |line: &'static str| {
        let said = [(&b"accept-encoding"[..], line.as_bytes())];
        (line, stored.choose(&Capabilities::read(said, Needs::CODINGS)))
    };
    EncodeSettings {
        rules: Rules { types, min_length, events: true },
        stored,
        usual: usual_codings().map(chosen).collect(),
        streamed: offer(&plan.streamed),
        decodes: plan.decodes,
        room,
        number: BodyId::fresh().number() & !0xff,
        plan: Arc::clone(plan),
    }
}

fn offer(codings: &[plan::Coding]) -> Offer {
    let codings: Vec<Coding> = codings
        .iter()
        .map(|coding| match coding {
            plan::Coding::Br => Coding::Br,
            plan::Coding::Zstd => Coding::Zstd,
            plan::Coding::Gzip => Coding::Gzip,
        })
        .collect();
    Offer::of(&codings)
}

/// What configuration can ask for and nobody does yet.
fn check_rest(plan: &Plan, found: &mut Vec<Diagnostic>) {
    let mut told: Vec<*const ()> = Vec::new();
    for route in &plan.routes {
        let dictionary = route.variants.dictionary.as_ref();
        let dictionary = dictionary.map(|plan| (Arc::as_ptr(plan).cast(), &plan.at, "dictionary"));
        let images = route.variants.images.as_ref();
        let images = images.map(|plan| {
            // Formats that nobody has written stand nowhere.
            let at = plan.formats.first().map(|format| &format.at);
            let at = at.filter(|at| at.file().is_some()).unwrap_or(&route.at);
            (Arc::as_ptr(plan).cast(), at, "images")
        });
        for (plan, at, key) in [dictionary, images].into_iter().flatten() {
            // Routes that have it from their site share one.
            if !told.contains(&plan) {
                told.push(plan);
                found.push(not_yet(key, at));
            }
        }
    }
}

fn not_yet(key: &str, at: &Location) -> Diagnostic {
    let message = format!("`{key}` has no effect yet: this version does not do it");
    Diagnostic::warning(Code::NoEffect, at.clone(), message)
        .hint("answers are sent as they would be without it")
}
