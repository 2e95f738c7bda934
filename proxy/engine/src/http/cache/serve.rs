//! The answer to a client, from what is stored or on its way.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{
    AGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, IF_MATCH, IF_UNMODIFIED_SINCE,
};
use http::{HeaderValue, StatusCode};
use pingora_http::{RequestHeader, ResponseHeader};
use switchback_cache::policy::{self, CacheStatus};
use switchback_cache::serve::{self, Answered, Asked, Form, Parts, Reply};
use switchback_cache::{Body as Stored, Entry, Head, Meta};
use switchback_representation::{Multipart, Part, content_range};

use super::forms::{Judged, Served};
use super::head::{Of, StoredHead};
use super::lookup::Wanted;
use super::slices::{self, Sliced};
use super::{CacheFacts, Reader, Source};
use crate::http::answer::{Answer, Body, has_body};
use crate::http::answer_head::AnswerHead;
use crate::http::context::Context;
use crate::http::encode::versions;
use crate::http::fault::Fault;
use crate::http::streamed::{Larger, Streamed};

const CACHE_STATUS: &str = "cache-status";
/// The name by which the cache calls itself.
const NAME: &str = "switchback";

/// Where the bytes of an answer come from.
enum From {
    Stored(Arc<Entry>),
    Arriving(Reader),
    Sliced(Box<Sliced>),
    Parts(Box<Parts>),
}

/// The answer that is made of what is served. What is found out on the way is noted in [`Context::cache`].
pub(super) fn answer(
    request: &RequestHeader,
    context: &mut Context,
    wanted: &Wanted,
    served: Served,
) -> Result<Answer, Fault> {
    let Served { source, conditions } = served;
    let (of, from) = opened(request, context, wanted, source)?;
    let route = context.place.route;
    let facts = context.cache.get_or_insert_default();
    facts.answers = route;
    let now = SystemTime::now();
    let age = note_age(&of, facts, now);
    let cache_status = wanted.settings.status_header.then(|| said(facts));
    let received = of.meta().map_or(now, |meta| meta.times.response);
    let headers = match &conditions {
        Judged::ByRequest => Some(&request.headers),
        Judged::By(left) => Some(&**left),
        Judged::Unconditionally => None,
    };
    let answered = headers.map_or(Answered::Whole, |headers| {
        let asked = Asked { method: &request.method, headers };
        serve::answered(of.head(), received, of.length(), asked)
    });
    let answered = match answered {
        // What arrives passes once.
        Answered::Ranges(ranges) if matches!(from, From::Arriving(_)) && !are_in_order(&ranges) => {
            Answered::Whole
        }
        answered => answered,
    };
    let use_as_dictionary = versions::announcement(context);
    let reply = Reply { cache_status, use_as_dictionary, ..Reply::whole(age, of.length()) };
    Ok(made(of, from, reply, answered))
}

/// What an answer is made of, and where its bytes come from.
fn opened(
    request: &RequestHeader,
    context: &Context,
    wanted: &Wanted,
    source: Source,
) -> Result<(Of, From), Fault> {
    let (of, reader) = source.into_parts();
    if let Some(whole) = slices::whole(&of, wanted) {
        let sliced = Sliced::new(wanted, &of, reader, request, context);
        let sliced = sliced.ok_or_else(|| Fault::internal("a slice without bytes"))?;
        return Ok((whole, From::Sliced(Box::new(sliced))));
    }
    if let (Of::Entry(entry), None, None) = (&of, &reader, &wanted.slice)
        && let Some(parts) = Parts::of(entry)
    {
        let whole = Of::Sliced(Arc::new(parts.whole()), parts.complete);
        return Ok((whole, From::Parts(Box::new(parts))));
    }
    let from = match (&of, reader) {
        (_, Some(reader)) => From::Arriving(reader),
        (Of::Entry(entry), None) => From::Stored(Arc::clone(entry)),
        _ => return Err(Fault::internal("a response without bytes")),
    };
    Ok((of, from))
}

/// The age to be told, in seconds: not of what the origin has just made for this request, unless it says that it was kept by
/// others (RFC 9111, 5.1).
fn note_age(of: &Of, facts: &mut CacheFacts, now: SystemTime) -> Option<u64> {
    let told = |head: &Head| head.headers.get(AGE)?.to_str().ok()?.parse().ok();
    let Some(meta) = of.meta() else { return told(of.head()) };
    let age = policy::age(meta, now);
    facts.age = Some(age);
    facts.ttl = Some(seconds(meta.freshness.lifetime).saturating_sub(seconds(age)));
    let is_new = match of {
        Of::Entry(_) | Of::Sliced(..) => false,
        // What is being made of something stored is as old as that.
        Of::Arrived(arrived) => {
            facts.forwarded.is_some() && !facts.is_collapsed && told(&arrived.head).is_none()
        }
    };
    (!is_new).then_some(age.as_secs())
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

/// Has an answer that an origin was asked for the usual way tell why, where the cache of its route tells such things.
pub(crate) fn tell_passed(answer: &mut ResponseHeader, context: &Context) -> Result<(), Fault> {
    let (Some(facts), Some(route)) = (&context.cache, context.place.route) else { return Ok(()) };
    let Some(why) = facts.forwarded.filter(|_| facts.passed == Some(route)) else { return Ok(()) };
    if context.snapshot.cache(route).is_some_and(|settings| settings.status_header) {
        let said = CacheStatus::forwarded(NAME, why).to_value();
        answer.append_header(CACHE_STATUS, said).map_err(Fault::internal)?;
    }
    Ok(())
}

/// What `Cache-Status` says (RFC 9211).
fn said(facts: &CacheFacts) -> CacheStatus<'static> {
    let Some(why) = facts.forwarded else {
        return CacheStatus { ttl: facts.ttl, ..CacheStatus::hit(NAME) };
    };
    CacheStatus {
        forward_status: facts.forward_status,
        ttl: facts.ttl,
        is_stored: facts.is_stored,
        is_collapsed: facts.is_collapsed,
        ..CacheStatus::forwarded(NAME, why)
    }
}

