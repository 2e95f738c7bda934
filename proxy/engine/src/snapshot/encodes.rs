//! How routes encode their answers.

use std::num::NonZeroUsize;
use std::sync::Arc;

use switchback_cache::BodyId;
use switchback_conf::plan::{
    self, CodingLevels, DictionaryPlan, EncodePlan, EncodersPlan, Plan, RoutePlan,
};
use switchback_conf::{Code, Diagnostic, Location};
use switchback_variant::{Coding, Level, Offer, Rules, Types};

use super::dictionaries::{self, DictionarySettings};
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
    /// Against what is encoded, if against anything.
    pub(crate) dictionary: Option<Arc<DictionarySettings>>,
    plan: Arc<EncodePlan>,
    dictionary_plan: Option<Arc<DictionaryPlan>>,
}

impl EncodeSettings {
    /// Whether a body of this `Content-Type` is encoded.
    pub(crate) fn is_for(&self, content_type: &[u8]) -> bool {
        self.plan.is_for(content_type)
    }

    /// Whether they are those of a route with these plans.
    fn are_of(&self, plan: &Arc<EncodePlan>, dictionary: Option<&Arc<DictionaryPlan>>) -> bool {
        let own = self.dictionary_plan.as_ref();
        Arc::ptr_eq(&self.plan, plan) && own.map(Arc::as_ptr) == dictionary.map(Arc::as_ptr)
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
        let dictionary = route.variants.dictionary.as_ref().filter(|_| route.cache.is_some());
        // Routes that have it from their site share one, and stand together.
        if let Some(last) = shared.last().filter(|last| last.are_of(own, dictionary)) {
            return Some(Arc::clone(last));
        }
        let dictionary = dictionary.cloned();
        shared.push(Arc::new(EncodeSettings {
            dictionary: dictionary.as_ref().and_then(|plan| dictionaries::assemble(plan, found)),
            dictionary_plan: dictionary,
            ..settings(own, room)
        }));
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
    EncodeSettings {
        rules: Rules { types, min_length, events: true },
        stored: offer(&plan.stored),
        streamed: offer(&plan.streamed),
        decodes: plan.decodes,
        room,
        number: BodyId::fresh().number() & !0xff,
        dictionary: None,
        plan: Arc::clone(plan),
        dictionary_plan: None,
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
        let images = route.variants.images.as_ref();
        let images = images.map(|plan| {
            // Formats that nobody has written stand nowhere.
            let at = plan.formats.first().map(|format| &format.at);
            let at = at.filter(|at| at.file().is_some()).unwrap_or(&route.at);
            (Arc::as_ptr(plan).cast(), at, "images")
        });
        if let Some((plan, at, key)) = images {
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
