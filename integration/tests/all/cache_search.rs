//! Queries that a response says to be the same (`No-Vary-Search`).

use std::path::Path;

use serde_json::json;
use switchback_integration::{
    Answer, Choice, Config, Deadline, Gate, Origin, Proxy, Reply, Step, eventually, get, post,
    request, site,
};
use tempfile::TempDir;

/// A cached site; `lines` are of its cache.
fn cached(origin: &Origin, lines: &str) -> Config {
    site()
        .route("/*", format!("proxy = \"app\"\ncache = {{ zone = \"main\"{lines} }}"))
        .upstream("app", &[origin], "")
        .toml("[zones.main]\nmemory = \"16MiB\"\npurge = { allow = [\"127.0.0.0/8\"] }")
}

const NO_UTM: &str = "params=(\"utm_source\")";

fn page(rule: &str) -> Reply {
    Reply::ok("page").header("Cache-Control", "max-age=600").header("No-Vary-Search", rule)
}

/// What the origin was asked for after these requests.
fn asked(proxy: &Proxy, origin: &Origin, targets: &[&str]) -> Vec<String> {
    for target in targets {
        proxy.get(target).expect_status(200).expect_body("page");
    }
    origin.requests("*").into_iter().map(|request| request.target).collect()
}

#[test]
fn a_query_that_means_the_same_is_a_hit() {
    let origin = Origin::start().serve("/page", page(NO_UTM));
    let proxy = Proxy::start(&cached(&origin, ""));
    let targets =
        ["/page?id=1&utm_source=a", "/page?id=1&utm_source=b", "/page?id=1", "/page?id=2"];
    // The origin is asked as the client asks.
    assert_eq!(asked(&proxy, &origin, &targets), [targets[0], targets[3]]);
    let hit = proxy.get("/page?utm_source=c&id=2");
    hit.expect_header("no-vary-search", NO_UTM);
    assert!(hit.headers.get("cache-status").is_some_and(|said| said.contains("hit")), "{hit:?}");
    proxy.ask(&request("HEAD", "/page?utm_source=d&id=2")).expect_status(200);
    assert_eq!(origin.requests("*").len(), 2);
}

#[test]
fn order_counts_unless_the_response_says_otherwise() {
    for (rule, expected) in [("key-order, params=(\"x\")", 1), ("params=(\"x\")", 2)] {
        let origin = Origin::start().serve("/page", page(rule));
        let proxy = Proxy::start(&cached(&origin, ""));
        let targets = ["/page?a=1&b=2", "/page?b=2&a=1&x"];
        assert_eq!(asked(&proxy, &origin, &targets).len(), expected, "{rule}");
    }
}

#[test]
fn a_rewritten_query_means_the_same_too() {
    let origin = Origin::start().serve("/v2/page", page(NO_UTM));
    let config = site()
        .route_lines(
            "proxy = { upstream = \"app\", rewrite = \"/v2$uri$is_args$args\" }\n\
             cache = \"main\"",
        )
        .upstream("app", &[&origin], "")
        .toml("[zones.main]\nmemory = \"16MiB\"");
    let proxy = Proxy::start(&config);
    let targets = ["/page?id=1&utm_source=a", "/page?id=1&utm_source=b", "/page?id=2"];
    assert_eq!(asked(&proxy, &origin, &targets), ["/v2/page?id=1&utm_source=a", "/v2/page?id=2"]);
}

#[test]
fn a_route_that_ignores_it_has_every_query_fetched() {
    let origin = Origin::start().serve("/page", page(NO_UTM));
    let proxy = Proxy::start(&cached(&origin, ", ignore = [\"no-vary-search\"]"));
    let targets = ["/page?utm_source=a", "/page?utm_source=b", "/page?utm_source=a"];
    assert_eq!(asked(&proxy, &origin, &targets), targets[..2]);
}

