//! `Cache-Control` as it is written (RFC 9111, 5.2).

use std::time::Duration;

use http::header::{GetAll, HeaderName, HeaderValue};

use crate::policy::structured::{Bare, Member};

/// What a response says in `Cache-Control`, or in a field that is targeted at this cache.
///
/// Of a directive that is there more than once the first counts; a time that cannot be read is none at all: the response is
/// stale (RFC 9111, 4.2.1). What restricts is understood generously, what allows must be well written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Directives {
    pub(super) no_store: bool,
    pub(super) no_cache: bool,
    pub(super) private: bool,
    pub(super) public: bool,
    pub(super) must_revalidate: bool,
    pub(super) proxy_revalidate: bool,
    pub(super) must_understand: bool,
    pub(super) immutable: bool,
    pub(super) max_age: Option<Duration>,
    pub(super) s_maxage: Option<Duration>,
    pub(super) stale_while_revalidate: Option<Duration>,
    pub(super) stale_if_error: Option<Duration>,
    /// The fields that `no-cache` and `private` name.
    pub(super) fields: Vec<HeaderName>,
}

/// The argument of a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Argument<'a> {
    None,
    Token(&'a [u8]),
    Quoted(&'a [u8]),
    /// Something that is neither.
    Bad,
}

impl Directives {
    /// Of the lines of `Cache-Control`.
    pub(super) fn of(lines: &GetAll<'_, HeaderValue>) -> Self {
        let mut directives = Self::default();
        for line in lines.iter() {
            let mut members = Members::of(line.as_bytes());
            while let Some((name, argument)) = members.next() {
                directives.add(name, argument);
            }
            if members.is_broken {
                directives.distrust();
            }
        }
        directives
    }

    fn add(&mut self, name: &[u8], argument: Argument<'_>) {
        let is_plain = argument == Argument::None;
        match lower(name, &mut [0; LONGEST]) {
            b"no-store" => self.no_store = true,
            b"no-cache" => self.no_cache |= !self.add_fields(argument),
            b"private" => self.private |= !self.add_fields(argument),
            b"public" => self.public |= is_plain,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand |= is_plain,
            b"immutable" => self.immutable |= is_plain,
            b"max-age" => first(&mut self.max_age, seconds(argument)),
            b"s-maxage" => first(&mut self.s_maxage, seconds(argument)),
            b"stale-while-revalidate" => first(&mut self.stale_while_revalidate, seconds(argument)),
            b"stale-if-error" => first(&mut self.stale_if_error, seconds(argument)),
            _ => {}
        }
    }

    /// Whether `argument` names fields; a list with anything else in it counts as none.
    fn add_fields(&mut self, argument: Argument<'_>) -> bool {
        let (Argument::Token(list) | Argument::Quoted(list)) = argument else { return false };
        let names = list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let names: Result<Vec<_>, _> =
            names.filter(|name| !name.is_empty()).map(HeaderName::from_bytes).collect();
        let Ok(names) = names else { return false };
        self.fields.extend_from_slice(&names);
        !names.is_empty()
    }

    /// After a line that is not written as the RFC says: what restricts holds, what allows does not.
    fn distrust(&mut self) {
        self.public = false;
        self.immutable = false;
        self.must_understand = false;
        self.s_maxage = self.s_maxage.map(|_| Duration::ZERO);
        self.max_age = Some(Duration::ZERO);
        self.stale_while_revalidate = Some(Duration::ZERO);
        self.stale_if_error = Some(Duration::ZERO);
    }

    /// Of a dictionary (RFC 9213, 2.1); none if a time in it is not an integer: one value of a wrong type spoils the whole field
    /// (RFC 9651, 2).
    pub(super) fn of_dictionary(members: &[(String, Member)]) -> Option<Self> {
        let mut directives = Self::default();
        for (name, member) in members {
            directives.add_member(name, member)?;
        }
        Some(directives)
    }

    fn add_member(&mut self, name: &str, member: &Member) -> Option<()> {
        let is_off = *member == Member::Item(Bare::Boolean(false));
        let is_on = *member == Member::Item(Bare::Boolean(true));
        match name {
            "no-store" => self.no_store |= !is_off,
            "no-cache" => self.no_cache |= !is_off && !self.add_listed(member),
            "private" => self.private |= !is_off && !self.add_listed(member),
            "public" => self.public |= is_on,
            "must-revalidate" => self.must_revalidate |= !is_off,
            "proxy-revalidate" => self.proxy_revalidate |= !is_off,
            "must-understand" => self.must_understand |= is_on,
            "immutable" => self.immutable |= is_on,
            "max-age" => self.max_age = Some(integer(member)?),
            "s-maxage" => self.s_maxage = Some(integer(member)?),
            "stale-while-revalidate" => self.stale_while_revalidate = Some(integer(member)?),
            "stale-if-error" => self.stale_if_error = Some(integer(member)?),
            _ => {}
        }
        Some(())
    }

    fn add_listed(&mut self, member: &Member) -> bool {
        match member {
            Member::Item(Bare::String(list) | Bare::Token(list)) => {
                self.add_fields(Argument::Quoted(list.as_bytes()))
            }
            _ => false,
        }
    }
}

fn first(slot: &mut Option<Duration>, value: Duration) {
    slot.get_or_insert(value);
}

fn integer(member: &Member) -> Option<Duration> {
    match member {
        Member::Item(Bare::Integer(seconds)) => {
            Some(Duration::from_secs(u64::try_from(*seconds).unwrap_or(0).min(FOREVER)))
        }
        _ => None,
    }
}

/// The time that an argument says; what is no number says none.
pub(super) fn seconds(argument: Argument<'_>) -> Duration {
    match argument {
        Argument::Token(text) | Argument::Quoted(text) => delta_seconds(text).unwrap_or_default(),
        Argument::None | Argument::Bad => Duration::ZERO,
    }
}

/// `delta-seconds` (RFC 9111, 1.2.2): digits alone; what is more than 2^31 is that.
pub(super) fn delta_seconds(text: &[u8]) -> Option<Duration> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds =
        text.iter().fold(0_u64, |sum, digit| (sum * 10 + u64::from(digit - b'0')).min(FOREVER));
    Some(Duration::from_secs(seconds))
}

