//! What is known of one request, gathered phase by phase.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use pingora_error::{Error, ErrorType};
use pingora_http::RequestHeader;
use switchback_conf::plan::{
    ActionPlan, ProxyPlan, RouteId, RoutePlan, RouteTimeouts, SiteId, UpstreamId,
};
use switchback_route::{Captures, NormalPath};
use switchback_upstream::Attempt;
use switchback_value::Memo;
use switchback_variant::Coding;

use super::bandwidth::Pace;
use super::cache::CacheFacts;
use super::cache::as_get::Keeping;
use super::cache::fetch::Fetcher;
use super::cache::store::Fetch;
use super::concurrency::Held;
use super::encode::Encoding;
use super::encode::pictures::Shown;
use super::fault::Fault;
use super::filter::Filtering;
use super::filter::steering::Steering;
use super::filter::variables::Variables;
use super::map_memos::MapMemos;
use super::outcome::Trying;
use super::overload::Permit;
use super::shard::{Chosen, Half};
use super::spill::Spilt;
use crate::listen::connection::Connection;
use crate::snapshot::resident::Resident;
use crate::snapshot::{Site, Snapshot, Upstream};

/// The state of one request; Pingora calls it `CTX`.
#[derive(Debug)]
pub(crate) struct Context {
    /// What outlives snapshots.
    pub(crate) resident: Arc<Resident>,
    /// The snapshot it sees, from beginning to end.
    pub(crate) snapshot: Arc<Snapshot>,
    /// The connection it came on.
    pub(crate) connection: Arc<Connection>,
    /// When its head was complete.
    pub(crate) started: Instant,
    /// The same moment by the wall clock, for logs.
    pub(crate) wall: SystemTime,
    /// What receiving found.
    pub(crate) request: Request,
    /// What routing found.
    pub(crate) place: Place,
    /// Values of variables that cost something, once they were asked for.
    pub(crate) memos: Memos,
    /// What became of asking upstreams, shared with inner requests.
    pub(crate) asked: Arc<Mutex<Asked>>,
    /// The tries at the upstream in hand.
    pub(crate) attempt: Attempt,
    /// The try in hand, until it is over.
    pub(crate) trying: Option<Trying>,
    /// The part of the upstream in hand that has it, once it is chosen.
    pub(crate) chosen: Option<Chosen>,
    /// Its answer, where that is compared with another shard's.
    pub(crate) comparing: Option<Box<Half>>,
    /// What its client is told to say from now on, so that it stays where it is.
    pub(crate) stays_with: Option<Box<str>>,
    /// Whether it stands in for part of another request.
    pub(crate) inner: bool,
    /// What the cache of its route has had to do with it.
    pub(crate) cache: Option<Box<CacheFacts>>,
    /// What it fetches for a cache, if it does.
    pub(crate) fetch: Option<Arc<Fetch>>,
    /// How its answer is encoded, where its route does that.
    pub(crate) encoding: Option<Box<Encoding>>,
    /// With what something is fetched for it, where there are caches or shards.
    pub(crate) fetcher: Option<Arc<Fetcher>>,
    /// Its answer, where that is kept as it passes.
    pub(crate) keeping: Option<Box<Keeping>>,
    /// The content of a QUERY, once a cache has had to know it.
    pub(crate) content: Option<Box<Bytes>>,
    /// The head that the front door has received and routed already.
    pub(crate) routed: Option<Box<RequestHeader>>,
    /// How often one route has led it to another.
    pub(crate) redirects: u8,
    /// How it answers instead of an error, once it does.
    pub(crate) stand_in: Option<StandIn>,
    /// The first line as received, if a plainer one is in the head in hand.
    pub(crate) first_line: Option<Arc<FirstLine>>,
    /// The head as received, once the head in hand asks for something else.
    pub(crate) received: Option<Arc<RequestHeader>>,
    /// How fast its answer goes, once it does and where that is limited.
    pub(crate) pace: Option<Pace>,
    /// What counts it among the requests in progress.
    pub(crate) held: Vec<Held>,
    /// What counts it at the service that it is passed on to, once that has let it in.
    pub(crate) permit: Option<Permit>,
    /// Which service has it in place of that of its route.
    pub(crate) spilt: Spilt,
    /// Whether the answer in hand is not passed on, because somebody else is asked.
    pub(crate) repeats: bool,
    /// Whether a connection that had served others was closed before its answer.
    pub(crate) was_stale: bool,
    /// Tries for which there was no local port.
    pub(crate) without_port: usize,
    /// Bytes of body received.
    pub(crate) body_received: u64,
    /// The plugins that are asked about it.
    pub(crate) filtering: Filtering,
    /// What they have set.
    pub(crate) variables: Variables,
    /// Where they have it go.
    pub(crate) steering: Option<Box<Steering>>,
    /// What went wrong, once something has.
    pub(crate) fault: Option<Fault>,
    /// Bytes and status of the answer, once it is out.
    pub(crate) sent: Sent,
}

