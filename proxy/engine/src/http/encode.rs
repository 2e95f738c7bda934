//! What is encoded of an answer, and how: decided once for each, by what its client can decode.
//!
//! [`prepare`] sets a request up as soon as its route is known, [`settle`] decides when there is a head and changes that. The body
//! then goes through a [`Coder`]: an upstream's as it passes ([`passing`]) or as its client takes it ([`drawn`]), one that is made or
//! stored here as it is asked for ([`coded`]).

mod coded;
mod coder;
mod conditions;
pub(crate) mod counters;
mod drawn;
pub(crate) mod forms;
pub(crate) mod passing;
pub(crate) mod pictures;
mod settle;
pub(crate) mod versions;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use pingora_http::{RequestHeader, ResponseHeader};
use switchback_cache::serve;
use switchback_variant::{Capabilities, Coding, Dictionary, Offer, Varies};

use super::answer::Body;
use super::answer_head::AnswerHead;
use super::context::Context;
use super::fault::Fault;
use super::pieces::Pieces;
use super::rules::Fields as _;
use super::streamed::Streamed;
use crate::snapshot::encodes::EncodeSettings;
use pictures::View;
use settle::settle;
use versions::Versions;

pub(crate) use coded::Coded;
pub(crate) use coder::{Coder, Failed, Step};
pub(crate) use drawn::Drawn;
#[cfg(test)]
pub(crate) use drawn::testing;

/// How the answer to a request may be encoded.
#[derive(Debug)]
pub(crate) struct Encoding {
    settings: Arc<EncodeSettings>,
    client: Capabilities,
    /// The client's lines in whose place others stand, or none.
    said: HeaderMap,
    /// What an upstream's body goes through, once there is its head.
    coder: Option<Coder>,
    /// What the answer is in, where a stored form is the answer.
    form: Option<Coding>,
    /// What earlier versions have to do with it, where there may be some.
    pub(crate) versions: Option<Box<Versions>>,
    /// What the answer says of a picture, where it is one that is stored.
    view: Option<View>,
}

impl Encoding {
    /// The client's own line of this name, where another stands in the head in hand, or none.
    pub(crate) fn said(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.said.get(name)
    }

    /// For an inner request, whose head may have come from either side of [`prepare`].
    pub(crate) fn inherit(&self) -> Box<Self> {
        let Self { settings, client, said, .. } = self;
        Box::new(Self {
            settings: Arc::clone(settings),
            client: *client,
            said: said.clone(),
            coder: None,
            form: None,
            versions: None,
            view: None,
        })
    }

    /// What answers from the cache are chosen by.
    fn varies(&self) -> Varies {
        if self.versions.is_some() { Varies::DICTIONARY } else { Varies::CODING }
    }

    /// The dictionary that is needed for this coding.
    fn needed_for(&self, coding: Coding) -> Option<&Arc<Dictionary>> {
        self.versions.as_deref()?.needed_for(coding)
    }

    /// Notes what an answer is sent in, where that is known and the route encodes.
    fn note(&self, coding: Option<Coding>, context: &Context) {
        note(coding.filter(|_| self.settings.encodes()), context);
    }

    /// The same of a stored form.
    fn note_form(&self, coding: Coding, status: StatusCode, context: &Context) {
        if status != StatusCode::NOT_MODIFIED {
            self.note(Some(coding), context);
            self.view.iter().for_each(|view| pictures::note(view, context));
        }
    }

    /// What can be had of what lies here, or else of what passes.
    fn offer(&self, context: &Context) -> &Offer {
        let lies_here = context.proxy().is_none() || context.is_answered_by_cache();
        if lies_here { &self.settings.stored } else { &self.settings.streamed }
    }
}

/// Sets the request up for the route that it has come to: what the client can do, and its conditions as those can judge them who
/// know nothing of encodings.
pub(crate) fn prepare(head: &mut RequestHeader, context: &mut Context) -> Result<(), Fault> {
    let settings = context.place.route.and_then(|route| context.snapshot.encode(route));
    // What is fetched for a cache is encoded for each who reads it.
    let settings = settings.filter(|_| context.fetch.is_none()).cloned();
    if let Some(before) = context.encoding.take() {
        for name in before.said.keys() {
            head.remove(name);
        }
        for (name, value) in &before.said {
            head.append(name, value.clone()).map_err(Fault::internal)?;
        }
    }
    let Some(settings) = settings else { return Ok(()) };
    let (versions, client) = Versions::of(head, &settings, context);
    let said = conditions::translate(head, &client, &settings)?;
    let (coder, form, view) = (None, None, None);
    let encoding = Encoding { settings, client, said, coder, form, versions, view };
    context.encoding = Some(Box::new(encoding));
    Ok(())
}

