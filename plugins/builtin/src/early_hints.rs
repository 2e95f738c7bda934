//! `early-hints`: tells browsers what a page will need (103) while the page is still being made.

mod link;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::Deserialize;
use switchback_plugin::{
    BuildError, Counter, Fact, Flow, Level, Operating, Plugin, Request, Response, Setup,
    StoreAction, hooks,
};

use crate::path_list::PathList;
use crate::units::Time;

/// Tells browsers what a page will need while the page is still being made (RFC 8297).
pub(crate) struct EarlyHints {
    paths: PathList,
    /// The links of each path of the list.
    links: Vec<Vec<String>>,
    learns: bool,
    relations: Vec<String>,
    store: String,
    remember: Time,
    all_requests: bool,
    old_protocols: bool,
    sent: Counter,
}

/// Tells browsers what a page will need while the page is still being made (RFC 8297).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// What pages need, by path. The first that stands for a path counts.
    hints: Vec<HintOptions>,
    /// Whether the links of the last response of a path are told to the next who asks for it, where `hints` says nothing of it. Nothing
    /// is learnt from responses that are for one client alone: `private`, `no-store`, with `Set-Cookie`, or to requests with
    /// `Authorization`.
    learn: bool,
    /// The relations of links that are learnt.
    relations: Vec<String>,
    /// The store in which they are kept.
    store: String,
    /// How long they are kept.
    remember: Time,
    /// Whether hints are given to all GET requests, and not only to navigations (`Sec-Fetch-Mode: navigate`).
    all_requests: bool,
    /// Whether hints are given over HTTP/1.1, too: some clients take a 103 for the response there.
    http1: bool,
}

/// What pages need.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HintOptions {
    /// Paths of pages; one that ends in `*` stands for all that begin so.
    paths: Vec<String>,
    /// Values of `Link`: `</app.css>; rel=preload; as=style`.
    links: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        let relations = ["preload", "modulepreload", "preconnect"];
        Self {
            hints: Vec::new(),
            learn: false,
            relations: relations.map(str::to_owned).into(),
            store: "early-hints".to_owned(),
            remember: Time::seconds(86_400),
            all_requests: false,
            http1: false,
        }
    }
}

/// What is kept of the links of one page.
const MOST_LEARNT: usize = 4096;

/// The page that was asked for, where something may be learnt from its response.
#[derive(Default)]
pub(crate) struct State {
    learns: Option<String>,
    known: Vec<u8>,
}

#[hooks]
impl Plugin for EarlyHints {
    const NAME: &'static str = "early-hints";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Options = Options;
    type State = State;

    fn build(options: Options, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        options.check()?;
        let mut paths = Vec::new();
        let mut links = Vec::new();
        for (index, hint) in options.hints.iter().enumerate() {
            // Here for the place of a mistake; then once more as one list.
            PathList::new(&format!("hints[{index}].paths"), &hint.paths)?;
            for path in &hint.paths {
                paths.push(path.clone());
                links.push(hint.links.clone());
            }
        }
        Ok(Self {
            paths: PathList::new("hints", &paths)?,
            links,
            learns: options.learn,
            relations: options.relations,
            store: options.store,
            remember: options.remember,
            all_requests: options.all_requests,
            old_protocols: options.http1,
            sent: setup.counter("early_hints_total", "Interim responses with hints.", &[])?,
        })
    }

    async fn on_request(&self, state: &mut State, request: &mut Request<'_>) -> Flow {
        if !self.is_page(request) {
            return Flow::Continue;
        }
        let path = request.path().into_owned();
        if let Some(links) = self.paths.find(&path).and_then(|index| self.links.get(index)) {
            self.inform(links.iter().map(String::as_bytes), request);
            return Flow::Continue;
        }
        if !self.learns || request.header_bytes("authorization").is_some() {
            return Flow::Continue;
        }
        let key = format!("{}{path}", request.host());
        // What is not known now is learnt from this response.
        if let Ok(Some(known)) = request.stored(&self.store, key.clone()).await {
            state.known = known.to_vec();
        }
        state.learns = Some(key);
        let links = state.known.split(|byte| *byte == b'\n').filter(|link| !link.is_empty());
        self.inform(links, request);
        Flow::Continue
    }

