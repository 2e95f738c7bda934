//! Which stored response a request selects (RFC 9111, 4.1).
//!
//! Values are compared normalised, as far as they are known to mean the same: lines are joined, blanks around commas do not
//! count, and `Accept-Encoding` and `Accept-Language` are sets with weights, in any order and case. Nothing is guessed: a
//! value that is not understood is compared as it is.

use http::header::{self, GetAll};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::policy::control;
use crate::policy::rules::Rules;

/// What a response says of the request fields that select it (RFC 9110, 12.5.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vary {
    /// These; in lower case, sorted, each once; maybe none.
    By(Box<[HeaderName]>),
    /// Things that are not in the request, or that cannot be known: `*`, no name of a field, or more than 32 of them.
    Any,
}

/// What a response with `headers` varies by.
#[must_use]
pub fn vary(headers: &HeaderMap, rules: &Rules) -> Vary {
    if rules.ignores(&header::VARY) {
        return Vary::By(Box::default());
    }
    let mut names = Vec::new();
    for line in headers.get_all(header::VARY) {
        let members = line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        for member in members.filter(|member| !member.is_empty()) {
            match HeaderName::from_bytes(member) {
                Ok(name) if member != b"*" => names.push(name),
                _ => return Vary::Any,
            }
        }
    }
    names.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    if names.len() > MOST_FIELDS { Vary::Any } else { Vary::By(names.into()) }
}

/// The values of the fields `vary` in `request`, normalised: what [`selects`] compares with. A field that the request does not
/// have is not in it; one that is empty is there, empty.
#[must_use]
pub fn selecting(vary: &[HeaderName], request: &HeaderMap) -> HeaderMap {
    let mut selected_by = HeaderMap::with_capacity(vary.len());
    for name in vary.iter().filter(|name| request.contains_key(*name)) {
        let mut value = Vec::new();
        normalise(name, &request.get_all(name), &mut value);
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            selected_by.insert(name, value);
        }
    }
    selected_by
}

/// The same for a response with the fields `answer`: if the rules say so, and it is in the language that `request` wants most,
/// every request selects it that wants this one most.
#[must_use]
pub fn selecting_answer(
    vary: &[HeaderName],
    request: &HeaderMap,
    answer: &HeaderMap,
    rules: &Rules,
) -> HeaderMap {
    let mut selected_by = selecting(vary, request);
    if rules.matches_language
        && let Some(wanted) = selected_by.get(header::ACCEPT_LANGUAGE)
        && let Some(language) = chosen_language(&request.get_all(header::ACCEPT_LANGUAGE), answer)
    {
        let value = [MARK, &*language.to_ascii_lowercase(), MARK, wanted.as_bytes()].concat();
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            selected_by.insert(header::ACCEPT_LANGUAGE, value);
        }
    }
    selected_by
}

/// Whether `request` selects the response that was stored with `selected_by`. Allocates nothing.
#[must_use]
pub fn selects(vary: &[HeaderName], selected_by: &HeaderMap, request: &HeaderMap) -> bool {
    vary.iter().all(|name| match selected_by.get(name) {
        None => !request.contains_key(name),
        Some(stored) => {
            let lines = request.get_all(name);
            let (language, stored) = match with_language(stored.as_bytes()) {
                Some((language, stored)) if *name == header::ACCEPT_LANGUAGE => {
                    (Some(language), stored)
                }
                _ => (None, stored.as_bytes()),
            };
            let mut comparison = Comparison { rest: stored, is_same: request.contains_key(name) };
            normalise(name, &lines, &mut comparison);
            comparison.is_same && comparison.rest.is_empty()
                || language.is_some_and(|language| wants_most(&lines, language))
        }
    })
}

/// The language that a response was stored for, and the value that it was selected by, where both are written down.
fn with_language(stored: &[u8]) -> Option<(&[u8], &[u8])> {
    let stored = stored.strip_prefix(MARK)?;
    let end = stored.iter().position(|byte| MARK.contains(byte))?;
    Some((stored.get(..end)?, stored.get(end + 1..)?))
}

