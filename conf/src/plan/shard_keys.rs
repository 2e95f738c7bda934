//! The keys of upstreams: what tells shards and tenants.

use std::sync::Arc;

use switchback_value::{Template, Variable};

use super::build::Findings;
use super::matchers::is_of_answer;
use super::texts::Captures;
use super::{ActionPlan, CachePlan, EndpointAddress, KeyPlan, ProxyPlan};
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::model::{TemplateText, Upstream};
use crate::native::listed;

/// Some of the endpoints for each tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShufflePlan {
    /// How many.
    pub take: usize,
    /// What tells tenants apart, as it was written.
    pub key: Box<str>,
}

/// The same key for all requests is no key.
pub(super) fn check_key(key: &At<TemplateText>, findings: &mut Findings<'_>) {
    if !findings.may_depend(key) {
        let message = "with this key, one shard has every request";
        let found = Diagnostic::error(Code::ShardUnfit, key.at.clone(), message);
        findings.report(found.hint("such as \"{id}\", \"$http_x_tenant\" or \"$remote_addr\""));
    }
}

/// Whether nobody knows yet how many endpoints there will be.
fn changes(upstream: &Upstream) -> bool {
    let is_name = |address: &EndpointAddress| {
        matches!(address, EndpointAddress::Name { .. } | EndpointAddress::Srv(_))
    };
    let mut endpoints = upstream.endpoints.iter();
    upstream.endpoints_file.is_some() || endpoints.any(|endpoint| is_name(&endpoint.address))
}

pub(super) fn plan_shuffle(
    upstream: &At<Upstream>,
    findings: &mut Findings<'_>,
) -> Option<ShufflePlan> {
    let shuffle = upstream.shuffle.as_ref()?;
    check_key(&shuffle.key, findings);
    let take = shuffle.take.value.value() as usize;
    if !upstream.shards.is_empty() {
        let message = "`shuffle` is for upstreams without shards";
        findings.error(Code::ShardUnfit, &shuffle.at, message);
    } else if !changes(upstream) && take >= upstream.endpoints.len() {
        let message = format!(
            "`shuffle` has no effect: of {} endpoints, everybody has {take}",
            upstream.endpoints.len()
        );
        findings.report(Diagnostic::warning(Code::NoEffect, shuffle.take.at.clone(), message));
        return None;
    }
    Some(ShufflePlan { take, key: shuffle.key.value.as_ref().into() })
}

/// What one shard has answered is for requests with the same key alone: the key of what is stored holds it, too. Captures are of the
/// path, which is part of it anyway.
pub(super) fn in_cache_key(
    mut cache: Arc<CachePlan>,
    action: &ActionPlan,
    at: &Location,
    findings: &mut Findings<'_>,
) -> Arc<CachePlan> {
    let ActionPlan::Proxy(ProxyPlan { shard_key: Some(shard_key), .. }) = action else {
        return cache;
    };
    let is_of_path = |variable: &Variable| matches!(variable, Variable::Capture(_));
    if shard_key.variables().all(is_of_path) {
        return cache;
    }
    match &mut Arc::make_mut(&mut cache).key {
        KeyPlan::Parts(parts) => parts.parts.push(shard_key.clone()),
        KeyPlan::Whole(whole) => {
            let lacks = |variable: &&Variable| !whole.variables().any(|other| other == *variable);
            if let Some(lacking) = shard_key.variables().find(lacks) {
                let message = format!(
                    "the cache's key lacks `{lacking}`, by which the upstream is divided: what one shard answers \
                     would be sent to clients of others"
                );
                let found = Diagnostic::error(Code::CacheUnfit, at.clone(), message);
                findings.report(found.hint(format!("add {lacking} to `key` of the cache")));
            }
        }
    }
    cache
}

/// The key of an upstream in the words of a route: the same text, with what its path captures.
pub(super) fn route_key(
    text: &At<TemplateText>,
    (upstream, at): (&str, &Location),
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> Option<Template> {
    match findings.template_in(text, captures) {
        Ok(template) => {
            for variable in template.variables() {
                let Some(late) = findings.maps.reached(variable, is_of_answer) else { continue };
                let message = format!("`{late}` is not known yet when a shard is chosen");
                findings.error(Code::Template, &text.at, message);
            }
            Some(template)
        }
        Err(lacking) if !captures.are_unknown && !lacking.is_empty() => {
            let lacking = listed(lacking.iter().map(|name| &**name));
            let message = format!(
                "the path of this route does not capture {lacking}, by which `{upstream}` is divided"
            );
            let found = Diagnostic::error(Code::ShardUnfit, at.clone(), message);
            findings.report(found.hint("as in match = { path = \"/users/{id}/*\" }"));
            None
        }
        // Told where the key stands.
        Err(_) => None,
    }
}
