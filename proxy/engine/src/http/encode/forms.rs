//! Forms of stored responses: which one suits a client, what its head says, and what the client's conditions mean for it.

use bytes::Bytes;
use http::header::{ETAG, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use pingora_http::RequestHeader;
use switchback_cache::serve::{self, Answered, Asked};
use switchback_cache::{BodyId, Head, Meta};
use switchback_variant::etag::{self, Making};
use switchback_variant::{
    Capabilities, Choice, Coding, Flush, Needs, Offer, Token, Varies, forbids_transforming,
};

use super::coder::{Coder, Recipe};
use super::conditions::vary;
use super::settle::{self, Decision, change};
use super::{Coded, Encoding};
use crate::encoders::Room;
use crate::http::answer::Body;
use crate::http::context::Context;
use crate::http::fault::Fault;
use crate::http::pieces::Pieces;
use crate::snapshot::encodes::EncodeSettings;

/// What is made of a stored response, for more than one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    recipe: Recipe,
    /// What it was chosen by.
    varies: Varies,
}

/// What the conditions of a request mean, where a form would be sent.
#[derive(Clone, Debug)]
pub(crate) enum Conditions {
    /// It has none.
    None,
    /// These are left to be judged by what the form is.
    Left(HeaderMap),
    /// They are about the response that forms are made of, which answers them.
    OfOriginal,
}

/// In which form the client is to have a response with this head, if not as it is stored. `length` is that of its body, where it is
/// known.
pub(crate) fn suiting(
    original: &Meta,
    length: Option<u64>,
    request: &RequestHeader,
    context: &Context,
) -> Option<Form> {
    let encoding = context.encoding.as_deref()?;
    let Head { status, headers } = &original.head;
    let by = |offer: &Offer| match settle::by(*status, headers, request, (encoding, offer)) {
        Decision::Make(recipe) => Some(recipe),
        Decision::Leave | Decision::Keep => None,
    };
    let plain = &encoding.settings.stored;
    let against = encoding.versions.as_deref().and_then(|versions| {
        let (offer, dictionary) = versions.offer(plain, original)?;
        let recipe = by(&offer).filter(|recipe| recipe.coding().needs_dictionary())?;
        let may_be_used = versions.may_be_used_for(original.body, context);
        may_be_used.then(|| Recipe { dictionary: Some(*dictionary.digest()), ..recipe })
    });
    let recipe = against.or_else(|| by(plain))?;
    let least = encoding.settings.rules.min_length;
    let is_short = recipe.decode.is_none() && length.is_some_and(|length| length < least);
    // An event stream is for those who are there.
    let varies = encoding.varies();
    (!is_short && recipe.flush == Flush::WhenQuiet).then_some(Form { recipe, varies })
}

/// What a client that says nothing else of note is sent of what is stored uncoded, and what a form is noted by that all such
/// clients are sent. Nothing where that is not encoded, or where an answer may have to tell of a dictionary.
pub(crate) fn usual(request: &RequestHeader, context: &Context) -> Option<(Coding, u64)> {
    let settings = context.snapshot.encode(context.place.route?)?;
    let client = Capabilities::of(&request.headers, Needs::CODINGS);
    match settings.stored.choose(&client) {
        _ if request.version < Version::HTTP_11 || settings.dictionary.is_some() => None,
        Choice::Send(Coding::Identity) | Choice::NothingSuits => None,
        Choice::Send(coding) if !forbids_transforming(&request.headers) => {
            Some((coding, mark(settings, coding)))
        }
        Choice::Send(_) => None,
    }
}

fn mark(settings: &EncodeSettings, coding: Coding) -> u64 {
    settings.number | coding as u64
}

/// Notes that the answer comes in this coding, as nobody does who is told nothing of encodings.
pub(crate) fn note(coding: Coding, context: &Context) {
    super::note(Some(coding), context);
}

/// Counts an answer from a stored form, which is shorter by so many bytes than what it was made of.
pub(crate) fn count_hit(coding: Coding, saved: u64, context: &Context) {
    context.resident.metrics.encoding.hit(coding, saved);
}

impl Form {
    /// Its name.
    pub(crate) fn name(self) -> Token {
        self.recipe.variant().token()
    }

    /// Whether its client cannot decode what it is made of.
    pub(crate) fn decodes(self) -> bool {
        self.recipe.decode.is_some()
    }

    /// The head of the form of this number, made of a response with the head `original`.
    pub(crate) fn head(self, original: &Head, body: BodyId) -> Result<Head, Fault> {
        let mut head = original.clone();
        vary(&mut head.headers, self.varies)?;
        change(&mut head.headers, self.recipe, Making::numbered(body.number()))?;
        Ok(head)
    }

    /// What makes it of a body of this length; `None` where too much is being made.
    pub(crate) fn coder(self, length: Option<u64>, context: &Context) -> Option<Coder> {
        let encoding = context.encoding.as_deref()?;
        let level = encoding.settings.level(self.recipe.coding());
        let dictionary = encoding.needed_for(self.recipe.coding());
        let made = Coder::against(dictionary, self.recipe, level, length, &context.resident);
        made.map_err(|failed| failed.note(context)).ok()
    }

