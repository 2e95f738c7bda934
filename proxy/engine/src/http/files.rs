//! Files below a directory: which of them, and in which form, is for `switchback-files` to decide.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use pingora_http::RequestHeader;
use switchback_conf::plan::{FilesPlan, RouteId};
use switchback_files::{Asked, Candidate, Kind as Sought, Outcome};
use switchback_value::{Known, Variable};

use super::answer::{Answer, Body};
use super::answer_head::AnswerHead;
use super::context::Context;
use super::facts::{RequestFacts, query};
use super::fault::{Fault, Kind};
use super::{percent, redirect};

/// What an action comes to.
pub(super) enum Step {
    /// An answer.
    Answer(Answer),
    /// Another target.
    Again(Vec<u8>),
    /// Another route of the site.
    Route(RouteId),
}

/// The first candidate of `plan` that is there.
pub(super) fn answer(
    plan: &FilesPlan,
    head: &RequestHeader,
    context: &Context,
) -> Result<Step, Fault> {
    let settings = context.place.route.and_then(|route| context.snapshot.files(route));
    let settings = settings.ok_or_else(|| Fault::internal("a route of files without settings"))?;
    let candidates = candidates(plan, head, context);
    let path = context.request.path.to_encoded();
    let asked = Asked {
        method: &head.method,
        headers: &head.headers,
        url_path: path.as_bytes(),
        query: query(head.raw_path()),
    };
    match switchback_files::answer(settings, candidates.into_iter(), &asked) {
        Outcome::Answer(made) => Ok(Step::Answer(whole(made))),
        Outcome::AddSlash(address) => {
            redirect::to_address(StatusCode::MOVED_PERMANENTLY, address).map(Step::Answer)
        }
        Outcome::Missing => match plan.missing {
            Some(route) => Ok(Step::Route(route)),
            None => Err(Fault::client(Kind::NotFound, "no such file")),
        },
        Outcome::Forbidden => Err(Fault::client(Kind::Forbidden, "this file may not be served")),
        Outcome::MethodNotAllowed => {
            let fault = Fault::client(Kind::MethodNotAllowed, "files are for GET and HEAD");
            Err(fault.allowing("GET, HEAD".into()))
        }
        Outcome::Failed(error) => {
            Err(Fault::ours(Kind::Internal, format!("a file cannot be opened: {error}")))
        }
    }
}

/// What to look for below the anchor, in order.
fn candidates<'a>(
    plan: &'a FilesPlan,
    head: &RequestHeader,
    context: &Context,
) -> Vec<Candidate<'a>> {
    let facts = RequestFacts::new(head, context);
    let mut folder = Vec::with_capacity(128);
    plan.root.render_by(&facts, &mut folder, percent::write_file_name);
    // The anchor is the beginning of the template, so it is that of what it renders to.
    folder.drain(..plan.anchor.as_os_str().len().min(folder.len()));
    let mut own = Vec::with_capacity(128);
    percent::write_file_name(
        &Variable::Known(Known::Uri),
        context.request.path.as_str().as_bytes(),
        &mut own,
    );
    let candidate = |mut path: Vec<u8>, kind: Sought| {
        let is_own = without_slash(&path) == without_slash(&own);
        if let Some(prefix) = &plan.strip_prefix
            && path.starts_with(prefix.as_bytes())
        {
            path.drain(..prefix.len());
        }
        let path = [&folder, &b"/"[..], &path].concat();
        let candidate = Candidate::new(path, kind);
        if is_own { candidate.own() } else { candidate }
    };
    if plan.candidates.is_empty() {
        return vec![candidate(own.clone(), Sought::Any)];
    }
    let rendered = plan.candidates.iter().map(|template| {
        let mut path = Vec::with_capacity(128);
        template.render_by(&facts, &mut path, percent::write_file_name);
        // As in nginx it is the template that says what is meant, not what becomes of it.
        let is_directory = template.source().ends_with('/');
        candidate(path, if is_directory { Sought::Directory } else { Sought::File })
    });
    rendered.collect()
}

fn without_slash(path: &[u8]) -> &[u8] {
    path.strip_suffix(b"/").unwrap_or(path)
}

/// The answer, its head as plain as it came.
fn whole(made: switchback_files::Answer) -> Answer {
    let body = match made.body {
        switchback_files::Body::Empty => Body::Whole(Bytes::new()),
        switchback_files::Body::Bytes(bytes) => Body::Whole(bytes),
        switchback_files::Body::Parts { file, parts } => Body::File(Arc::new(file), parts),
    };
    Answer { head: AnswerHead::Plain(made.status, made.headers), body }
}
