//! What is done with an answer, and what its head says of that.

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode, Version};
use pingora_http::{RequestHeader, ResponseHeader};
use switchback_variant::etag::{self, Making};
use switchback_variant::{
    Choice, Coding, Flush, Handling, NO_LONGER_TRUE, Reason, Variant, Verdict, forbids_transforming,
};

use super::coder::{Coder, Recipe};
use super::conditions::{confirm, vary};
use super::{Encoding, note};
use crate::h2;
use crate::http::context::Context;
use crate::http::fault::Fault;

/// What is done with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    /// It is nobody's business here.
    Leave,
    /// It is sent as it is, and another client would have been sent something else.
    Keep,
    /// Its body goes through a coder.
    Make(Recipe),
}

/// Decides, changes the head accordingly, and gives what the body has to go through, if anything. Where an encoder cannot be had,
/// the answer stays as it is.
pub(super) fn settle(
    head: &mut ResponseHeader,
    request: &RequestHeader,
    encoding: &Encoding,
    context: &Context,
) -> Result<Option<Coder>, Fault> {
    if head.status == StatusCode::NOT_MODIFIED {
        confirm(head, request, encoding)?;
        return Ok(None);
    }
    let decision = decide(head, request, encoding, context);
    let mut coder = None;
    if decision != Decision::Leave {
        vary(head)?;
    }
    if let Decision::Make(recipe) = decision {
        let level = encoding.settings.level(recipe.encode.unwrap_or(Coding::Identity));
        match Coder::new(recipe, level, length(&head.headers), &context.resident) {
            Ok(made) => {
                change(head, recipe)?;
                coder = Some(made);
            }
            Err(error) => error.note(context),
        }
    }
    note(Coding::of(&head.headers), context);
    Ok(coder)
}

fn decide(
    head: &ResponseHeader,
    request: &RequestHeader,
    encoding: &Encoding,
    context: &Context,
) -> Decision {
    let Encoding { settings, client, .. } = encoding;
    let is_empty = head.extensions.get::<h2::Empty>().is_some() && request.method != Method::HEAD;
    if is_empty || forbids_transforming(&request.headers) {
        return Decision::Leave;
    }
    let offer = encoding.offer(context);
    match settings.rules.judge(&request.method, head.status, &head.headers) {
        Verdict::Code(flush) => {
            let content_type = head.headers.get(CONTENT_TYPE);
            if !content_type.is_some_and(|value| settings.is_for(value.as_bytes())) {
                return Decision::Leave;
            }
            match offer.choose(client) {
                // Proxies of that age know nothing of `Vary`.
                _ if request.version < Version::HTTP_11 => Decision::Keep,
                Choice::Send(Coding::Identity) | Choice::NothingSuits => Decision::Keep,
                Choice::Send(coding) => {
                    Decision::Make(Recipe { decode: None, encode: Some(coding), flush })
                }
            }
        }
        Verdict::Leave(Reason::Coded) if settings.decodes => {
            let Some(stored) = Coding::of(&head.headers) else { return Decision::Leave };
            if stored.needs_dictionary() || forbids_transforming(&head.headers) {
                return Decision::Leave;
            }
            let recipe = |encode| Recipe { decode: Some(stored), encode, flush: Flush::WhenQuiet };
            match offer.handle(stored, client) {
                Handling::AsItIs => Decision::Keep,
                Handling::Decode => Decision::Make(recipe(None)),
                Handling::Recode(coding) => Decision::Make(recipe(Some(coding))),
            }
        }
        Verdict::Leave(_) => Decision::Leave,
    }
}

/// The head of what comes out of a coder.
fn change(head: &mut ResponseHeader, recipe: Recipe) -> Result<(), Fault> {
    for name in &NO_LONGER_TRUE {
        head.remove_header(name);
    }
    head.remove_header(&TRANSFER_ENCODING);
    head.remove_header(&CONTENT_ENCODING);
    if let Some(coding) = recipe.encode.and_then(Coding::header) {
        head.insert_header(CONTENT_ENCODING, coding).map_err(Fault::internal)?;
    }
    let Some(original) = head.headers.get(ETAG).cloned() else { return Ok(()) };
    // What was encoded elsewhere has a tag of its own; nobody can say what that of its original would be.
    let original = match recipe.decode {
        Some(_) => etag::weakened(original.as_bytes()),
        None => Some(original),
    };
    let variant = Variant::coded(recipe.encode.unwrap_or(Coding::Identity));
    let tag = original.and_then(|tag| etag::of_variant(tag.as_bytes(), &variant, Making::fresh()));
    match tag {
        Some(tag) => head.insert_header(ETAG, tag).map_err(Fault::internal),
        None => {
            head.remove_header(&ETAG);
            Ok(())
        }
    }
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
