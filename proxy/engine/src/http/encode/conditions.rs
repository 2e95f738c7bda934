//! Conditions about encoded answers (RFC 9110, section 13), told as those can judge them who know the originals alone.

use http::header::{ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};
use pingora_http::{RequestHeader, ResponseHeader};
use switchback_variant::etag::{self, AsOriginal};
use switchback_variant::{Capabilities, Choice, Coding, Merged, Variant, Varies};

use super::{Encoding, pictures};
use crate::http::fault::Fault;
use crate::http::rules::Fields;
use crate::snapshot::encodes::EncodeSettings;

/// Puts conditions about originals in the place of conditions about what was made of them. Gives the lines that were there.
pub(super) fn translate(
    head: &mut RequestHeader,
    client: &Capabilities,
    settings: &EncodeSettings,
) -> Result<HeaderMap, Fault> {
    let mut said = HeaderMap::new();
    // Whoever changes something says which state of it is meant, in whatever form that was seen.
    replace(head, &IF_MATCH, &mut said, |_| true)?;
    if replace(head, &IF_NONE_MATCH, &mut said, |variant| suits(variant, client, settings))?
        == Left::Nothing
    {
        // It is not about what the client could be told that it has.
        remove(head, &IF_MODIFIED_SINCE, &mut said);
    }
    if head.headers.get(IF_RANGE).is_some_and(|line| !is_of_original(line, client, settings)) {
        // What is encoded anew is other bytes.
        remove(head, &IF_RANGE, &mut said);
        remove(head, &RANGE, &mut said);
    }
    Ok(said)
}

/// What became of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// Something, or it was not there.
    Something,
    /// No tag that could be asked for.
    Nothing,
}

fn replace(
    head: &mut RequestHeader,
    name: &HeaderName,
    said: &mut HeaderMap,
    suits: impl Fn(&Variant) -> bool,
) -> Result<Left, Fault> {
    let lines = head.headers.get_all(name).into_iter();
    let asked: Vec<AsOriginal> = lines.map(|line| etag::as_original(line, &suits)).collect();
    if asked.iter().all(|asked| *asked == AsOriginal::Unchanged) {
        return Ok(Left::Something);
    }
    let before = remove(head, name, said);
    let mut left = Left::Nothing;
    for (line, asked) in before.into_iter().zip(asked) {
        let line = match asked {
            AsOriginal::Unchanged => line,
            AsOriginal::Line(line) => line,
            AsOriginal::Nothing => continue,
        };
        head.append(name, line).map_err(Fault::internal)?;
        left = Left::Something;
    }
    Ok(left)
}

/// Takes all lines of `name` out of a head, and keeps them.
fn remove(head: &mut RequestHeader, name: &HeaderName, said: &mut HeaderMap) -> Vec<HeaderValue> {
    let lines: Vec<HeaderValue> = head.headers.get_all(name).into_iter().cloned().collect();
    for line in &lines {
        said.append(name, line.clone());
    }
    head.remove(name);
    lines
}

/// A form that the client can use without being sent it again.
fn suits(variant: &Variant, client: &Capabilities, settings: &EncodeSettings) -> bool {
    let known = client.dictionary();
    match variant.image_form() {
        None => client.takes(variant.coding()) && variant.suits_dictionary(known.as_ref()),
        Some(form) => settings.images.as_ref().is_some_and(|images| images.suits(form, client)),
    }
}

/// Whether a line of `If-Range` is about bytes as the original has them. A date says nothing of the form.
fn is_of_original(line: &HeaderValue, client: &Capabilities, settings: &EncodeSettings) -> bool {
    let line = line.as_bytes();
    match etag::Tag::parse(line.trim_ascii()) {
        Some(_) => !etag::is_of_variant(line),
        None => {
            let offers = [&settings.stored, &settings.streamed];
            offers.into_iter().all(|offer| offer.choose(client) == Choice::Send(Coding::Identity))
        }
    }
}

/// Has a 304 name the tag that the client has (RFC 9111, section 4.3.4, goes by that). One that the client has not said goes: it
/// would become that of a form which it is not of.
pub(super) fn confirm(
    head: &mut ResponseHeader,
    request: &RequestHeader,
    (encoding, varies): (&Encoding, Varies),
) -> Result<(), Fault> {
    let Some(current) = head.headers.get(ETAG).cloned() else { return Ok(()) };
    let client = &encoding.client;
    let said = Some(&encoding.said).filter(|said| said.contains_key(IF_NONE_MATCH));
    let lines = said.unwrap_or(&request.headers).get_all(IF_NONE_MATCH);
    let confirmed = lines.into_iter().find_map(|line| {
        let has =
            |variant: &Variant| variant.is_original() || suits(variant, client, &encoding.settings);
        etag::confirmed(line.as_bytes(), current.as_bytes(), has)
    });
    let Some((tag, variant)) = confirmed else {
        let is_whole = encoding.settings.stored.choose(client) == Choice::Send(Coding::Identity);
        if !is_whole {
            head.remove_header(&ETAG);
        }
        return Ok(());
    };
    head.insert_header(ETAG, tag).map_err(Fault::internal)?;
    match (variant.image_form(), &encoding.settings.images) {
        (Some(_), Some(images)) => pictures::vary(head, images),
        _ if variant.is_original() => Ok(()),
        _ => vary(head, varies),
    }
}

/// Has an answer say that it depends on what the client can decode.
pub(super) fn vary(head: &mut impl Fields, varies: Varies) -> Result<(), Fault> {
    match varies.merge(head.fields()) {
        Merged::Unchanged => Ok(()),
        Merged::Line(line) => head.replace(&VARY, line).map_err(Fault::internal),
    }
}
