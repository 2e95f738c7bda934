//! `forward-auth`: asks another service whether a request may pass, as nginx's `auth_request` and Traefik's `forwardAuth` do.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use switchback_plugin::{
    Answer, BuildError, Fact, Flow, HttpRequest, HttpResponse, Operating, Plugin, Refused, Request,
    Response, Setup, hooks,
};

use crate::option::{Statuses, changeable_header, each, header, is_framing, own_variable, read};
use crate::template::Template;
use crate::units::{Size, Time};

/// Asks another service whether a request may pass.
pub(crate) struct ForwardAuth {
    upstream: String,
    target: Template,
    method: AskedWith,
    /// `None`: all.
    request_headers: Option<Vec<HeaderName>>,
    forwarded: bool,
    set: Vec<(HeaderName, Template)>,
    copy: Vec<HeaderName>,
    copy_to_client: Vec<HeaderName>,
    variables: Vec<(String, HeaderName)>,
    pass: Vec<Statuses>,
    timeout: Time,
    body_limit: usize,
}

/// Asks another service whether a request may pass, with its headers and without its body. With a status of 200 to 299 it may; one of
/// `pass` is the answer to the client, with its body; any other is a failure, for which `on_error` says what becomes of the request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// The upstream that is asked.
    upstream: String,
    /// Path and query that it is asked for, in which `$name` is a variable.
    #[serde(default = "path")]
    path: String,
    /// The method that it is asked with: `get`, or `same` for that of the request.
    #[serde(default)]
    method: AskedWith,
    /// The request's headers that it is sent; all, unless they are named here. Never `Host`, `Content-Length` and those of the connection.
    #[serde(default)]
    request_headers: Option<Vec<String>>,
    /// Whether it is told of the request by `X-Forwarded-Method`, `-Proto`, `-Host`, `-Uri` and `-For` (the client's address). What the
    /// client sends by these names never gets there.
    #[serde(default = "yes")]
    forwarded: bool,
    /// More headers that it is sent, in whose values `$name` is a variable: `{ x-original-uri = "$request_uri" }`.
    #[serde(default)]
    set: BTreeMap<String, String>,
    /// Headers of its answer that the upstream is sent with the request: `["x-user"]`. What the client sends by these names never gets
    /// there.
    #[serde(default)]
    copy: Vec<String>,
    /// Headers of its answer that the client gets with the response: `["set-cookie"]`.
    #[serde(default)]
    copy_to_client: Vec<String>,
    /// Variables that get the value of a header of its answer, as `auth_request_set` does: `{ plugin_user = "x-user" }`.
    #[serde(default)]
    variables: BTreeMap<String, String>,
    /// Statuses of its answer that are the answer to the client: `"401"`, `"403"`, `"3xx"` for those that send users to a login.
    #[serde(default = "denials")]
    pass: Vec<String>,
    /// How long it may take.
    #[serde(default = "timeout")]
    timeout: Time,
    /// How large the body of its answer may be.
    #[serde(default = "body_limit")]
    body_limit: Size,
}

/// The method that the service is asked with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum AskedWith {
    /// `GET`
    #[default]
    Get,
    /// That of the request.
    Same,
}

fn path() -> String {
    "/".into()
}

const fn yes() -> bool {
    true
}

fn denials() -> Vec<String> {
    vec!["401".into(), "403".into()]
}

const fn timeout() -> Time {
    Time::seconds(1)
}

const fn body_limit() -> Size {
    Size(64 << 10)
}

/// Headers that tell of the request; what the client says of itself by these names is not sent on.
const FORWARDED: [&str; 5] = [
    "x-forwarded-method",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-uri",
    "x-forwarded-for",
];

#[hooks]
impl Plugin for ForwardAuth {
    const NAME: &'static str = "forward-auth";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Options = Options;
    /// What the client gets with the response.
    type State = HeaderMap;

    fn build(options: Options, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        setup.upstream("upstream", &options.upstream)?;
        if !options.path.starts_with('/') {
            return Err(BuildError::new("path", "a path begins with `/`"));
        }
        if options.timeout.0.is_zero() {
            return Err(BuildError::new("timeout", "this must not be 0"));
        }
        // Longer than the request's own limit, so that it is this that ends it.
        setup.timeout(options.timeout.0 + std::time::Duration::from_millis(100));
        let mut set = Vec::new();
        for (name, text) in &options.set {
            let path = format!("set.{name}");
            set.push((read(&path, name, changeable_header)?, Template::new(&path, text, setup)?));
        }
        let mut variables = Vec::new();
        for (variable, name) in &options.variables {
            let path = format!("variables.{variable}");
            variables.push((read(&path, variable, own_variable)?, read(&path, name, header)?));
        }
        let request_headers = options.request_headers.as_deref();
        Ok(Self {
            target: Template::new("path", &options.path, setup)?,
            method: options.method,
            request_headers: request_headers
                .map(|names| each("request_headers", names, changeable_header))
                .transpose()?,
            forwarded: options.forwarded,
            set,
            copy: each("copy", &options.copy, changeable_header)?,
            copy_to_client: each("copy_to_client", &options.copy_to_client, changeable_header)?,
            variables,
            pass: each("pass", &options.pass, denial)?,
            timeout: options.timeout,
            body_limit: usize::try_from(options.body_limit.0).unwrap_or(usize::MAX),
            upstream: options.upstream,
        })
    }

