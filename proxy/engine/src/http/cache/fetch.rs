//! Asking an origin for a cache: an inner request, whose client is a fill.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Version, header};
use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::http::ServerSession;
use pingora_http::RequestHeader;
use pingora_proxy::HttpProxy;
use switchback_cache::fill::Filling;
use switchback_cache::{Entry, Key};
use tokio::sync::watch;

use super::ahead::Ahead;
use super::parts::Partly;
use super::session::Session;
use super::slices::Slice;
use super::store::{Fetch, Receiving, Validating};
use super::{Failure, key, query};
use crate::h2;
use crate::http::context::Context;
use crate::http::fault::{Fault, Kind};
use crate::http::filter::client::Client;
use crate::http::{Entry as Entrance, Phases, serving};
use crate::metrics::Gauge;
use crate::snapshot::caches::CacheSettings;

/// What a worker fetches with.
pub(crate) struct Fetcher {
    proxy: OnceLock<Weak<HttpProxy<Phases, h2::Connector>>>,
    drain: watch::Receiver<bool>,
    /// Fills in progress.
    pub(crate) running: Gauge,
    /// With what plugins ask.
    pub(crate) client: Arc<Client>,
}

/// On whose behalf something is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behalf {
    /// Of the request in hand, which tells of the upstream in its logs.
    Request,
    /// Of nobody who waits.
    Background,
}

/// What is to be fetched.
pub(super) struct Order<'o> {
    pub(super) settings: &'o Arc<CacheSettings>,
    pub(super) key: &'o Key,
    /// Which slice of it, if only one is.
    pub(super) slice: Option<&'o Slice>,
    /// What else of it than the whole.
    pub(super) partly: Option<&'o Partly>,
    /// What is validated, and whether it may stand in for an error.
    pub(super) stored: Option<(&'o Arc<Entry>, bool)>,
    pub(super) behalf: Behalf,
    /// Where its client is told what precedes the answer, if it is to know.
    pub(super) ahead: Option<&'o Ahead>,
}

impl Fetcher {
    /// Of a worker that ends with `drain`.
    pub(crate) fn new(drain: watch::Receiver<bool>) -> Arc<Self> {
        Arc::new(Self {
            proxy: OnceLock::new(),
            drain,
            running: Gauge::default(),
            client: Arc::default(),
        })
    }

    /// Fetches through `proxy` from now on, for as long as that is there.
    pub(crate) fn through(&self, proxy: &Arc<HttpProxy<Phases, h2::Connector>>) {
        // It is told once.
        let _ = self.proxy.set(Arc::downgrade(proxy));
    }

    /// Begins to fetch in a task of its own. What is dropped before its end cuts its readers, also when the task dies.
    pub(super) fn fetch(
        self: &Arc<Self>,
        order: &Order<'_>,
        filling: Filling<Failure>,
        request: &RequestHeader,
        context: &Context,
    ) {
        let Some(proxy) = self.proxy.get().and_then(Weak::upgrade) else { return };
        let content = query::to_send(request, context);
        let head = head(order, request, content.as_ref(), context);
        let fetch = Arc::new(Fetch {
            resident: Arc::clone(&context.resident),
            settings: Arc::clone(order.settings),
            key: order.key.clone(),
            slice: order.slice.cloned(),
            partly: order.partly.cloned().map(Box::new),
            client: request.headers.clone(),
            stored: order.stored.map(|(entry, if_error)| Validating {
                entry: Arc::clone(entry),
                sent: validators(&head.headers),
                if_error,
            }),
            asked: SystemTime::now(),
            generation: order.settings.zone.stored.generation(),
            no_store: AtomicBool::new(false),
        });
        let inner = inner(order, &head, Arc::clone(&fetch), context);
        let asked = Arc::clone(&inner.asked);
        let receiving = Receiving::new(fetch, filling);
        let content = content.unwrap_or_default();
        let (session, mut taken_back) =
            Session::new(head, content, receiving, order.ahead.cloned());
        let counters = &order.settings.zone.counters;
        counters.fills.add();
        if order.behalf == Behalf::Background {
            counters.refreshes.add();
        }
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let _running = this.running.hold();
            let session = ServerSession::new_custom(Box::new(session));
            let work = proxy.process_new_http(session, &this.drain);
            drop(Box::pin(serving(Entrance::known(inner), work)).await);
            if let Ok(receiving) = taken_back.try_recv() {
                let fault = asked.lock().fault.take();
                receiving.failed(fault.unwrap_or_else(no_answer));
            }
        });
    }

    /// Has a request answered within this time that nobody waits for, and whose answer goes nowhere: `context` sees it pass.
    pub(in crate::http) fn ask_beside(
        self: &Arc<Self>,
        head: &RequestHeader,
        content: Bytes,
        mut context: Box<Context>,
        within: Duration,
    ) {
        let Some(proxy) = self.proxy.get().and_then(Weak::upgrade) else { return };
        context.inner = true;
        context.routed = Some(Box::new(head.clone()));
        let this = Arc::clone(self);
        let session = ServerSession::new_custom(Box::new(Session::unheard(head.clone(), content)));
        tokio::spawn(async move {
            let work = proxy.process_new_http(session, &this.drain);
            // What is not over in time is dropped, and so ends.
            drop(tokio::time::timeout(within, serving(Entrance::known(context), work)).await);
        });
    }
}