    async fn on_response(&self, state: &mut State, response: &mut Response<'_>) -> Flow {
        let Some(key) = state.learns.take() else { return Flow::Continue };
        if response.status() != 200 || link::is_for_one(response) {
            return Flow::Continue;
        }
        let links = self.links_of(response);
        if links == state.known {
            return Flow::Continue;
        }
        let action = if links.is_empty() {
            StoreAction::Remove
        } else {
            StoreAction::Put { value: links.into(), ttl: Some(self.remember.0) }
        };
        // A page is no worse for hints that are not kept.
        let _ = response.store(&self.store, key, action).await;
        Flow::Continue
    }
}

impl EarlyHints {
    /// Whether the request is one for a page, of a client that may be told something before.
    fn is_page(&self, request: &Request<'_>) -> bool {
        let is_new = !matches!(&*request.fact(Fact::Protocol), "HTTP/1.0" | "HTTP/1.1");
        let is_navigation =
            request.header_bytes("sec-fetch-mode").is_some_and(|mode| *mode == *b"navigate");
        request.method() == "GET"
            && (is_new || self.old_protocols)
            && (is_navigation || self.all_requests)
    }

    fn inform<'a>(&self, links: impl Iterator<Item = &'a [u8]>, request: &mut Request<'_>) {
        let fields: Vec<(&str, &[u8])> = links.map(|link| ("link", link)).collect();
        if fields.is_empty() {
            return;
        }
        match request.inform(103, &fields) {
            Ok(()) => self.sent.add(1),
            // Such a client gets its page all the same.
            Err(refused) => request.log(Level::Debug, &format!("no hints: {refused}")),
        }
    }

    /// The links that are learnt, one a line.
    fn links_of(&self, response: &Response<'_>) -> Vec<u8> {
        let mut links = Vec::new();
        response.headers(|name, value| {
            if name != "link" {
                return;
            }
            for one in link::split(value).filter(|one| link::has_relation(one, &self.relations)) {
                if links.len() + one.len() < MOST_LEARNT {
                    links.extend_from_slice(one);
                    links.push(b'\n');
                }
            }
        });
        links
    }
}

impl Options {
    fn check(&self) -> Result<(), BuildError> {
        if self.hints.is_empty() && !self.learn {
            return Err(BuildError::new("", "nobody is told anything")
                .with_help("say what in `hints`, or `learn = true`"));
        }
        for (index, hint) in self.hints.iter().enumerate() {
            if hint.paths.is_empty() {
                let message = "no path has these links";
                return Err(BuildError::new(format!("hints[{index}].paths"), message));
            }
            for (place, text) in hint.links.iter().enumerate() {
                let path = format!("hints[{index}].links[{place}]");
                let fits = http::HeaderValue::from_str(text).is_ok();
                if !fits
                    || link::split(text.as_bytes()).count() != 1
                    || !link::is_link(text.as_bytes())
                {
                    let message =
                        format!("`{text}` is no link: as in </app.css>; rel=preload; as=style");
                    return Err(BuildError::new(path, message));
                }
            }
        }
        if self.learn && self.relations.is_empty() {
            return Err(BuildError::new("relations", "no link is learnt"));
        }
        if self.store.is_empty() {
            return Err(BuildError::new("store", "a store has a name"));
        }
        Ok(())
    }
}

/// Links are parts of their field, in order, and no more than it has commas for.
pub(crate) fn check_links(value: &[u8]) {
    let commas = value.iter().filter(|byte| **byte == b',').count();
    let links: Vec<&[u8]> = link::split(value).collect();
    assert!(links.len() <= commas + 1, "{}", value.escape_ascii());
    for one in links {
        let _ = link::has_relation(one, &["preload".to_owned()]);
        assert!(value.windows(one.len()).any(|part| part == one), "{}", value.escape_ascii());
    }
}
