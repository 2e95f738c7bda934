//! What is stored for a request, and whether it may be used as it is.

use std::sync::Arc;
use std::time::SystemTime;

use http::header;
use pingora_http::RequestHeader;
use switchback_cache::policy::{self, Asks, Forwarded, Use};
use switchback_cache::serve::{Asked, begins_beyond};
use switchback_cache::{Entry, Found, Key, Standing};

use super::ahead::Ahead;
use super::counters::Outcome;
use super::fetch::{Behalf, Order};
use super::forms::Chosen;
use super::key::Class;
use super::part::{Part, part};
use super::parts::Partly;
use super::slices::Slice;
use super::{CacheFacts, Source, Tier, as_get, forms, key, serve, wait};
use crate::http::answer::Answer;
use crate::http::context::Context;
use crate::http::encode;
use crate::http::facts::RequestFacts;
use crate::http::fault::{Fault, Kind};
use crate::snapshot::caches::CacheSettings;

/// What the cache of a route makes of a request.
pub(crate) enum Lookup {
    /// The origin is asked, and the cache has no part in it.
    Pass,
    /// What is stored answers it.
    Answer(Answer),
    /// The content of the request has to be read first: it belongs to the key.
    Content,
    /// Something has to be waited for.
    Wait(Box<Wanted>),
}

/// A response that is wanted, and not at hand.
pub(crate) struct Wanted {
    pub(super) settings: Arc<CacheSettings>,
    pub(super) key: Key,
    /// Which slice of a response it is, where they are stored in slices.
    pub(super) slice: Option<Slice>,
    /// What of it is to be fetched, if not the whole.
    pub(super) partly: Option<Box<Partly>>,
    pub(super) asks: Asks,
    /// Whether the disk may have it.
    pub(super) is_on_disk: bool,
    /// Whether what is stored is not looked at.
    pub(super) is_bypass: bool,
    /// Whether it is not fetched together with what is probably the same, because that turned out to be another.
    pub(super) is_apart: bool,
    /// What is stored, and has to be validated; whether it may stand in for an error.
    pub(super) stored: Option<(Arc<Entry>, bool)>,
    /// Whether that may be sent while another validates it.
    pub(super) while_revalidating: bool,
    /// What answers the request, if the disk does not have a form of it that suits better.
    pub(super) usable: Option<Arc<Entry>>,
    /// Where the client is told what precedes its answer, if it is to know.
    pub(super) ahead: Option<Ahead>,
}

/// What was found.
pub(super) enum Step {
    Pass,
    Use(Source),
    Wait,
}

/// Looks for an answer to the request in the cache of its route, without waiting for anything. Whatever else is to become of the
/// request, it is prepared for being encoded.
pub(crate) fn lookup(head: &mut RequestHeader, context: &mut Context) -> Result<Lookup, Fault> {
    if !encode::may_wait(head, context) {
        encode::prepare(head, context)?;
    }
    let found = look(head, context)?;
    if encode::is_awaited(context) && !matches!(found, Lookup::Answer(_)) {
        encode::prepare(head, context)?;
    }
    Ok(found)
}

fn look(head: &mut RequestHeader, context: &mut Context) -> Result<Lookup, Fault> {
    let Some(settings) = settings(context) else { return Ok(Lookup::Pass) };
    if context.steering.as_ref().is_some_and(|steering| steering.bypasses_cache) {
        pass(Forwarded::Bypass, context);
        return Ok(Lookup::Pass);
    }
    let class = match part(head, &settings, context) {
        Part::Has(class) => class,
        Part::Content => return Ok(Lookup::Content),
        Part::None(why) => {
            pass(why, context);
            as_get::expect(&settings, head, context);
            return Ok(Lookup::Pass);
        }
    };
    let whole = key::key(&settings, class, head, context);
    let slice = settings.slice.filter(|_| class == Class::Get);
    let slice = slice.map(|size| Slice::first(&whole, size));
    let key = slice.as_ref().map_or(whole, Slice::key);
    let asks = policy::asks(&head.headers, &settings.rules);
    context.cache = Some(Box::new(CacheFacts { key: Some(key.clone()), ..CacheFacts::default() }));
    let is_bypass =
        settings.bypass.as_ref().is_some_and(|when| when.holds(&RequestFacts::new(head, context)));
    let mut wanted = Wanted {
        settings,
        key,
        slice,
        partly: None,
        asks,
        is_on_disk: false,
        is_bypass,
        is_apart: false,
        stored: None,
        while_revalidating: false,
        usable: None,
        ahead: None,
    };
    let step = if is_bypass && wanted.is_too_far(head) {
        pass(Forwarded::Bypass, context);
        Step::Pass
    } else if is_bypass {
        note(context, Outcome::Bypass, Some(Forwarded::Bypass));
        Step::Wait
    } else {
        let found = wanted.settings.zone.stored.find(&wanted.key, &head.headers);
        wanted.judge(found, Tier::Memory, head, context)?
    };
    Ok(match step {
        Step::Pass => Lookup::Pass,
        Step::Use(source) => match forms::at_hand_or_chosen(source, &wanted, head, context)? {
            Chosen::Served(served) => {
                Lookup::Answer(serve::answer(head, context, &wanted, served)?)
            }
            Chosen::Ask(entry) => {
                wanted.usable = Some(entry);
                Lookup::Wait(Box::new(wanted))
            }
        },
        Step::Wait => Lookup::Wait(Box::new(wanted)),
    })
}

