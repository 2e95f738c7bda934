//! The head of an answer made here, in the cheapest form that serves.

use std::borrow::Cow;
use std::sync::OnceLock;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use pingora_core::protocols::http::date::get_cached_date;
use pingora_http::ResponseHeader;
use switchback_cache::serve::Hop;

use super::answer::blank;
use super::cache::head::StoredHead;
use super::fault::{Fault, Kind};

const SERVER: &[u8] = b"switchback";

/// Among more fields, one is found sooner in a map.
const MOST_PLAIN: usize = 64;

/// Fields that every answer has that is made here, whatever is among its own.
const OF_ALL: [HeaderName; 4] =
    [header::CONNECTION, header::DATE, header::SERVER, header::TRANSFER_ENCODING];

/// Status and headers of an answer.
#[derive(Debug)]
pub(crate) enum AnswerHead {
    /// As rules and Pingora work on it.
    Whole(Box<ResponseHeader>),
    /// Written as it stands, if nobody wants to work on it: a map of eight headers, made and written, cost a fifth of all
    /// instructions of a request for a file. `Server` is not among the fields.
    Plain(StatusCode, Vec<(HeaderName, HeaderValue)>),
    /// Of a stored response, which has it ready for HTTP/1.
    Stored(Box<StoredHead>),
}

impl From<Box<ResponseHeader>> for AnswerHead {
    fn from(head: Box<ResponseHeader>) -> Self {
        Self::Whole(head)
    }
}

impl AnswerHead {
    /// The first line of this name, where it is not one that is added while it is sent.
    pub(crate) fn line(&self, name: &HeaderName) -> Option<&HeaderValue> {
        match self {
            Self::Whole(head) => head.headers.get(name),
            Self::Stored(head) => head.stored().get(name),
            Self::Plain(_, fields) => {
                fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
            }
        }
    }

    /// How many lines there are at most, but for the few that are added while it is sent.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Whole(head) => head.headers.len(),
            Self::Plain(_, fields) => fields.len(),
            Self::Stored(head) => head.stored().len() + head.reply.added.len(),
        }
    }

    /// Its status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Whole(head) => head.status,
            Self::Plain(status, _) => *status,
            Self::Stored(head) => head.status(),
        }
    }

    /// The same with what [`blank`] heads and stored ones say of themselves.
    pub(crate) fn value(&self, name: &HeaderName) -> Option<Cow<'_, [u8]>> {
        let line = match self {
            Self::Stored(head) => return head.value(name),
            Self::Plain(..) if *name == header::SERVER => return Some(Cow::Borrowed(SERVER)),
            Self::Plain(..) | Self::Whole(_) => self.line(name)?,
        };
        Some(Cow::Borrowed(line.as_bytes()))
    }

    /// Gives it another status.
    pub(crate) fn set_status(&mut self, status: StatusCode) -> Result<(), Fault> {
        match self {
            Self::Plain(plain, _) => *plain = status,
            _ => self.in_whole()?.set_status(status).map_err(Fault::internal)?,
        }
        Ok(())
    }

    /// Puts one line in place of all of `name`.
    pub(crate) fn replace(&mut self, name: &HeaderName, value: HeaderValue) -> Result<(), Fault> {
        let value = match self {
            Self::Plain(_, fields) if !OF_ALL.contains(name) && fields.len() < MOST_PLAIN => {
                fields.retain(|(field, _)| field != name);
                fields.push((name.clone(), value));
                return Ok(());
            }
            Self::Stored(head) => match head.add(name, value) {
                Ok(()) => return Ok(()),
                Err(value) => value,
            },
            _ => value,
        };
        self.in_whole()?.insert_header(name.clone(), value).map_err(Fault::internal)
    }

    /// Adds a line.
    pub(crate) fn append(&mut self, name: &HeaderName, value: HeaderValue) -> Result<(), Fault> {
        if !matches!(self, Self::Whole(_)) && self.value(name).is_none() {
            return self.replace(name, value);
        }
        self.in_whole()?.append_header(name.clone(), value).map(drop).map_err(Fault::internal)
    }

    /// Takes out every line of `name`.
    pub(crate) fn remove(&mut self, name: &HeaderName) -> Result<(), Fault> {
        let is_done = match self {
            Self::Plain(_, fields) if !OF_ALL.contains(name) => {
                fields.retain(|(field, _)| field != name);
                true
            }
            Self::Stored(head) => head.take_back(name),
            Self::Plain(..) | Self::Whole(_) => false,
        };
        if !is_done {
            self.in_whole()?.remove_header(name);
        }
        Ok(())
    }

    /// As a map, in its place.
    pub(crate) fn in_whole(&mut self) -> Result<&mut ResponseHeader, Fault> {
        let whole = match std::mem::replace(self, Self::Plain(StatusCode::OK, Vec::new())) {
            Self::Whole(head) => head,
            lean => lean.whole()?,
        };
        *self = Self::Whole(whole);
        match self {
            Self::Whole(head) => Ok(head),
            _ => Err(Fault::ours(Kind::Internal, "a head that was made whole is not")),
        }
    }

    /// As a map.
    pub(crate) fn whole(self) -> Result<Box<ResponseHeader>, Fault> {
        let (status, fields) = match self {
            Self::Whole(head) => return Ok(head),
            Self::Plain(status, fields) => (status, fields),
            Self::Stored(head) => return head.whole(),
        };
        let mut head = blank(status)?;
        for (name, value) in fields {
            let added = match spelled(&name) {
                Some(spelled) => head.append_header(spelled, value),
                None => head.append_header(name, value),
            };
            added.map_err(Fault::internal)?;
        }
        Ok(head)
    }
}

