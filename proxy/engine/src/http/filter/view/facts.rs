//! What plugins may know of a request.

use std::borrow::Cow;

use http::Version;
use switchback_plugin::{Fact, Map, Value};
use switchback_value::{Facts as _, Known, Variable};

use super::{Response, View};
use crate::http::answer_head::Lines;
use crate::http::facts::{self, RequestFacts};
use crate::http::fault::Kind;

pub(super) fn fact<'v>(view: &'v View<'_>, fact: Fact) -> Option<Value<'v>> {
    let (head, context) = (view.head(), &*view.context);
    let text = |text: &'v str| Some(Cow::Borrowed(text.as_bytes()));
    match fact {
        Fact::Method => text(head.method.as_str()),
        Fact::Scheme => text(context.connection.client_scheme()),
        Fact::Host => text(&context.request.host),
        Fact::Path => text(context.request.path.as_str()),
        Fact::Query => facts::query(head.raw_path()).map(Cow::Borrowed),
        Fact::Target => Some(Cow::Borrowed(head.raw_path())),
        Fact::Protocol => text(match head.version {
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2.0",
            _ => "HTTP/1.1",
        }),
        Fact::ClientAddress => context.request.client.map(|ip| owned(ip.to_string())),
        Fact::RequestId => text(&context.request.id),
        Fact::Site => context.site().and_then(|site| text(&site.name)),
        Fact::Route => context
            .route()
            .filter(|route| !route.name.is_empty())
            .and_then(|route| text(&route.name)),
        Fact::Upstream => context.upstream().and_then(|upstream| text(&upstream.plan.name)),
        Fact::Shard => {
            let (shard, _) = context.chosen.as_ref()?.shard()?;
            text(&shard.name)
        }
        Fact::Endpoint => {
            let asked = context.asked.lock();
            asked.tries.last().map(|tried| owned(tried.address.to_string()))
        }
        Fact::Attempt => Some(owned(attempt(view).to_string())),
        Fact::Status => status(view),
        Fact::CacheStatus => {
            let outcome = context.cache.as_ref()?.outcome?;
            text(outcome.name())
        }
        Fact::BytesSent => Some(owned(context.sent.body.to_string())),
        Fact::Elapsed => Some(owned(context.started.elapsed().as_nanos().to_string())),
        Fact::Aborted => {
            let is_gone = context.fault.as_ref().is_some_and(|fault| {
                fault.kind() == Kind::ClientClosed
                    || context.sent.status.is_some_and(|status| status != fault.status())
            });
            is_gone.then_some(Cow::Borrowed(b"1"))
        }
        Fact::Plugin => text(view.name()),
    }
}

fn owned<'v>(text: String) -> Value<'v> {
    Cow::Owned(text.into_bytes())
}

/// The number of the try that is at hand, or about to begin.
fn attempt(view: &View<'_>) -> usize {
    let made = view.context.asked.lock().tries.len();
    if view.hook == switchback_plugin::Hook::Upstream { made + 1 } else { made.max(1) }
}

fn status<'v>(view: &'v View<'_>) -> Option<Value<'v>> {
    let status = match &view.response {
        Response::Head(head) => Some(&head.status),
        Response::Own(head) => return Some(owned(head.status().as_str().to_owned())),
        Response::Sent(_) => view.context.sent.status.as_ref(),
        Response::None => None,
    };
    status.map(|status| Cow::Borrowed(status.as_str().as_bytes()))
}

pub(super) fn variable<'v>(view: &'v View<'_>, name: &str) -> Option<Value<'v>> {
    let (head, context) = (view.head(), &*view.context);
    let own = name.strip_prefix("plugin_").unwrap_or(name);
    if let Some(value) = context.variables.value(own) {
        return Some(Cow::Borrowed(value));
    }
    let variable = match name.strip_prefix("map_") {
        Some(map) => {
            let index = context.snapshot.maps.iter().position(|own| own.is_called(map))?;
            Variable::Map { index: u32::try_from(index).ok()?, name: map.into() }
        }
        None => return context.resident.plugins.names.with(name, |variable| value(view, variable)),
    };
    let facts = RequestFacts::new(head, context);
    facts.fact(&variable).map(|value| Cow::Owned(value.into_owned()))
}

fn value<'v>(view: &View<'_>, variable: &Variable) -> Option<Value<'v>> {
    let (head, context) = (view.head(), &*view.context);
    let facts = RequestFacts::new(head, context);
    let lines = match &view.response {
        // They are given as they are, and may not be looked at.
        Response::Sent(_) | Response::None => Lines::None,
        Response::Head(_) | Response::Own(_) => view.lines(Map::ResponseHeaders),
    };
    let facts = match &view.response {
        Response::Head(answer) => facts.with_answer(answer.status, &lines),
        Response::Own(answer) => facts.with_answer(answer.status(), &lines),
        Response::Sent(sent) => facts.with_sent(sent),
        Response::None => facts,
    };
    if matches!(variable, Variable::Known(Known::Status)) && matches!(view.response, Response::None)
    {
        return None;
    }
    facts.fact(variable).map(|value| Cow::Owned(value.into_owned()))
}
