//! Each built-in plugin does its work through the real program: what clients are told, and where requests go.

use std::collections::BTreeSet;

use switchback_integration::{
    Answer, Choice, Deadline, Gate, Origin, Proxy, Reply, Step, eventually, get, post, request,
    switchback,
};

use super::{built_in, received};

/// Those of which there is a test here, in `builtin_access` or in `builtin_changes`.
const PLAYED: [&str; 21] = [
    "basic-auth",
    "body-substitution",
    "canary",
    "concurrency-limit",
    "cors",
    "csrf",
    "early-hints",
    "forward-auth",
    "geo",
    "headers",
    "honeypot",
    "idempotency",
    "ip-filter",
    "jwt",
    "key-auth",
    "mirror",
    "rate-limit",
    "redirect",
    "request-id",
    "rewrite",
    "user-agent",
];

#[test]
fn there_is_a_test_of_each() {
    let folder = tempfile::tempdir().unwrap();
    let listed = switchback(folder.path(), &["plugin", "list"]);
    listed.expect_code(0);
    let words = listed.stdout.lines().filter_map(|line| line.split_whitespace().next());
    let names = words.filter(|word| word.contains(|letter: char| letter.is_ascii_lowercase()));
    let known: BTreeSet<&str> = PLAYED.into_iter().collect();
    let missing: Vec<&str> =
        known.iter().copied().filter(|own| !listed.stdout.contains(own)).collect();
    assert!(missing.is_empty(), "not there: {missing:?} in {}", listed.stdout);
    let unknown: Vec<&str> = names.filter(|name| !known.contains(name)).collect();
    assert!(unknown.len() <= 1, "without a test: {unknown:?}");
}

#[test]
fn canary_gives_shares_to_upstreams() {
    let (old, new) = (Origin::start(), Origin::start().serve("*", Reply::ok("new")));
    let options = "arms = [{ name = \"old\", weight = 1 }, { name = \"new\", upstream = \"new\", weight = 0 }], header = \"x-arm\"";
    let proxy = Proxy::start(&built_in("canary", options, &old).upstream("new", &[&new], ""));
    proxy.get("/").expect_status(200);
    proxy.ask(&get("/").header("x-arm", "new")).expect_body("new");
    assert_eq!((old.heads(), new.heads()), (1, 1));
}

#[test]
fn concurrency_limit_refuses_what_is_too_much_at_once() {
    let gate = Gate::new();
    let door = gate.clone();
    let held = Choice::new(move |request| {
        let reply = Step::Send(Reply::ok("done").to_bytes(&request.method));
        vec![Step::Wait(door.clone()), reply, Step::Next]
    });
    let origin = Origin::start().serve("*", Answer::Chosen(held));
    let options = "limit = 1, key = \"all\", retry_after = \"7s\"";
    let proxy = Proxy::start(&built_in("concurrency-limit", options, &origin));
    let mut first = proxy.client();
    first.send(get("/").to_bytes());
    origin.wait_for_heads(1);
    proxy.get("/").expect_status(503).expect_header("retry-after", "7");
    gate.pass();
    first.response().expect_body("done");
    gate.pass();
    // A request counts until it has ended here, which is a moment after its client has all of it.
    eventually("the next one is let in", Deadline::soon(), || {
        (proxy.get("/").status == 200).then_some(())
    });
}

#[test]
fn rate_limit_refuses_what_comes_too_fast() {
    let origin = Origin::start();
    let proxy = Proxy::start(&built_in("rate-limit", "rate = \"2/h\", burst = 2", &origin));
    proxy.get("/").expect_status(200);
    proxy.get("/").expect_status(200);
    let refused = proxy.get("/");
    refused.expect_status(429);
    assert!(refused.headers.get("retry-after").is_some(), "{refused}");
    assert!(refused.headers.get("ratelimit").is_some(), "{refused}");
    assert_eq!(origin.heads(), 2);
}

#[test]
fn redirect_sends_clients_on() {
    let origin = Origin::start();
    let options = "paths = { \"/old/*\" = \"/new/*\" }, trailing_slash = \"remove\"";
    let proxy = Proxy::start(&built_in("redirect", options, &origin));
    let moved = proxy.get("/old/a?b=c");
    moved.expect_status(301);
    assert!(moved.headers.get("location").is_some_and(|to| to.ends_with("/new/a?b=c")), "{moved}");
    proxy.ask(&post("/a/", "body")).expect_status(308);
    proxy.get("/a").expect_status(200);
    assert_eq!(origin.heads(), 1);
}