/// Fields of an answer, which are put into a map when somebody looks.
#[derive(Debug)]
pub(crate) enum Lines<'a> {
    /// There is no answer.
    None,
    /// They are in one.
    Map(&'a HeaderMap),
    /// They may not be in one yet.
    Of(Later<'a>),
}

/// See [`Lines`].
#[derive(Debug)]
pub(crate) struct Later<'a> {
    head: &'a AnswerHead,
    hop: Option<Hop<'static>>,
    map: OnceLock<HeaderMap>,
}

impl<'a> Lines<'a> {
    /// Those of this head; once it is sent, with what was said of the hop.
    pub(crate) fn of(head: &'a AnswerHead, hop: Option<Hop<'static>>) -> Self {
        match head {
            AnswerHead::Whole(head) => Self::Map(&head.headers),
            _ => Self::Of(Later { head, hop, map: OnceLock::new() }),
        }
    }

    /// As a map, if there are any.
    pub(crate) fn map(&self) -> Option<&HeaderMap> {
        match self {
            Self::None => None,
            Self::Map(map) => Some(map),
            Self::Of(later) => Some(later.map.get_or_init(|| later.made())),
        }
    }
}

impl Later<'_> {
    fn made(&self) -> HeaderMap {
        let (fields, hop) = match self.head {
            AnswerHead::Whole(head) => return head.headers.clone(),
            AnswerHead::Stored(head) => return head.fields(self.hop),
            AnswerHead::Plain(_, fields) => (fields, self.hop),
        };
        let mut map = HeaderMap::with_capacity(fields.len() + 3);
        map.insert(header::SERVER, HeaderValue::from_static("switchback"));
        for (name, value) in fields {
            map.append(name, value.clone());
        }
        let Some(hop) = hop else { return map };
        if let Ok(date) = HeaderValue::from_maybe_shared(get_cached_date()) {
            map.insert(header::DATE, date);
        }
        map.insert(header::CONNECTION, HeaderValue::from_static(hop.connection));
        map
    }
}

