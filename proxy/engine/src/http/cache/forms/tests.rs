//! What a hit costs that is answered with a stored form.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use allocation_counter::measure;
use http::{HeaderName, HeaderValue, StatusCode};
use switchback_cache::policy::Freshness;
use switchback_cache::serve::Hop;
use switchback_cache::{Body, Times};
use switchback_conf::load_text;
use tokio::sync::watch;

use super::*;
use crate::http::answer::{self, Made};
use crate::http::answer_head::AnswerHead;
use crate::http::cache::fetch::Fetcher;
use crate::http::cache::key::{self, Class};
use crate::http::{receive, route};
use crate::listen::connection::{Connection, Ends};
use crate::snapshot::Snapshot;
use crate::snapshot::assemble::assemble;
use crate::snapshot::resident::Resident;

const ROUTES: &str = "[[sites.routes]]\nmatch = { path = \"/plain\" }\nproxy = \"app\"\ncache = \"main\"\n\
     [[sites.routes]]\nproxy = \"app\"\ncache = \"main\"\nencode = \"on\"\n";
const HOP: Hop<'_> = Hop { connection: "keep-alive", is_granted: true, is_chunked: false };

/// A proxy with a route that stores, and one that encodes, too.
struct World {
    resident: Arc<Resident>,
    snapshot: Arc<Snapshot>,
    connection: Arc<Connection>,
    fetcher: Arc<Fetcher>,
}

impl World {
    fn new() -> Self {
        let text = format!(
            "[[listeners]]\naddress = \":80\"\n[zones.main]\n[[sites]]\n{ROUTES}\
             [upstreams.app]\nendpoints = [\"127.0.0.1:1\"]\n"
        );
        let loaded = load_text("switchback.toml", &text, &BTreeMap::new());
        assert!(loaded.value.is_some(), "{}", loaded.report());
        let resident = Arc::new(Resident::default());
        let (snapshot, _) = assemble(loaded.value.unwrap().plan, &resident, 1).unwrap();
        let listener = Arc::clone(snapshot.listeners.values().next().unwrap());
        let peer = Some("192.0.2.1:1000".parse().unwrap());
        let connection = Connection::new(listener, Ends { peer, local: None }, None, 0);
        let fetcher = Fetcher::new(watch::channel(false).1);
        Self { resident, snapshot: Arc::new(snapshot), connection: Arc::new(connection), fetcher }
    }

    fn routed(&self, path: &str, fields: &[(&'static str, &str)]) -> (RequestHeader, Context) {
        let mut head = RequestHeader::build("GET", path.as_bytes(), None).unwrap();
        for (name, value) in [("host", "a.example")].iter().chain(fields) {
            head.append_header(*name, *value).unwrap();
        }
        let (resident, snapshot) = (Arc::clone(&self.resident), Arc::clone(&self.snapshot));
        let context = Context::new(resident, snapshot, Arc::clone(&self.connection));
        let mut context = context.fetching_with(&self.fetcher);
        receive::receive(&mut head, &mut context).unwrap();
        route::route(&head, &mut context).unwrap();
        (head, context)
    }

    /// Stores a page under a path, and its best form with Brotli where its route encodes.
    fn store(&self, path: &str) {
        let (head, context) = self.routed(path, &[]);
        let settings = self.snapshot.cache(context.place.route.unwrap()).unwrap();
        let zone = &settings.zone.stored;
        let now = SystemTime::now();
        let original = Meta {
            key: key::key(settings, Class::Get, &head, &context),
            head: stored_head(&[("content-type", "text/html"), ("etag", "\"v1\"")]),
            times: Times { request: now, response: now },
            freshness: Freshness { lifetime: Duration::from_hours(1), ..Freshness::default() },
            vary: Box::default(),
            selected_by: HeaderMap::new(),
            tags: Box::default(),
            generation: zone.generation(),
            body: BodyId::fresh(),
        };
        let best = Meta {
            key: original.key.of_form(original.body, b"br"),
            head: stored_head(&[("content-type", "text/html"), ("content-encoding", "br")]),
            body: Effort::Best.fresh(),
            ..original.clone()
        };
        zone.store(Entry::new(original, Body::of([b'x'; 5000]), 5000));
        zone.store(Entry::new(best, Body::of([b'y'; 4000]), 4000));
    }

    fn hits(&self, path: &str) -> u64 {
        let (_, context) = self.routed(path, &[]);
        let settings = self.snapshot.cache(context.place.route.unwrap()).unwrap();
        settings.zone.stored.statistics().hits
    }

    /// The length of the answer, and what its head takes from the heap.
    fn asked(&self, path: &str, fields: &[(&'static str, &str)]) -> (u64, u64) {
        let (mut head, mut context) = self.routed(path, fields);
        let mut length = 0;
        let asked = measure(|| {
            let Ok(Made::Answer(answer)) = answer::make(&mut head, &mut context) else { return };
            let AnswerHead::Stored(stored) = &answer.head else { return };
            length = stored.reply.length.unwrap_or_default();
            assert!(!stored.wire(HOP).is_empty());
        });
        (length, asked.count_total)
    }
}

fn stored_head(fields: &[(&'static str, &'static str)]) -> Head {
    let line = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    Head { status: StatusCode::OK, headers: fields.iter().map(line).collect() }
}

const BROWSER: [(&str, &str); 1] = [("accept-encoding", "gzip, deflate, br, zstd")];

#[test]
fn a_stored_form_takes_from_the_heap_what_any_hit_takes_and_is_looked_up_as_often() {
    let world = World::new();
    ["/plain", "/encoded"].into_iter().for_each(|path| world.store(path));
    let plain = [(); 3].map(|()| world.asked("/plain", &BROWSER));
    let first = world.asked("/encoded", &BROWSER);
    assert_eq!((plain[2].0, first.0), (5000, 4000));
    let before = world.hits("/plain");
    let again = [(); 20].map(|()| world.asked("/encoded", &BROWSER));
    assert_eq!(again[19], (4000, plain[2].1), "the first one took {}", first.1);
    assert_eq!(world.hits("/plain") - before, 20);
    let hits = "encode_form_hits_total{coding=\"br\"} 21\n";
    let saved = "encode_saved_bytes_total 21000\n";
    let answers = "encode_answers_total{coding=\"br\"} 20\n";
    let mut text = String::new();
    world.resident.metrics.render(&mut text);
    [hits, saved, answers].into_iter().for_each(|line| assert!(text.contains(line), "{text}"));
}

#[test]
fn who_asks_for_something_else_is_not_sent_what_is_at_hand() {
    let world = World::new();
    world.store("/encoded");
    (0..3).for_each(|_| assert_eq!(world.asked("/encoded", &BROWSER).0, 4000));
    for (name, value) in [
        ("accept-encoding", "br;q=0"),
        ("accept-encoding", "identity, br;q=0.1"),
        ("accept", "*/*"),
        ("cache-control", "no-transform"),
    ] {
        let other = if name == "cache-control" { Some(BROWSER[0]) } else { None };
        let fields: Vec<_> = other.into_iter().chain([(name, value)]).collect();
        assert_eq!(world.asked("/encoded", &fields).0, 5000, "{name}: {value}");
    }
}
