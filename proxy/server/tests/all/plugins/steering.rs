//! Where plugins have requests go, and what they ask for meanwhile.

use super::origin::Origin;
use super::{World, server};

fn filter(at: &str, what: &str, value: &str) -> String {
    format!(
        "{{ use = \"does\", timeout = \"5s\", options = {{ at = \"{at}\", do = \"{what}\", value = \"{value}\" }} }}"
    )
}

fn proxied(filter: &str) -> World {
    World::start(&format!("[[sites]]\n[[sites.routes]]\nfilters = [{filter}]\nproxy = \"app\"\n"))
}

#[test]
fn a_changed_target_is_routed_anew_and_sent_on() {
    let site = |what: &str, value: &str| {
        let filter = filter("request", what, value);
        format!(
            "[[sites]]\nhosts = [\"shop.example\"]\n[[sites.routes]]\nmatch.path = \"/new/*\"\nrespond.body = \"new $uri $args\"\n\
             [[sites.routes]]\nmatch = {{ path = \"/\", method = \"PUT\" }}\nrespond.body = \"put\"\n\
             [[sites.routes]]\nfilters = [{filter}]\nproxy = \"app\"\n\
             [[sites]]\nhosts = [\"other.example\"]\n[[sites.routes]]\nrespond.body = \"other $host $plugin_x\"\n"
        )
    };
    for (what, value, body) in [
        ("path", "/new/../new/%61", "new /new/a q=1"),
        ("method", "PUT", "put"),
        ("host", "Other.example", "other other.example "),
        ("site", "other.example", "other shop.example "),
    ] {
        let world = World::start(&site(what, value));
        let path = if what == "method" { "/" } else { "/a?q=1" };
        for answer in [world.get(path), world.ask_h2("GET", path, b"")] {
            assert_eq!((answer.status, &*answer.body), (200, body), "{what}");
        }
    }
    let world = World::start(&site("path", "/elsewhere"));
    for answer in [world.get("/a?q=1"), world.ask_h2("GET", "/a?q=1", b"")] {
        assert!(answer.body.starts_with("GET /elsewhere?q=1 "), "{answer:?}");
    }
}

#[test]
fn a_route_that_is_reached_by_a_change_asks_its_own_filters() {
    let site = format!(
        "[[sites]]\n[[sites.routes]]\nmatch.path = \"/secret\"\nfilters = [{}]\nproxy = \"app\"\n\
         [[sites.routes]]\nmatch.path = \"/rewritten\"\nrewrite = \"/secret\"\n\
         [[sites.routes]]\nfilters = [{}]\nproxy = \"app\"\n",
        filter("request", "deny", "secret"),
        filter("request", "path", "/secret")
    );
    let world = World::start(&site);
    for path in ["/secret", "/a", "/rewritten"] {
        assert_eq!(world.get(path).status, 403, "{path}");
        assert_eq!(world.ask_h2("GET", path, b"").status, 403, "{path}");
    }
    assert_eq!(world.origin.requests(), 0);
}

#[test]
fn headers_are_seen_by_upstreams_and_rules() {
    let world = proxied(&filter("request", "header", "one"));
    for answer in [world.get("/"), world.ask_h2("GET", "/", b"")] {
        assert!(answer.body.contains("x-set: one"), "{answer:?}");
    }
    let site = format!(
        "[[sites]]\n[[sites.routes]]\nfilters = [{}]\nproxy = {{ upstream = \"app\", buffer_request = true }}\n",
        filter("request", "header", "$1")
    );
    let answer =
        World::start(&site).ask("POST / HTTP/1.1\r\nContent-Length: 2\r\nX-Set: forged\r\n", b"ab");
    assert!(answer.body.contains("x-set: $1") && !answer.body.contains("forged"), "{answer:?}");
}

#[test]
fn a_head_takes_no_more_headers_than_it_may_hold() {
    let answer = proxied(&filter("request", "headers", "40000")).get("/");
    let said = answer.body.lines().find_map(|line| line.strip_prefix("x-set: "));
    let set: usize = said.unwrap_or_else(|| panic!("{answer:?}")).parse().unwrap();
    assert!((1000..8192).contains(&set), "{set}");
}

/// A server with two upstreams that tell which they are.
fn two(site: &str) -> (switchback::Handle, Origin, Origin) {
    let (first, second) = (Origin::start(), Origin::start());
    let text = site.replace("SECOND", &second.address);
    let handle = server(&text, &first).spawn().unwrap();
    (handle, first, second)
}

fn counts(site: &str, requests: usize) -> (usize, usize) {
    let (handle, origin, second) = two(site);
    let world = World { handle, origin };
    for _ in 0..requests {
        assert_eq!(world.get("/kept").status, 200);
    }
    (world.origin.requests(), second.requests())
}

