//! `headers`: sets, adds and removes headers of requests and responses.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use switchback_plugin::{BuildError, Flow, Plugin, Refused, Request, Response, Setup, hooks};

use crate::option::{Statuses, changeable_header, each, header, is_framing, read};
use crate::template::Template;

/// Sets, adds and removes headers of requests and responses.
pub(crate) struct Headers {
    request: Vec<Change>,
    response: Vec<Change>,
}

/// Sets, adds and removes headers of requests and responses.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// What is changed of the request before anybody else sees it, one after another.
    request: Vec<ChangeOptions>,
    /// What is changed of the response on its way to the client, one after another: also of what the cache has stored, and of what
    /// other plugins have answered.
    response: Vec<ChangeOptions>,
}

/// One change: first what is removed, then what is set, then what is added.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ChangeOptions {
    /// Headers that are removed. One that ends in `*` stands for all that begin so: `x-internal-*`.
    remove: Vec<String>,
    /// Headers whose values are all replaced by one, in which `$name` is a variable. Where that renders to nothing, the header is removed.
    set: BTreeMap<String, String>,
    /// Headers that get one value more, in which `$name` is a variable. Where that renders to nothing, nothing is added.
    add: BTreeMap<String, String>,
    /// When: only where all that is said here holds.
    when: WhenOptions,
}

/// When a change is made.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct WhenOptions {
    /// The response has one of these statuses: `"404"`, `"5xx"`, `"200-299"`. Only for responses.
    status: Vec<String>,
    /// All of these headers are there, in the request for changes of the request, in the response for those of the response.
    present: Vec<String>,
    /// None of these headers is there.
    absent: Vec<String>,
}

struct Change {
    remove: Vec<Pattern>,
    set: Vec<(HeaderName, Value)>,
    add: Vec<(HeaderName, Value)>,
    status: Vec<Statuses>,
    present: Vec<HeaderName>,
    absent: Vec<HeaderName>,
}

enum Pattern {
    Name(HeaderName),
    Prefix(String),
}

/// What a header is given.
enum Value {
    /// The same for every request.
    Made(HeaderValue),
    Rendered(Template),
}

#[hooks]
impl Plugin for Headers {
    const NAME: &'static str = "headers";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Options = Options;
    type State = ();

    fn build(options: Options, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        if options.request.is_empty() && options.response.is_empty() {
            return Err(BuildError::new("", "nothing is changed")
                .with_help("say what in `request` or `response`"));
        }
        let request = changes("request", options.request, setup)?;
        if let Some(index) = request.iter().position(|change| !change.status.is_empty()) {
            let path = format!("request[{index}].when.status");
            return Err(BuildError::new(path, "a request has no status"));
        }
        Ok(Self { request, response: changes("response", options.response, setup)? })
    }

    async fn on_request(&self, (): &mut (), request: &mut Request<'_>) -> Flow {
        ended(self.request.iter().try_for_each(|change| change.apply(request)))
    }

    async fn on_response(&self, (): &mut (), response: &mut Response<'_>) -> Flow {
        ended(self.response.iter().try_for_each(|change| match &*change.status {
            [] => change.apply(response),
            statuses if is_among(response.status(), statuses) => change.apply(response),
            _ => Ok(()),
        }))
    }
}

fn is_among(status: u16, statuses: &[Statuses]) -> bool {
    statuses.iter().any(|statuses| statuses.contains(status))
}

fn ended(result: Result<(), (HeaderName, Refused)>) -> Flow {
    match result {
        Ok(()) => Flow::Continue,
        Err((name, refused)) => Flow::fail(format!("header `{name}`: {refused}")),
    }
}

