//! Decisions about where a request goes.

use std::time::Duration;

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
    /// A copy of the request, and of its body up to what the proxy keeps, goes to that upstream, whose answer is read and forgotten.
    Mirror(&'a str),
}
