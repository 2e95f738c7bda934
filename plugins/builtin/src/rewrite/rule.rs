//! One rule.

use regex::bytes::{Captures, Regex, RegexBuilder};
use switchback_plugin::{BuildError, Request, Setup};

use super::{Of, RuleOptions, Target, Then};
use crate::path_encoding::{encode_component, encode_path, encode_rest};
use crate::replacement::{Piece, Replacement};

/// One rule.
pub(super) struct Rule {
    of: Of,
    change: Change,
    then: Then,
}

enum Change {
    Regex(Regex, To),
    StripPrefix(Vec<u8>),
    AddPrefix(Vec<u8>),
}

/// What becomes of what a regular expression was found in.
enum To {
    /// A query or a host.
    Part(Replacement),
    /// A path, and perhaps a query.
    Path(Replacement, Option<Query>),
    /// A URL of somewhere else.
    Location(Replacement, Option<Query>),
}

struct Query {
    text: Replacement,
    /// Whether the query that was there is dropped.
    alone: bool,
}

impl Rule {
    pub(super) fn new(
        path: &str,
        options: &RuleOptions,
        setup: &Setup<'_>,
    ) -> Result<Self, BuildError> {
        let change = match (&options.regex, &options.strip_prefix, &options.add_prefix) {
            (Some(regex), None, None) => by_regex(path, regex, options, setup)?,
            (None, Some(prefix), None) => {
                Change::StripPrefix(whole_prefix(path, "strip_prefix", prefix, options)?)
            }
            (None, None, Some(prefix)) => {
                Change::AddPrefix(whole_prefix(path, "add_prefix", prefix, options)?)
            }
            _ => {
                return Err(BuildError::new(
                    path,
                    "a rule has exactly one of `regex`, `strip_prefix` and `add_prefix`",
                ));
            }
        };
        Ok(Self { of: options.of, change, then: options.then })
    }

    pub(super) fn then(&self) -> Then {
        self.then
    }

    /// Changes `target` if the rule is for it; `None` if not. `Some(Some(..))` is a URL of somewhere else.
    pub(super) fn apply(
        &self,
        target: &mut Target,
        request: &Request<'_>,
    ) -> Option<Option<Vec<u8>>> {
        match &self.change {
            Change::StripPrefix(prefix) => {
                let rest = target.path.strip_prefix(&**prefix)?;
                target.path = match rest {
                    [] => b"/".to_vec(),
                    [b'/', ..] => rest.to_vec(),
                    _ => return None,
                };
                Some(None)
            }
            Change::AddPrefix(prefix) => {
                target.path.splice(0..0, prefix.iter().copied());
                Some(None)
            }
            Change::Regex(regex, to) => {
                let subject = match self.of {
                    Of::Path => target.path.clone(),
                    Of::Query => target.query.clone().unwrap_or_default(),
                    Of::Host => target.host.clone(),
                };
                let found = regex.captures(&subject)?;
                Some(to.apply(self.of, &Found { captures: &found, request }, target))
            }
        }
    }
}

/// What was found, and in whose request.
struct Found<'a, 'r> {
    captures: &'a Captures<'a>,
    request: &'a Request<'r>,
}

/// How a piece is written.
type Write = fn(&[u8], &mut Vec<u8>);

impl Found<'_, '_> {
    fn render(&self, replacement: &Replacement, group: Write, variable: Write) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        let found = |number, out: &mut Vec<u8>| {
            let found = self.captures.get(number).map(|found| found.as_bytes());
            group(found.unwrap_or_default(), out);
        };
        replacement.render(self.request, &mut out, found, variable);
        out
    }
}

