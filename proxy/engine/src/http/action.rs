//! Phase 4: answers of the embedding program.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, HeaderName, Method, Uri, Version, header};
use parking_lot::Mutex;
use pingora_error::{Error, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use switchback_route::Captures;
use tokio::sync::OnceCell;

use super::answer::{self, Answer};
use super::context::{self, Context};
use super::fault::{Fault, Kind};
use super::{body, rules};
use crate::action::{BodyError, Registered, Request, Response};
use crate::snapshot::own_actions::OwnAction;

/// What an action may know of a request without reading its body.
pub(crate) struct Seen<'r> {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) request: context::Request,
    pub(crate) captures: Captures,
    pub(crate) capture_names: &'r [Box<str>],
}

/// The request body, read at most once.
pub(crate) struct Body<'r> {
    source: Mutex<Option<Source<'r>>>,
    read: OnceCell<std::result::Result<Bytes, BodyError>>,
    failed: Mutex<Option<Box<Error>>>,
}

/// Where a body comes from.
enum Source<'r> {
    Client(&'r mut Session, &'r mut Context),
    /// It was taken in before the route was known.
    Taken(Vec<Bytes>),
}

impl Body<'_> {
    /// All of it, or why not.
    pub(crate) async fn read(&self) -> std::result::Result<Bytes, BodyError> {
        self.read.get_or_init(|| self.take_in()).await.clone()
    }

    async fn take_in(&self) -> std::result::Result<Bytes, BodyError> {
        let source = self.source.lock().take();
        match source {
            Some(Source::Taken(pieces)) => Ok(joined(pieces)),
            Some(Source::Client(session, context)) => {
                body::whole(session, context).await.map_err(|error| {
                    let reason = error.to_string().into();
                    *self.failed.lock() = Some(error);
                    BodyError(reason)
                })
            }
            // Somebody began to read it and was dropped.
            None => Err(BodyError("its reading was given up".into())),
        }
    }
}

/// One piece is the usual case: small bodies.
fn joined(mut pieces: Vec<Bytes>) -> Bytes {
    match pieces.len() {
        0 | 1 => pieces.pop().unwrap_or_default(),
        _ => pieces.concat().into(),
    }
}

/// Has the program's action of the route answer. `taken` is the body, where it was taken in already.
pub(crate) async fn answer(
    session: &mut Session,
    context: &mut Context,
    taken: Option<Vec<Bytes>>,
) -> Result<Answer> {
    let snapshot = Arc::clone(&context.snapshot);
    let own = context.place.route.and_then(|route| snapshot.own_actions.get(&route));
    let Some(own) = own else {
        return Err(context.fail(Fault::ours(Kind::Internal, "the route has no action")));
    };
    let head = session.req_header();
    let seen = Seen {
        method: head.method.clone(),
        uri: head.uri.clone(),
        headers: head.headers.clone(),
        request: context.request.clone(),
        captures: context.place.captures,
        capture_names: &own.captures,
    };
    let source = match taken {
        Some(pieces) => Source::Taken(pieces),
        None => Source::Client(session, context),
    };
    let body =
        Body { source: Mutex::new(Some(source)), read: OnceCell::new(), failed: Mutex::new(None) };
    let request = Request::new(seen, body);
    let answered = ask(own, &request).await;
    if let Some(error) = request.into_body().failed.into_inner() {
        return Err(error);
    }
    answered.and_then(whole).map_err(|fault| context.fail(fault))
}

/// A panic loses this request alone, and an action that does not come to an end is dropped.
async fn ask(own: &OwnAction, request: &Request<'_>) -> std::result::Result<Response, Fault> {
    let Registered { action, deadline } = &own.registered;
    // Nothing of ours is left half changed: the action has only lent parts of the request.
    let answering = AssertUnwindSafe(async { action.answer(request).await }).catch_unwind();
    match tokio::time::timeout(*deadline, answering).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(panic)) => {
            let reason = format!("action `{}` panicked: {}", own.name, said(panic.as_ref()));
            Err(Fault::ours(Kind::Internal, reason))
        }
        Err(_) => {
            let reason = format!("action `{}` gave no answer within {deadline:?}", own.name);
            Err(Fault::ours(Kind::ActionTimeout, reason))
        }
    }
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given")
}

/// What concerns the client's connection, and is ours to say.
const OURS: [HeaderName; 5] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

pub(super) fn whole(response: Response) -> std::result::Result<Answer, Fault> {
    let (mut parts, mut body) = response.into_parts();
    if parts.status.is_informational() {
        let reason = format!("an action answered with status {}, which is no answer", parts.status);
        return Err(Fault::ours(Kind::Internal, reason));
    }
    for value in parts.headers.values_mut() {
        *value = rules::without_padding(value);
    }
    let mut head = ResponseHeader::from(parts);
    head.set_version(Version::HTTP_11);
    for name in &OURS {
        head.remove_header(name);
    }
    if !head.headers.contains_key(header::SERVER) {
        head.insert_header(header::SERVER, "switchback").map_err(Fault::internal)?;
    }
    if answer::has_body(head.status) {
        head.insert_header(header::CONTENT_LENGTH, body.len()).map_err(Fault::internal)?;
    } else {
        body.clear();
    }
    Ok(Answer { head: Box::new(head).into(), body: answer::Body::Whole(body) })
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::http::answer_head::Lines;

    fn response(status: u16) -> http::response::Builder {
        http::Response::builder().status(status)
    }

    #[test]
    fn the_framing_of_an_answer_is_ours() {
        let said = response(200)
            .header("content-length", "7")
            .header("transfer-encoding", "chunked")
            .header("connection", "upgrade")
            .header("upgrade", "h2c")
            .header("server", "app")
            .header("x-own", " 1 ");
        let answer = whole(said.body(Bytes::from("abc")).unwrap()).unwrap();
        let lines = Lines::of(&answer.head, None);
        let head = lines.map().unwrap();
        let names: Vec<_> = head.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["server", "x-own", "content-length"]);
        assert_eq!(head["content-length"], "3");
        assert_eq!(head["server"], "app");
        assert_eq!(head["x-own"], "1");
    }

    #[test]
    fn an_answer_that_may_have_no_body_has_none() {
        let answer = whole(response(204).body(Bytes::from("abc")).unwrap()).unwrap();
        assert!(answer.body.is_empty());
        let lines = Lines::of(&answer.head, None);
        let head = lines.map().unwrap();
        assert!(!head.contains_key("content-length"));
        assert_eq!(head["server"], "switchback");
    }

    #[test]
    fn an_interim_status_is_no_answer() {
        let fault = whole(response(103).body(Bytes::new()).unwrap()).unwrap_err();
        assert_eq!(fault.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[tokio::test]
    async fn a_body_that_was_taken_in_is_given_whole_and_again() {
        let pieces = vec![Bytes::from("ab"), Bytes::from("cd")];
        let source = Mutex::new(Some(Source::Taken(pieces)));
        let body = Body { source, read: OnceCell::new(), failed: Mutex::new(None) };
        assert_eq!(body.read().await.unwrap(), "abcd");
        assert_eq!(body.read().await.unwrap(), "abcd");
        assert!(joined(Vec::new()).is_empty());
    }
}