/// What stands for more seconds than can be told (RFC 9111, 1.2.2).
const FOREVER: u64 = 1 << 31;

/// The directives in a line. Allocates nothing.
pub(super) struct Members<'l> {
    rest: &'l [u8],
    /// Whether a quote was opened and not closed: no quote counts from then on, so that nothing hides behind it.
    is_unquoted: bool,
    /// Whether the line is not written as the RFC says: an open quote, or a semicolon for a comma.
    pub(super) is_broken: bool,
}

impl<'l> Members<'l> {
    pub(super) fn of(line: &'l [u8]) -> Self {
        Self { rest: line, is_unquoted: false, is_broken: false }
    }

    pub(super) fn next(&mut self) -> Option<(&'l [u8], Argument<'l>)> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let member = self.cut().trim_ascii();
            if !member.is_empty() {
                return Some(parts(member));
            }
        }
    }

    /// Takes all up to the next separator outside quotes.
    fn cut(&mut self) -> &'l [u8] {
        let mut is_quoted = false;
        let mut is_escaped = false;
        for (at, byte) in self.rest.iter().enumerate() {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if is_quoted => is_escaped = true,
                b'"' if !self.is_unquoted => is_quoted = !is_quoted,
                b',' | b';' if !is_quoted => {
                    self.is_broken |= *byte == b';';
                    let (member, rest) = self.rest.split_at(at);
                    self.rest = rest.get(1..).unwrap_or_default();
                    return member;
                }
                _ => {}
            }
        }
        if is_quoted {
            self.is_unquoted = true;
            self.is_broken = true;
            return self.cut();
        }
        std::mem::take(&mut self.rest)
    }
}

/// Name and argument. No blank is allowed around the `=`, as the RFC has none there.
fn parts(member: &[u8]) -> (&[u8], Argument<'_>) {
    let end = member.iter().position(|byte| !is_token(*byte)).unwrap_or(member.len());
    let (name, rest) = member.split_at(end);
    let argument = match rest {
        [] => Argument::None,
        [b'=', b'"', inner @ .., b'"'] => Argument::Quoted(inner),
        [b'=', token @ ..] if !token.is_empty() && token.iter().all(|byte| is_token(*byte)) => {
            Argument::Token(token)
        }
        _ => Argument::Bad,
    };
    (name, argument)
}

/// Whether a byte may be in a token (RFC 9110, 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// `name` in lower case; what is longer than any directive is cut, and then is none.
pub(super) fn lower<'b>(name: &[u8], buffer: &'b mut [u8; LONGEST]) -> &'b [u8] {
    let length = name.len().min(LONGEST);
    for (to, from) in buffer.iter_mut().zip(name) {
        *to = from.to_ascii_lowercase();
    }
    buffer.get(..length).unwrap_or_default()
}

/// More than the longest directive's name.
pub(super) const LONGEST: usize = 24;
