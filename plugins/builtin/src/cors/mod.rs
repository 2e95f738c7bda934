//! `cors`: which pages of other origins may read what is answered (the fetch standard, section 3.2).

use schemars::JsonSchema;
use serde::Deserialize;
use switchback_plugin::{
    Answer, BuildError, Flow, Plugin, Refused, Request, Response, Setup, hooks,
};

use crate::option::{each, header};
use crate::origin::OriginPattern;
use crate::units::Time;

/// Says which pages of other origins may read what is answered.
pub(crate) struct Cors {
    origins: Vec<OriginPattern>,
    /// Everybody is told the same, so that caches need not tell origins apart.
    for_everybody: bool,
    credentials: bool,
    methods: String,
    headers: RequestHeaders,
    expose: Option<String>,
    max_age: String,
    private_network: bool,
}

enum RequestHeaders {
    None,
    These(String),
    /// Those that are asked for.
    Any,
}

/// Tells browsers which pages of other origins may read what is answered, and answers their preflight requests with 204, so that they
/// reach neither other filters behind this one nor the upstream: put it before filters that authenticate, for preflights carry no
/// credentials. What the upstream says about it itself is taken away. It protects no one from requests being made: see `csrf`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// Origins whose pages may: `"https://app.example"`, `"https://*.example"` (one or more labels), `"http://localhost:*"`,
    /// `"~https://pr-[0-9]+\\.example"` (a regular expression for the whole origin), `"null"`, or `"*"` for all.
    origins: Vec<String>,
    /// Whether they may with cookies and other credentials of the user. Not with `"*"` or `"null"`.
    #[serde(default)]
    credentials: bool,
    /// Methods that they may use, beside those that need no leave.
    #[serde(default = "methods")]
    methods: Vec<String>,
    /// Headers that they may send, beside those that need no leave. `["*"]` for all.
    #[serde(default)]
    headers: Vec<String>,
    /// Headers of responses that they may read, beside those that need no leave. `["*"]` for all, without `credentials`.
    #[serde(default)]
    expose: Vec<String>,
    /// How long browsers may remember a preflight; they have limits of their own, of 2 hours to a day.
    #[serde(default = "max_age")]
    max_age: Time,
    /// Whether pages of public addresses may ask for what is at private ones.
    #[serde(default)]
    private_network: bool,
}

fn methods() -> Vec<String> {
    ["GET", "HEAD", "POST"].map(str::to_owned).into()
}

const fn max_age() -> Time {
    Time::seconds(600)
}

/// What the upstream may have said itself.
const OWN_HEADERS: [&str; 7] = [
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-allow-private-network",
    "access-control-expose-headers",
    "access-control-max-age",
];

#[hooks]
impl Plugin for Cors {
    const NAME: &'static str = "cors";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Options = Options;
    /// Whether a preflight was answered here.
    type State = bool;

    fn build(options: Options, _: &mut Setup<'_>) -> Result<Self, BuildError> {
        let origins = each("origins", &options.origins, OriginPattern::parse)?;
        if origins.is_empty() {
            return Err(BuildError::new("origins", "no origin is named"));
        }
        let any = origins.iter().position(|origin| matches!(origin, OriginPattern::Any));
        let null = origins.iter().position(|origin| matches!(origin, OriginPattern::Null));
        if let Some(index) = any.or(null).filter(|_| options.credentials) {
            let message = "everybody could act in the name of the user: not with `credentials`";
            return Err(BuildError::new(format!("origins[{index}]"), message)
                .with_help("name the origins that may"));
        }
        Ok(Self {
            origins,
            for_everybody: any.is_some(),
            credentials: options.credentials,
            methods: each("methods", &options.methods, method)?.join(", "),
            headers: request_headers(&options.headers)?,
            expose: exposed(&options.expose, options.credentials)?,
            max_age: options.max_age.0.as_secs().to_string(),
            private_network: options.private_network,
        })
    }

    async fn on_request(&self, answered: &mut bool, request: &mut Request<'_>) -> Flow {
        let is_preflight = request.method() == "OPTIONS"
            && request.header_bytes("origin").is_some()
            && request.header_bytes("access-control-request-method").is_some();
        if !is_preflight {
            return Flow::Continue;
        }
        *answered = true;
        self.preflight(request).into()
    }

    async fn on_response(&self, answered: &mut bool, response: &mut Response<'_>) -> Flow {
        if *answered {
            return Flow::Continue;
        }
        match self.respond(response) {
            Ok(()) => Flow::Continue,
            Err(refused) => Flow::fail(format!("the response's headers: {refused}")),
        }
    }
}

