//! How routes encode their answers.

use std::num::NonZeroUsize;
use std::sync::Arc;

use http::HeaderMap;
use switchback_cache::BodyId;
use switchback_conf::Diagnostic;
use switchback_conf::plan::{
    self, CodingLevels, DictionaryPlan, EncodePlan, EncodersPlan, ImagesPlan, Plan, RoutePlan,
};
use switchback_variant::{Choice, Coding, Level, Needs, Offer, Rules, Types};

use super::choices::Choices;
use super::dictionaries::{self, DictionarySettings};
use super::images::{self, ImageSettings};
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
    /// What is made of pictures.
    pub(crate) images: Option<Arc<ImageSettings>>,
    /// What has to be known of clients.
    pub(crate) needs: Needs,
    /// What clients are sent of what is stored, by their `Accept-Encoding`.
    choices: Choices,
    plan: Arc<EncodePlan>,
    dictionary_plan: Option<Arc<DictionaryPlan>>,
}

impl EncodeSettings {
    /// Whether anything is encoded; else all that is made is pictures.
    pub(crate) fn encodes(&self) -> bool {
        !self.plan.stored.is_empty()
    }

    /// What a client is sent of what is stored.
    pub(crate) fn choose(&self, headers: &HeaderMap) -> Choice {
        self.choices.choose(headers)
    }

    /// Whether a body of this `Content-Type` is encoded.
    pub(crate) fn is_for(&self, content_type: &[u8]) -> bool {
        self.plan.is_for(content_type)
    }

    /// Whether they are those of a route with these plans.
    fn are_of(
        &self,
        encode: &Arc<EncodePlan>,
        dictionary: Option<&Arc<DictionaryPlan>>,
        images: Option<&Arc<ImagesPlan>>,
    ) -> bool {
        let own = self.dictionary_plan.as_ref();
        let is_of_images = match (&self.images, images) {
            (Some(own), Some(plan)) => own.is_of(plan),
            (own, plan) => own.is_none() && plan.is_none(),
        };
        Arc::ptr_eq(&self.plan, encode)
            && own.map(Arc::as_ptr) == dictionary.map(Arc::as_ptr)
            && is_of_images
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
    found.extend(images::missing(plan));
    let has_any =
        |route: &RoutePlan| route.variants.encode.is_some() || route.variants.images.is_some();
    if !plan.routes.iter().any(has_any) {
        return Box::default();
    }
    let (room, nothing) = (room(plan.encoders), Arc::new(nothing()));
    let mut shared: Vec<Arc<EncodeSettings>> = Vec::new();
    let of_route = |route: &RoutePlan| {
        if !has_any(route) {
            return None;
        }
        let own = route.variants.encode.as_ref().unwrap_or(&nothing);
        let images = route.variants.images.as_ref();
        let dictionary = route.variants.dictionary.as_ref().filter(|_| route.cache.is_some());
        // Routes that have it from their site share one, and stand together.
        if let Some(last) = shared.last().filter(|last| last.are_of(own, dictionary, images)) {
            return Some(Arc::clone(last));
        }
        let images = images.map(|plan| Arc::new(ImageSettings::new(plan, room)));
        let dictionary = dictionary.cloned();
        shared.push(Arc::new(EncodeSettings {
            dictionary: dictionary.as_ref().and_then(|plan| dictionaries::assemble(plan, found)),
            dictionary_plan: dictionary,
            ..settings(own, images, room)
        }));
        shared.last().cloned()
    };
    plan.routes.iter().map(of_route).collect()
}

/// Of routes that make pictures alone.
fn nothing() -> EncodePlan {
    EncodePlan {
        stored: Vec::new(),
        streamed: Vec::new(),
        types: Vec::new(),
        min_length: 0,
        levels: CodingLevels { br: 1, zstd: 1, gzip: 1 },
        best: None,
        decodes: false,
        events: false,
    }
}

fn room(plan: EncodersPlan) -> Room {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = plan.threads.map_or(cores.saturating_sub(1), usize::from).max(1);
    let queue = plan.queue.map_or(2 * threads, |queue| queue as usize);
    Room { threads, queue }
}

fn settings(
    plan: &Arc<EncodePlan>,
    images: Option<Arc<ImageSettings>>,
    room: Room,
) -> EncodeSettings {
    // What is empty has nothing to encode.
    let min_length = plan.min_length.max(1);
    // This one text is understood.
    let types = Types::parse(["*"]).unwrap_or_default();
    let stored = offer(&plan.stored);
    EncodeSettings {
        rules: Rules { types, min_length, events: true },
        choices: Choices::of(stored),
        stored,
        streamed: offer(&plan.streamed),
        decodes: plan.decodes,
        room,
        number: BodyId::fresh().number() & !0xff,
        dictionary: None,
        needs: images.as_ref().map_or(Needs::CODINGS, |images| Needs::CODINGS.and(images.needs())),
        images,
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