/// A plain head as HTTP/1.1 writes it, with what every answer says of itself and of the connection.
pub(crate) fn wire(
    status: StatusCode,
    fields: &[(HeaderName, HeaderValue)],
    connection: &str,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    let reason = status.canonical_reason().unwrap_or_default();
    for part in ["HTTP/1.1 ", status.as_str(), " ", reason, "\r\nServer: switchback\r\n"] {
        bytes.extend_from_slice(part.as_bytes());
    }
    for (name, value) in fields {
        let name = spelled(name).unwrap_or(name.as_str());
        for part in [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    let date = get_cached_date();
    let last =
        [b"Date: ", date.as_bytes(), b"\r\nConnection: ", connection.as_bytes(), b"\r\n\r\n"];
    last.into_iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

/// The name as people write it, for those who look at HTTP/1 by eye.
fn spelled(name: &HeaderName) -> Option<&'static str> {
    Some(match *name {
        header::ACCEPT_RANGES => "Accept-Ranges",
        header::CACHE_CONTROL => "Cache-Control",
        header::CONTENT_ENCODING => "Content-Encoding",
        header::CONTENT_LENGTH => "Content-Length",
        header::CONTENT_RANGE => "Content-Range",
        header::CONTENT_TYPE => "Content-Type",
        header::ETAG => "ETag",
        header::LAST_MODIFIED => "Last-Modified",
        header::SET_COOKIE => "Set-Cookie",
        header::VARY => "Vary",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use proptest::prelude::*;
    use switchback_cache::policy::{CacheStatus, Freshness};
    use switchback_cache::serve::{Form, Reply};
    use switchback_cache::{Address, BodyId, Head, KeyBuilder, Meta, Times};

    use super::*;
    use crate::http::cache::head::Of;
    use crate::http::upgrade;

    #[test]
    fn both_forms_are_written_alike() {
        let fields = || {
            let names = [
                header::ACCEPT_RANGES,
                header::CACHE_CONTROL,
                header::CONTENT_ENCODING,
                header::CONTENT_LENGTH,
                header::CONTENT_RANGE,
                header::CONTENT_TYPE,
                header::ETAG,
                header::LAST_MODIFIED,
                header::SET_COOKIE,
                header::VARY,
                HeaderName::from_static("x-other"),
            ];
            names.map(|name| (name, HeaderValue::from_static("v"))).to_vec()
        };
        for status in [StatusCode::OK, StatusCode::PARTIAL_CONTENT, StatusCode::NOT_MODIFIED] {
            let mut whole = AnswerHead::Plain(status, fields()).whole().unwrap();
            whole.insert_header(header::DATE, get_cached_date()).unwrap();
            whole.insert_header(header::CONNECTION, "close").unwrap();
            let written = wire(status, &fields(), "close");
            assert_eq!(String::from_utf8(written), String::from_utf8(upgrade::wire(&whole)));
        }
    }

    const FIELDS: [(&str, &str); 6] = [
        ("cache-control", "max-age=60"),
        ("content-type", "text/css"),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("etag", "\"a\""),
        ("x-two", "1"),
        ("x-two", "2"),
    ];

    fn fields() -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let field =
            |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        FIELDS.into_iter().map(field)
    }

    fn plain() -> AnswerHead {
        let is_one = |(name, _): &(HeaderName, _)| name != "x-two" && name != "date";
        AnswerHead::Plain(StatusCode::OK, fields().filter(is_one).collect())
    }

    fn stored(form: Form) -> AnswerHead {
        let address =
            Address { scheme: b"https", host: b"a", port: b"443", path: b"/", query: b"" };
        let now = SystemTime::UNIX_EPOCH;
        let meta = Meta {
            key: KeyBuilder::new(b"", address).build(),
            head: Head { status: StatusCode::OK, headers: fields().collect() },
            times: Times { request: now, response: now },
            freshness: Freshness { lifetime: Duration::from_mins(1), ..Freshness::default() },
            vary: Box::default(),
            selected_by: HeaderMap::new(),
            tags: Box::default(),
            generation: 0,
            body: BodyId::fresh(),
        };
        let cache_status = Some(CacheStatus::hit("switchback"));
        let reply = Reply { form, cache_status, ..Reply::whole(Some(7), Some(12)) };
        AnswerHead::Stored(Box::new(StoredHead { of: Of::Sliced(Arc::new(meta), 12), reply }))
    }

    fn map(head: &AnswerHead, hop: Option<Hop<'static>>) -> Vec<(String, Vec<u8>)> {
        let lines = Lines::of(head, hop);
        let line = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.to_string(), value.as_bytes().to_vec())
        };
        let mut lines: Vec<_> = lines.map().unwrap().iter().map(line).collect();
        // Lines of one name keep their order.
        lines.sort_by(|(a, _), (b, _)| a.cmp(b));
        lines
    }

    #[derive(Clone, Debug)]
    enum Step {
        Replace(&'static str, &'static str),
        Append(&'static str, &'static str),
        Remove(&'static str),
        Status(u16),
    }

    impl Step {
        fn take(&self, head: &mut AnswerHead) {
            let value = HeaderValue::from_static;
            match self {
                Self::Replace(name, text) => {
                    head.replace(&HeaderName::from_static(name), value(text))
                }
                Self::Append(name, text) => {
                    head.append(&HeaderName::from_static(name), value(text))
                }
                Self::Remove(name) => head.remove(&HeaderName::from_static(name)),
                Self::Status(status) => head.set_status(StatusCode::from_u16(*status).unwrap()),
            }
            .unwrap();
        }
    }

    const NAMES: [&str; 14] = [
        "age",
        "cache-control",
        "cache-status",
        "connection",
        "content-length",
        "content-type",
        "date",
        "etag",
        "server",
        "set-cookie",
        "transfer-encoding",
        "x-one",
        "x-two",
        "x-three",
    ];

    fn step() -> impl Strategy<Value = Step> {
        let name = || proptest::sample::select(&NAMES[..]);
        let value = || proptest::sample::select(&["p", "q", ""][..]);
        prop_oneof![
            4 => (name(), value()).prop_map(|(name, value)| Step::Replace(name, value)),
            4 => (name(), value()).prop_map(|(name, value)| Step::Append(name, value)),
            3 => name().prop_map(Step::Remove),
            1 => proptest::sample::select(&[200, 404, 503][..]).prop_map(Step::Status),
        ]
    }

    proptest! {
        #[test]
        fn a_lean_head_is_changed_as_a_whole_one_is(
            form in 0..4_usize,
            steps in prop::collection::vec(step(), 0..8),
        ) {
            let forms = [Form::Whole, Form::NotModified, Form::Partial];
            let made = || forms.get(form).map_or_else(plain, |form| stored(*form));
            let (mut lean, mut whole) = (made(), AnswerHead::Whole(made().whole().unwrap()));
            for step in &steps {
                step.take(&mut lean);
                step.take(&mut whole);
                prop_assert_eq!(lean.status(), whole.status());
                prop_assert_eq!(map(&lean, None), map(&whole, None));
                for name in NAMES.map(HeaderName::from_static) {
                    prop_assert_eq!(lean.value(&name), whole.value(&name), "{}", name);
                }
            }
        }
    }

    #[test]
    fn ordinary_changes_leave_a_head_lean() {
        let value = || HeaderValue::from_static("DENY");
        let [name, other] = ["x-frame-options", "x-one"].map(HeaderName::from_static);
        for mut head in [plain(), stored(Form::Whole), stored(Form::NotModified)] {
            head.replace(&name, value()).unwrap();
            head.replace(&name, value()).unwrap();
            head.append(&other, value()).unwrap();
            head.remove(&other).unwrap();
            head.remove(&header::CONTENT_LOCATION).unwrap();
            assert!(!matches!(head, AnswerHead::Whole(_)), "{head:?}");
            head.remove(&header::DATE).unwrap();
            assert!(matches!(head, AnswerHead::Whole(_)), "{head:?}");
        }
    }

    /// A plugin may set as many as it wants to.
    #[test]
    fn many_fields_are_in_a_map() {
        for mut head in [plain(), stored(Form::Whole)] {
            let before = map(&head, None).len();
            assert!(head.count() <= before);
            let set = |head: &mut AnswerHead, number: usize| {
                let name = HeaderName::try_from(format!("x-set-{number}")).unwrap();
                head.replace(&name, HeaderValue::from_static("1"))
            };
            (0..100).for_each(|number| set(&mut head, number).unwrap());
            assert!(matches!(head, AnswerHead::Whole(_)), "{head:?}");
            assert_eq!(map(&head, None).len(), before + 100);
            assert_eq!(head.count(), before + 100);
        }
    }

    #[test]
    fn what_was_sent_is_known_with_what_was_said_of_the_hop() {
        let hop = Hop { connection: "close", is_granted: false, is_chunked: false };
        for mut head in [plain(), stored(Form::Whole), stored(Form::NotModified)] {
            head.append(&HeaderName::from_static("x-one"), HeaderValue::from_static("1")).unwrap();
            let wire = match &head {
                AnswerHead::Plain(status, fields) => wire(*status, fields, hop.connection),
                AnswerHead::Stored(head) => head.wire(hop),
                AnswerHead::Whole(_) => panic!("not lean: {head:?}"),
            };
            let wire = String::from_utf8(wire).unwrap();
            let line = |line: &str| {
                let (name, value) = line.split_once(": ").unwrap();
                (name.to_lowercase(), value.as_bytes().to_vec())
            };
            let mut lines: Vec<_> = wire.trim_end().lines().skip(1).map(line).collect();
            lines.sort_by(|(a, _), (b, _)| a.cmp(b));
            let mut mapped = map(&head, Some(hop));
            for lines in [&mut lines, &mut mapped] {
                // A second may have begun meanwhile.
                let date = lines.iter().position(|(name, _)| name == "date").unwrap();
                lines.remove(date);
            }
            assert_eq!(mapped, lines);
        }
    }
}
