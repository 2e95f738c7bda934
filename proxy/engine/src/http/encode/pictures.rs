//! Pictures: which form of one suits a client, and what its head and that of its original say.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, ETAG, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use pingora_http::{RequestHeader, ResponseHeader};
use switchback_cache::{BodyId, Head};
use switchback_images::{Effort, Format, Job, Quality, Target};
use switchback_variant::etag::{self, Making};
use switchback_variant::{ImageForm, Merged, NO_LONGER_TRUE, Token, Variant, forbids_transforming};

use super::Encoding;
use crate::http::answer_head::AnswerHead;
use crate::http::context::Context;
use crate::http::fault::Fault;
use crate::http::rules::Fields;
use crate::snapshot::images::{ImageSettings, target_of};

/// What became of a picture.
pub(crate) const X_MEDIA: HeaderName = HeaderName::from_static("x-media");

/// What is made of a stored picture, for more than one client.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    settings: Arc<ImageSettings>,
    /// What its original is declared to be.
    from: Format,
    form: ImageForm,
    saves_data: bool,
    /// What its answers say of it, once it was made.
    media: Option<HeaderValue>,
}

/// What a client is sent of a picture.
#[derive(Clone, Debug)]
pub(super) struct View {
    media: HeaderValue,
    /// `None` is the original.
    form: Option<ImageForm>,
}

/// What was sent of a picture, for variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// `None` is the original.
    form: Option<ImageForm>,
}

/// What a client is to have of a response.
pub(crate) enum Suiting {
    /// That is no picture, or none that others are made of.
    NoPicture,
    /// The original.
    Original,
    /// Another.
    Other(Picture),
}

/// Why a picture is sent as it came, where that is not for what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The client does not say that it takes others.
    Accept,
    /// The client is of an age that knows nothing of `Vary`, or forbids it.
    Asked,
    /// It is not stored, or not as a whole.
    Unstored,
    /// The client has it, or a part of it.
    Held,
    /// Another is being made.
    Pending,
    /// It could not be made just now.
    Deferred,
    /// The client has waited long enough.
    Late,
    /// It is too large.
    Bytes,
}

impl Why {
    fn media(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Accept => "original; reason=accept",
            Self::Asked => "original; reason=asked",
            Self::Unstored => "original; reason=unstored",
            Self::Held => "original; reason=held",
            Self::Pending => "original; reason=pending",
            Self::Deferred => "original; reason=deferred",
            Self::Late => "original; reason=late",
            Self::Bytes => "original; reason=bytes",
        })
    }
}

impl From<Why> for View {
    fn from(why: Why) -> Self {
        Self { media: why.media(), form: None }
    }
}

impl Shown {
    /// `$image_format`.
    pub(crate) fn format(self) -> &'static str {
        self.form.map_or("original", |form| form.format.short())
    }

    /// `$image_width`.
    pub(crate) fn width(self) -> Option<u16> {
        self.form?.width
    }
}

/// What the client is to have of a stored response with this head, whose body has this length where that is known.
pub(crate) fn suiting(
    head: &Head,
    length: Option<u64>,
    request: &RequestHeader,
    context: &mut Context,
) -> Suiting {
    let Some(encoding) = context.encoding.as_deref_mut() else { return Suiting::NoPicture };
    encoding.view = None;
    let Some(settings) = &encoding.settings.images else { return Suiting::NoPicture };
    let Some(from) = picture(head.status, &head.headers) else { return Suiting::NoPicture };
    let chosen = settings.choose(&encoding.client, from);
    let why = match chosen {
        _ if head.status != StatusCode::OK => Why::Unstored,
        _ if length.is_some_and(|length| length > settings.limits.bytes) => Why::Bytes,
        // Proxies of that age know nothing of `Vary`.
        _ if request.version < Version::HTTP_11 => Why::Asked,
        _ if forbids_transforming(&request.headers) => Why::Asked,
        None => Why::Accept,
        Some(form) => {
            let saves_data = settings.saves(&encoding.client);
            let settings = Arc::clone(settings);
            return Suiting::Other(Picture { settings, from, form, saves_data, media: None });
        }
    };
    encoding.view = Some(why.into());
    Suiting::Original
}

/// The format of a picture that others are made of, as its head declares it.
fn picture(status: StatusCode, headers: &HeaderMap) -> Option<Format> {
    let is_sent = matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT);
    let format = Format::declared(headers.get(CONTENT_TYPE)?.to_str().ok()?)?;
    let is_left = headers.contains_key(CONTENT_ENCODING) || forbids_transforming(headers);
    (is_sent && !is_left).then_some(format)
}

/// Notes that the original is sent, and why.
pub(crate) fn is_original(why: Why, context: &mut Context) {
    set(why.into(), context);
}

/// The same, unless more is known of why.
pub(crate) fn is_original_still(why: Why, context: &mut Context) {
    if context.encoding.as_ref().is_some_and(|encoding| encoding.view.is_none()) {
        is_original(why, context);
    }
}

/// Whether the client's conditions are told in other words now.
pub(crate) fn has_conditions(context: &Context) -> bool {
    context.encoding.as_ref().is_some_and(|encoding| !encoding.said.is_empty())
}