#[test]
fn a_purge_finds_what_means_the_same_and_leaves_the_rest() {
    let origin = Origin::start().serve("/page", page(NO_UTM));
    let proxy = Proxy::start(&cached(&origin, ""));
    let targets = ["/page?id=1&utm_source=a", "/page?id=2&utm_source=a"];
    assert_eq!(asked(&proxy, &origin, &targets).len(), 2);
    proxy.ask(&request("PURGE", "/page?id=1&utm_source=b")).expect_status(200);
    assert_eq!(asked(&proxy, &origin, &targets)[2..], targets[..1]);
    let purge = json!({ "urls": ["http://localhost/page?utm_source=c&id=2"] });
    proxy.control("POST", "/cache/purge", Some(&purge)).expect_status(200);
    assert_eq!(asked(&proxy, &origin, &targets)[3..], targets[1..]);
}

#[test]
fn an_unsafe_request_makes_what_means_the_same_invalid() {
    let origin = Origin::start().serve("/page", page(NO_UTM));
    let proxy = Proxy::start(&cached(&origin, ""));
    let targets = ["/page?id=1&utm_source=a", "/page?id=2&utm_source=a"];
    assert_eq!(asked(&proxy, &origin, &targets).len(), 2);
    proxy.ask(&post("/page?id=1", "x")).expect_status(200);
    assert_eq!(asked(&proxy, &origin, &targets)[3..], targets[..1]);
}

/// A whole answer.
fn sent(fields: &str, body: &str) -> Step {
    let length = body.len();
    Step::send(format!(
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
    ))
}

/// An origin that says of `id=1` which queries are the same, and of `id=2` what `fields` say, when the gate opens; each page is
/// its own target.
fn held(fields: &'static str, gate: &Gate) -> Origin {
    let gate = gate.clone();
    let answer = Choice::new(move |asked| {
        let (held, fields) = match asked.target.contains("id=2") {
            true => (Some(Step::Wait(gate.clone())), fields),
            false => (None, "No-Vary-Search: params=(\"utm_source\")\r\n"),
        };
        held.into_iter().chain([sent(fields, &asked.target), Step::Next]).collect()
    });
    Origin::start().serve("/page", Answer::Chosen(answer))
}

/// Asks for these at once, when what they mean is known; opens the gate for each; the bodies.
fn together(proxy: &Proxy, gate: &Gate, targets: &[&str]) -> Vec<String> {
    proxy.get("/page?id=1").expect_status(200);
    let ask = |target: &&str| {
        let mut client = proxy.client();
        client.send(get(target).to_bytes());
        client
    };
    let mut clients: Vec<_> = targets.iter().map(ask).collect();
    // All wait by the time when later ones on every worker are answered, or at least most do.
    for _ in 0..20 {
        proxy.get("/page?id=1").expect_status(200);
    }
    targets.iter().for_each(|_| gate.pass());
    clients.iter_mut().map(|client| client.response().expect_status(200).text()).collect()
}

const TOGETHER: [&str; 3] =
    ["/page?id=2&utm_source=a", "/page?id=2&utm_source=b", "/page?utm_source=c&id=2"];

#[test]
fn one_fetch_answers_all_whose_queries_mean_the_same() {
    let gate = Gate::new();
    let origin = held("No-Vary-Search: params=(\"utm_source\")\r\n", &gate);
    let proxy = Proxy::start(&cached(&origin, ""));
    let bodies = together(&proxy, &gate, &TOGETHER);
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    assert_eq!(origin.requests("*").len(), 2);
}

#[test]
fn who_waited_for_what_turns_out_to_be_another_has_it_fetched() {
    for fields in ["", "No-Vary-Search: params=(\"other\")\r\n"] {
        let gate = Gate::new();
        let origin = held(fields, &gate);
        let proxy = Proxy::start(&cached(&origin, ""));
        assert_eq!(together(&proxy, &gate, &TOGETHER), TOGETHER, "{fields}");
        assert_eq!(origin.requests("*").len(), 4, "{fields}");
    }
}

