//! `rewrite`: changes path, query or host by rules, as nginx's `rewrite` does.

mod rule;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Deserialize;
use switchback_plugin::{
    Answer, BuildError, Fact, Flow, Operating, Part, Plugin, Refused, Request, Setup, hooks,
};

use crate::path_encoding::{encode_path, encode_rest};
use rule::Rule;

/// Changes path, query or host by rules.
pub(crate) struct Rewrite {
    rules: Vec<Rule>,
}

/// What an operator may say.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// Asked one after another; each sees what those before it have made. When the last one was asked and something has changed, routes are
    /// looked for anew. A rule that matches what it has made itself goes around until the proxy breaks it off: use `then = "break"` there.
    rules: Vec<RuleOptions>,
}

/// One rule: exactly one of `regex` (with `replace`), `strip_prefix` and `add_prefix`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RuleOptions {
    /// What the rule looks at and changes: `"path"` (decoded), `"query"` (as it was sent, without `?`) or `"host"` (without the port).
    of: Of,
    /// A regular expression. The rule is for what it is found in. It sees bytes: `.` is any one, also the end of a line.
    regex: Option<String>,
    /// What takes the place of all of it (not only of what was found). `$1` and `$name` are groups of the regular expression, other names
    /// variables. Of a path, what is behind `?` becomes the query, and the query that was there is added to it unless another `?` ends
    /// the text. With `then = "redirect"` or `"permanent"` it may begin with `http://`, `https://` or `$scheme://`.
    replace: Option<String>,
    /// Taken away from the beginning of the path, where it ends at a `/`: `/api` makes `/users` of `/api/users`, and nothing of `/apis`.
    strip_prefix: Option<String>,
    /// Put in front of the path.
    add_prefix: Option<String>,
    /// How it goes on when the rule has changed something: `"next"` asks the next rule; `"last"` asks no more, and routes are looked for
    /// anew; `"break"` asks no more, and the request stays on its route: only what is sent to the endpoint changes; `"redirect"` sends the
    /// client there with 302, `"permanent"` with 301.
    then: Then,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Of {
    /// The normalised path.
    #[default]
    Path,
    /// The query.
    Query,
    /// The host.
    Host,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Then {
    /// The next rule is asked.
    #[default]
    Next,
    /// No other rule is asked; routes are looked for anew.
    Last,
    /// No other rule is asked; the route stays.
    Break,
    /// The client is sent there for now.
    Redirect,
    /// The client is sent there for good.
    Permanent,
}

/// What a request asks for, as rules see and change it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    /// Decoded.
    path: Vec<u8>,
    /// Encoded, without `?`.
    query: Option<Vec<u8>>,
    host: Vec<u8>,
}

/// What is sent to the endpoint instead of what the client asked for.
#[derive(Default)]
pub(crate) struct State {
    parts: Vec<(Part, String)>,
}

#[hooks]
impl Plugin for Rewrite {
    const NAME: &'static str = "rewrite";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Options = Options;
    type State = State;

    fn build(options: Options, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        if options.rules.is_empty() {
            return Err(BuildError::new("rules", "nothing is rewritten"));
        }
        let rules = options.rules.iter().enumerate();
        let rules = rules.map(|(index, rule)| Rule::new(&format!("rules[{index}]"), rule, setup));
        Ok(Self { rules: rules.collect::<Result<_, _>>()? })
    }

    async fn on_request(&self, state: &mut State, request: &mut Request<'_>) -> Flow {
        let before = Target::of(request);
        let mut target = before.clone();
        let mut routed = true;
        for rule in &self.rules {
            let Some(location) = rule.apply(&mut target, request) else { continue };
            match rule.then() {
                Then::Next => {}
                Then::Last => break,
                Then::Break => {
                    routed = false;
                    break;
                }
                Then::Redirect => return redirect(302, &target, location, request),
                Then::Permanent => return redirect(301, &target, location, request),
            }
        }
        let parts = target.changes(&before);
        if !routed {
            state.parts = parts;
            return Flow::Continue;
        }
        set(&parts, request)
    }

    async fn on_upstream_request(&self, state: &mut State, request: &mut Request<'_>) -> Flow {
        set(&state.parts, request)
    }
}

fn set(parts: &[(Part, String)], request: &mut Request<'_>) -> Flow {
    let set = |(part, value): &(Part, String)| {
        let failure = |refused: Refused| format!("`{value}` cannot be asked for: {refused}");
        request.set(*part, value).map_err(failure)
    };
    match parts.iter().try_for_each(set) {
        Ok(()) => Flow::Continue,
        Err(message) => Flow::fail(message),
    }
}

/// To `location` where a rule has named a whole one, or to the same site.
fn redirect(
    status: u16,
    target: &Target,
    location: Option<Vec<u8>>,
    request: &Request<'_>,
) -> Flow {
    let location = location.unwrap_or_else(|| target.location(request));
    Answer::plain(status).with_header("location", location).into()
}

impl Target {
    fn of(request: &Request<'_>) -> Self {
        let fact = |fact| request.view().fact(fact).map(Cow::into_owned);
        Self {
            path: fact(Fact::Path).unwrap_or_default(),
            query: fact(Fact::Query),
            host: fact(Fact::Host).unwrap_or_default(),
        }
    }

    fn changes(&self, before: &Self) -> Vec<(Part, String)> {
        let mut changes = Vec::new();
        if self.host != before.host {
            changes.push((Part::Host, text(&self.host)));
        }
        if self.path != before.path {
            let mut path = Vec::with_capacity(self.path.len() + 8);
            encode_path(&self.path, &mut path);
            changes.push((Part::Path, text(&path)));
        }
        if self.query != before.query {
            let query = self.query.as_deref().unwrap_or_default();
            changes.push((Part::Query, text(query)));
        }
        changes
    }

    /// Path and query, or a whole URL where the host is another one. Never begins with two slashes: that would be another host.
    fn location(&self, request: &Request<'_>) -> Vec<u8> {
        let mut location = Vec::with_capacity(64);
        if self.host != request.host().as_bytes() {
            location.extend_from_slice(request.fact(Fact::Scheme).as_bytes());
            location.extend_from_slice(b"://");
            encode_rest(&self.host, &mut location);
        }
        location.push(b'/');
        let slashes = self.path.iter().take_while(|byte| **byte == b'/').count();
        encode_path(self.path.get(slashes..).unwrap_or_default(), &mut location);
        if let Some(query) = self.query.as_deref().filter(|query| !query.is_empty()) {
            location.push(b'?');
            encode_rest(query, &mut location);
        }
        location
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
