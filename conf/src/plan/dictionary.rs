//! Earlier versions against which later ones are encoded.

use std::sync::Arc;
use std::time::Duration;

use switchback_value::{PathGlob, PathPattern};

use super::build::Findings;
use super::{ListenAddress, ListenerPlan, Plan, RoutePlan, SitePlan};
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::model::Dictionary;

/// Earlier versions against which later ones are encoded.
#[derive(Clone, Debug)]
pub struct DictionaryPlan {
    /// The paths that are versions of one thing, as a browser is told them, too (`Use-As-Dictionary: match=`).
    pub pattern: PathGlob,
    /// How long a version is kept, since it was sent last.
    pub max_age: Duration,
    /// What clients send back as `Dictionary-ID`: printable ASCII, neither empty nor longer than 1,024 bytes.
    pub id: Option<Box<str>>,
    /// Where it stands in the configuration.
    pub at: Location,
}

pub(super) fn plan(
    dictionary: &Dictionary,
    at: &Location,
    findings: &mut Findings<'_>,
) -> Arc<DictionaryPlan> {
    check_id(dictionary, findings);
    Arc::new(DictionaryPlan {
        pattern: dictionary.pattern.value.clone(),
        max_age: dictionary.max_age.std(),
        id: dictionary.id.as_ref().map(|id| id.value.clone()),
        at: at.clone(),
    })
}

/// A string of structured fields, of the length that RFC 9842, section 2.1.3, allows.
fn check_id(dictionary: &Dictionary, findings: &mut Findings<'_>) {
    const LONGEST: usize = 1024;
    let Some(id) = &dictionary.id else { return };
    if id.is_empty() {
        findings.error(Code::Empty, &id.at, "an empty `id` is none: leave it out");
    } else if id.len() > LONGEST {
        let message = format!("an `id` has at most {LONGEST} bytes, this one has {}", id.len());
        findings.error(Code::OutOfRange, &id.at, message);
    } else if !id.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        findings.error(Code::BadValue, &id.at, "an `id` has printable ASCII characters alone");
    }
}

/// What can be told once everything is planned: whether anything is ever encoded against it.
pub(super) fn check_use(plan: &Plan, findings: &mut Findings<'_>) {
    let mut seen: Vec<Use<'_>> = Vec::new();
    for route in &plan.routes {
        let Some(dictionary) = &route.variants.dictionary else { continue };
        if route.cache.is_none() || route.variants.encode.is_none() {
            // What it needs before all else has been asked for already.
            continue;
        }
        let is_reached = is_reached(route, &dictionary.pattern);
        match seen.iter_mut().find(|one| Arc::ptr_eq(one.dictionary, dictionary)) {
            Some(one) => one.is_reached |= is_reached,
            None => {
                let site = plan.sites.get(route.site.0 as usize);
                let is_secure = site.is_none_or(|site| is_secure(plan, site));
                seen.push(Use { dictionary, is_reached, is_secure });
            }
        }
    }
    for Use { dictionary, is_reached, is_secure } in seen {
        let mut no_effect = |message: String, hint: &str| {
            let found = Diagnostic::warning(Code::NoEffect, dictionary.at.clone(), message);
            findings.missing(found.hint(hint));
        };
        if !is_reached {
            let message = format!(
                "`dictionary` has no effect: no path here is like `{}`",
                dictionary.pattern
            );
            no_effect(message, "paths are compared from their beginning");
        }
        if !is_secure {
            let message = "`dictionary` has no effect: browsers use it over HTTPS alone";
            no_effect(message.to_owned(), "no listener of this site has `tls`");
        }
    }
}

/// A dictionary, and what speaks for its having an effect.
struct Use<'a> {
    dictionary: &'a Arc<DictionaryPlan>,
    is_reached: bool,
    is_secure: bool,
}

/// Whether browsers may see the site as secure: it has TLS, is on the browser's machine, or may have TLS in front of it.
fn is_secure(plan: &Plan, site: &SitePlan) -> bool {
    let may_be = |listener: &ListenerPlan| {
        let is_near = match &listener.address {
            ListenAddress::Tcp { address, .. } => address.ip().is_loopback(),
            ListenAddress::Unix { .. } => true,
        };
        is_near || listener.tls.is_some() || listener.proxy_protocol.is_some()
    };
    let mut listeners = site.listeners.iter().filter_map(|id| plan.listeners.get(id.0 as usize));
    !plan.forwarding.trusted_proxies.is_empty() || listeners.any(may_be)
}

/// Whether a path of `route` may be meant by `pattern`, as far as the beginning of both tells.
fn is_reached(route: &RoutePlan, pattern: &PathGlob) -> bool {
    let prefix = pattern.literal_prefix();
    // Escaped, it looks unlike the path that routes are chosen by.
    let is_plain = !prefix.contains('%');
    let may_be = |path: &PathPattern| match path {
        PathPattern::Exact(path) => pattern.is_match(path.as_bytes()),
        PathPattern::Prefix(path) if pattern.as_str() == prefix => prefix.starts_with(&**path),
        PathPattern::Prefix(path) => prefix.starts_with(&**path) || path.starts_with(prefix),
        PathPattern::Segments(_) | PathPattern::Regex(_) => true,
    };
    !is_plain || route.internal || route.paths.iter().any(may_be)
}
