//! What earlier versions of an answer have to do with it (RFC 9842).

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE, SET_COOKIE};
use http::{HeaderValue, StatusCode};
use pingora_http::RequestHeader;
use switchback_cache::serve::USE_AS_DICTIONARY;
use switchback_cache::{BodyId, Meta};
use switchback_variant::{Capabilities, Coding, Dictionary, Flush, Needs, Offer, Scope};

use super::Coded;
use super::coder::{Coder, Recipe};
use crate::http::answer::Body;
use crate::http::cache::key;
use crate::http::context::Context;
use crate::http::pieces::Pieces;
use crate::snapshot::dictionaries::DictionarySettings;
use crate::snapshot::encodes::EncodeSettings;
use crate::snapshot::resident::Resident;

/// Of a request for one of the paths that are versions of one thing.
#[derive(Debug)]
pub(crate) struct Versions {
    /// What its route says.
    pub(crate) settings: Arc<DictionarySettings>,
    /// Whose dictionaries count; `None` where none may be used or told of.
    pub(crate) scope: Option<Scope>,
    /// The one that the client has, if it is at hand here, too.
    known: Option<Arc<Dictionary>>,
    /// Whether the answer tells that it may be one of them.
    pub(crate) is_told: bool,
}

impl Versions {
    /// Of a request as it came to its route, with what its client can do.
    pub(super) fn of(
        head: &RequestHeader,
        settings: &EncodeSettings,
        context: &Context,
    ) -> (Option<Box<Self>>, Capabilities) {
        // Paths are compared as clients write them.
        let target = context.received.as_deref().unwrap_or(head).raw_path();
        let (settings, needs) = (settings.dictionary.as_ref(), settings.needs);
        let Some(settings) = settings.filter(|own| own.pattern.matches(target)) else {
            return (None, Capabilities::of(&head.headers, needs));
        };
        let scope = scope(head, context);
        let needs = if scope.is_some() { needs.and(Needs::DICTIONARY) } else { needs };
        let client = Capabilities::of(&head.headers, needs);
        let named = scope.zip(client.dictionary());
        let dictionaries = &context.resident.dictionaries;
        let known = named.and_then(|(scope, digest)| dictionaries.find(scope, &digest, target));
        let settings = Arc::clone(settings);
        (Some(Box::new(Self { settings, scope, known, is_told: false })), client)
    }

    /// What can be offered against the dictionary that the client has, of something stored, and that.
    pub(super) fn offer(&self, plain: &Offer, original: &Meta) -> Option<(Offer, &Dictionary)> {
        let known = self.known.as_deref().filter(|_| is_everybodys(original))?;
        Some((plain.with_dictionary(), known))
    }

    /// The dictionary that is needed for this coding.
    pub(super) fn needed_for(&self, coding: Coding) -> Option<&Arc<Dictionary>> {
        self.known.as_ref().filter(|_| coding.needs_dictionary())
    }

    /// Whether there may be one more form of this body that is made with that.
    pub(super) fn may_be_used_for(&self, body: BodyId, context: &Context) -> bool {
        let known = self.known.as_ref().map(|known| *known.digest());
        known.is_some_and(|known| context.resident.dictionaries.admits(body, &known))
    }
}

/// The origin of a request, where that may use dictionaries at all: browsers see it as secure (RFC 9842, 9.1), and what it is
/// answered with is not for one user.
fn scope(head: &RequestHeader, context: &Context) -> Option<Scope> {
    let is_secure = key::scheme(head, context) == b"https" || is_local(context);
    if !is_secure || head.headers.contains_key(AUTHORIZATION) {
        return None;
    }
    let site = context.site().map_or("", |site| &*site.name);
    let Context { request, resident, .. } = context;
    Some(resident.dictionaries.scope(site, &request.host, key::port(head)))
}

/// Whether a browser asks for what is on its own machine: that is secure, too.
fn is_local(context: &Context) -> bool {
    let host = &*context.request.host;
    let is_named = host == "localhost" || host.ends_with(".localhost");
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    is_named || address.is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// Whether a stored response may be a dictionary, as far as its head tells.
pub(crate) fn may_serve(original: &Meta) -> bool {
    let Meta { head, .. } = original;
    head.status == StatusCode::OK
        && !head.headers.contains_key(USE_AS_DICTIONARY)
        && is_everybodys(original)
}

/// Whether a stored response is the same for all users: only such are encoded against others, since the length tells of both.
fn is_everybodys(original: &Meta) -> bool {
    let Meta { head, vary, .. } = original;
    let lines = head.headers.get_all(CACHE_CONTROL).into_iter();
    let mut directives = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    !head.headers.contains_key(SET_COOKIE)
        && !vary.iter().any(|name| *name == COOKIE || *name == AUTHORIZATION)
        && !directives.any(is_private)
}

fn is_private(directive: &[u8]) -> bool {
    let name = directive.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii();
    name.eq_ignore_ascii_case(b"private") || name.eq_ignore_ascii_case(b"no-store")
}

/// What the answer in hand tells of itself as a dictionary.
pub(crate) fn announcement(context: &Context) -> Option<HeaderValue> {
    let versions = context.encoding.as_deref()?.versions.as_deref()?;
    versions.is_told.then(|| versions.settings.announcement.clone())
}

/// A body as clients read it, piece by piece.
pub(crate) enum Plain {
    AsItIs(Pieces),
    Decoded(Box<Coded>),
}

impl Plain {
    /// Of a body in this coding; `None` where too much is being decoded.
    pub(crate) fn of(body: Body, coding: Coding, resident: &Arc<Resident>) -> Option<Self> {
        if coding == Coding::Identity {
            return Some(Self::AsItIs(super::pieces(body).0));
        }
        let recipe = Recipe {
            decode: Some(coding),
            encode: None,
            flush: Flush::WhenQuiet,
            dictionary: None,
        };
        let coder = Coder::new(recipe, 0, None, resident).ok()?;
        Some(Self::Decoded(Box::new(super::coded(body, coder))))
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// There should be more, and is not.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        match self {
            Self::AsItIs(pieces) => pieces.next().await,
            Self::Decoded(coded) => coded.next().await,
        }
    }
}
