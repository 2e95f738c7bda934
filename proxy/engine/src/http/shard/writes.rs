//! Who has written something reads from primaries for a while, which a cookie of its own remembers.

use http::header;
use pingora_http::{RequestHeader, ResponseHeader};
use switchback_conf::plan::UpstreamPlan;

use super::super::facts::cookie;
use super::super::fault::Fault;
use crate::snapshot::Upstream;

/// Whether the client of this request has written to the upstream a moment ago.
pub(super) fn is_recent(head: &RequestHeader, upstream: &Upstream) -> bool {
    upstream.plan.read_your_writes.is_some()
        && cookie(&head.headers, &name(&upstream.plan)).is_some()
}

/// Whether the client of this request is told that it has written.
pub(super) fn are_told(request: &RequestHeader, upstream: &Upstream) -> bool {
    upstream.plan.read_your_writes.is_some() && !request.method.is_safe()
}

/// Has the client of a request that has written bring a cookie for a while.
pub(super) fn tell(
    head: &mut ResponseHeader,
    request: &RequestHeader,
    upstream: &Upstream,
) -> Result<(), Fault> {
    let plan = &upstream.plan;
    let Some(window) = plan.read_your_writes.filter(|_| are_told(request, upstream)) else {
        return Ok(());
    };
    // Whole seconds are all that a cookie knows.
    let seconds = window.as_secs() + u64::from(window.subsec_nanos() > 0);
    let name = name(plan);
    let line = format!("{name}=1; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Lax");
    head.append_header(header::SET_COOKIE, line).map(drop).map_err(Fault::internal)
}

/// Each upstream has its own, the same on all machines. Its name may hold what names of cookies cannot.
fn name(plan: &UpstreamPlan) -> String {
    // FNV-1a.
    let hash = plan.name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("switchback-wrote-{hash:016x}")
}