/// What receiving found.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// 32 hexadecimal digits, or what a trusted proxy said.
    pub(crate) id: Arc<str>,
    /// The client, after trusted proxies were taken into account; `None` on a Unix socket.
    pub(crate) client: Option<IpAddr>,
    /// The host asked for: lower-case, without port; empty when the client named none.
    pub(crate) host: Box<str>,
    /// The one normalised path.
    pub(crate) path: NormalPath<'static>,
    /// Whether its head could not be read.
    pub(crate) is_unreadable: bool,
}

/// The first line of a request over HTTP/1, as received.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FirstLine {
    /// All of it.
    pub(crate) whole: Box<[u8]>,
    /// Path and query of its target.
    pub(crate) uri: Box<[u8]>,
}

/// Values of variables that cost something: computed when first asked for, then kept. All but some of the maps are settled by receiving.
#[derive(Debug, Default)]
pub(crate) struct Memos {
    /// `$remote_addr`.
    pub(crate) client: Memo<Vec<u8>>,
    /// `$remote_user`.
    pub(crate) user: Memo<Option<Vec<u8>>>,
    /// `$request`.
    pub(crate) line: Memo<Vec<u8>>,
    /// `$time_local`.
    pub(crate) time_local: Memo<String>,
    /// `$time_iso8601`.
    pub(crate) time_iso8601: Memo<String>,
    /// `$map_NAME`.
    pub(crate) maps: MapMemos,
}

/// What routing found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    /// The site.
    pub(crate) site: Option<SiteId>,
    /// The route.
    pub(crate) route: Option<RouteId>,
    /// What the route's path pattern captured, in the normalised path.
    pub(crate) captures: Captures,
}

/// How an answer stands in for an error.
#[derive(Clone, Debug)]
pub(crate) struct StandIn {
    /// Its status; `None` is its own.
    pub(crate) status: Option<StatusCode>,
    /// For `Allow`, where the error was about the method.
    pub(crate) allow: Option<Box<str>>,
}

/// What became of asking upstreams. Several tries are listed in order.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// Each try.
    pub(crate) tries: Vec<Try>,
    /// Name of the upstream asked last.
    pub(crate) upstream: Option<Box<str>>,
    /// The number of the mapping to shards that was asked last.
    pub(crate) epoch: Option<u64>,
    /// The last answer's headers, if a template needs them.
    pub(crate) headers: Option<HeaderMap>,
    /// What the answer was sent in, where its route encodes and that is known.
    pub(crate) coding: Option<Coding>,
    /// What was sent of a picture, where its route makes others of them.
    pub(crate) picture: Option<Shown>,
    /// Why an inner request failed, for the outer one.
    pub(crate) fault: Option<Fault>,
}

/// One try at an endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Try {
    /// Where.
    pub(crate) address: Box<str>,
    /// In which shard, where there are some.
    pub(crate) shard: Option<Arc<str>>,
    /// When it began.
    pub(crate) began: Instant,
    /// Until the connection stood.
    pub(crate) connected: Option<Duration>,
    /// Until the head of the answer.
    pub(crate) answered: Option<Duration>,
    /// Until its end.
    pub(crate) ended: Option<Duration>,
    /// Whether the connection had served others before.
    pub(crate) reused: bool,
    /// The answer's status.
    pub(crate) status: Option<StatusCode>,
    /// Bytes of the answer's body.
    pub(crate) received: u64,
}

/// Bytes and status of an answer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    /// The status; `None` before it is out.
    pub(crate) status: Option<StatusCode>,
    /// Bytes of its body.
    pub(crate) body: u64,
    /// Bytes of its head.
    pub(crate) head: u64,
}

