//! Requests that must not share what is stored, and such as may.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;
use switchback_conf::load_text;

use super::*;
use crate::http::{forward::forward, receive, route};
use crate::listen::connection::{Connection, Ends};
use crate::snapshot::Snapshot;
use crate::snapshot::assemble::assemble;
use crate::snapshot::resident::Resident;

/// What a proxy with these routes has.
struct World {
    resident: Arc<Resident>,
    snapshot: Arc<Snapshot>,
    connection: Arc<Connection>,
}

impl World {
    /// One route, with this as its cache.
    fn with(cache: &str) -> Self {
        Self::of(&format!("[[sites.routes]]\nproxy = \"app\"\ncache = {cache}\n"))
    }

    fn of(routes: &str) -> Self {
        let text = format!(
            "trusted_proxies = [\"192.0.2.1\"]\n[[listeners]]\naddress = \":80\"\n[zones.main]\n[[sites]]\n{routes}\
             [upstreams.app]\nendpoints = [\"127.0.0.1:1\"]\n[upstreams.other]\nendpoints = [\"127.0.0.1:1\"]\n"
        );
        let loaded = load_text("switchback.toml", &text, &BTreeMap::new());
        assert!(loaded.value.is_some(), "{}", loaded.report());
        let resident = Arc::new(Resident::default());
        let (snapshot, _) = assemble(loaded.value.unwrap().plan, &resident, 1).unwrap();
        let listener = Arc::clone(snapshot.listeners.values().next().unwrap());
        let peer = Some("192.0.2.1:1000".parse().unwrap());
        let connection = Connection::new(listener, Ends { peer, local: None }, None, 0);
        Self { resident, snapshot: Arc::new(snapshot), connection: Arc::new(connection) }
    }

    fn routed(&self, target: &str, fields: &[(&str, &str)]) -> (RequestHeader, Context) {
        let mut head = RequestHeader::build("GET", target.as_bytes(), None).unwrap();
        for (name, value) in fields {
            head.append_header((*name).to_owned(), *value).unwrap();
        }
        let (resident, snapshot) = (Arc::clone(&self.resident), Arc::clone(&self.snapshot));
        let mut context = Context::new(resident, snapshot, Arc::clone(&self.connection));
        receive::receive(&mut head, &mut context).unwrap();
        route::route(&head, &mut context).unwrap();
        (head, context)
    }

    fn settings(&self, context: &Context) -> Arc<CacheSettings> {
        Arc::clone(self.snapshot.cache(context.place.route.unwrap()).unwrap())
    }

    fn key(&self, target: &str, fields: &[(&str, &str)]) -> Key {
        let (head, context) = self.routed(target, fields);
        key(&self.settings(&context), Class::Get, &head, &context)
    }

    /// What the upstream is sent for everybody.
    fn forwarded(&self, target: &str, fields: &[(&str, &str)]) -> RequestHeader {
        let (mut head, context) = self.routed(target, fields);
        keep_keyed(&self.settings(&context), &mut head, &context);
        let client = head.clone();
        forward(&mut head, &client, &context).unwrap();
        head
    }
}

const HOST: (&str, &str) = ("host", "a.example");

#[test]
fn requests_for_different_things_have_different_keys() {
    let world =
        World::with("{ zone = \"main\", key = { parts = [\"$cookie_a\", \"$cookie_b\"] } }");
    let with = |target: &str, more: &[(&str, &str)]| world.key(target, &[&[HOST], more].concat());
    let different = [
        with("/a?b", &[]),
        with("/a", &[]),
        with("/A?b", &[]),
        with("/a%3fb", &[]),
        with("/a?b&", &[]),
        with("/a?B", &[]),
        with("/a/?b", &[]),
        with("/x/../a?b", &[]),
        with("//a?b", &[]),
        with("/%61?b", &[]),
        with("/a%2fc?b", &[]),
        with("/a/c?b", &[]),
        with("/a?b", &[("x-forwarded-proto", "https")]),
        with("/a?b", &[("cookie", "a=1")]),
        with("/a?b", &[("cookie", "b=1")]),
        with("/a?b", &[("cookie", "a=1; b=1")]),
        with("/a?b", &[("cookie", "a=11")]),
        world.key("/a?b", &[("host", "b.example")]),
        world.key("/a?b", &[("host", "a.example:8080")]),
        world.key("/a?b", &[("host", "a.example8080")]),
    ];
    for (index, one) in different.iter().enumerate() {
        for other in different.iter().skip(index + 1) {
            assert_ne!(one, other);
        }
    }
}

#[test]
fn what_does_not_matter_is_not_in_the_key() {
    let world = World::with("\"main\"");
    let plain = world.key("/a?b", &[HOST]);
    assert_eq!(plain, world.key("/a?b", &[("host", "A.Example.")]));
    assert_eq!(plain, world.key("/a?b", &[HOST, ("cookie", "a=1"), ("accept", "x")]));
    assert_eq!(plain, world.key("/a?b", &[HOST, ("x-forwarded-proto", "http")]));
    assert_eq!(plain, world.key("/a?b", &[HOST, ("x-forwarded-host", "evil.example")]));
}