fn no_answer() -> Fault {
    Fault::upstream(Kind::BadAnswer, "no answer")
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").field("running", &self.running).finish_non_exhaustive()
    }
}

/// Fields that are about a stored response of the client's, about a part of a response, or about the body of a request.
const OF_CLIENT: [HeaderName; 9] = [
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::IF_RANGE,
    header::RANGE,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::EXPECT,
];

/// The request for the whole of it, or for word that what is stored holds.
fn head(
    order: &Order<'_>,
    request: &RequestHeader,
    content: Option<&Bytes>,
    context: &Context,
) -> RequestHeader {
    let mut head = request.clone();
    if head.method == Method::HEAD {
        head.set_method(Method::GET);
    }
    if head.version == Version::HTTP_10 {
        head.set_version(Version::HTTP_11);
    }
    OF_CLIENT.iter().for_each(|name| drop(head.remove_header(name)));
    key::keep_keyed(order.settings, &mut head, context);
    if let Some(content) = content {
        // What is made of numbers is a valid value.
        let _ = head.insert_header(header::CONTENT_LENGTH, content.len());
    }
    if let Some(slice) = order.slice {
        // What is made of numbers is a valid value.
        let _ = head.insert_header(header::RANGE, slice.range());
    }
    if let Some(partly) = order.partly {
        partly.ask(&mut head);
    }
    if let Some((entry, _)) = order.stored {
        for (name, validator) in [
            (header::IF_NONE_MATCH, header::ETAG),
            (header::IF_MODIFIED_SINCE, header::LAST_MODIFIED),
        ] {
            if let Some(value) = entry.meta.head.headers.get(validator) {
                // It was a valid value when it came.
                let _ = head.insert_header(name, value.clone());
            }
        }
    }
    head
}

fn validators(head: &HeaderMap) -> HeaderMap {
    let names = [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];
    let named = |name: HeaderName| head.get(&name).cloned().map(|value| (name, value));
    names.into_iter().filter_map(named).collect()
}

/// The context of the inner request: that of the request in hand, with a time of its own.
fn inner(
    order: &Order<'_>,
    head: &RequestHeader,
    fetch: Arc<Fetch>,
    outer: &Context,
) -> Box<Context> {
    let mut context = beside(outer);
    if order.behalf == Behalf::Request {
        context.asked = Arc::clone(&outer.asked);
    }
    context.inner = true;
    context.fetch = Some(fetch);
    context.routed = Some(Box::new(head.clone()));
    Box::new(context)
}

/// A context like that of the request in hand, with a time of its own.
pub(in crate::http) fn beside(outer: &Context) -> Context {
    let mut context = Context::new(
        Arc::clone(&outer.resident),
        Arc::clone(&outer.snapshot),
        Arc::clone(&outer.connection),
    );
    context.started = Instant::now();
    context.request = outer.request.clone();
    context.place = outer.place;
    context.memos.maps = outer.memos.maps.inherit(&outer.snapshot.maps);
    context.first_line.clone_from(&outer.first_line);
    context.received.clone_from(&outer.received);
    context.fetcher.clone_from(&outer.fetcher);
    context.variables.clone_from(&outer.variables);
    context.steering.clone_from(&outer.steering);
    context
}