/// The language of a response, if it has one that is among those that the request wants most, and the request has none beside it
/// that only differs in region or script: what is made for that may be the other's.
fn chosen_language<'a>(wanted: &Lines<'_>, answer: &'a HeaderMap) -> Option<&'a [u8]> {
    let mut lines = answer.get_all(header::CONTENT_LANGUAGE).iter();
    let language = lines.next()?.as_bytes().trim_ascii();
    let choices = Choices::of(wanted)?;
    let is_single = lines.next().is_none() && language.iter().all(|byte| control::is_token(*byte));
    (is_single && choices.has_among_best(language)).then_some(language)
}

/// Whether this language is wanted more than all others, which are others indeed.
fn wants_most(lines: &Lines<'_>, language: &[u8]) -> bool {
    Choices::of(lines).is_some_and(|choices| {
        let is_only = |(name, weight): &Choice<'_>, best| {
            name.eq_ignore_ascii_case(language) || *weight < best
        };
        choices.has_among_best(language)
            && choices.all().iter().all(|choice| is_only(choice, choices.best()))
    })
}

/// What a normalised value is written to.
trait Sink {
    fn put(&mut self, byte: u8);

    fn put_all(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.put(*byte));
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, byte: u8) {
        self.push(byte);
    }
}

/// Compares what is written with what was written before.
struct Comparison<'s> {
    rest: &'s [u8],
    is_same: bool,
}

impl Sink for Comparison<'_> {
    fn put(&mut self, byte: u8) {
        match self.rest.split_first() {
            Some((expected, rest)) if *expected == byte => self.rest = rest,
            _ => self.is_same = false,
        }
    }
}

type Lines<'r> = GetAll<'r, HeaderValue>;

fn normalise(name: &HeaderName, lines: &Lines<'_>, sink: &mut impl Sink) {
    let is_weighted = *name == header::ACCEPT_ENCODING || *name == header::ACCEPT_LANGUAGE;
    if is_weighted && let Some(choices) = Choices::of(lines) {
        choices.write(sink);
    } else if *name == header::COOKIE {
        write_joined(lines, b"; ", sink); // RFC 9113, 8.2.3
    } else if SINGULAR.contains(name) {
        write_joined(lines, b", ", sink);
    } else {
        write_list(lines, sink);
    }
}

fn write_joined(lines: &Lines<'_>, between: &[u8], sink: &mut impl Sink) {
    for (at, line) in lines.iter().enumerate() {
        if at > 0 {
            sink.put_all(between);
        }
        sink.put_all(line.as_bytes());
    }
}

/// The members without blanks around them; what is quoted stays as it is.
fn write_list(lines: &Lines<'_>, sink: &mut impl Sink) {
    let mut members = lines.iter().flat_map(|line| Members(Some(line.as_bytes())));
    if let Some(first) = members.next() {
        sink.put_all(first);
    }
    for member in members {
        sink.put(b',');
        sink.put_all(member);
    }
}

/// The members of a line, which are empty where nothing is between two commas.
struct Members<'l>(Option<&'l [u8]>);

impl<'l> Iterator for Members<'l> {
    type Item = &'l [u8];

    fn next(&mut self) -> Option<&'l [u8]> {
        let line = self.0?;
        let mut is_quoted = false;
        let mut is_escaped = false;
        let end = line.iter().position(|byte| {
            let was_escaped = std::mem::take(&mut is_escaped);
            match byte {
                b'\\' if is_quoted && !was_escaped => is_escaped = true,
                b'"' if !was_escaped => is_quoted = !is_quoted,
                _ => {}
            }
            *byte == b',' && !is_quoted
        });
        let (member, rest) = line.split_at(end.unwrap_or(line.len()));
        self.0 = rest.get(1..);
        Some(member.trim_ascii())
    }
}

/// What a request would take, and how gladly (RFC 9110, 12.4.2): sorted, each once.
struct Choices<'r> {
    choices: [Choice<'r>; MOST_CHOICES],
    count: usize,
}

/// A name, and its weight in thousandths.
type Choice<'r> = (&'r [u8], u16);

impl<'r> Choices<'r> {
    /// None if a line has anything else in it than names and weights, or too many.
    fn of(lines: &Lines<'r>) -> Option<Self> {
        let mut all = Self { choices: [(b"", 0); MOST_CHOICES], count: 0 };
        for line in lines.iter() {
            let members = line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            for member in members.filter(|member| !member.is_empty()) {
                all.add(choice(member)?)?;
            }
        }
        Some(all)
    }