#[test]
fn what_a_key_leaves_out_is_not_sent_either() {
    let query = "{ zone = \"main\", key = { query = { except = [\"utm_*\", \"id\"] } } }";
    let world = World::with(query);
    let target = "/a?x=1&utm_source=mail&%75tm_b=1&id&y";
    assert_eq!(world.key(target, &[HOST]), world.key("/a?x=1&y&id=3", &[HOST]));
    assert_ne!(world.key(target, &[HOST]), world.key("/a?x=2&y", &[HOST]));
    assert_eq!(world.forwarded(target, &[HOST]).raw_path(), b"/a?x=1&y");
    assert_eq!(world.forwarded("/a?id=1", &[HOST]).raw_path(), b"/a");

    let only = World::with("{ zone = \"main\", key = { query = { only = [\"page\"] } } }");
    assert_eq!(only.forwarded("/a?b=1&page=2", &[HOST]).raw_path(), b"/a?page=2");
    let none = World::with("{ zone = \"main\", key = { query = \"none\" } }");
    assert_eq!(none.forwarded("/a?b=1&page=2", &[HOST]).raw_path(), b"/a");
    assert_eq!(none.key("/a?b=1", &[HOST]), none.key("/a", &[HOST]));
}

#[test]
fn fields_that_make_another_request_of_it_do_not_reach_the_origin() {
    let fields = [
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-port", "99"),
        ("x-forwarded-prefix", "/evil"),
        ("x-forwarded-scheme", "nothttps"),
        ("forwarded", "host=evil.example"),
        ("x-original-url", "/admin"),
        ("x-rewrite-url", "/admin"),
        ("x-http-method-override", "DELETE"),
        ("x-http-method", "DELETE"),
        ("x-method-override", "DELETE"),
        ("x-host", "evil.example"),
        ("x-forwarded-proto", "evil"),
    ];
    let world = World::with("\"main\"");
    let all: Vec<_> = [HOST].into_iter().chain(fields).collect();
    let sent = world.forwarded("/a", &all);
    for (name, value) in fields {
        let values: Vec<_> = sent.headers.get_all(name).iter().collect();
        assert!(values.iter().all(|own| *own != value), "{name}: {values:?}");
    }
    assert_eq!(sent.headers.get("x-forwarded-host").unwrap(), "a.example");
    assert_eq!(sent.headers.get("x-forwarded-proto").unwrap(), "http");

    let keyed = World::with("{ zone = \"main\", key = { parts = [\"$http_x_host\"] } }");
    assert_eq!(keyed.forwarded("/a", &all).headers.get("x-host").unwrap(), "evil.example");
}

#[test]
fn routes_share_a_zone_but_not_what_different_upstreams_answer() {
    let route = |when: &str, more: &str| {
        format!(
            "[[sites.routes]]\nmatch.headers = {{ x-to = \"{when}\" }}\n{more}\ncache = \"main\"\n"
        )
    };
    let routes = [
        route("app", "proxy = \"app\""),
        route("other", "proxy = \"other\""),
        route("again", "proxy = \"app\""),
        route("written", "proxy = { upstream = \"app\", rewrite = \"/v2$uri?$args\" }"),
    ];
    let world = World::of(&routes.concat());
    let key = |to| world.key("/a", &[HOST, ("x-to", to)]);
    assert_ne!(key("app"), key("other"));
    assert_ne!(key("app"), key("written"));
    assert_eq!(key("app"), key("again"));
}

#[test]
fn a_template_is_the_whole_key() {
    let world = World::with("{ zone = \"main\", key = \"$host$uri\" }");
    assert_eq!(world.key("/a?b", &[HOST]), world.key("/a?c", &[HOST]));
    assert_ne!(world.key("/a", &[HOST]), world.key("/b", &[HOST]));
}

#[test]
fn hosts_and_schemes_share_what_is_stored_where_that_is_said() {
    let world = World::with("{ zone = \"main\", key = { host = false, scheme = false } }");
    let other = [("host", "b.example:81"), ("x-forwarded-proto", "https")];
    assert_eq!(world.key("/a", &[HOST]), world.key("/a", &other));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// What two requests with one key make an origin see is the same.
    #[test]
    fn one_key_is_one_request(
        paths in [path(), path()],
        hosts in [host(), host()],
        fields in [field(), field()],
    ) {
        let world = World::with("{ zone = \"main\", key = { query = { except = [\"u*\"] } } }");
        let all = |index: usize| [("host", hosts[index]), fields[index]];
        let [a, b] = [0, 1].map(|index| world.key(&paths[index], &all(index)));
        if a == b {
            let [a, b] = [0, 1].map(|index| world.forwarded(&paths[index], &all(index)));
            prop_assert_eq!(a.raw_path(), b.raw_path());
            let [a, b] = [a, b].map(|mut head| { let _ = head.remove_header("x-request-id"); head });
            prop_assert_eq!(&a.headers, &b.headers);
        }
    }
}

fn path() -> impl Strategy<Value = String> {
    let segments = select(vec!["a", "%61", "..", ".", "", "b", "%2f", "%3F", "A"]);
    let queries = select(vec!["", "?", "?a", "?u=1", "?u=2&a", "?%75=2", "?a&u"]);
    (prop::collection::vec(segments, 0..3), queries)
        .prop_map(|(segments, query)| format!("/{}{query}", segments.join("/")))
        .prop_filter("that leaves the root, or hides it", |target| {
            switchback_route::NormalPath::parse(
                target.split('?').next().unwrap_or_default(),
                switchback_route::EncodedSlash::Keep,
            )
            .is_ok()
        })
}

fn host() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "A", "a.", "a:80", "a:8", "b", "a:", "[::1]", "[::1]:1"])
}

fn field() -> impl Strategy<Value = (&'static str, &'static str)> {
    select(vec![
        ("x-forwarded-proto", "https"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-proto", "HTTPS"),
        ("x-forwarded-host", "b"),
        ("x-original-url", "/b"),
    ])
}
