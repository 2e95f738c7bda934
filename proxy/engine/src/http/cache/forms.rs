//! Forms of what is stored: encoded, or decoded, once for many.
//!
//! A form is an entry of its own, under the key of the response that it was made of with its name and the number of that one's body.
//! The response alone is judged: whoever may be answered by it may be by its forms. So what purges it or takes its place leaves
//! nothing of its forms to be found, and a form whose times are not the response's takes that one's head anew. What is not there is
//! made while it is sent, by one for all who want it.

mod beside;
mod best;
mod form;
mod making;
mod pictures;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, Method, header};
use pingora_http::RequestHeader;
use switchback_cache::{BodyId, Entry, Found, Head, Key, Meta};
use tokio::time::timeout;

use super::Source;
use super::dictionaries;
use super::lookup::Wanted;
use crate::http::context::Context;
use crate::http::encode;
use crate::http::encode::forms::{self, Conditions};
use crate::http::fault::Fault;
use crate::snapshot::caches::CacheSettings;
use form::Form;

/// What answers a request.
pub(super) struct Served {
    /// Where it comes from.
    pub(super) source: Source,
    /// By which conditions it is judged.
    pub(super) conditions: Judged,
}

/// By which conditions an answer is judged.
pub(super) enum Judged {
    /// By those in the head of the request.
    ByRequest,
    /// By these.
    By(Box<HeaderMap>),
    /// By none: there are none.
    Unconditionally,
}

/// What is sent of a response, as far as can be told without waiting.
pub(super) enum Chosen {
    /// This.
    Served(Served),
    /// The disk may have a form of it.
    Ask(Arc<Entry>),
}

/// A form of a response that a client is to have.
#[derive(Clone, Debug)]
struct Wish {
    form: Form,
    key: Key,
}

/// How hard an encoder has tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effort {
    /// While a client waits.
    Fast,
    /// As hard as it is told to.
    Best,
}

impl Effort {
    /// The number of a body that is made with this effort: the lowest bit tells of it, wherever the body is stored.
    fn fresh(self) -> BodyId {
        BodyId::numbered(BodyId::fresh().number() & !1 | u64::from(self == Self::Best))
    }

    /// With which a body was made.
    fn of(body: BodyId) -> Self {
        if body.number() & 1 == 1 { Self::Best } else { Self::Fast }
    }
}

/// How long a disk may look for a form; then it is made anew.
const DISK_PATIENCE: Duration = Duration::from_secs(2);

/// The form that suits the client, if that was noted beside what is stored and the request says nothing else of note: then neither
/// is looked for nor judged once more.
fn at_hand(
    source: &Source,
    wanted: &Wanted,
    request: &RequestHeader,
    context: &Context,
) -> Option<Served> {
    let Source::Stored(original) = source else { return None };
    let (coding, mark) = forms::usual(request, context)?;
    let form = wanted.settings.zone.stored.form(original, mark)?;
    forms::note(coding, context);
    forms::count_hit(coding, saved(original, &form, request), context);
    Some(Served { source: Source::Stored(form), conditions: Judged::Unconditionally })
}

/// By how many bytes a form is shorter, where it is sent whole.
fn saved(original: &Entry, form: &Entry, request: &RequestHeader) -> u64 {
    if request.method != Method::GET {
        return 0;
    }
    original.length.saturating_sub(form.length)
}

/// What is sent of what was found. Only what is not at hand needs the request to be prepared.
pub(super) fn at_hand_or_chosen(
    source: Source,
    wanted: &Wanted,
    head: &mut RequestHeader,
    context: &mut Context,
) -> Result<Chosen, Fault> {
    if encode::is_awaited(context) {
        if let Some(served) = at_hand(&source, wanted, head, context) {
            return Ok(Chosen::Served(served));
        }
        encode::prepare(head, context)?;
    }
    choose(source, wanted, head, context)
}

/// Takes what suits the client: what is stored or arrives, or a form of it.
fn choose(
    source: Source,
    wanted: &Wanted,
    request: &RequestHeader,
    context: &mut Context,
) -> Result<Chosen, Fault> {
    dictionaries::offer(&source, wanted, request, context);
    let Some(wish) = Wish::of(&source, wanted, request, context) else {
        return Ok(Chosen::Served(source.into()));
    };
    let found = wanted.settings.zone.stored.find(&wish.key, &HeaderMap::new());
    match (found, source) {
        (Found::Ask, Source::Stored(entry)) => Ok(Chosen::Ask(entry)),
        (found, Source::Stored(entry)) if wish.is_awaited(&found, request, context) => {
            Ok(Chosen::Ask(entry))
        }
        (found, source) => {
            wish.serve(found, source, &wanted.settings, (request, context)).map(Chosen::Served)
        }
    }
}

/// The same, and waits for a disk.
pub(super) async fn obtain(
    source: Source,
    wanted: &Wanted,
    request: &RequestHeader,
    context: &mut Context,
) -> Result<Served, Fault> {
    let entry = match choose(source, wanted, request, context)? {
        Chosen::Served(served) => return Ok(served),
        Chosen::Ask(entry) => entry,
    };
    let source = Source::Stored(entry);
    let Some(wish) = Wish::of(&source, wanted, request, context) else { return Ok(source.into()) };
    let none = HeaderMap::new();
    let found = timeout(DISK_PATIENCE, wanted.settings.zone.stored.read(&wish.key, &none)).await;
    let found = found.unwrap_or(Found::Nothing);
    let found = wish.wait(found, &source, &wanted.settings, (request, context)).await;
    wish.serve(found, source, &wanted.settings, (request, context))
}

