//! Where plugins have a request go.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use switchback_conf::plan::{RouteTimeouts, SiteId, UpstreamId};
use switchback_plugin::{Hook, Refused, Steer};

use crate::http::context::Context;
use crate::snapshot::Snapshot;

/// What plugins have said about where one request goes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Steering {
    /// In place of that of the route.
    pub(crate) upstream: Option<UpstreamId>,
    /// What finds the shard.
    pub(crate) shard_key: Option<Bytes>,
    /// Whether the cache has no part in it.
    pub(crate) bypasses_cache: bool,
    /// Who gets a copy, until it is on its way.
    pub(super) mirrors: Vec<UpstreamId>,
    /// How many bytes a body may have that is copied; of several that say so, the most.
    pub(super) mirror_body: Option<u64>,
    /// Parts of the cache key.
    keys: Vec<Bytes>,
    timeouts: RouteTimeouts,
}

/// The most parts that a cache key may get.
const MOST_KEYS: usize = 16;
/// The most that may get a copy.
const MOST_MIRRORS: usize = 4;

impl Steering {
    /// To this service and nowhere else.
    pub(super) fn to(upstream: UpstreamId) -> Self {
        Self { upstream: Some(upstream), ..Self::default() }
    }

    /// Those of a route, where nothing else is said.
    pub(crate) fn timeouts(&self, of_route: RouteTimeouts) -> RouteTimeouts {
        let RouteTimeouts { connect, read, write } = self.timeouts;
        RouteTimeouts {
            connect: connect.or(of_route.connect),
            read: read.or(of_route.read),
            write: write.or(of_route.write),
        }
    }

    /// What a cache key has beside what its zone says: who answers, if that is another, and what was asked for.
    pub(crate) fn key_parts<'s>(
        &'s self,
        context: &'s Context,
    ) -> impl Iterator<Item = Cow<'s, [u8]>> {
        let upstream = self.upstream.and_then(|id| context.snapshot.upstream(id));
        let upstream = upstream.map(|upstream| {
            Cow::Owned([b"upstream ".as_slice(), upstream.plan.name.as_bytes()].concat())
        });
        let shard = self.shard_key.as_deref();
        let shard = shard.map(|key| Cow::Owned([b"shard ".as_slice(), key].concat()));
        let own = |part: &'s Bytes| Cow::Owned([b"plugin ".as_slice(), part].concat());
        upstream.into_iter().chain(shard).chain(self.keys.iter().map(own))
    }
}

/// Does what `steer` says. Returns the site that routes are to be looked for in, if that is it.
pub(super) fn steer(
    steer: Steer<'_>,
    hook: Hook,
    context: &mut Context,
) -> Result<Option<SiteId>, Refused> {
    if !matches!(hook, Hook::Request | Hook::Route) {
        return Err(Refused::NotNow);
    }
    if let Steer::Site(name) = steer {
        return match hook {
            Hook::Request => site(name, &context.snapshot).map(Some).ok_or(Refused::Unknown),
            _ => Err(Refused::NotNow),
        };
    }
    let named = match steer {
        Steer::Upstream(name) | Steer::Mirror(name) => {
            Some(upstream(name, &context.snapshot).ok_or(Refused::Unknown)?)
        }
        _ => None,
    };
    let is_proxied = context.proxy().is_some();
    if named.is_some() && !is_proxied {
        return Err(Refused::NotNow);
    }
    if let Steer::Tries(most) = steer {
        context.attempt.limit(most);
        return Ok(None);
    }
    let steering = context.steering.get_or_insert_default();
    match steer {
        Steer::Upstream(_) => steering.upstream = named,
        Steer::ShardKey(key) => steering.shard_key = Some(Bytes::copy_from_slice(key)),
        Steer::CacheKey(_) if steering.keys.len() >= MOST_KEYS => return Err(Refused::Full),
        Steer::CacheKey(part) => steering.keys.push(Bytes::copy_from_slice(part)),
        Steer::BypassCache => steering.bypasses_cache = true,
        Steer::ConnectTimeout(time) => steering.timeouts.connect = Some(at_least(time)),
        Steer::ReadTimeout(time) => steering.timeouts.read = Some(at_least(time)),
        Steer::SendTimeout(time) => steering.timeouts.write = Some(at_least(time)),
        Steer::Mirror(_) if steering.mirrors.len() >= MOST_MIRRORS => return Err(Refused::Full),
        Steer::Mirror(_) => steering.mirrors.extend(named),
        Steer::MirrorBody(bytes) => steering.mirror_body = steering.mirror_body.max(Some(bytes)),
        _ => return Err(Refused::Unsupported),
    }
    Ok(None)
}

/// No time at all is none in which anything could be done.
fn at_least(time: Duration) -> Duration {
    time.max(Duration::from_millis(1))
}

pub(super) fn upstream(name: &str, snapshot: &Snapshot) -> Option<UpstreamId> {
    let position = snapshot.upstreams.iter().position(|own| *own.plan.name == *name)?;
    u32::try_from(position).ok().map(UpstreamId)
}

fn site(name: &str, snapshot: &Snapshot) -> Option<SiteId> {
    let position = snapshot.sites.iter().position(|own| *own.name == *name)?;
    u32::try_from(position).ok().map(SiteId)
}