/// Whether [`prepare`] may wait until it is known what is stored: the route encodes what a cache stores, and the request has no
/// conditions, so that its head stays as it is. Then a form that is at hand is all that is wanted.
pub(crate) fn may_wait(head: &RequestHeader, context: &Context) -> bool {
    let stores = |route| context.snapshot.cache(route).is_some();
    is_awaited(context)
        && context.place.route.is_some_and(stores)
        && !serve::asks_for_less(&head.headers)
}

/// Whether the route encodes, and the request was not prepared for it.
pub(crate) fn is_awaited(context: &Context) -> bool {
    let encodes = |route| context.snapshot.encode(route).is_some();
    context.encoding.is_none() && context.place.route.is_some_and(encodes)
}

/// Forgets the client's conditions, which are not about what it is answered with.
pub(crate) fn forget_conditions(context: &mut Context) {
    if let Some(encoding) = &mut context.encoding {
        encoding.said.clear();
    }
}

/// Whether an answer that is made or stored here is none of those that can be encoded or decoded, as can be told without touching
/// its head; then it is counted. Images and packed fonts cost what they cost elsewhere.
pub(crate) fn leaves(head: &AnswerHead, context: &Context) -> bool {
    let Some(encoding) = context.encoding.as_deref() else { return true };
    if let Some(coding) = encoding.form {
        encoding.note_form(coding, head.status(), context);
        return true;
    }
    let is_for = |line: &HeaderValue| encoding.settings.is_for(line.as_bytes());
    let is_concerned = head.status() == StatusCode::NOT_MODIFIED
        || head.line(&header::CONTENT_ENCODING).is_some()
        || head.line(&header::CONTENT_TYPE).is_some_and(is_for)
        || pictures::concern(head, encoding);
    if !is_concerned {
        encoding.note(Some(Coding::Identity), context);
    }
    !is_concerned
}

/// Notes what an answer is sent in, where that is known.
fn note(coding: Option<Coding>, context: &Context) {
    context.asked.lock().coding = coding;
    context.resident.metrics.encoding.answered(coding);
}

/// Bodies up to this size that are in memory are encoded at once, so that their length is known. What is decoded may be much more.
const AT_ONCE: usize = 64 * 1024;

/// Changes the head of an answer that is made or stored here, and gives its body as it is sent.
pub(crate) fn own(
    head: &mut ResponseHeader,
    body: Body,
    request: &RequestHeader,
    context: &mut Context,
) -> Result<Body, Fault> {
    let Some(encoding) = context.encoding.take() else { return Ok(body) };
    if let Some(coding) = encoding.form {
        encoding.note_form(coding, head.status, context);
        context.encoding = Some(encoding);
        return Ok(body);
    }
    let settled = settle(head, request, &encoding, context);
    context.encoding = Some(encoding);
    let Some(coder) = settled? else { return Ok(body) };
    if request.method == Method::HEAD {
        return Ok(Body::Whole(Bytes::new()));
    }
    match body {
        Body::Whole(bytes) if bytes.len() <= AT_ONCE && !coder.decodes() => {
            let whole = coder.whole(&bytes).map_err(|failed| {
                failed.note(context);
                failed.into_fault()
            })?;
            head.insert_header(header::CONTENT_LENGTH, whole.len()).map_err(Fault::internal)?;
            Ok(Body::Whole(whole))
        }
        body => {
            if request.version == Version::HTTP_11 {
                head.insert_header(header::TRANSFER_ENCODING, "chunked")
                    .map_err(Fault::internal)?;
            }
            Ok(Body::Streamed(Box::new(Streamed::coded(coded(body, coder)))))
        }
    }
}

/// What comes of a body.
fn coded(body: Body, coder: Coder) -> Coded {
    let (source, waits) = pieces(body);
    Coded::new(source, waits, coder)
}

/// A body piece by piece, and whether these may be long in coming.
fn pieces(body: Body) -> (Pieces, bool) {
    match body {
        Body::Whole(bytes) => (Pieces::of(bytes), false),
        Body::File(file, parts) => (Pieces::new(file, parts), false),
        Body::Streamed(streamed) => {
            let waits = streamed.is_arriving();
            (Pieces::streamed(streamed), waits)
        }
    }
}