    /// What it is in.
    pub(crate) fn coding(self) -> Coding {
        self.recipe.coding()
    }

    /// What it is noted by beside what it was made of. Nothing where it depends on more than the coding that is chosen.
    pub(crate) fn mark(self, context: &Context) -> Option<u64> {
        let settings = &context.encoding.as_deref()?.settings;
        Some(mark(settings, self.recipe.encode.filter(|_| !self.decodes())?))
    }

    /// Whether there is a better level for it than while a client waits.
    pub(crate) fn can_be_better(self, context: &Context) -> bool {
        let settings = context.encoding.as_deref().map(|encoding| &encoding.settings);
        let best = settings.and_then(|settings| settings.best(self.recipe.encode?));
        best.is_some()
    }

    /// What makes it as small as can be of a body of this length; `None` where too much is being made.
    pub(crate) fn best(self, length: u64, context: &Context) -> Option<Task> {
        let encoding = context.encoding.as_deref()?;
        let settings = &encoding.settings;
        let level = settings.best(self.recipe.encode?)?;
        let dictionary = encoding.needed_for(self.recipe.coding());
        let made = Coder::against(dictionary, self.recipe, level, Some(length), &context.resident);
        let coder = made.map_err(|failed| failed.note(context)).ok()?;
        Some(Task { coder, room: settings.room })
    }

    /// Notes that it is the answer: nothing is to be done to that any more.
    pub(crate) fn is_sent(self, context: &mut Context) {
        if let Some(encoding) = &mut context.encoding {
            encoding.form = Some(self.coding());
        }
    }
}

/// A form to be made at its best level: that takes seconds, and is for a thread that has them.
#[derive(Debug)]
pub(crate) struct Task {
    coder: Coder,
    room: Room,
}

impl Task {
    /// How much is done at once.
    pub(crate) fn room(&self) -> Room {
        self.room
    }

    /// Makes it of these pieces, as long as nobody says `stop`.
    pub(crate) fn run(self, pieces: &[Bytes], stop: impl Fn() -> bool) -> Option<Vec<u8>> {
        self.coder.all(pieces, stop)
    }
}

/// A body, piece by piece.
pub(crate) fn pieces(body: Body) -> Pieces {
    super::pieces(body).0
}

/// A body as it comes out of its coder.
pub(crate) fn made_of(body: Body, coder: Coder) -> Coded {
    super::coded(body, coder)
}

/// What the conditions mean of a request that is to have a form of the response with the head `original`. `tag` is that of the form,
/// where it is stored.
pub(crate) fn conditions(
    original: &Meta,
    tag: Option<&HeaderValue>,
    request: &RequestHeader,
    context: &Context,
) -> Conditions {
    let Some(encoding) = context.encoding.as_deref() else { return Conditions::None };
    let asked = Asked { method: &request.method, headers: &request.headers };
    if encoding.said.is_empty() && !serve::asks_for_less(asked.headers) {
        return Conditions::None;
    }
    match serve::answered(&original.head, original.times.response, None, asked) {
        Answered::NotModified => confirmed(tag, request, encoding),
        Answered::Failed => Conditions::OfOriginal,
        _ => ranges(request, encoding),
    }
}

/// What the client has holds. If that is this making of the form, the form says so.
fn confirmed(
    tag: Option<&HeaderValue>,
    request: &RequestHeader,
    encoding: &Encoding,
) -> Conditions {
    let own = own(&IF_NONE_MATCH, request, encoding);
    let is_this = |line: &&HeaderValue| tag.is_some_and(|tag| *line == tag);
    match own.filter(is_this) {
        Some(line) => Conditions::Left(HeaderMap::from_iter([(IF_NONE_MATCH, line.clone())])),
        None => Conditions::OfOriginal,
    }
}

/// Which part of the form is wanted, if only one is.
fn ranges(request: &RequestHeader, encoding: &Encoding) -> Conditions {
    let Some(range) = own(&RANGE, request, encoding) else {
        return Conditions::Left(HeaderMap::new());
    };
    let mut left = HeaderMap::from_iter([(RANGE, range.clone())]);
    match own(&IF_RANGE, request, encoding).map(|line| (line, line.as_bytes().trim_ascii())) {
        None => {}
        Some((line, tag)) if etag::is_of_variant(tag) => {
            left.insert(IF_RANGE, line.clone());
        }
        Some((_, tag)) if etag::Tag::parse(tag).is_some() => return Conditions::OfOriginal,
        // A date says nothing of the form.
        Some(_) => left.clear(),
    }
    Conditions::Left(left)
}

/// The client's own line of this name.
fn own<'r>(
    name: &HeaderName,
    request: &'r RequestHeader,
    encoding: &'r Encoding,
) -> Option<&'r HeaderValue> {
    encoding.said(name).or_else(|| request.headers.get(name))
}

/// The tag of what is stored.
pub(crate) fn tag(head: &Head) -> Option<&HeaderValue> {
    head.headers.get(ETAG)
}
