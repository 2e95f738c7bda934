//! `csrf`: refuses requests that pages of others have made in the name of the user.

mod token;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use switchback_plugin::{
    BuildError, Fact, Flow, Level, Operating, Plugin, Refused, Request, Response, Setup, hooks,
};

use crate::option::{cookie, each, header, read, refusal};
use crate::origin::{Origin, OriginPattern, without_default_port};
use token::Token;

/// Refuses requests that pages of others have made in the name of the user.
pub(crate) struct Csrf {
    trusted: Vec<OriginPattern>,
    unknown: Unknown,
    status: u16,
    token: Option<Token>,
}

/// Refuses requests that pages of other origins have made in the name of the user. `GET`, `HEAD` and `OPTIONS` pass: they must change
/// nothing. Others, and those that begin a WebSocket, pass when the browser says that the page is of the same origin (`Sec-Fetch-Site`, else `Origin` against `Host`), or of
/// one that is trusted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// Other origins whose pages may: `"https://admin.example"`, `"https://*.example"`, `"~https://pr-[0-9]+\\.example"`.
    trusted: Vec<String>,
    /// What becomes of a request that says nothing of where it comes from: `allow`, because all browsers since 2020 say it and other
    /// programs cannot be misled, or `deny`.
    unknown: Unknown,
    /// The status of those that are refused.
    status: u16,
    /// A token that requests must carry as well: in a cookie, which is set here, and in a header, into which the page's script copies it.
    /// For browsers that say nothing of origins.
    token: Option<TokenOptions>,
}

/// The token of a signed double submit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenOptions {
    /// A file with the secret that tokens are signed with: at least 32 bytes, the same for all proxies of a site.
    secret_file: PathBuf,
    /// The cookie. Its name should begin with `__Host-`, which keeps subdomains from setting it; without HTTPS, browsers refuse such a one.
    #[serde(default = "token_cookie")]
    cookie: String,
    /// The header.
    #[serde(default = "token_header")]
    header: String,
    /// The cookie of the session that tokens are bound to, so that nobody can use one of their own with somebody else.
    session_cookie: Option<String>,
}

fn token_cookie() -> String {
    "__Host-csrf".into()
}

fn token_header() -> String {
    "x-csrf-token".into()
}

impl Default for Options {
    fn default() -> Self {
        Self { trusted: Vec::new(), unknown: Unknown::Allow, status: 403, token: None }
    }
}

/// What becomes of a request that says nothing of where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Unknown {
    /// It passes.
    Allow,
    /// It is refused.
    Deny,
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Same,
    Trusted,
    Other,
    Nobody,
}

#[hooks]
impl Plugin for Csrf {
    const NAME: &'static str = "csrf";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Options = Options;
    /// The cookie that the client is to get.
    type State = Option<String>;

    fn build(options: Options, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        let trusted = each("trusted", &options.trusted, trusted)?;
        let status = refusal("status", options.status)?;
        let token = options.token.map(|options| token(&options, setup)).transpose()?;
        Ok(Self { trusted, unknown: options.unknown, status, token })
    }

    async fn on_request(&self, cookie: &mut Option<String>, request: &mut Request<'_>) -> Flow {
        // A WebSocket is asked for with GET, or with CONNECT (RFC 8441), by pages of any origin, and cannot bring headers along.
        let is_handshake =
            request.header_bytes("sec-websocket-key").is_some() || request.method() == "CONNECT";
        if !is_handshake && matches!(&*request.method(), "GET" | "HEAD" | "OPTIONS") {
            return self.offer(cookie, request);
        }
        let from = self.from(request);
        let passes = match from {
            From::Same | From::Trusted => true,
            From::Other => false,
            From::Nobody => self.unknown == Unknown::Allow,
        };
        let carries =
            is_handshake || self.token.as_ref().is_none_or(|token| token.is_carried_by(request));
        if passes && carries {
            return Flow::Continue;
        }
        let why = if passes { "no token, or one that is wrong" } else { "from another origin" };
        request.log(Level::Debug, why);
        Flow::status(self.status)
    }

