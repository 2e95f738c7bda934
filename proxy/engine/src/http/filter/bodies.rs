//! Bodies that plugins see piece by piece, and may change.

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode, Version, header};
use pingora_http::{RequestHeader, ResponseHeader};
use switchback_plugin::{Hook, Refused};
use switchback_plugin_host::Verdict;

use super::{Request, Sides, ended, judged, run, run_now};
use crate::http::answer::{self, Body};
use crate::http::context::Context;
use crate::http::fault::{Fault, Kind};

/// How much of a body a plugin may have wait.
const MOST_HELD: usize = 1 << 20;

/// A plugin, by its chain and its number there.
type Place = (usize, u32);

/// What waits for the next piece, each for the plugin that wants it so.
#[derive(Debug, Default)]
struct Held(Vec<(Place, Bytes)>);

/// What plugins have had to do with the bodies of one request.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    /// What waits for the next piece of the request's.
    request: Held,
    /// The same of the response's.
    response: Held,
    /// Whether they have seen some of the request's on its way.
    has_begun: bool,
}

impl Bodies {
    /// Whether plugins have seen some of the request's on its way.
    pub(super) fn have_begun(&self) -> bool {
        self.has_begun
    }
}

/// The piece at hand.
pub(super) struct Piece {
    bytes: Bytes,
    is_last: bool,
    /// Who sees it now.
    place: Place,
    /// What waits since earlier pieces.
    before: Held,
    /// What is to wait from now on.
    held: Held,
}