/// Those of the route, unless its cache has let the request go already, or is who asks.
fn settings(context: &Context) -> Option<Arc<CacheSettings>> {
    let route = context.place.route?;
    let settings = context.snapshot.cache(route)?;
    let is_past = context.inner
        || context.fetcher.is_none()
        || context.cache.as_ref().is_some_and(|facts| facts.passed == Some(route));
    (!is_past).then(|| Arc::clone(settings))
}

/// Has the origin asked the usual way.
pub(super) fn pass(why: Forwarded, context: &mut Context) {
    let route = context.place.route;
    let outcome = if why == Forwarded::Bypass { Outcome::Bypass } else { Outcome::Miss };
    let facts = context.cache.get_or_insert_default();
    if !matches!(why, Forwarded::Method) {
        facts.outcome.get_or_insert(outcome);
    }
    facts.forwarded.get_or_insert(why);
    (facts.passed, facts.answers) = (route, None);
}

/// Notes what has become of the request, as far as that is known.
pub(super) fn note(context: &mut Context, outcome: Outcome, forwarded: Option<Forwarded>) {
    let facts = context.cache.get_or_insert_default();
    facts.outcome = Some(outcome);
    facts.forwarded = forwarded;
}

impl Wanted {
    /// A slice of a response whose first slice there is.
    pub(super) fn slice(settings: Arc<CacheSettings>, asks: Asks, slice: Slice) -> Self {
        Self {
            settings,
            key: slice.key(),
            slice: Some(slice),
            partly: None,
            asks,
            is_on_disk: false,
            is_bypass: false,
            is_apart: false,
            stored: None,
            while_revalidating: false,
            usable: None,
            ahead: None,
        }
    }

    /// What is to be done, with what was found.
    pub(super) fn judge(
        &mut self,
        found: Found,
        tier: Tier,
        head: &RequestHeader,
        context: &mut Context,
    ) -> Result<Step, Fault> {
        let now = SystemTime::now();
        (self.stored, self.partly) = (None, None);
        (self.is_on_disk, self.while_revalidating) = (false, false);
        let rules = &self.settings.rules;
        let (entry, usable) = match found {
            Found::Entry(entry) => {
                let usable = policy::judge(&entry.meta, &self.asks, rules, now);
                (entry, usable)
            }
            Found::Purged(entry) => {
                let usable = policy::judge_purged(&entry.meta, &self.asks, rules, now);
                (entry, usable)
            }
            Found::Ask => {
                self.is_on_disk = true;
                return Ok(Step::Wait);
            }
            Found::Others => return self.missing(Forwarded::VaryMiss, now, head, context),
            Found::Nothing => return self.missing(Forwarded::UriMiss, now, head, context),
        };
        context.cache.get_or_insert_default().tier = Some(tier);
        match usable {
            Use::Fresh => self.answer(entry, Outcome::Hit, head, context),
            Use::Stale => self.answer(entry, Outcome::Stale, head, context),
            Use::WhileRevalidating if self.settings.background_update => {
                self.refresh(&entry, head, context);
                self.answer(entry, Outcome::Updating, head, context)
            }
            Use::WhileRevalidating => {
                self.while_revalidating = true;
                Ok(self.validate(entry, true, context))
            }
            Use::Validate { .. } if self.asks.only_if_cached => Err(not_cached()),
            Use::Validate { if_error: true } if self.is_dead(context) => {
                self.probe(&entry, head, context);
                self.answer(entry, Outcome::Stale, head, context)
            }
            Use::Validate { if_error } => Ok(self.validate(entry, if_error, context)),
        }
    }

