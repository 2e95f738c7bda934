//! Decisions about where a request goes.

use std::time::Duration;

use bytes::Bytes;

/// One decision about where a request goes; the last one of a kind counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Steer<'a> {
    /// Routes are looked for in the site of that name.
    Site(&'a str),
    /// The upstream of that name answers, whatever the route says. Only on routes that proxy.
    Upstream(&'a str),
    /// The shard is found by that key.
    ShardKey(&'a [u8]),
    /// The cache key gets that as one part more.
    CacheKey(&'a [u8]),
    /// Neither looked for in the cache, nor stored.
    BypassCache,
    /// How long connecting may take.
    ConnectTimeout(Duration),
    /// How long the endpoint may say nothing.
    ReadTimeout(Duration),
    /// How long sending to the endpoint may stand still.
    SendTimeout(Duration),
    /// How many endpoints may be asked in all, from 1.
    Tries(u32),
    /// A copy of the request, with its body, goes to that upstream, whose answer is read and forgotten. Where the body is larger than
    /// [`MirrorBody`](Self::MirrorBody) says, nothing is copied.
    Mirror(&'a str),
    /// How many bytes a body may have that is copied: 64 KiB unless said otherwise. It is taken into memory as a whole before the request goes on,
    /// and stays there until the last copy was sent.
    MirrorBody(u64),
}

/// All decisions of a request, as whoever implements an [`Exchange`](crate::Exchange) may keep them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Steering {
    /// The site in which routes are looked for.
    pub site: Option<String>,
    /// The upstream.
    pub upstream: Option<String>,
    /// What finds the shard.
    pub shard_key: Option<Bytes>,
    /// What the cache key gets more.
    pub cache_key: Option<Bytes>,
    /// Whether the cache is left out.
    pub bypass_cache: bool,
    /// How long connecting may take.
    pub connect_timeout: Option<Duration>,
    /// How long the endpoint may say nothing.
    pub read_timeout: Option<Duration>,
    /// How long sending may stand still.
    pub send_timeout: Option<Duration>,
    /// How many endpoints may be asked in all.
    pub tries: Option<u32>,
    /// The upstream that gets a copy.
    pub mirror: Option<String>,
    /// How many bytes a body may have that is copied.
    pub mirror_body: Option<u64>,
}

impl Steering {
    /// Takes one decision more.
    pub fn take(&mut self, steer: Steer<'_>) {
        match steer {
            Steer::Site(name) => self.site = Some(name.to_owned()),
            Steer::Upstream(name) => self.upstream = Some(name.to_owned()),
            Steer::ShardKey(key) => self.shard_key = Some(Bytes::copy_from_slice(key)),
            Steer::CacheKey(key) => self.cache_key = Some(Bytes::copy_from_slice(key)),
            Steer::BypassCache => self.bypass_cache = true,
            Steer::ConnectTimeout(time) => self.connect_timeout = Some(time),
            Steer::ReadTimeout(time) => self.read_timeout = Some(time),
            Steer::SendTimeout(time) => self.send_timeout = Some(time),
            Steer::Tries(tries) => self.tries = Some(tries.max(1)),
            Steer::Mirror(name) => self.mirror = Some(name.to_owned()),
            Steer::MirrorBody(bytes) => self.mirror_body = Some(bytes),
        }
    }
}
