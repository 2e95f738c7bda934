//! `redirect`: sends clients to the one address that a page is to have.

mod map;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use switchback_plugin::{
    Answer, Background, BuildError, Fact, Flow, Operating, Plugin, Request, Setup, hooks,
};

use crate::path_encoding::encode_rest;
use crate::path_list::PathList;
use crate::units::Time;
use crate::watched::{self, Watched};
use map::{Goal, Map};

/// Sends clients to the one address that a page is to have: with one redirect, whatever is to change.
pub(crate) struct Redirect {
    https: bool,
    https_port: u16,
    www: Option<Www>,
    trailing_slash: Option<TrailingSlash>,
    paths: Map,
    file: Option<Watched<Map>>,
    status: Option<u16>,
    keep_query: bool,
    except: PathList,
}

/// What an operator may say.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// Whether `http` is redirected to `https`.
    https: bool,
    /// The port of `https`, as clients see it.
    https_port: u16,
    /// `"add"` redirects `example.com` to `www.example.com`, `"remove"` the other way around. Addresses and names without a dot stay.
    www: Option<Www>,
    /// `"add"` redirects `/a` to `/a/`, unless the last segment has a dot, `"remove"` the other way around.
    trailing_slash: Option<TrailingSlash>,
    /// Old paths (decoded), and where what was there is now: a path, or a URL. An old one that ends in `*` stands for all that begin so, and
    /// `*` in the new one is what was in its place.
    paths: BTreeMap<String, String>,
    /// A file with such pairs, one a line: the old path, white space, the new one, and perhaps a status. Lines that begin with `#` are comments. Read again
    /// when it has changed. What `paths` says comes before.
    file: Option<PathBuf>,
    /// How often the file is looked at; `"0"` for never.
    reload: Time,
    /// The status of redirects: 301, 302, 303, 307 or 308. Without it, 301 for GET and HEAD and 308 for all else, so that a form that is
    /// sent to the old address arrives at the new one.
    status: Option<u16>,
    /// Whether the query goes along to where a path of the map leads.
    keep_query: bool,
    /// Paths that are never redirected; one that ends in `*` stands for all that begin so.
    except: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            https: false,
            https_port: 443,
            www: None,
            trailing_slash: None,
            paths: BTreeMap::new(),
            file: None,
            reload: watched::PERIOD,
            status: None,
            keep_query: true,
            except: vec!["/.well-known/acme-challenge/*".to_owned()],
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Www {
    /// To the name with `www.`
    Add,
    /// To the name without it.
    Remove,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum TrailingSlash {
    /// To the path with a slash at its end.
    Add,
    /// To the path without one.
    Remove,
}

#[hooks]
impl Plugin for Redirect {
    const NAME: &'static str = "redirect";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Options = Options;
    type State = ();

    fn build(options: Options, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        options.check()?;
        let except = PathList::new("except", &options.except)?;
        let paths = Map::new(&options.paths)?;
        let file = options.file.as_deref();
        let file = file.map(|path| Watched::open("file", path, setup, Map::parse)).transpose()?;
        if file.is_some() {
            watched::watch("reload", options.reload, setup)?;
        }
        Ok(Self {
            https: options.https,
            https_port: options.https_port,
            www: options.www,
            trailing_slash: options.trailing_slash,
            paths,
            file,
            status: options.status,
            keep_query: options.keep_query,
            except,
        })
    }

    async fn on_request(&self, (): &mut (), request: &mut Request<'_>) -> Flow {
        let path = request.path();
        if self.except.find(&path).is_some() {
            return Flow::Continue;
        }
        match self.goal(&path, request) {
            Some(goal) => self.to_goal(&goal, request),
            None => self.to_the_one(request),
        }
    }

    async fn on_tick(&self, background: &mut Background<'_>) {
        if let Some(file) = &self.file {
            file.refresh(background).await;
        }
    }
}

/// A redirect, as far as it is known.
struct Address {
    scheme: String,
    /// With the port, where there is one to be said.
    authority: String,
    target: Vec<u8>,
}

impl Redirect {
    fn goal(&self, path: &str, request: &Request<'_>) -> Option<Goal> {
        let query = request.query().filter(|_| self.keep_query);
        let found = self.paths.find(path, query.as_deref());
        found.or_else(|| self.file.as_ref()?.current().find(path, query.as_deref()))
    }

    /// What the map says; a path of it is led to the host and scheme that are wanted at once.
    fn to_goal(&self, goal: &Goal, request: &Request<'_>) -> Flow {
        let status = goal.status.unwrap_or_else(|| self.status(request));
        if !goal.target.starts_with(b"/") {
            return answer(status, &goal.target);
        }
        let mut address = Address::of(request);
        let moved = self.moves_site(&mut address, request);
        address.target.clone_from(&goal.target);
        answer(status, &address.location(moved))
    }

    fn to_the_one(&self, request: &Request<'_>) -> Flow {
        let mut address = Address::of(request);
        let moved = self.moves_site(&mut address, request);
        let slashed = self.moves_slash(&mut address, request);
        if !moved && !slashed {
            return Flow::Continue;
        }
        answer(self.status(request), &address.location(moved))
    }

    /// Whether scheme or host are to be others.
    fn moves_site(&self, address: &mut Address, request: &Request<'_>) -> bool {
        let host = request.host().into_owned();
        let is_name = host.contains('.') && host.parse::<IpAddr>().is_err();
        let wanted = match self.www {
            Some(Www::Add) if is_name && !host.starts_with("www.") => Some(format!("www.{host}")),
            Some(Www::Remove) if is_name => {
                host.strip_prefix("www.").filter(|rest| rest.contains('.')).map(str::to_owned)
            }
            _ => None,
        };
        let secured = self.https && address.scheme == "http";
        if !secured && wanted.is_none() {
            return false;
        }
        let port = if !secured {
            address.authority.rsplit_once(':').map(|(_, port)| port.to_owned())
        } else if self.https_port == 443 {
            None
        } else {
            Some(self.https_port.to_string())
        };
        // An IPv6 address ends in `]`: what is behind its last colon is no port.
        let port = port.filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
        let host = wanted.unwrap_or_else(|| bracketed(host));
        address.authority = port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        if secured {
            "https".clone_into(&mut address.scheme);
        }
        true
    }

    fn moves_slash(&self, address: &mut Address, request: &Request<'_>) -> bool {
        let end = address.target.iter().position(|byte| *byte == b'?');
        let end = end.unwrap_or(address.target.len());
        let path = request.path();
        match self.trailing_slash {
            Some(TrailingSlash::Add) => {
                let last = path.rsplit('/').next().unwrap_or_default();
                if last.is_empty() || last.contains('.') {
                    return false;
                }
                address.target.insert(end, b'/');
            }
            Some(TrailingSlash::Remove) => {
                let kept = address.target.get(..end).unwrap_or_default();
                let kept = kept.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
                if kept == end || kept == 0 {
                    return false;
                }
                address.target.drain(kept..end);
            }
            None => return false,
        }
        true
    }

    fn status(&self, request: &Request<'_>) -> u16 {
        let keeps_method = !matches!(&*request.method(), "GET" | "HEAD");
        self.status.unwrap_or(if keeps_method { 308 } else { 301 })
    }
}

impl Address {
    /// Of what the client asked for, as it was written.
    fn of(request: &Request<'_>) -> Self {
        let host = request.header("host").filter(|host| !host.is_empty());
        let mut target = Vec::with_capacity(64);
        let asked = request.view().fact(Fact::Target);
        encode_rest(asked.as_deref().unwrap_or(b"/"), &mut target);
        Self {
            scheme: request.fact(Fact::Scheme).into_owned(),
            authority: host.unwrap_or_else(|| request.host()).into_owned(),
            target,
        }
    }

    /// All of it where host or scheme are others. A path alone must not begin with two slashes: that would be another host.
    fn location(&self, moved: bool) -> Vec<u8> {
        if moved {
            let site = format!("{}://{}", self.scheme, self.authority);
            return [site.as_bytes(), &self.target].concat();
        }
        let slashes = self.target.iter().take_while(|byte| **byte == b'/').count();
        [b"/", self.target.get(slashes..).unwrap_or_default()].concat()
    }
}

fn answer(status: u16, location: &[u8]) -> Flow {
    Answer::plain(status).with_header("location", location).into()
}

fn bracketed(host: String) -> String {
    let bare = host.contains(':') && !host.starts_with('[');
    if bare { format!("[{host}]") } else { host }
}

impl Options {
    fn check(&self) -> Result<(), BuildError> {
        let redirects = self.https || self.www.is_some() || self.trailing_slash.is_some();
        if !redirects && self.paths.is_empty() && self.file.is_none() {
            return Err(BuildError::new("", "nothing is redirected")
                .with_help("say what with `https`, `www`, `trailing_slash`, `paths` or `file`"));
        }
        if let Some(status) = self.status.filter(|status| !map::is_redirect(*status)) {
            return Err(BuildError::new("status", map::no_redirect(&status.to_string())));
        }
        if self.https_port == 0 {
            return Err(BuildError::new("https_port", "0 is no port"));
        }
        Ok(())
    }
}

/// Of a file that is read, no path leads to another host.
pub(crate) fn check_file(text: &str) {
    let Ok(map) = Map::parse(text) else { return };
    for line in text.lines() {
        let path = line.split_whitespace().next().unwrap_or_default().replace('*', "//x");
        let Some(goal) = map.find(&path, Some("q")) else { continue };
        let target =
            Address { scheme: String::new(), authority: String::new(), target: goal.target };
        if target.target.starts_with(b"/") {
            assert!(!target.location(false).starts_with(b"//"), "{path} of {text}");
        } else {
            assert!(target.target.starts_with(b"http"), "{path} of {text}");
        }
        assert!(target.target.iter().all(u8::is_ascii_graphic), "{path} of {text}");
    }
}
