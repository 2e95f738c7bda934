//! How it is found out which endpoints can be asked.

use std::time::Duration;

use http::{HeaderValue, Method};

use super::build::Findings;
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::model::{Health, Outliers, OutliersOrOff, StatusRanges, Upstream};

/// What a probe is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProbeKind {
    /// A request over HTTP.
    Http,
    /// A connection.
    Tcp,
    /// A TLS handshake.
    Tls,
    /// `grpc.health.v1.Health/Check`.
    Grpc,
}

/// Probes of the endpoints of an upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthPlan {
    /// What is asked.
    pub probe: ProbePlan,
    /// The port, if it is not the endpoint's own.
    pub port: Option<u16>,
    /// How often.
    pub every: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// Passes in a row.
    pub rise: u32,
    /// Failures in a row.
    pub fall: u32,
}

/// What a probe asks, and what it wants to hear.
#[derive(Clone, Debug, PartialEq)]
pub enum ProbePlan {
    /// A request.
    Http {
        /// Its method.
        method: Method,
        /// Path and query.
        path: Box<str>,
        /// `Host`; `None` is the endpoint's own.
        host: Option<Box<str>>,
        /// Statuses that are well.
        status: StatusRanges,
        /// What the body must hold.
        body: Option<Box<str>>,
    },
    /// A connection.
    Tcp,
    /// A TLS handshake.
    Tls,
    /// `grpc.health.v1.Health/Check`.
    Grpc {
        /// About which service; empty is the server.
        service: Box<str>,
        /// `:authority`; `None` is the endpoint's own.
        host: Option<Box<str>>,
    },
}

/// Which endpoints are ejected for what they answer.
#[derive(Clone, Debug, PartialEq)]
pub struct OutliersPlan {
    /// Gateway errors in a row; 0 is never.
    pub errors: u32,
    /// Standard deviations below the mean; 0 is never.
    pub success_rate: f64,
    /// How many times slower than the others; 0 is never.
    pub latency: f64,
    /// Requests that a success rate is judged by.
    pub requests: u32,
    /// Over how long.
    pub window: Duration,
    /// The first ejection.
    pub base: Duration,
    /// The longest.
    pub longest: Duration,
    /// The most that are ejected at once, of a hundred.
    pub share: u32,
}

pub(super) fn health(
    health: &Health,
    upstream: &Upstream,
    findings: &mut Findings<'_>,
) -> HealthPlan {
    check_use(health, findings);
    let text = |text: &Option<At<Box<str>>>| text.as_ref().map(|text| text.value.clone());
    let probe = match *health.kind {
        ProbeKind::Tcp => ProbePlan::Tcp,
        ProbeKind::Tls => ProbePlan::Tls,
        ProbeKind::Grpc => ProbePlan::Grpc {
            service: text(&health.service).unwrap_or_default(),
            host: text(&health.host),
        },
        ProbeKind::Http => {
            let method = health.method.as_ref().map_or(Method::GET, |method| method.value.clone());
            ProbePlan::Http {
                method,
                path: text(&health.path).unwrap_or_else(|| "/".into()),
                host: text(&health.host),
                status: statuses(health),
                body: text(&health.body),
            }
        }
    };
    if probe == ProbePlan::Tls && upstream.tls.is_none() {
        let message = "a probe of TLS needs `tls`, which says how certificates are verified";
        findings.report(
            Diagnostic::error(Code::BadValue, health.kind.at.clone(), message)
                .hint("write tls = {} at the upstream, or kind = \"tcp\""),
        );
    }
    HealthPlan {
        probe,
        port: health.port.as_ref().and_then(|port| u16::try_from(port.value.value()).ok()),
        every: health.every.std(),
        timeout: health.timeout.std(),
        rise: health.rise.value(),
        fall: health.fall.value(),
    }
}

fn statuses(health: &Health) -> StatusRanges {
    let said = health.status.as_ref().map(|status| status.value.clone());
    said.unwrap_or_else(StatusRanges::usual)
}

/// What is said and has no effect, or cannot be sent.
fn check_use(health: &Health, findings: &mut Findings<'_>) {
    let kind = *health.kind;
    let (is_http, is_grpc) = (kind == ProbeKind::Http, kind == ProbeKind::Grpc);
    let of_http = "a request over HTTP";
    let unused = [
        ("path", place(&health.path), is_http, of_http),
        ("method", place(&health.method), is_http, of_http),
        ("status", place(&health.status), is_http, of_http),
        ("body", place(&health.body), is_http, of_http),
        ("host", place(&health.host), is_http || is_grpc, "a request"),
        ("service", place(&health.service), is_grpc, "gRPC"),
    ];
    for (key, at, _, of) in unused.into_iter().filter(|(_, _, is_used, _)| !is_used) {
        if let Some(at) = at {
            let message = format!("`{key}` has no effect: the probe is not {of}");
            findings.report(Diagnostic::warning(Code::NoEffect, at.clone(), message));
        }
    }
    if let Some(path) = &health.path
        && !(path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        let message = format!("`{}` is not a path to ask for", **path);
        let diagnostic = Diagnostic::error(Code::BadValue, path.at.clone(), message);
        findings.report(diagnostic.hint("it begins with a slash, and has no spaces"));
    }
    if let Some(host) = &health.host
        && (host.is_empty() || HeaderValue::from_str(host).is_err() || host.contains([' ', '\t']))
    {
        let message = format!("`{}` cannot be a host", host.escape_debug());
        findings.error(Code::BadValue, &host.at, message);
    }
    if let (Some(method), Some(body)) = (&health.method, &health.body)
        && method.value == Method::HEAD
    {
        let message = "`body` can hold nothing: the answer to a HEAD has none";
        findings.error(Code::BadValue, &body.at, message);
    }
    if let Some(method) = health.method.as_ref().filter(|one| one.value == Method::CONNECT) {
        findings.error(Code::BadValue, &method.at, "a probe cannot be a CONNECT");
    }
}

fn place<T>(said: &Option<At<T>>) -> Option<&Location> {
    said.as_ref().map(|said| &said.at)
}

pub(super) fn outliers(
    outliers: &OutliersOrOff,
    findings: &mut Findings<'_>,
) -> Option<OutliersPlan> {
    let outliers: &Outliers = outliers.on()?;
    if *outliers.longest < *outliers.base {
        let message = "`longest` is shorter than `base`: no ejection is as long as `base` says";
        let diagnostic = Diagnostic::error(Code::BadValue, outliers.longest.at.clone(), message);
        findings.report(diagnostic.hint("without it, 5 minutes"));
    }
    Some(OutliersPlan {
        errors: outliers.errors.value(),
        success_rate: outliers.success_rate.value(),
        latency: outliers.latency.value(),
        requests: outliers.requests.value(),
        window: outliers.window.std(),
        base: outliers.base.std(),
        longest: outliers.longest.std(),
        share: outliers.share.value().into(),
    })
}