/// The same with what is known of it since something was tried.
pub(crate) fn is_better_as_it_is(media: HeaderValue, context: &mut Context) {
    set(View { media, form: None }, context);
}

fn set(view: View, context: &mut Context) {
    if let Some(encoding) = &mut context.encoding {
        encoding.view = Some(view);
    }
}

impl Picture {
    /// Its name.
    pub(crate) fn name(&self) -> Token {
        self.variant().token()
    }

    fn variant(&self) -> Variant {
        Variant::image(self.form)
    }

    /// The same, of which this is to be said.
    pub(crate) fn told(&self, media: Option<HeaderValue>) -> Self {
        Self { media, ..self.clone() }
    }

    /// How it is made.
    pub(crate) fn settings(&self) -> &ImageSettings {
        &self.settings
    }

    /// The head of the form of this number, made of a picture with the head `original`.
    pub(crate) fn head(&self, original: &Head, body: BodyId) -> Result<Head, Fault> {
        let mut head = original.clone();
        let headers = &mut head.headers;
        vary(headers, &self.settings)?;
        NO_LONGER_TRUE.iter().for_each(|name| drop(headers.remove(name)));
        headers.insert(CONTENT_TYPE, self.form.format.header());
        if let Some(media) = &self.media {
            headers.insert(X_MEDIA, media.clone());
        }
        let making = Making::numbered(body.number());
        let tag = headers.remove(ETAG);
        let tag = tag.and_then(|tag| etag::of_variant(tag.as_bytes(), &self.variant(), making));
        if let Some(tag) = tag {
            headers.insert(ETAG, tag);
        }
        Ok(head)
    }

    /// What has to be done for it.
    pub(crate) fn job(&self, source: Bytes, effort: Effort) -> Option<Job> {
        let target = target_of(self.form.format)?;
        let quality = quality(self.form.quality, target)?;
        Some(Job {
            declared: Some(self.from),
            width: self.form.width.map(u32::from),
            quality,
            save_data: self.saves_data.then_some(quality),
            effort,
            limits: self.settings.limits,
            ..Job::new(source, target)
        })
    }

    /// Notes that it is the answer, as this head says: nothing is to be done to that any more.
    pub(crate) fn is_sent(&self, head: &Head, context: &mut Context) {
        let Some(media) = head.headers.get(X_MEDIA) else { return };
        let is_scaled = |width: &u16| has_width(media.as_bytes(), *width);
        let form = ImageForm { width: self.form.width.filter(is_scaled), ..self.form };
        set(View { media: media.clone(), form: Some(form) }, context);
        if let Some(encoding) = &mut context.encoding {
            encoding.form = Some(switchback_variant::Coding::Identity);
        }
    }
}

/// A quality as WebP counts it, and the one of another format that looks alike.
fn quality(quality: u8, target: Target) -> Option<Quality> {
    let [webp, own] =
        [Target::WebP, target].map(|target| u32::from(Quality::default_of(target).get()));
    let alike = (u32::from(quality) * own + webp / 2) / webp;
    Quality::new(alike.clamp(1, 100).try_into().ok()?)
}

/// Whether what is said of a picture that was made is that it is so wide.
fn has_width(media: &[u8], width: u16) -> bool {
    let mut parts = media.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let said = parts.find_map(|part| std::str::from_utf8(part.strip_prefix(b"width=")?).ok());
    said.and_then(|said| said.parse().ok()) == Some(width)
}

/// Has the answer with a picture in its original form say so, and that others get others.
pub(super) fn tell(
    head: &mut ResponseHeader,
    encoding: &Encoding,
    context: &Context,
) -> Result<(), Fault> {
    let Some(settings) = &encoding.settings.images else { return Ok(()) };
    let is_picture = picture(head.status, &head.headers).is_some();
    let is_confirmed = head.status == StatusCode::NOT_MODIFIED && encoding.view.is_some();
    if !is_picture && !is_confirmed {
        return Ok(());
    }
    vary(head, settings)?;
    if is_picture {
        let view = encoding.view.clone().unwrap_or_else(|| Why::Unstored.into());
        note(&view, context);
        head.insert_header(X_MEDIA, view.media).map_err(Fault::internal)?;
    }
    Ok(())
}

/// Notes what a client is sent of a picture.
pub(super) fn note(view: &View, context: &Context) {
    let shown = Shown { form: view.form };
    context.asked.lock().picture = Some(shown);
    context.resident.pictures.counters.answered(view.form.map(|form| form.format));
}

/// Whether such a head is that of a picture that [`tell`] has something to say of.
pub(super) fn concern(head: &AnswerHead, encoding: &Encoding) -> bool {
    let is_one =
        |line: &HeaderValue| line.to_str().is_ok_and(|line| Format::declared(line).is_some());
    encoding.settings.images.is_some() && head.line(&CONTENT_TYPE).is_some_and(is_one)
}

/// Has an answer say what it was chosen by.
pub(super) fn vary(head: &mut impl Fields, settings: &ImageSettings) -> Result<(), Fault> {
    match settings.varies.merge(head.fields()) {
        Merged::Unchanged => Ok(()),
        Merged::Line(line) => head.replace(&VARY, line).map_err(Fault::internal),
    }
}
