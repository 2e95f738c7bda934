//! `body-substitution`: replaces text in the bodies of responses as they pass.

mod rule;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use switchback_plugin::{
    Body, BuildError, Counter, Flow, Level, Operating, Plugin, Refused, Request, Response, Setup,
    hooks,
};

use rule::Rules;
use stream::Stream;

/// Replaces text in the bodies of responses as they pass.
pub(crate) struct BodySubstitution {
    rules: Arc<Rules>,
    types: Vec<String>,
    encoded: Encoded,
    asks_for_plain: bool,
    keeps_ranges: bool,
    keeps_last_modified: bool,
    replaced: Counter,
    skipped: Counter,
}

/// What an operator may say.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// What is replaced. All rules are looked for at once, from the beginning to the end: what is found first is replaced, by the rule that
    /// is written first where two are found at the same place, and what was put in is not looked at again.
    rules: Vec<RuleOptions>,
    /// Types of responses that are looked at; `text/*` stands for all that begin so, `*` for all.
    #[serde(default = "html")]
    types: Vec<String>,
    /// What becomes of a response that is compressed, whose text cannot be seen: `"skip"` passes it on as it is, `"refuse"` answers 502.
    #[serde(default)]
    encoded: Encoded,
    /// Whether endpoints are asked for bodies that are not compressed.
    #[serde(default = "yes")]
    ask_for_plain: bool,
    /// Whether clients may ask for parts of bodies. What they get then is passed on as it is: where a part begins in the middle of what is
    /// to be found, it is not found. Without it, they get all of the body instead.
    #[serde(default)]
    keep_ranges: bool,
    /// Whether `Last-Modified` is kept. It says when the origin changed its text, and nothing of when these rules were changed.
    #[serde(default)]
    keep_last_modified: bool,
}

/// One rule: `find` or `regex`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RuleOptions {
    /// What is looked for, as it is written.
    find: Option<String>,
    /// A regular expression that is looked for. What it finds must have an end, and may have 64 KiB at most: `a{1,100}`, not `a+`.
    regex: Option<String>,
    /// What takes its place. `$name` is a variable as it is when the response begins; `$1` and `$name` are groups of a regular expression.
    replace: String,
    /// Whether ASCII letters are the same in upper and lower case. A regular expression says so itself, with `(?i)`.
    ignore_case: bool,
    /// Whether only the first is replaced.
    once: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Encoded {
    /// Passed on as it is.
    #[default]
    Skip,
    /// Answered with 502.
    Refuse,
}

fn html() -> Vec<String> {
    vec!["text/html".to_owned()]
}

const fn yes() -> bool {
    true
}

/// The body that is being searched, if it is.
#[derive(Default)]
pub(crate) struct State {
    stream: Option<Stream>,
}

#[hooks]
impl Plugin for BodySubstitution {
    const NAME: &'static str = "body-substitution";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Options = Options;
    type State = State;

    fn build(options: Options, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        let rules = Rules::new(&options.rules, setup)?;
        for (index, media_type) in options.types.iter().enumerate() {
            let is_type = media_type == "*"
                || media_type.split('/').filter(|part| !part.is_empty()).count() == 2;
            if !is_type {
                let message =
                    format!("`{media_type}` is no type: write it as in text/html, text/* or *");
                return Err(BuildError::new(format!("types[{index}]"), message));
            }
        }
        if options.types.is_empty() {
            return Err(BuildError::new("types", "no type is looked at"));
        }
        Ok(Self {
            rules: Arc::new(rules),
            types: options.types.iter().map(|named| named.to_ascii_lowercase()).collect(),
            encoded: options.encoded,
            asks_for_plain: options.ask_for_plain,
            keeps_ranges: options.keep_ranges,
            keeps_last_modified: options.keep_last_modified,
            replaced: setup.counter("body_replacements_total", "Texts that were replaced.", &[])?,
            skipped: setup.counter(
                "body_substitution_skipped_total",
                "Responses that were not searched, because they were compressed or in parts.",
                &[],
            )?,
        })
    }

    async fn on_request(&self, _: &mut State, request: &mut Request<'_>) -> Flow {
        if self.keeps_ranges || request.header_bytes("range").is_none() {
            return Flow::Continue;
        }
        removed(&["range", "if-range"], |name| request.remove_header(name))
    }

    async fn on_upstream_request(&self, _: &mut State, request: &mut Request<'_>) -> Flow {
        if !self.asks_for_plain {
            return Flow::Continue;
        }
        removed(&["accept-encoding"], |name| request.remove_header(name))
    }

    async fn on_response(&self, state: &mut State, response: &mut Response<'_>) -> Flow {
        if matches!(response.status(), 100..=199 | 204 | 304) || !self.is_looked_at(response) {
            return Flow::Continue;
        }
        let is_encoded = response
            .header_bytes("content-encoding")
            .is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity"));
        if is_encoded && self.encoded == Encoded::Refuse {
            self.skipped.add(1);
            response.log(Level::Warn, "a compressed response was refused: its text cannot be seen");
            return Flow::status(502);
        }
        if is_encoded || response.status() == 206 {
            self.skipped.add(1);
            return Flow::Continue;
        }
        if response.request().method() != "HEAD" {
            let bound = self.rules.bound(response.request());
            state.stream = Some(Stream::new(bound, Arc::clone(&self.rules)));
        }
        self.mark(response)
    }

    fn on_response_body(&self, state: &mut State, body: &mut Body<'_>) -> Flow {
        let Some(stream) = &mut state.stream else { return Flow::Continue };
        let before = stream.replaced();
        let out = stream.feed(body.piece(), body.is_last());
        let replaced = stream.replaced() - before;
        if replaced > 0 {
            self.replaced.add(replaced);
        }
        match out.map_or(Ok(()), |out| body.set(out)) {
            Ok(()) => Flow::Continue,
            Err(refused) => Flow::fail(format!("the body cannot be changed: {refused}")),
        }
    }
}

impl BodySubstitution {
    fn is_looked_at(&self, response: &Response<'_>) -> bool {
        let header = response.header("content-type").unwrap_or_default();
        let media_type = header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        self.types.iter().any(|named| match named.strip_suffix('*') {
            Some(beginning) => media_type.starts_with(beginning),
            None => media_type == *named,
        })
    }

    /// Takes from the head what is true of the body that came, and not of the one that is sent.
    fn mark(&self, response: &mut Response<'_>) -> Flow {
        // The proxy keeps the length to itself where it knows that bodies change.
        let _ = response.remove_header("content-length");
        let untrue = ["accept-ranges", "content-md5", "content-digest", "digest", "repr-digest"];
        let last_modified = (!self.keeps_last_modified).then_some("last-modified");
        let gone = untrue.into_iter().chain(last_modified);
        if let Err(refused) = gone.clone().try_for_each(|name| response.remove_header(name)) {
            return Flow::fail(format!("the head cannot be changed: {refused}"));
        }
        let strong = response.header("etag").filter(|tag| tag.starts_with('"'));
        let weak = strong.map(|tag| format!("W/{tag}"));
        match weak.map_or(Ok(()), |tag| response.set_header("etag", tag)) {
            Ok(()) => Flow::Continue,
            Err(refused) => Flow::fail(format!("the ETag cannot be weakened: {refused}")),
        }
    }
}

fn removed(names: &[&str], mut remove: impl FnMut(&str) -> Result<(), Refused>) -> Flow {
    match names.iter().try_for_each(|name| remove(name)) {
        Ok(()) => Flow::Continue,
        Err(refused) => Flow::fail(format!("a header cannot be removed: {refused}")),
    }
}