    async fn on_request(&self, to_client: &mut HeaderMap, request: &mut Request<'_>) -> Flow {
        let question = match self.question(request) {
            Ok(question) => question,
            Err(why) => return Flow::fail(why),
        };
        let answer = match request.http(question).await {
            Ok(answer) => answer,
            Err(error) => return Flow::fail(format!("upstream `{}`: {error}", self.upstream)),
        };
        let status = answer.status.as_u16();
        if answer.status.is_success() {
            return match self.admit(&answer, to_client, request) {
                Ok(()) => Flow::Continue,
                Err(refused) => {
                    Flow::fail(format!("a header or variable of the answer: {refused}"))
                }
            };
        }
        if self.pass.iter().any(|statuses| statuses.contains(status)) {
            return denied(answer).into();
        }
        Flow::fail(format!("upstream `{}` has answered with {status}", self.upstream))
    }

    async fn on_response(&self, to_client: &mut HeaderMap, response: &mut Response<'_>) -> Flow {
        let mut append = |(name, value): (&HeaderName, &HeaderValue)| {
            response.append_header(name.as_str(), value.as_bytes())
        };
        let appended = to_client.iter().try_for_each(&mut append);
        to_client.clear();
        match appended {
            Ok(()) => Flow::Continue,
            Err(refused) => Flow::fail(format!("a header of the answer: {refused}")),
        }
    }
}

impl ForwardAuth {
    fn question(&self, request: &Request<'_>) -> Result<HttpRequest, String> {
        let mut target = Vec::new();
        self.target.render(request, &mut target);
        // Variables may hold what a request line cannot.
        let is_sendable = |byte: &u8| matches!(byte, b'!'..=b'~') && *byte != b'#';
        if !target.iter().all(is_sendable) {
            target = encoded(&target);
        }
        let target = String::from_utf8(target).map_err(|error| error.to_string())?;
        let mut question = HttpRequest::get(&self.upstream, target).with_timeout(self.timeout.0);
        question.body_limit = self.body_limit;
        if self.method == AskedWith::Same {
            question.method = Method::from_bytes(request.method().as_bytes())
                .map_err(|error| error.to_string())?;
        }
        request.headers(|name, value| {
            if self.is_sent(name) {
                add(&mut question.headers, name, value);
            }
        });
        if self.forwarded {
            let host = request.header("host").unwrap_or_else(|| request.host());
            let address = request.client_address().map(|address| address.to_string());
            let told = [
                ("x-forwarded-method", request.method()),
                ("x-forwarded-proto", request.fact(Fact::Scheme)),
                ("x-forwarded-host", host),
                ("x-forwarded-uri", request.fact(Fact::Target)),
                ("x-forwarded-for", address.unwrap_or_default().into()),
            ];
            for (name, value) in told.iter().filter(|(_, value)| !value.is_empty()) {
                add(&mut question.headers, name, value.as_bytes());
            }
        }
        for (name, template) in &self.set {
            let mut value = Vec::new();
            template.render_field(request, &mut value);
            question.headers.remove(name);
            add(&mut question.headers, name.as_str(), &value);
        }
        Ok(question)
    }

    fn is_sent(&self, name: &str) -> bool {
        let is_named = |names: &Vec<HeaderName>| names.iter().any(|named| named == name);
        !is_framing(name)
            && name != "host"
            && name != "expect"
            && !(self.forwarded && FORWARDED.contains(&name))
            && self.request_headers.as_ref().is_none_or(is_named)
    }

    fn admit(
        &self,
        answer: &HttpResponse,
        to_client: &mut HeaderMap,
        request: &mut Request<'_>,
    ) -> Result<(), Refused> {
        for name in &self.copy {
            request.remove_header(name)?;
            for value in answer.headers.get_all(name) {
                request.append_header(name, value.as_bytes())?;
            }
        }
        for (variable, name) in &self.variables {
            let value = answer.headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
            request.set_variable(variable, value)?;
        }
        to_client.clear();
        for name in &self.copy_to_client {
            for value in answer.headers.get_all(name) {
                to_client.append(name, value.clone());
            }
        }
        Ok(())
    }
}

/// What the service has answered, for the client.
fn denied(answer: HttpResponse) -> Answer {
    let headers = answer.headers.into_iter();
    let mut last = None;
    let mut kept = HeaderMap::new();
    for (name, value) in headers {
        // A name is given once for all its values.
        last = name.or(last);
        if let Some(name) =
            last.as_ref().filter(|name| !is_framing(name.as_str()) && *name != "date")
        {
            kept.append(name.clone(), value);
        }
    }
    Answer { status: answer.status, headers: kept, body: answer.body }
}

fn add(headers: &mut HeaderMap, name: &str, value: &[u8]) {
    let name = HeaderName::from_bytes(name.as_bytes());
    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
        headers.append(name, value);
    }
}

fn encoded(target: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(target.len() + 16);
    for byte in target {
        match byte {
            b'!'..=b'~' if *byte != b'#' => encoded.push(*byte),
            _ => encoded.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    encoded
}

fn denial(text: &str) -> Result<Statuses, String> {
    let statuses = Statuses::parse(text)?;
    let interim_or_success = (100..=299).any(|status| statuses.contains(status));
    if interim_or_success {
        return Err(format!("`{text}`: with 2xx a request passes, and 1xx is no answer"));
    }
    Ok(statuses)
}

#[cfg(test)]
mod tests;