impl Piece {
    fn new(bytes: Bytes, is_last: bool, before: Held) -> Self {
        Self { bytes, is_last, place: (0, 0), before, held: Held::default() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn is_last(&self) -> bool {
        self.is_last
    }

    pub(super) fn set(&mut self, bytes: Bytes) {
        self.bytes = bytes;
    }

    /// A plugin is shown it, behind what that has had wait.
    pub(super) fn enter(&mut self, place: Place) {
        self.place = place;
        let waits = self.before.0.iter().position(|(own, _)| *own == place);
        if let Some(at) = waits {
            let (_, before) = self.before.0.swap_remove(at);
            self.bytes = joined(before, std::mem::take(&mut self.bytes));
        }
    }

    /// It waits: nobody else sees it before there is more.
    pub(super) fn hold(&mut self) -> Result<(), Refused> {
        if self.is_last {
            return Err(Refused::NotNow);
        }
        if self.bytes.len() > MOST_HELD {
            return Err(Refused::Full);
        }
        let bytes = std::mem::take(&mut self.bytes);
        self.held.0.push((self.place, bytes));
        Ok(())
    }

    /// What goes on, and what waits. Of a plugin that was not asked any more, nothing does.
    fn into_parts(self) -> (Bytes, Held) {
        let Self { mut bytes, before, held, .. } = self;
        for (_, left) in before.0 {
            bytes = joined(left, bytes);
        }
        (bytes, held)
    }
}

fn joined(first: Bytes, second: Bytes) -> Bytes {
    if first.is_empty() {
        return second;
    }
    if second.is_empty() {
        return first;
    }
    let mut both = BytesMut::with_capacity(first.len() + second.len());
    both.extend_from_slice(&first);
    both.extend_from_slice(&second);
    both.freeze()
}

/// Shows a piece of a request's body on its way to an endpoint.
pub(crate) async fn request(
    body: &mut Option<Bytes>,
    end: bool,
    head: &RequestHeader,
    context: &mut Context,
) -> pingora_error::Result<()> {
    if !context.filtering.has(Hook::RequestBody) {
        return Ok(());
    }
    let Some(filters) = context.filtering.filters.as_deref_mut() else { return Ok(()) };
    let bodies = filters.bodies.get_or_insert_default();
    bodies.has_begun |= body.as_ref().is_some_and(|body| !body.is_empty());
    if !bodies.has_begun {
        // A request without a body has no last piece either.
        return Ok(());
    }
    let before = std::mem::take(&mut bodies.request);
    let mut piece = Piece::new(body.take().unwrap_or_default(), end, before);
    let sides = Sides::of(Request::Fixed(head));
    let ran = run(Hook::RequestBody, None, context, sides, Some(&mut piece)).await;
    let (bytes, held) = piece.into_parts();
    if let Some(filters) = context.filtering.filters.as_deref_mut() {
        filters.bodies.get_or_insert_default().request = held;
    }
    *body = (!bytes.is_empty()).then_some(bytes);
    ended(ran.verdict, context)
}

/// Shows a piece of an upstream's answer on its way to the client.
pub(crate) fn response(
    body: &mut Option<Bytes>,
    end: bool,
    head: &RequestHeader,
    context: &mut Context,
) -> Result<(), Fault> {
    if context.fetch.is_some() || !context.filtering.has(Hook::ResponseBody) {
        return Ok(());
    }
    let bytes = piece(body.take().unwrap_or_default(), end, head, context)?;
    *body = (!bytes.is_empty()).then_some(bytes);
    Ok(())
}

/// What becomes of a piece.
fn piece(
    bytes: Bytes,
    end: bool,
    head: &RequestHeader,
    context: &mut Context,
) -> Result<Bytes, Fault> {
    let Some(filters) = context.filtering.filters.as_deref_mut() else { return Ok(bytes) };
    let before = std::mem::take(&mut filters.bodies.get_or_insert_default().response);
    let mut piece = Piece::new(bytes, end, before);
    let sides = Sides::of(Request::Fixed(head));
    let verdict = run_now(Hook::ResponseBody, None, context, sides, Some(&mut piece)).verdict;
    let (bytes, held) = piece.into_parts();
    if let Some(filters) = context.filtering.filters.as_deref_mut() {
        filters.bodies.get_or_insert_default().response = held;
    }
    match verdict {
        Verdict::Continue => Ok(bytes),
        // Its head is out already: all that can be done is to break it off.
        Verdict::Answer(_) => {
            let reason = "a plugin has answered in the middle of a body";
            Err(Fault::ours(Kind::Internal, reason))
        }
        refused => judged(refused).map(|_| bytes),
    }
}

/// A request whose body plugins may change is sent without its length.
pub(super) fn of_unknown_length(head: &mut RequestHeader) -> Result<(), Fault> {
    let length = head.headers.get(header::CONTENT_LENGTH);
    if length.is_some_and(|length| length != "0") {
        head.remove_header(&header::CONTENT_LENGTH);
        head.insert_header(header::TRANSFER_ENCODING, "chunked").map_err(Fault::internal)?;
    }
    Ok(())
}

/// The same of an upstream's answer.
pub(super) fn passing(head: &mut ResponseHeader, request: &RequestHeader) -> Result<(), Fault> {
    if !has_body(head, request) {
        return Ok(());
    }
    head.remove_header(&header::CONTENT_LENGTH);
    if request.version == Version::HTTP_11 {
        head.insert_header(header::TRANSFER_ENCODING, "chunked").map_err(Fault::internal)?;
    }
    Ok(())
}

fn has_body(head: &ResponseHeader, request: &RequestHeader) -> bool {
    let is_empty = head.headers.get(header::CONTENT_LENGTH).is_some_and(|length| length == "0");
    request.method != Method::HEAD && answer::has_body(head.status) && !is_empty
}

/// How plugins see the body of an answer that is made or stored here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// They have seen all of it, or there is nobody to see it.
    Whole,
    /// Piece by piece, as it is sent.
    Pieces,
}

/// Shows the body of an answer that is made or stored here, if it is in memory; else has it be sent without its length.
pub(crate) fn own(
    head: &mut ResponseHeader,
    body: Body,
    request: &RequestHeader,
    context: &mut Context,
) -> Result<(Body, Shown), Fault> {
    let is_seen = context.fetch.is_none() && context.filtering.has(Hook::ResponseBody);
    if !is_seen || head.status == StatusCode::NOT_MODIFIED {
        return Ok((body, Shown::Whole));
    }
    if request.method == Method::HEAD {
        // What the length would be, nobody knows.
        head.remove_header(&header::CONTENT_LENGTH);
        return Ok((body, Shown::Whole));
    }
    if !answer::has_body(head.status) {
        return Ok((body, Shown::Whole));
    }
    if let Body::Whole(bytes) = body {
        let bytes = piece(bytes, true, request, context)?;
        head.insert_header(header::CONTENT_LENGTH, bytes.len()).map_err(Fault::internal)?;
        return Ok((Body::Whole(bytes), Shown::Whole));
    }
    head.remove_header(&header::CONTENT_LENGTH);
    if request.version == Version::HTTP_11 {
        head.insert_header(header::TRANSFER_ENCODING, "chunked").map_err(Fault::internal)?;
    }
    Ok((body, Shown::Pieces))
}

/// Shows one piece of such a body; the last one is empty.
pub(crate) fn own_piece(
    bytes: Option<Bytes>,
    request: &RequestHeader,
    context: &mut Context,
) -> Result<Bytes, Fault> {
    let end = bytes.is_none();
    piece(bytes.unwrap_or_default(), end, request, context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_that_waits_begins_the_next_one_for_the_plugin_that_wants_it_so() {
        let mut piece = Piece::new("ab".into(), false, Held::default());
        piece.enter((0, 1));
        assert_eq!(piece.hold(), Ok(()));
        piece.enter((1, 0));
        assert_eq!(piece.bytes(), b"");
        let (sent, held) = piece.into_parts();
        assert_eq!(sent, "");
        let mut piece = Piece::new("cd".into(), true, held);
        piece.enter((0, 0));
        assert_eq!(piece.bytes(), b"cd");
        piece.enter((0, 1));
        assert_eq!(piece.bytes(), b"abcd");
        assert_eq!(piece.hold(), Err(Refused::NotNow));
        piece.set("ABCD".into());
        let (sent, held) = piece.into_parts();
        assert_eq!((sent, held.0.len()), (Bytes::from("ABCD"), 0));
    }

    #[test]
    fn what_waits_for_a_plugin_that_is_not_asked_any_more_is_sent() {
        let mut piece = Piece::new("ab".into(), false, Held::default());
        piece.enter((2, 0));
        piece.hold().unwrap();
        let (_, held) = piece.into_parts();
        let piece = Piece::new("cd".into(), false, held);
        assert_eq!(piece.into_parts().0, "abcd");
    }

    #[test]
    fn no_more_waits_than_there_is_room_for() {
        let mut piece = Piece::new(vec![0; MOST_HELD + 1].into(), false, Held::default());
        assert_eq!(piece.hold(), Err(Refused::Full));
    }
}