impl Wish {
    /// What the client is to have in place of `source`, if anything.
    fn of(
        source: &Source,
        wanted: &Wanted,
        request: &RequestHeader,
        context: &mut Context,
    ) -> Option<Self> {
        if context.encoding.is_none() || wanted.slice.is_some() {
            return None;
        }
        let (meta, length) = source.stored()?;
        let form = Form::suiting(meta, length, request, context)?;
        let key = meta.key.of_form(meta.body, form.name().as_bytes());
        Some(Self { form, key })
    }

    /// The form that was found, if that is what the request asks for, or else one that is made from now on.
    fn serve(
        self,
        found: Found,
        source: Source,
        settings: &Arc<CacheSettings>,
        (request, context): (&RequestHeader, &mut Context),
    ) -> Result<Served, Fault> {
        let Some((meta, _)) = source.stored() else { return Ok(source.into()) };
        let stored = match found {
            Found::Entry(entry) | Found::Purged(entry) => {
                Some(self.current(entry, meta, settings)?)
            }
            Found::Ask | Found::Others | Found::Nothing => None,
        };
        if let Some(entry) = &stored
            && self.form.is_refused(entry, context)
        {
            return Ok(source.into());
        }
        let tag = stored.as_ref().and_then(|entry| forms::tag(&entry.meta.head));
        let conditions = match forms::conditions(meta, tag, request, context) {
            Conditions::None => Judged::ByRequest,
            Conditions::Left(left) => Judged::By(Box::new(left)),
            Conditions::OfOriginal => {
                self.form.is_passed_over(context);
                return Ok(source.into());
            }
        };
        let source = match stored {
            Some(entry) => {
                if let Source::Stored(original) = &source {
                    self.note(&entry, original, settings, context);
                    let is_whole = matches!(conditions, Judged::ByRequest);
                    let saved = if is_whole { saved(original, &entry, request) } else { 0 };
                    self.form.is_hit(saved, context);
                }
                Source::Stored(entry)
            }
            None if !self.is_made_for(request, &conditions) => return Ok(source.into()),
            None if self.form.is_picture() => {
                self.begin(&source, settings, context);
                return Ok(source.into());
            }
            None => match self.make(source, settings, context)? {
                Ok(made) => made,
                Err(source) => return Ok(source.into()),
            },
        };
        self.form.is_sent(&source, context);
        Ok(Served { source, conditions })
    }

    /// Whether it is made for such a request: not where that wants a part, which can be had of the original, or no body.
    fn is_made_for(&self, request: &RequestHeader, conditions: &Judged) -> bool {
        let is_part = match conditions {
            Judged::ByRequest | Judged::Unconditionally => false,
            Judged::By(left) => {
                left.contains_key(header::RANGE) && !left.contains_key(header::IF_RANGE)
            }
        };
        request.method != Method::HEAD && (!is_part || self.form.decodes())
    }

    /// Has the form made again, if it is time for that; one that stays as it is is noted beside what it was made of.
    fn note(
        &self,
        entry: &Arc<Entry>,
        original: &Arc<Entry>,
        settings: &Arc<CacheSettings>,
        context: &Context,
    ) {
        if best::is_due(self, entry, original, context) {
            best::consider(self, original, settings, context);
        } else if let Some(mark) = self.form.mark(context) {
            settings.zone.stored.note_form(original, mark, entry);
        }
    }

    /// A stored form with the head that what it was made of has now.
    fn current(
        &self,
        entry: Arc<Entry>,
        original: &Meta,
        settings: &CacheSettings,
    ) -> Result<Arc<Entry>, Fault> {
        if entry.meta.times == original.times {
            return Ok(entry);
        }
        let form = self.form.of(&entry);
        let head = form.head(&original.head, entry.meta.body)?;
        let meta = Meta { body: entry.meta.body, ..self.meta(original, head) };
        let renewed = settings.zone.stored.refresh(&entry, meta);
        if settings.zone.stored.disk().is_some() {
            let (zone, renewed) = (Arc::clone(&settings.zone), Arc::clone(&renewed));
            tokio::spawn(async move { zone.stored.refresh_on_disk(&entry, &renewed).await });
        }
        Ok(renewed)
    }

    /// What the form is stored with: all that is known of the original. Nothing selects it but its key.
    fn meta(&self, original: &Meta, head: Head) -> Meta {
        Meta {
            key: self.key.clone(),
            head,
            times: original.times,
            freshness: original.freshness,
            vary: Box::default(),
            selected_by: HeaderMap::new(),
            tags: original.tags.clone(),
            generation: original.generation,
            body: original.body,
        }
    }

    /// Has the form made, unless somebody does; `source` again where it cannot be, or is not kept.
    fn make(
        &self,
        source: Source,
        settings: &Arc<CacheSettings>,
        context: &Context,
    ) -> Result<Result<Source, Source>, Fault> {
        if settings.zone.stored.is_pass(&self.key, SystemTime::now()) {
            return Ok(Err(source));
        }
        making::make(self, source, settings, context)
    }
}

impl Source {
    /// What it is stored with, or will be, and the length of its body, where that is known.
    pub(super) fn stored(&self) -> Option<(&Meta, Option<u64>)> {
        match self {
            Self::Stored(entry) => Some((&entry.meta, Some(entry.length))),
            Self::Arriving(_, arrived) => Some((arrived.stored.as_deref()?, arrived.length)),
        }
    }
}

impl From<Source> for Served {
    fn from(source: Source) -> Self {
        Self { source, conditions: Judged::ByRequest }
    }
}