    async fn on_response(&self, cookie: &mut Option<String>, response: &mut Response<'_>) -> Flow {
        let Some(cookie) = cookie.take() else { return Flow::Continue };
        let set = |response: &mut Response<'_>| -> Result<(), Refused> {
            response.append_header("set-cookie", cookie)?;
            // No cache may give one client's token to another.
            response.set_header("cache-control", "private, no-store")
        };
        match set(response) {
            Ok(()) => Flow::Continue,
            Err(refused) => Flow::fail(format!("the token's cookie: {refused}")),
        }
    }
}

impl Csrf {
    /// A client that asks for a page without a token gets one.
    fn offer(&self, cookie: &mut Option<String>, request: &Request<'_>) -> Flow {
        let Some(token) = &self.token else { return Flow::Continue };
        if !is_navigation(request) || token.is_known_to(request) {
            return Flow::Continue;
        }
        match token.cookie(request) {
            Some(made) => *cookie = Some(made),
            None => return Flow::fail("the system has no random numbers"),
        }
        Flow::Continue
    }

    fn from(&self, request: &Request<'_>) -> From {
        let origin = request.header("origin");
        let trusted = || {
            let is_trusted = |origin: &str| self.trusted.iter().any(|one| one.matches(origin));
            if origin.as_deref().is_some_and(is_trusted) { From::Trusted } else { From::Other }
        };
        match request.header("sec-fetch-site").as_deref() {
            // `none`: the user has typed, or clicked a bookmark.
            Some("same-origin" | "none") => From::Same,
            Some(_) => trusted(),
            None => match &origin {
                None => From::Nobody,
                Some(origin) if is_own(origin, request) => From::Same,
                Some(_) => trusted(),
            },
        }
    }
}

/// Documents that users see: pictures and scripts may be cached for everybody, and get no cookie. What says nothing may be a document.
fn is_navigation(request: &Request<'_>) -> bool {
    request.method() == "GET"
        && request.header("sec-fetch-dest").is_none_or(|kind| kind == "document")
}

/// Whether `origin` is the one that was asked. Behind a proxy that ends TLS and does not say so, `https` looks like `http` here; the other
/// way round, somebody on the way made the page.
fn is_own(origin: &str, request: &Request<'_>) -> bool {
    let Some(origin) = Origin::parse(origin) else { return false };
    if request.fact(Fact::Scheme) == "https" && origin.scheme != "https" {
        return false;
    }
    let host = request.header("host").unwrap_or_else(|| request.host()).to_ascii_lowercase();
    without_default_port(origin.scheme, &host) == origin.authority_without_default_port()
}

fn trusted(text: &str) -> Result<OriginPattern, String> {
    match OriginPattern::parse(text)? {
        OriginPattern::Any | OriginPattern::Null => Err(format!("`{text}` would trust everybody")),
        pattern => Ok(pattern),
    }
}

fn token(options: &TokenOptions, setup: &Setup<'_>) -> Result<Token, BuildError> {
    let name = read("token.cookie", &options.cookie, cookie)?;
    let header = read("token.header", &options.header, header)?;
    let session = match &options.session_cookie {
        Some(session) => Some(read("token.session_cookie", session, cookie)?),
        None => None,
    };
    let path = setup.path(&options.secret_file);
    let at =
        |why: String| BuildError::new("token.secret_file", format!("{}: {why}", path.display()));
    let secret = std::fs::read(&path).map_err(|error| at(error.to_string()))?;
    let secret = secret.trim_ascii();
    if secret.len() < 32 {
        return Err(
            at("a secret has at least 32 bytes".into()).with_help("openssl rand -hex 32 makes one")
        );
    }
    Ok(Token::new(name, header, session, secret))
}

#[cfg(test)]
mod tests;
