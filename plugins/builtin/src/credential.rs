//! Where requests carry what they are known by.

use std::borrow::Cow;

use http::HeaderName;
use switchback_plugin::{Part, Refused, Request};

use crate::option;

/// A place in a request: `bearer`, `header:x-api-key`, `cookie:session`, `query:token`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `Authorization: Bearer ..`
    Bearer,
    /// A header, all of it.
    Header(HeaderName),
    /// A cookie.
    Cookie(String),
    /// An argument of the query, decoded.
    Query(String),
}

impl Place {
    /// Reads one, as operators write it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "bearer" => Ok(Self::Bearer),
            Some(("header", name)) => option::header(name).map(Self::Header),
            Some(("cookie", name)) => option::cookie(name).map(Self::Cookie),
            Some(("query", name)) if !name.is_empty() => Ok(Self::Query(name.to_owned())),
            _ => Err(format!(
                "`{text}` is no place in a request: write bearer, header:NAME, cookie:NAME or query:NAME"
            )),
        }
    }

    /// What `request` has there, if it is text and not empty.
    pub(crate) fn read<'r>(&self, request: &'r Request<'_>) -> Option<Cow<'r, str>> {
        let value = match self {
            Self::Bearer => bearer(request)?,
            Self::Header(name) => request.header(name)?,
            Self::Cookie(name) => Cow::Owned(cookie(request, name)?),
            Self::Query(name) => Cow::Owned(argument(&request.query()?, name)?),
        };
        (!value.is_empty()).then_some(value)
    }

    /// Takes it out of `request`, which is about to be sent to an endpoint.
    pub(crate) fn hide(&self, request: &mut Request<'_>) -> Result<(), Refused> {
        match self {
            Self::Bearer if bearer(request).is_some() => request.remove_header("authorization"),
            Self::Bearer => Ok(()),
            Self::Header(name) => request.remove_header(name),
            Self::Cookie(name) => hide_cookie(request, name),
            Self::Query(name) => hide_argument(request, name),
        }
    }
}

fn bearer<'r>(request: &'r Request<'_>) -> Option<Cow<'r, str>> {
    let value = request.header("authorization")?;
    let (scheme, _) =
        value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))?;
    let behind = scheme.len();
    Some(match value {
        Cow::Borrowed(value) => Cow::Borrowed(value.get(behind..)?.trim()),
        Cow::Owned(value) => Cow::Owned(value.get(behind..)?.trim().to_owned()),
    })
}

/// The first cookie of that name, in all `Cookie` headers: HTTP/2 has them in several.
pub(crate) fn cookie(request: &Request<'_>, name: &str) -> Option<String> {
    let mut found = None;
    request.headers(|header, value| {
        if header == "cookie" && found.is_none() {
            found = std::str::from_utf8(value).ok().and_then(|value| {
                let (_, value) = pairs(value).find(|(own, _)| *own == name)?;
                Some(value.to_owned())
            });
        }
    });
    found
}

/// Names and values of a `Cookie` header.
fn pairs(header: &str) -> impl Iterator<Item = (&str, &str)> {
    header.split(';').filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        Some((name, value.trim_matches('"')))
    })
}

fn hide_cookie(request: &mut Request<'_>, name: &str) -> Result<(), Refused> {
    let mut kept = Vec::new();
    let mut found = false;
    request.headers(|header, value| {
        if header != "cookie" {
            return;
        }
        for pair in value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii) {
            let own = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
            if own == name.as_bytes() {
                found = true;
            } else if !pair.is_empty() {
                kept.push(pair.to_vec());
            }
        }
    });
    match (found, kept.is_empty()) {
        (false, _) => Ok(()),
        (true, true) => request.remove_header("cookie"),
        (true, false) => request.set_header("cookie", kept.join(&b"; "[..])),
    }
}

fn argument(query: &str, name: &str) -> Option<String> {
    let mut arguments = form_urlencoded::parse(query.as_bytes());
    arguments.find(|(own, _)| own == name).map(|(_, value)| value.into_owned())
}

fn hide_argument(request: &mut Request<'_>, name: &str) -> Result<(), Refused> {
    let Some(query) = request.query() else { return Ok(()) };
    let is_other = |pair: &&str| argument(pair, name).is_none();
    // As they were sent: decoding and encoding would change others.
    let kept: Vec<&str> = query.split('&').filter(is_other).collect();
    let kept = kept.join("&");
    if kept.len() == query.len() {
        return Ok(());
    }
    request.set(Part::Query, &kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_as_kind_and_name() {
        assert_eq!(Place::parse("bearer"), Ok(Place::Bearer));
        assert_eq!(
            Place::parse("header:X-Key"),
            Ok(Place::Header(HeaderName::from_static("x-key")))
        );
        assert_eq!(Place::parse("cookie:Session"), Ok(Place::Cookie("Session".into())));
        assert_eq!(Place::parse("query:api_key"), Ok(Place::Query("api_key".into())));
        for text in
            ["", "header", "header:", "header:a b", "query:", "cookie:a;b", "body:x", "Bearer"]
        {
            assert!(Place::parse(text).is_err(), "{text}");
        }
    }
}