#[test]
fn another_upstream_has_the_request() {
    let site = |cache: &str| {
        format!(
            "[[sites]]\n[[sites.routes]]\nfilters = [{}]\nproxy = \"app\"\n{cache}\
             [upstreams.app]\nendpoints = [\"ORIGIN\"]\n[upstreams.second]\nendpoints = [\"SECOND\"]\n",
            filter("route", "upstream", "second")
        )
    };
    assert_eq!(counts(&site(""), 2), (0, 2));
    let cached = site("cache = \"main\"\n") + "[zones.main]\n";
    assert_eq!(counts(&cached, 2), (0, 1));
}

#[test]
fn the_shard_is_found_by_the_key_that_a_plugin_says() {
    let site = |key: &str| {
        format!(
            "[[sites]]\n[[sites.routes]]\nfilters = [{}]\nproxy = \"app\"\n\
             [upstreams.app]\nshard_by = {{ key = \"$arg_none\", missing = \"first\" }}\nmapping = {{ by = \"ranges\", of = \"text\" }}\n\
             shards = [{{ name = \"first\", endpoints = [\"ORIGIN\"], ranges = \"..m\" }}, {{ name = \"second\", endpoints = [\"SECOND\"], ranges = \"m..\" }}]\n",
            filter("route", "shard_key", key)
        )
    };
    assert_eq!(counts(&site("a"), 1), (1, 0));
    assert_eq!(counts(&site("z"), 1), (0, 1));
}

#[test]
fn endpoints_are_chosen_by_a_plugin_for_each_try() {
    let refuses = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = refuses.local_addr().unwrap().to_string();
    drop(refuses);
    let site = format!(
        "[[sites]]\n[[sites.routes]]\nfilters = [{}]\nproxy = \"app\"\n\
         [upstreams.app]\nendpoints = [\"ORIGIN\", \"SECOND\", \"{dead}\"]\n",
        filter("upstream", "last", "")
    );
    // The dead one is asked first, and then the one before it.
    assert_eq!(counts(&site, 1), (0, 1));
}

#[test]
fn tries_and_time_outs_are_what_a_plugin_says() {
    let refuses = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = refuses.local_addr().unwrap().to_string();
    drop(refuses);
    let site = format!(
        "[[sites]]\n[[sites.routes]]\nfilters = [{}, {}]\nproxy = \"app\"\n[upstreams.app]\nendpoints = [\"ORIGIN\", \"{dead}\"]\n",
        filter("route", "tries", "1"),
        filter("upstream", "last", "")
    );
    let origin = Origin::start();
    let handle = server(&site, &origin).spawn().unwrap();
    let world = World { handle, origin };
    assert_eq!((world.get("/").status, world.origin.requests()), (502, 0));

    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let site = format!(
        "[[sites]]\n[[sites.routes]]\nfilters = [{}]\nproxy = \"app\"\n[upstreams.app]\nendpoints = [\"{}\"]\n",
        filter("route", "read_timeout", ""),
        silent.local_addr().unwrap()
    );
    let handle = server(&site, &world.origin).spawn().unwrap();
    let world = World { handle, origin: Origin::start() };
    assert_eq!(world.get("/").status, 504);
}

#[test]
fn a_cache_is_passed_by_or_keyed_by_what_a_plugin_says() {
    let site = |filter: &str| {
        format!(
            "[[sites]]\n[[sites.routes]]\nfilters = [{filter}]\nproxy = \"app\"\ncache = \"main\"\n[zones.main]\n"
        )
    };
    let world = World::start(&site(&filter("route", "bypass", "")));
    (0..3).for_each(|_| drop(world.get("/kept")));
    assert_eq!(world.origin.requests(), 3);
    let world = World::start(&site(&filter("route", "cache_key", "")));
    for tenant in ["a", "b", "a", "b", "a"] {
        let answer = world.ask(&format!("GET /kept HTTP/1.1\r\nX-Tenant: {tenant}\r\n"), b"");
        assert!(answer.body.contains(&format!("X-Tenant: {tenant}")), "{answer:?}");
    }
    assert_eq!(world.origin.requests(), 2);
}

#[test]
fn a_copy_goes_to_a_mirror_with_its_body() {
    let site = format!(
        "[[sites]]\n[[sites.routes]]\nfilters = [{}]\nproxy = \"app\"\n\
         [upstreams.app]\nendpoints = [\"ORIGIN\"]\n[upstreams.second]\nendpoints = [\"SECOND\"]\n",
        filter("route", "mirror", "second")
    );
    let (handle, origin, second) = two(&site);
    let world = World { handle, origin };
    assert_eq!(world.get("/a").status, 200);
    let answer = world.ask("POST /b HTTP/1.1\r\nContent-Length: 5\r\n", b"hello");
    assert!(answer.body.ends_with("\nhello"), "{answer:?}");
    let mut copies = second.wait_for(2);
    copies.sort();
    assert!(copies[0].starts_with("GET /a "), "{copies:?}");
    assert!(copies[1].starts_with("POST /b ") && copies[1].ends_with("\nhello"), "{copies:?}");
    assert_eq!(world.origin.requests(), 2);
}