    /// Nothing is stored that the request selects.
    fn missing(
        &mut self,
        why: Forwarded,
        now: SystemTime,
        head: &RequestHeader,
        context: &mut Context,
    ) -> Result<Step, Fault> {
        let parts = self.parts(head);
        if let Some(parts) = parts.as_ref().filter(|parts| self.is_answered_by(parts, head, now)) {
            context.cache.get_or_insert_default().tier = Some(Tier::Memory);
            return self.answer(Arc::clone(&parts.entry), Outcome::Hit, head, context);
        }
        if self.asks.only_if_cached {
            return Err(not_cached());
        }
        let zone = &self.settings.zone.stored;
        note(context, Outcome::Miss, Some(why));
        if self.slice.as_ref().is_some_and(|slice| !slice.is_first()) {
            // The first one was wanted.
            return Ok(Step::Wait);
        }
        let is_wanted =
            self.settings.min_uses <= 1 || zone.count_use(&self.key) >= self.settings.min_uses;
        let is_passed = self.asks.no_store || zone.is_pass(&self.key, now);
        let partly = self.partly(parts, head, context);
        if is_passed || !is_wanted || partly.is_none() && self.is_too_far(head) {
            pass(why, context);
            return Ok(Step::Pass);
        }
        if let Some(Partly::Rest(_)) = partly {
            note(context, Outcome::Miss, Some(Forwarded::Partial));
        }
        self.partly = partly.map(Box::new);
        Ok(Step::Wait)
    }

    /// What requests have in common that one fetch is to answer.
    pub(super) fn likeness(&self) -> Key {
        if self.is_apart { self.key.clone() } else { self.settings.zone.stored.likeness(&self.key) }
    }

    /// Whether too much would have to be fetched before what is wanted.
    pub(super) fn is_too_far(&self, head: &RequestHeader) -> bool {
        let asked = Asked { method: &head.method, headers: &head.headers };
        let most = self.settings.max_range_offset.filter(|_| self.slice.is_none());
        most.is_some_and(|most| begins_beyond(asked, most))
    }

    fn validate(&mut self, entry: Arc<Entry>, if_error: bool, context: &mut Context) -> Step {
        let why = match self.would_do_unasked(&entry) {
            true => Forwarded::Request,
            false => Forwarded::Stale,
        };
        note(context, Outcome::Expired, Some(why));
        if self.asks.no_store {
            pass(why, context);
            return Step::Pass;
        }
        self.stored = Some((entry, if_error));
        Step::Wait
    }

    /// Whether it is for the request alone that what is stored is not used as it is (RFC 9211, 2.2).
    fn would_do_unasked(&self, entry: &Entry) -> bool {
        let CacheSettings { rules, zone, .. } = &*self.settings;
        zone.stored.standing(&entry.meta) == Standing::Holds
            && policy::judge(&entry.meta, &Asks::default(), rules, SystemTime::now()) == Use::Fresh
    }

    pub(super) fn answer(
        &self,
        entry: Arc<Entry>,
        outcome: Outcome,
        head: &RequestHeader,
        context: &mut Context,
    ) -> Result<Step, Fault> {
        if serve::is_for_origin(&entry, head) {
            pass(Forwarded::Request, context);
            return Ok(Step::Pass);
        }
        note(context, outcome, None);
        context.cache.get_or_insert_default().last_modified =
            entry.meta.head.headers.get(header::LAST_MODIFIED).cloned();
        Ok(Step::Use(Source::Stored(entry)))
    }

    /// Has what is stored validated while it is in use, unless that is being done.
    fn refresh(&self, entry: &Arc<Entry>, head: &RequestHeader, context: &Context) {
        let Some(fetcher) = &context.fetcher else { return };
        let likeness = self.likeness();
        let wish = wait::wish(self, &likeness, head);
        let Some(filling) = context.resident.fills.refresh(wish) else { return };
        let order = Order {
            settings: &self.settings,
            key: &self.key,
            slice: self.slice.as_ref(),
            partly: None,
            stored: Some((entry, true)),
            behalf: Behalf::Background,
            ahead: None,
        };
        fetcher.fetch(&order, filling, head, context);
    }

    /// Whether the origin is known to be dead, and what is stored is good enough until it is back.
    fn is_dead(&self, context: &Context) -> bool {
        self.settings.always_online && context.resident.origins.is_dead(&self.settings.upstream)
    }

    /// Looks whether a dead origin is back, if it is time for that.
    fn probe(&self, entry: &Arc<Entry>, head: &RequestHeader, context: &Context) {
        if context.resident.origins.may_probe(&self.settings.upstream) {
            self.refresh(entry, head, context);
        }
    }
}

/// RFC 9111, 5.2.1.7.
fn not_cached() -> Fault {
    Fault::client(
        Kind::Refused(http::StatusCode::GATEWAY_TIMEOUT),
        "`only-if-cached`, and nothing stored may be used",
    )
}