    /// Puts it in its place.
    fn add(&mut self, choice: Choice<'r>) -> Option<()> {
        let known = self.choices.get(..self.count)?;
        let Err(at) = known.binary_search_by(|other| in_order(*other, choice)) else {
            return Some(());
        };
        *self.choices.get_mut(self.count)? = choice;
        self.choices.get_mut(at..=self.count)?.rotate_right(1);
        self.count += 1;
        Some(())
    }

    fn all(&self) -> &[Choice<'r>] {
        self.choices.get(..self.count).unwrap_or_default()
    }

    /// The greatest weight.
    fn best(&self) -> u16 {
        self.all().iter().map(|(_, weight)| *weight).max().unwrap_or_default()
    }

    /// Whether this language is among those with the greatest weight, and the only one of its primary tag.
    fn has_among_best(&self, language: &[u8]) -> bool {
        let primary = |name: &'r [u8]| name.split(|byte| *byte == b'-').next().unwrap_or_default();
        let own = language.split(|byte| *byte == b'-').next().unwrap_or_default();
        let mut alike =
            self.all().iter().filter(|(name, _)| primary(name).eq_ignore_ascii_case(own));
        let is_best = alike.next().is_some_and(|(name, weight)| {
            name.eq_ignore_ascii_case(language) && *weight == self.best() && *weight > 0
        });
        is_best && alike.next().is_none()
    }

    /// As such a list is written: to read it again gives the same, so that no other value is written alike.
    fn write(&self, sink: &mut impl Sink) {
        for (at, (name, weight)) in self.choices.iter().take(self.count).enumerate() {
            if at > 0 {
                sink.put(b',');
            }
            name.iter().for_each(|byte| sink.put(byte.to_ascii_lowercase()));
            if *weight < 1000 {
                sink.put_all(b";q=0.");
                for unit in [100, 10, 1] {
                    sink.put(b'0' + u8::try_from(weight / unit % 10).unwrap_or_default());
                }
            }
        }
    }
}

fn in_order(one: Choice<'_>, other: Choice<'_>) -> std::cmp::Ordering {
    let lower = |name: &[u8], at: usize| name.get(at).map(u8::to_ascii_lowercase);
    let differ =
        (0..one.0.len().max(other.0.len())).map(|at| lower(one.0, at).cmp(&lower(other.0, at)));
    let order = differ.reduce(std::cmp::Ordering::then).unwrap_or(std::cmp::Ordering::Equal);
    order.then(one.1.cmp(&other.1))
}

/// `name` or `name;q=0.5`.
fn choice(member: &[u8]) -> Option<Choice<'_>> {
    let mut parts = member.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let name = parts.next()?;
    let weight = match parts.next() {
        None => 1000,
        Some([b'q' | b'Q', b'=', weight @ ..]) => thousandths(weight)?,
        Some(_) => return None,
    };
    let is_name = !name.is_empty() && name.iter().all(|byte| control::is_token(*byte));
    (is_name && parts.next().is_none()).then_some(match name {
        name if name.eq_ignore_ascii_case(b"x-gzip") => (b"gzip".as_slice(), weight), // RFC 9110, 8.4.1.3
        name if name.eq_ignore_ascii_case(b"x-compress") => (b"compress".as_slice(), weight),
        name => (name, weight),
    })
}

/// A weight (RFC 9110, 12.4.2): `0` or `1`, and up to three digits behind a point, not above one.
fn thousandths(weight: &[u8]) -> Option<u16> {
    let (whole, fraction) = match weight {
        [whole @ (b'0' | b'1')] => (whole, [].as_slice()),
        [whole @ (b'0' | b'1'), b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return None,
    };
    let mut sum = u16::from(whole - b'0');
    for at in 0..3 {
        let digit = fraction.get(at).unwrap_or(&b'0');
        sum = sum * 10 + u16::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    (sum <= 1000).then_some(sum)
}

/// What a response may vary by at most.
const MOST_FIELDS: usize = 32;

/// Stands about a language that is written down before a value: none that comes from a client begins so, for those are trimmed.
const MARK: &[u8] = b"\t";

/// What `Accept-Encoding` or `Accept-Language` is understood of at most; browsers send fewer than ten.
const MOST_CHOICES: usize = 24;

/// Fields that are no lists: a comma in them is one of theirs.
const SINGULAR: [HeaderName; 8] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::FROM,
    header::HOST,
    header::ORIGIN,
    header::REFERER,
    header::USER_AGENT,
    header::DATE,
];