impl To {
    fn apply(&self, of: Of, found: &Found<'_, '_>, target: &mut Target) -> Option<Vec<u8>> {
        match self {
            Self::Part(replacement) if of == Of::Host => {
                target.host = found.render(replacement, plain, plain);
                target.host.make_ascii_lowercase();
                None
            }
            Self::Part(replacement) => {
                let query = found.render(replacement, plain, encode_rest);
                target.query = Some(query).filter(|query| !query.is_empty());
                None
            }
            Self::Path(replacement, query) => {
                let path = found.render(replacement, plain, plain);
                target.path = if path.starts_with(b"/") { path } else { [b"/", &*path].concat() };
                target.query = asked(query.as_ref(), found, target.query.take());
                None
            }
            Self::Location(replacement, query) => {
                let mut location = found.render(replacement, encode_path, encode_rest);
                if let Some(query) = asked(query.as_ref(), found, target.query.take()) {
                    location.push(b'?');
                    encode_rest(&query, &mut location);
                }
                Some(location)
            }
        }
    }
}

/// The query that a rule makes, with the one that was there behind it.
fn asked(query: Option<&Query>, found: &Found<'_, '_>, before: Option<Vec<u8>>) -> Option<Vec<u8>> {
    let Some(query) = query else { return before };
    let mut asked = found.render(&query.text, encode_component, encode_rest);
    if let Some(before) = before.filter(|before| !query.alone && !before.is_empty()) {
        if !asked.is_empty() {
            asked.push(b'&');
        }
        asked.extend_from_slice(&before);
    }
    Some(asked).filter(|asked| !asked.is_empty())
}

fn plain(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(text);
}

fn by_regex(
    path: &str,
    regex: &str,
    options: &RuleOptions,
    setup: &Setup<'_>,
) -> Result<Change, BuildError> {
    // What clients send need not be text, and nothing of it may slip by behind a line's end.
    let regex = RegexBuilder::new(regex)
        .unicode(false)
        .dot_matches_new_line(true)
        .build()
        .map_err(|error| BuildError::new(format!("{path}.regex"), error.to_string()))?;
    let place = format!("{path}.replace");
    let Some(text) = options.replace.as_deref() else {
        return Err(BuildError::new(place, "a regular expression needs what takes its place"));
    };
    if options.of != Of::Path {
        let replacement = Replacement::new(&place, text, &regex, setup)?;
        return Ok(Change::Regex(regex, To::Part(replacement)));
    }
    let (target, query) = match text.split_once('?') {
        Some((target, query)) => (target, Some(query)),
        None => (text, None),
    };
    let target = Replacement::new(&place, target, &regex, setup)?;
    let query = query.map(|query| {
        let alone = query.is_empty() || query.ends_with('?');
        let text = query.strip_suffix('?').unwrap_or(query);
        let text = Replacement::new(&place, text, &regex, setup)?;
        Ok(Query { text, alone })
    });
    let query = query.transpose()?;
    if !is_elsewhere(&target) {
        return Ok(Change::Regex(regex, To::Path(target, query)));
    }
    if !matches!(options.then, Then::Redirect | Then::Permanent) {
        return Err(BuildError::new(place, "a whole URL is somewhere to send the client to")
            .with_help("say `then = \"redirect\"` or `\"permanent\"`"));
    }
    Ok(Change::Regex(regex, To::Location(target, query)))
}

fn is_elsewhere(target: &Replacement) -> bool {
    match target.pieces() {
        [Piece::Literal(text), ..] => text.starts_with(b"http://") || text.starts_with(b"https://"),
        [Piece::Variable(name), Piece::Literal(text), ..] => {
            name == "scheme" && text.starts_with(b"://")
        }
        _ => false,
    }
}

fn whole_prefix(
    path: &str,
    key: &str,
    prefix: &str,
    options: &RuleOptions,
) -> Result<Vec<u8>, BuildError> {
    if options.of != Of::Path {
        return Err(BuildError::new(format!("{path}.of"), "only a path has such a prefix"));
    }
    if options.replace.is_some() {
        return Err(BuildError::new(format!("{path}.replace"), "goes with `regex` only"));
    }
    if !prefix.starts_with('/') || prefix.ends_with('/') {
        return Err(BuildError::new(
            format!("{path}.{key}"),
            "a prefix begins with `/` and does not end with one, as in /api",
        ));
    }
    Ok(prefix.as_bytes().to_vec())
}