#[test]
fn rewrite_changes_what_is_asked_for() {
    let origin = Origin::start();
    let options = "rules = [{ strip_prefix = \"/api\" }, { regex = \"^/user/([0-9]+)$\", replace = \"/users?id=$1\" }]";
    let proxy = Proxy::start(&built_in("rewrite", options, &origin));
    proxy.get("/api/user/7").expect_status(200);
    assert_eq!(origin.requests("*")[0].target, "/users?id=7");
}

#[test]
fn mirror_sends_copies() {
    let (origin, copies) = (Origin::start(), Origin::start());
    let config = built_in("mirror", "upstream = \"copies\"", &origin);
    let proxy = Proxy::start(&config.upstream("copies", &[&copies], ""));
    proxy.ask(&post("/a", "question")).expect_status(200);
    let copy = &copies.wait_for_requests("/a", 1)[0];
    assert_eq!((&*copy.method, &*copy.body), ("POST", &b"question"[..]));
    assert_eq!(origin.heads(), 1);
}

#[test]
fn idempotency_does_what_is_sent_twice_once() {
    let origin = Origin::start().serve("*", Reply::ok("made").status(201));
    let proxy = Proxy::start(&built_in("idempotency", "required = true", &origin));
    proxy.ask(&post("/orders", "one")).expect_status(400);
    let order = post("/orders", "one").header("Idempotency-Key", "\"k-1\"");
    proxy.ask(&order).expect_status(201).expect_no_header("idempotency-replayed");
    // It is under way until its answer is kept, which is a moment after its client has all of it.
    let again = eventually("the answer is kept", Deadline::soon(), || {
        Some(proxy.ask(&order)).filter(|answer| answer.status != 409)
    });
    again.expect_status(201).expect_body("made").expect_header("idempotency-replayed", "true");
    let other = post("/orders", "two").header("Idempotency-Key", "\"k-1\"");
    proxy.ask(&other).expect_status(422);
    assert_eq!(origin.requests("/orders").len(), 1);
}

#[test]
fn honeypot_notes_who_asks_for_a_trap() {
    let origin = Origin::start();
    let proxy = Proxy::start(&built_in("honeypot", "traps = [\"/wp-login.php\"]", &origin));
    proxy.get("/").expect_status(200);
    proxy.get("/wp-login.php").expect_status(404);
    proxy.get("/").expect_status(403);
    assert_eq!(origin.heads(), 1);
}

#[test]
fn early_hints_come_before_the_page() {
    let origin = Origin::start();
    let options = "http1 = true, all_requests = true, hints = [{ paths = [\"/*\"], links = [\"</app.css>; rel=preload; as=style\"] }]";
    let proxy = Proxy::start(&built_in("early-hints", options, &origin));
    let mut client = proxy.client();
    let hint = client.send(get("/page").to_bytes()).response_head();
    hint.expect_status(103).expect_header("link", "</app.css>; rel=preload; as=style");
    client.response().expect_status(200);
}

#[test]
fn cors_answers_browsers() {
    let origin = Origin::start();
    let options = "origins = [\"https://app.example\"], methods = [\"PUT\"]";
    let proxy = Proxy::start(&built_in("cors", options, &origin));
    let preflight = |from: &str| {
        request("OPTIONS", "/a")
            .header("Origin", from)
            .header("Access-Control-Request-Method", "PUT")
    };
    let answer = proxy.ask(&preflight("https://app.example"));
    answer.expect_status(204);
    answer.expect_header("access-control-allow-origin", "https://app.example");
    proxy.ask(&preflight("https://evil.example")).expect_no_header("access-control-allow-origin");
    let read = proxy.ask(&get("/a").header("Origin", "https://app.example"));
    read.expect_status(200);
    read.expect_header("access-control-allow-origin", "https://app.example");
}

/// Also under the name by which the proxy itself tells upstreams.
#[test]
fn request_id_names_a_request_for_everybody() {
    for header in ["x-request-id", "x-trace-id"] {
        let origin = Origin::start();
        let options = format!("format = \"hex\", header = \"{header}\"");
        let proxy = Proxy::start(&built_in("request-id", &options, &origin));
        let answer = proxy.ask(&get("/").header(header, "forged-by-somebody"));
        let id = answer.headers.get(header).unwrap().to_owned();
        assert_eq!(id.len(), 32, "{answer}");
        assert_eq!(origin.requests("/")[0].headers.all(header), [&*id]);
        assert!(received(&proxy, &get("/"), header) != [id]);
    }
}