/// Whether conditions that are meant for the origin do not hold for what is stored: then the origin is to judge them (RFC 9111,
/// 4.3.2).
pub(super) fn is_for_origin(entry: &Entry, request: &RequestHeader) -> bool {
    let headers = &request.headers;
    if !headers.contains_key(IF_MATCH) && !headers.contains_key(IF_UNMODIFIED_SINCE) {
        return false;
    }
    let asked = Asked { method: &request.method, headers };
    let Meta { head, times, .. } = &entry.meta;
    serve::answered(head, times.response, Some(entry.length), asked) == Answered::Failed
}

fn made(of: Of, from: From, mut reply: Reply, answered: Answered) -> Answer {
    let size = of.length().unwrap_or_default();
    let body = match answered {
        Answered::Whole if has_body(of.head().status) => whole(&of, from),
        Answered::Whole | Answered::NotModified => {
            if answered == Answered::NotModified {
                reply.form = Form::NotModified;
            }
            reply.length = None;
            nothing()
        }
        Answered::Range(range) => {
            let length = range.end - range.start;
            reply.form = Form::Partial;
            reply.length = Some(length);
            reply.range = Some((range.clone(), size));
            partial(from, vec![Part::Range(range)], length)
        }
        Answered::Ranges(ranges) => {
            let multipart = Multipart::of(&ranges, of.head().headers.get(CONTENT_TYPE), size);
            reply.form = Form::Multipart;
            reply.length = Some(multipart.length);
            reply.content_type = Some(multipart.content_type);
            partial(from, multipart.parts, multipart.length)
        }
        Answered::Unsatisfiable => return refused(StatusCode::RANGE_NOT_SATISFIABLE, Some(size)),
        Answered::Failed => return refused(StatusCode::PRECONDITION_FAILED, None),
    };
    Answer { head: AnswerHead::Stored(Box::new(StoredHead { of, reply })), body }
}

/// The whole body of what is there, or arrives.
pub(super) fn body(source: Source) -> Body {
    match source.into_parts() {
        (of, Some(reader)) => whole(&of, From::Arriving(reader)),
        (Of::Entry(entry), None) => whole(&Of::Entry(Arc::clone(&entry)), From::Stored(entry)),
        (Of::Arrived(_) | Of::Sliced(..), None) => nothing(),
    }
}

fn whole(of: &Of, from: From) -> Body {
    let entry = match from {
        From::Stored(entry) => entry,
        From::Arriving(reader) => return streamed(Streamed::arriving(reader, of.length())),
        From::Sliced(sliced) => {
            let length = of.length().unwrap_or_default();
            return of_all(Larger::Sliced(sliced), length);
        }
        From::Parts(parts) => {
            let length = parts.complete;
            return of_all(Larger::Parts(parts), length);
        }
    };
    match &entry.body {
        Stored::Memory(pieces) => match &**pieces {
            [] => nothing(),
            [only] => Body::Whole(only.clone()),
            several => streamed(Streamed::pieces(several.to_vec())),
        },
        Stored::Disk(body) => match body.whole() {
            Some(bytes) => Body::Whole(bytes.clone()),
            None => of_all(Larger::OnDisk(body.clone()), entry.length),
        },
    }
}

fn of_all(larger: Larger, length: u64) -> Body {
    streamed(Streamed::parts(larger, vec![Part::Range(0..length)], length))
}

fn partial(from: From, parts: Vec<Part>, length: u64) -> Body {
    let larger = match from {
        From::Arriving(reader) => Larger::Arriving(reader),
        From::Sliced(sliced) => Larger::Sliced(sliced),
        From::Parts(parts) => Larger::Parts(parts),
        From::Stored(entry) => Larger::of(&entry),
    };
    streamed(Streamed::parts(larger, parts, length))
}

fn streamed(body: Streamed) -> Body {
    Body::Streamed(Box::new(body))
}

/// An answer without a body; of what has `size`, if none of it was wanted that is there.
fn refused(status: StatusCode, size: Option<u64>) -> Answer {
    let mut fields = vec![(CONTENT_LENGTH, HeaderValue::from(0))];
    if let Some(size) = size {
        fields.push((CONTENT_RANGE, content_range(None, size).to_value()));
    }
    Answer { head: AnswerHead::Plain(status, fields), body: nothing() }
}

fn nothing() -> Body {
    Body::Whole(Bytes::new())
}

fn are_in_order(ranges: &[Range<u64>]) -> bool {
    ranges.is_sorted_by(|one, next| one.end <= next.start)
}