#[test]
fn a_body_is_mirrored_up_to_its_bound_and_a_copy_that_is_not_made_is_counted() {
    let filters = [filter("route", "mirror", "second"), filter("route", "mirror_body", "100000")];
    let site = format!(
        "[[sites]]\n[[sites.routes]]\nfilters = [{}]\nproxy = \"app\"\n\
         [upstreams.app]\nendpoints = [\"ORIGIN\"]\n[upstreams.second]\nendpoints = [\"SECOND\"]\n",
        filters.join(", ")
    );
    let (handle, origin, second) = two(&site);
    let world = World { handle, origin };
    for size in [100_000, 100_001, 100_000] {
        let head = format!("POST /b HTTP/1.1\r\nContent-Length: {size}\r\n");
        assert_eq!(world.ask(&head, &vec![b'x'; size]).status, 200);
    }
    let copies = second.wait_for(2);
    assert!(copies.iter().all(|copy| copy.ends_with(&"x".repeat(100_000))));
    let mut metrics = String::new();
    world.handle.metrics(&mut metrics);
    assert!(metrics.contains("switchback_mirrors_skipped_total 1\n"), "{metrics}");
}

#[test]
fn stores_are_there_where_nobody_can_wait() {
    let hooks = ["response_body", "log", "request"];
    let world = proxied(&hooks.map(|hook| filter(hook, "count", "all")).join(", "));
    let first = world.get("/");
    assert!(first.body.contains("x-count: Value(b\"1\")"), "{first:?}");
    for number in 2..1000 {
        let answer = world.get("/").body;
        let (_, count) = answer.split_once("x-count: Value(b\"").unwrap();
        let count: u32 = count.split_once('"').unwrap().0.parse().unwrap();
        // A million by each body, before its client had all of it.
        assert_eq!((count % 1000, count / 1_000_000), (number, number - 1));
        // A thousand by each request that has ended: that may be after the next one has come.
        if !(count / 1000).is_multiple_of(1000) {
            return;
        }
    }
    panic!("none has ended");
}

#[test]
fn an_endpoint_that_fails_for_plugins_is_ejected_for_all() {
    let nobody = "unix:/nowhere/at/all.sock";
    let site = format!(
        "[[sites]]\n[[sites.routes]]\nfilters = [{}]\nrespond.body = \"here\"\n\
         [upstreams.other]\nendpoints = [\"ORIGIN\", \"{nobody}\"]\noutliers = {{ errors = 1 }}\n",
        filter("request", "http", "/asked")
    );
    let (handle, origin, _) = two(&site);
    let world = World { handle, origin };
    for _ in 0..20 {
        assert_eq!(world.get("/").body, "here");
    }
    assert_eq!(world.origin.requests(), 20, "another is asked at once");
    let mut metrics = String::new();
    world.handle.metrics(&mut metrics);
    let ejections = metrics.lines().filter(|line| line.contains("endpoint_ejections_total{"));
    assert_eq!(ejections.filter(|line| !line.ends_with(" 0")).count(), 1, "{metrics}");
}

#[test]
fn a_plugins_variable_may_be_called_as_one_of_the_proxys_own() {
    let filters = [filter("request", "own_host", "mine"), filter("request", "header", "x")];
    let site = format!(
        "[[sites]]\n[[sites.routes]]\nfilters = [{}]\nrespond = {{ body = \"$plugin_host at $host\" }}\n",
        filters.join(", ")
    );
    let world = World::start(&site);
    assert_eq!(world.get("/").body, "mine at shop.example");
}

#[test]
fn a_plugin_asks_an_upstream_keeps_and_computes() {
    let all = [
        filter("request", "http", "/asked"),
        filter("request", "count", "visits"),
        filter("route", "blocking", ""),
    ]
    .join(", ");
    let world = proxied(&all);
    let answer = world.get("/");
    assert!(answer.body.contains("x-http: 200 "), "{answer:?}");
    assert!(answer.body.contains("x-blocking: done beside"), "{answer:?}");
    assert!(answer.body.contains("x-count: Value(b\"1\")"), "{answer:?}");
    let again = world.ask_h2("GET", "/", b"");
    assert!(again.body.contains("x-count: Value(b\"2\")"), "{again:?}");
    let asked: Vec<_> =
        world.origin.seen().into_iter().filter(|seen| seen.starts_with("GET /asked ")).collect();
    assert_eq!(asked.len(), 2);
    assert!(asked[0].contains("x-asked-by: plugin"), "{asked:?}");
}

#[test]
fn clients_are_told_of_what_comes() {
    let world = proxied(&filter("request", "hints", ""));
    let answer = world.get("/");
    assert_eq!((answer.status, answer.interim.len()), (200, 1), "{answer:?}");
    assert!(answer.interim[0].starts_with("HTTP/1.1 103"), "{answer:?}");
    assert!(
        answer.interim[0].to_ascii_lowercase().contains("link: </a.css>; rel=preload"),
        "{answer:?}"
    );
    assert_eq!(world.ask_h2("GET", "/", b"").status, 200);
}