impl Context {
    /// A request on `connection` that nothing is known of yet.
    pub(crate) fn new(
        resident: Arc<Resident>,
        snapshot: Arc<Snapshot>,
        connection: Arc<Connection>,
    ) -> Self {
        Self {
            resident,
            snapshot,
            connection,
            started: Instant::now(),
            wall: SystemTime::now(),
            request: Request::default(),
            place: Place::default(),
            memos: Memos::default(),
            asked: Arc::default(),
            attempt: Attempt::default(),
            trying: None,
            chosen: None,
            comparing: None,
            stays_with: None,
            inner: false,
            cache: None,
            fetch: None,
            encoding: None,
            fetcher: None,
            keeping: None,
            content: None,
            routed: None,
            redirects: 0,
            stand_in: None,
            first_line: None,
            received: None,
            pace: None,
            held: Vec::new(),
            permit: None,
            spilt: Spilt::default(),
            repeats: false,
            was_stale: false,
            without_port: 0,
            body_received: 0,
            filtering: Filtering::default(),
            variables: Variables::default(),
            steering: None,
            fault: None,
            sent: Sent::default(),
        }
    }

    /// With what something is fetched for it, if there are caches, or asked beside it, if there are shards.
    pub(crate) fn fetching_with(mut self, fetcher: &Arc<Fetcher>) -> Self {
        if self.snapshot.asks_beside {
            self.fetcher = Some(Arc::clone(fetcher));
        }
        self
    }

    /// The route it took.
    pub(crate) fn route(&self) -> Option<&RoutePlan> {
        self.place.route.and_then(|id| self.snapshot.route(id))
    }

    /// Whom it is passed on to, if to anybody.
    pub(crate) fn proxy(&self) -> Option<&ProxyPlan> {
        match &self.route()?.action {
            ActionPlan::Proxy(plan) => Some(plan),
            _ => None,
        }
    }

    /// The service that has it: that of its route, or where it has spilt to.
    pub(crate) fn upstream(&self) -> Option<&Upstream> {
        self.snapshot.upstream(self.upstream_id()?)
    }

    /// The same by its number.
    pub(crate) fn upstream_id(&self) -> Option<UpstreamId> {
        self.upstream_of_route().map(|upstream| self.spilt.instead_of(upstream))
    }

    /// The service of its route, or the one that a plugin has put in its place.
    pub(crate) fn upstream_of_route(&self) -> Option<UpstreamId> {
        let proxy = self.proxy()?;
        Some(
            self.steering.as_ref().and_then(|steering| steering.upstream).unwrap_or(proxy.upstream),
        )
    }

    /// Deadlines towards its upstream where they differ from that one's own.
    pub(crate) fn upstream_timeouts(&self) -> RouteTimeouts {
        let of_route = self.route().map(|route| route.timeouts).unwrap_or_default();
        match &self.steering {
            Some(steering) => steering.timeouts(of_route),
            None => of_route,
        }
    }

    /// Whether its answer comes from the cache of its route.
    pub(crate) fn is_answered_by_cache(&self) -> bool {
        self.cache.as_ref().is_some_and(|facts| facts.answers(self.place.route))
    }

    /// Keeps `fault` for the phases to come, and says it in Pingora's terms.
    pub(crate) fn fail(&mut self, fault: Fault) -> Box<Error> {
        let error = Error::explain(
            ErrorType::HTTPStatus(fault.status().as_u16()),
            fault.reason().to_owned(),
        );
        self.fault = Some(fault);
        error
    }

    /// The site it is for.
    pub(crate) fn site(&self) -> Option<&Site> {
        self.place.site.and_then(|id| self.snapshot.site(id))
    }
}

impl Default for Request {
    fn default() -> Self {
        Self {
            id: "".into(),
            client: None,
            host: "".into(),
            path: NormalPath::root(),
            is_unreadable: false,
        }
    }
}

impl Try {
    /// A try that begins.
    pub(crate) fn at(address: impl Into<Box<str>>, began: Instant) -> Self {
        Self {
            address: address.into(),
            shard: None,
            began,
            connected: None,
            answered: None,
            ended: None,
            reused: false,
            status: None,
            received: 0,
        }
    }
}

impl Asked {
    /// Changes the try in hand, if there is one.
    pub(crate) fn current(&mut self, change: impl FnOnce(&mut Try)) {
        if let Some(current) = self.tries.last_mut() {
            change(current);
        }
    }
}
