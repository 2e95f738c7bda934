//! What is done with an answer, and what its head says of that.

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode, Version};
use pingora_http::{RequestHeader, ResponseHeader};
use switchback_variant::etag::{self, Making};
use switchback_variant::{
    Choice, Coding, Flush, Handling, NO_LONGER_TRUE, Offer, Reason, Varies, Verdict,
    forbids_transforming,
};

use super::coder::{Coder, Recipe};
use super::conditions::{confirm, vary};
use super::{Encoding, pictures};
use crate::h2;
use crate::http::context::Context;
use crate::http::fault::Fault;
use crate::http::rules::Fields;

/// What is done with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
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
    pictures::tell(head, encoding, context)?;
    if head.status == StatusCode::NOT_MODIFIED {
        confirm(head, request, (encoding, varies(encoding, context)))?;
        return Ok(None);
    }
    let decision = decide(head, request, encoding, context);
    let mut coder = None;
    if decision != Decision::Leave {
        vary(head, varies(encoding, context))?;
    }
    if let Decision::Make(recipe) = decision {
        let level = encoding.settings.level(recipe.coding());
        match Coder::new(recipe, level, length(&head.headers), &context.resident) {
            Ok(made) => {
                change(&mut *head, recipe, Making::fresh())?;
                coder = Some(made);
            }
            Err(error) => error.note(context),
        }
    }
    encoding.note(Coding::of(&head.headers), context);
    Ok(coder)
}

/// What an answer is chosen by: nothing that passes is encoded against a dictionary.
fn varies(encoding: &Encoding, context: &Context) -> Varies {
    if context.is_answered_by_cache() { encoding.varies() } else { Varies::CODING }
}

fn decide(
    head: &ResponseHeader,
    request: &RequestHeader,
    encoding: &Encoding,
    context: &Context,
) -> Decision {
    let is_empty = head.extensions.get::<h2::Empty>().is_some() && request.method != Method::HEAD;
    if is_empty {
        return Decision::Leave;
    }
    by(head.status, &head.headers, request, (encoding, encoding.offer(context)))
}

/// What is done with an answer that has these, by what there is to offer.
pub(super) fn by(
    status: StatusCode,
    headers: &HeaderMap,
    request: &RequestHeader,
    (encoding, offer): (&Encoding, &Offer),
) -> Decision {
    let Encoding { settings, client, .. } = encoding;
    if forbids_transforming(&request.headers) {
        return Decision::Leave;
    }
    match settings.rules.judge(&request.method, status, headers) {
        Verdict::Code(flush) => {
            let content_type = headers.get(CONTENT_TYPE);
            if !content_type.is_some_and(|value| settings.is_for(value.as_bytes())) {
                return Decision::Leave;
            }
            match offer.choose(client) {
                // Proxies of that age know nothing of `Vary`.
                _ if request.version < Version::HTTP_11 => Decision::Keep,
                Choice::Send(Coding::Identity) | Choice::NothingSuits => Decision::Keep,
                Choice::Send(coding) => {
                    let (encode, dictionary) = (Some(coding), None);
                    Decision::Make(Recipe { decode: None, encode, flush, dictionary })
                }
            }
        }
        Verdict::Leave(Reason::Coded) if settings.decodes => {
            let Some(stored) = Coding::of(headers) else { return Decision::Leave };
            if stored.needs_dictionary() || forbids_transforming(headers) {
                return Decision::Leave;
            }
            let (decode, flush) = (Some(stored), Flush::WhenQuiet);
            let recipe = |encode| Recipe { decode, encode, flush, dictionary: None };
            if let Choice::Send(coding) = offer.choose(client)
                && coding.needs_dictionary()
            {
                return Decision::Make(recipe(Some(coding)));
            }
            match offer.handle(stored, client) {
                Handling::AsItIs => Decision::Keep,
                Handling::Decode => Decision::Make(recipe(None)),
                Handling::Recode(coding) => Decision::Make(recipe(Some(coding))),
            }
        }
        Verdict::Leave(_) => Decision::Leave,
    }
}

/// The head of what comes out of a coder, in this making.
pub(super) fn change(head: &mut impl Fields, recipe: Recipe, making: Making) -> Result<(), Fault> {
    for name in &NO_LONGER_TRUE {
        head.remove(name);
    }
    head.remove(&TRANSFER_ENCODING);
    head.remove(&CONTENT_ENCODING);
    if let Some(coding) = recipe.encode.and_then(Coding::header) {
        head.replace(&CONTENT_ENCODING, coding).map_err(Fault::internal)?;
    }
    let Some(original) = head.fields().get(ETAG).cloned() else { return Ok(()) };
    // What was encoded elsewhere has a tag of its own; nobody can say what that of its original would be.
    let original = match recipe.decode {
        Some(_) => etag::weakened(original.as_bytes()),
        None => Some(original),
    };
    let variant = recipe.variant();
    let tag = original.and_then(|tag| etag::of_variant(tag.as_bytes(), &variant, making));
    match tag {
        Some(tag) => head.replace(&ETAG, tag).map_err(Fault::internal),
        None => {
            head.remove(&ETAG);
            Ok(())
        }
    }
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