/// Both sides' fields are changed alike.
trait Side: switchback_plugin::Operating {
    fn has(&self, name: &HeaderName) -> bool;
    fn names(&self, visit: impl FnMut(&str));
    fn set(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<(), Refused>;
    fn append(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<(), Refused>;
    fn remove(&mut self, name: &HeaderName) -> Result<(), Refused>;
}

macro_rules! side {
    ($($facade:ident)*) => {$(
        impl Side for $facade<'_> {
            fn has(&self, name: &HeaderName) -> bool {
                self.header_bytes(name).is_some()
            }

            fn names(&self, mut visit: impl FnMut(&str)) {
                self.headers(|name, _| visit(name));
            }

            fn set(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<(), Refused> {
                self.set_header_value(name, value)
            }

            fn append(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<(), Refused> {
                self.append_header(name, value)
            }

            fn remove(&mut self, name: &HeaderName) -> Result<(), Refused> {
                self.remove_header(name)
            }
        }
    )*};
}

side!(Request Response);

impl Change {
    fn apply(&self, side: &mut impl Side) -> Result<(), (HeaderName, Refused)> {
        let here = |name: &HeaderName| side.has(name);
        if !self.present.iter().all(here) || self.absent.iter().any(here) {
            return Ok(());
        }
        for pattern in &self.remove {
            pattern.remove(side)?;
        }
        for (name, value) in &self.set {
            let set = |side: &mut _, value: &HeaderValue| match value.is_empty() {
                true => Side::remove(side, name),
                false => Side::set(side, name, value),
            };
            value.give(side, set).map_err(|refused| (name.clone(), refused))?;
        }
        for (name, value) in &self.add {
            let add = |side: &mut _, value: &HeaderValue| match value.is_empty() {
                true => Ok(()),
                false => Side::append(side, name, value),
            };
            value.give(side, add).map_err(|refused| (name.clone(), refused))?;
        }
        Ok(())
    }
}

impl Value {
    /// Gives `then` what the request at hand makes of it.
    fn give<S: Side>(
        &self,
        side: &mut S,
        then: impl FnOnce(&mut S, &HeaderValue) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let template = match self {
            Self::Made(value) => return then(side, value),
            Self::Rendered(template) => template,
        };
        let mut value = Vec::with_capacity(64);
        template.render_field(side, &mut value);
        let value = HeaderValue::from_maybe_shared(Bytes::from(value));
        then(side, &value.map_err(|_| Refused::Invalid)?)
    }
}

impl Pattern {
    fn remove(&self, side: &mut impl Side) -> Result<(), (HeaderName, Refused)> {
        let remove = |side: &mut _, name: &HeaderName| {
            Side::remove(side, name).map_err(|refused| (name.clone(), refused))
        };
        let prefix = match self {
            Self::Name(name) => return remove(side, name),
            Self::Prefix(prefix) => prefix,
        };
        let mut names = Vec::new();
        side.names(|name| {
            if name.starts_with(prefix.as_str()) && name != "host" && !is_framing(name) {
                names.extend(header(name));
            }
        });
        names.iter().try_for_each(|name| remove(side, name))
    }
}

fn changes(
    side: &str,
    options: Vec<ChangeOptions>,
    setup: &Setup<'_>,
) -> Result<Vec<Change>, BuildError> {
    let numbered = options.into_iter().enumerate();
    numbered.map(|(index, change)| compile(&format!("{side}[{index}]"), change, setup)).collect()
}

fn compile(path: &str, options: ChangeOptions, setup: &Setup<'_>) -> Result<Change, BuildError> {
    if options.remove.is_empty() && options.set.is_empty() && options.add.is_empty() {
        return Err(BuildError::new(path, "nothing is changed")
            .with_help("say what in `remove`, `set` or `add`"));
    }
    let when = options.when;
    Ok(Change {
        remove: each(&format!("{path}.remove"), &options.remove, pattern)?,
        set: values(&format!("{path}.set"), options.set, setup)?,
        add: values(&format!("{path}.add"), options.add, setup)?,
        status: each(&format!("{path}.when.status"), &when.status, Statuses::parse)?,
        present: each(&format!("{path}.when.present"), &when.present, header)?,
        absent: each(&format!("{path}.when.absent"), &when.absent, header)?,
    })
}

fn values(
    path: &str,
    values: BTreeMap<String, String>,
    setup: &Setup<'_>,
) -> Result<Vec<(HeaderName, Value)>, BuildError> {
    let located = |(key, text): (String, String)| {
        let path = format!("{path}.{key}");
        let name = read(&path, &key, changeable_header)?;
        let template = Template::new(&path, &text, setup)?;
        // Whatever a variable renders to is escaped where it has to be.
        let literal = template.as_literal().unwrap_or(&text);
        let Ok(made) = HeaderValue::from_bytes(literal.as_bytes()) else {
            return Err(BuildError::new(path, "control characters are not allowed in a header"));
        };
        let is_made = template.as_literal().is_some();
        Ok((name, if is_made { Value::Made(made) } else { Value::Rendered(template) }))
    };
    values.into_iter().map(located).collect()
}

fn pattern(text: &str) -> Result<Pattern, String> {
    match text.strip_suffix('*') {
        Some("") => Err("`*` alone would remove all headers: write what they begin with".into()),
        Some(prefix) => header(prefix).map(|prefix| Pattern::Prefix(prefix.as_str().to_owned())),
        None => changeable_header(text).map(Pattern::Name),
    }
}

#[cfg(test)]
mod tests;