impl Cors {
    /// What `Access-Control-Allow-Origin` says to the page that sent `request`.
    fn allowed(&self, request: &Request<'_>) -> Option<String> {
        if self.for_everybody {
            return Some("*".into());
        }
        let origin = request.header("origin")?;
        let allowed = self.origins.iter().any(|pattern| pattern.matches(&origin));
        allowed.then(|| origin.into_owned())
    }

    fn preflight(&self, request: &Request<'_>) -> Answer {
        let mut varies = vec!["Access-Control-Request-Method", "Access-Control-Request-Headers"];
        if self.private_network {
            varies.push("Access-Control-Request-Private-Network");
        }
        if !self.for_everybody {
            varies.insert(0, "Origin");
        }
        let answer = Answer::new(204).with_header("vary", varies.join(", "));
        // Who may not is told nothing, which is what browsers take for a no.
        let Some(origin) = self.allowed(request) else { return answer };
        let mut answer = answer
            .with_header("access-control-allow-origin", origin)
            .with_header("access-control-allow-methods", &self.methods)
            .with_header("access-control-max-age", &self.max_age);
        if self.credentials {
            answer = answer.with_header("access-control-allow-credentials", "true");
        }
        if let Some(headers) = self.allowed_headers(request) {
            answer = answer.with_header("access-control-allow-headers", headers);
        }
        let asks = request.header("access-control-request-private-network");
        if self.private_network && asks.is_some_and(|value| value == "true") {
            answer = answer.with_header("access-control-allow-private-network", "true");
        }
        answer
    }

    /// Named one by one even where all may be sent: `*` would not mean `Authorization`, and with credentials nothing but a header of that
    /// name.
    fn allowed_headers(&self, request: &Request<'_>) -> Option<String> {
        match &self.headers {
            RequestHeaders::None => None,
            RequestHeaders::These(headers) => Some(headers.clone()),
            RequestHeaders::Any => {
                let asked = request.header("access-control-request-headers")?;
                let names: Result<Vec<_>, _> =
                    asked.split(',').map(|name| header(name.trim())).collect();
                names.ok().map(|names| names.join(", "))
            }
        }
    }

    fn respond(&self, response: &mut Response<'_>) -> Result<(), Refused> {
        for name in OWN_HEADERS {
            if response.header_bytes(name).is_some() {
                response.remove_header(name)?;
            }
        }
        // Also for who may not, and for requests of the same origin: caches between here and there must keep the answers apart.
        if !self.for_everybody && !varies_by_origin(response) {
            response.append_header("vary", "Origin")?;
        }
        if response.request().header_bytes("origin").is_none() && !self.for_everybody {
            return Ok(());
        }
        let Some(origin) = self.allowed(response.request()) else { return Ok(()) };
        response.set_header("access-control-allow-origin", origin)?;
        if self.credentials {
            response.set_header("access-control-allow-credentials", "true")?;
        }
        match &self.expose {
            Some(expose) => response.set_header("access-control-expose-headers", expose),
            None => Ok(()),
        }
    }
}

fn varies_by_origin(response: &Response<'_>) -> bool {
    let mut varies = false;
    response.headers(|name, value| {
        let mut names = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        varies |= name == "vary"
            && names.any(|name| name == b"*" || name.eq_ignore_ascii_case(b"origin"));
    });
    varies
}

fn method(text: &str) -> Result<String, String> {
    // Methods are told apart by case, and browsers make only some of them upper case: `patch` is a mistake.
    match http::Method::from_bytes(text.as_bytes()) {
        Ok(method) if text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') => {
            Ok(method.to_string())
        }
        _ => Err(format!("`{text}` is no method: write it in upper case")),
    }
}

fn request_headers(names: &[String]) -> Result<RequestHeaders, BuildError> {
    match names {
        [] => Ok(RequestHeaders::None),
        [all] if all == "*" => Ok(RequestHeaders::Any),
        names => Ok(RequestHeaders::These(each("headers", names, named)?.join(", "))),
    }
}

fn exposed(names: &[String], credentials: bool) -> Result<Option<String>, BuildError> {
    match names {
        [] => Ok(None),
        [all] if all == "*" && credentials => {
            let message = "`*` means a header of that name where there are credentials";
            Err(BuildError::new("expose[0]", message).with_help("name the headers"))
        }
        [all] if all == "*" => Ok(Some("*".into())),
        names => Ok(Some(each("expose", names, named)?.join(", "))),
    }
}

/// `*` is a name that HTTP allows, and never what is meant beside others.
fn named(text: &str) -> Result<String, String> {
    if text == "*" {
        return Err("`*` stands alone".into());
    }
    Ok(header(text)?.as_str().to_owned())
}

#[cfg(test)]
mod tests;