#[test]
fn what_is_validated_by_another_query_holds_for_both() {
    let stale = Reply::ok("page").header("Cache-Control", "max-age=0").header("ETag", "\"1\"");
    let origin = Origin::start().serve("/page", stale.header("No-Vary-Search", NO_UTM));
    let proxy = Proxy::start(&cached(&origin, ""));
    proxy.get("/page?utm_source=a").expect_body("page");
    let good = Reply::ok("").status(304).header("ETag", "\"1\"");
    origin.now_serve("/page", good.header("Cache-Control", "max-age=600"));
    for source in ["b", "c", "a"] {
        proxy.get(&format!("/page?utm_source={source}")).expect_status(200).expect_body("page");
    }
    let asked = origin.requests("*");
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[1].target, "/page?utm_source=b");
    assert_eq!(asked[1].headers.get("if-none-match"), Some("\"1\""));
}

fn on_disk(origin: &Origin, folder: &Path) -> Config {
    site().route("/*", "proxy = \"app\"\ncache = \"main\"").upstream("app", &[origin], "").toml(
        format_args!(
            "[zones.main]\nmemory = \"8MiB\"\npurge = {{ allow = [\"127.0.0.0/8\"] }}\n\
             disk = {{ path = \"{}\", size = \"64MiB\", min_free = \"1MiB\" }}",
            folder.join("cache").display()
        ),
    )
}

/// A proxy that has told its disk that it is there.
fn start(origin: &Origin, folder: &Path) -> Proxy {
    let records = || std::fs::read(folder.join("cache/v1/purges")).unwrap_or_default();
    let before = records();
    let proxy = Proxy::start(&on_disk(origin, folder));
    eventually("purges are recorded", Deadline::soon(), || (records() != before).then_some(()));
    proxy
}

/// One that has these on disk, all of one page; then it is killed, and the origin has another.
fn killed_with(origin: &Origin, folder: &Path, targets: &[&str]) {
    let proxy = start(origin, folder);
    for target in targets {
        proxy.get(target).expect_body("page");
    }
    eventually("all is on disk", Deadline::soon(), || {
        let text = proxy.control("GET", "/metrics", None).text();
        let line =
            text.lines().find(|line| line.starts_with("switchback_cache_disk_stored_total"))?;
        line.ends_with(&format!(" {}", targets.len())).then_some(())
    });
    proxy.signal("KILL");
    drop(proxy);
    origin.now_serve("/page", Reply::ok("new").header("Cache-Control", "max-age=600"));
}

#[test]
fn what_is_on_disk_tells_the_next_process_which_queries_are_the_same() {
    let folder = TempDir::new().expect("a temporary folder");
    let origin = Origin::start().serve("/page", page(NO_UTM));
    killed_with(&origin, folder.path(), &["/page?id=1&utm_source=a"]);
    let proxy = start(&origin, folder.path());
    // Until all that is there was looked at, the origin is asked.
    let mut source = 0;
    eventually("it is known", Deadline::soon(), || {
        source += 1;
        let answer = proxy.get(&format!("/page?id=1&utm_source={source}"));
        (answer.text() == "page").then_some(())
    });
}

#[test]
fn a_purge_right_after_a_restart_finds_what_means_the_same() {
    let folder = TempDir::new().expect("a temporary folder");
    let origin = Origin::start().serve("/page", page(NO_UTM));
    killed_with(&origin, folder.path(), &["/page?id=1&utm_source=a", "/page?id=2&utm_source=a"]);
    let proxy = start(&origin, folder.path());
    proxy.ask(&request("PURGE", "/page?id=1&utm_source=b")).expect_status(200);
    // Once the other one is known to be the same, so would be this one.
    for source in 0..20 {
        proxy.get(&format!("/page?id=2&utm_source={source}")).expect_status(200);
        let purged = proxy.get(&format!("/page?id=1&utm_source={source}"));
        purged.expect_status(200).expect_body("new");
    }
}
