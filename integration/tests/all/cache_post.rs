//! The answer to a POST that is what a GET would bring (RFC 9110, 9.3.3), and what unsafe methods make of what is stored.

use std::sync::atomic::{AtomicBool, Ordering};

use switchback_integration::{
    Answer, Choice, Config, Deadline, Gate, H2Client, H2Request, Origin, Proxy, Request, Step,
    eventually, get, pattern, post, request, site,
};
use tempfile::TempDir;

fn cached(origin: &Origin, settings: &str) -> Config {
    site()
        .route("/*", format_args!("proxy = \"app\"\ncache = {{ zone = \"main\"{settings} }}"))
        .upstream("app", &[origin], "")
        .toml("[zones.main]\nmemory = \"64MiB\"")
}

/// An answer for others too, with these fields beside, to a POST; and `got` to a GET.
fn form(status: u16, fields: &str, body: impl Into<Vec<u8>>) -> Answer {
    let body = body.into();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Said\r\nCache-Control: max-age=600\r\nContent-Length: {length}\r\n{fields}\r\n"
    );
    scripted(vec![Step::send(head), Step::Send(body), Step::Next])
}

/// These steps for a POST; and `got` to a GET.
fn scripted(steps: Vec<Step>) -> Answer {
    Answer::Chosen(Choice::new(move |asked| match asked.method.as_str() {
        "POST" => steps.clone(),
        _ => vec![Step::send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ngot"), Step::Next],
    }))
}

const HERE: &str = "Content-Location: /form?x\r\n";

/// What a GET gets after this POST.
fn afterwards(answer: Answer, settings: &str, asked: &Request) -> Vec<u8> {
    let origin = Origin::start().serve("*", answer);
    let proxy = Proxy::start(&cached(&origin, settings));
    let mut client = proxy.client();
    // One that is cut is none.
    let _ = client.try_ask(asked);
    proxy.get("/form?x").expect_status(200).body.clone()
}

#[test]
fn a_post_that_brings_what_a_get_would_is_the_answer_to_the_next_get() {
    let chunked = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Location: ?x\r\n\
                   Transfer-Encoding: chunked\r\n\r\n4\r\npost\r\n2\r\ned\r\n0\r\n\r\n";
    for answer in [form(200, HERE, "posted"), scripted(vec![Step::send(chunked), Step::Next])] {
        let origin = Origin::start().serve("*", answer);
        let proxy = Proxy::start(&cached(&origin, ""));
        proxy.ask(&post("/form?x", "a=b")).expect_status(200).expect_body("posted");
        let hit = proxy.get("/form?x");
        hit.expect_status(200).expect_body("posted").expect_header("content-length", "6");
        assert!(hit.headers.get("age").is_some());
        proxy.ask(&post("/form?x", "a=c")).expect_body("posted");
        assert_eq!(origin.heads(), 2, "a POST is the origin's, always");
    }
}

#[test]
fn what_a_post_brings_is_kept_for_nobody_else_where_that_is_not_sure() {
    let large = pattern(300_000);
    let asked = || post("/form?x", "a=b");
    for (about, answer, settings, asked) in [
        ("it is elsewhere", form(200, "Content-Location: /other\r\n", "posted"), "", asked()),
        ("it does not say where it is", form(200, "", "posted"), "", asked()),
        ("it tells of something made", form(201, HERE, "posted"), "", asked()),
        ("it must not be stored", form(200, &format!("{HERE}Vary: *\r\n"), "posted"), "", asked()),
        (
            "it gives a cookie",
            form(200, &format!("{HERE}Set-Cookie: a=b\r\n"), "posted"),
            "",
            asked(),
        ),
        ("it is large", form(200, HERE, large), "", asked()),
        (
            "the route forbids it",
            form(200, HERE, "posted"),
            ", no_store = '$upstream_http_content_location'",
            asked(),
        ),
        ("it was not asked for often", form(200, HERE, "posted"), ", min_uses = 2", asked()),
        ("it comes in slices", form(200, HERE, "posted"), ", slice = \"64KiB\"", asked()),
        (
            "the origin was told another target",
            form(200, HERE, "posted"),
            "",
            asked().header("X-Original-URL", "/evil"),
        ),
        (
            "the origin was told more than the key holds",
            form(200, HERE, "posted"),
            ", key = { query = \"none\" }",
            asked(),
        ),
        (
            "the client is known",
            form(200, HERE, "posted"),
            "",
            asked().header("Authorization", "Basic YTpi"),
        ),
    ] {
        assert_eq!(afterwards(answer, settings, &asked), b"got", "{about}");
    }
}

#[test]
fn what_a_post_brings_is_not_kept_where_it_ends_early() {
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n";
    for framing in
        ["Content-Length: 9\r\n\r\nposted", "Transfer-Encoding: chunked\r\n\r\n6\r\nposted\r\n"]
    {
        let cut = scripted(vec![Step::send(format!("{head}{HERE}{framing}"))]);
        assert_eq!(afterwards(cut, "", &post("/form?x", "a=b")), b"got", "{framing}");
    }
}

#[test]
fn what_became_invalid_while_a_post_was_answered_is_not_kept() {
    assert_eq!(kept_beside(&post("/form?x", "")), 3, "the other POST was about the same");
    assert_eq!(kept_beside(&request("PURGE", "/form?x")), 2, "an operator has purged it");
    assert_eq!(kept_beside(&post("/other", "")), 2, "what was purged is something else");
}

/// What the origin is asked while a POST is answered during which another request is sent, and by a GET after both.
fn kept_beside(other: &Request) -> usize {
    let gate = Gate::new();
    let waiting = gate.clone();
    let first = AtomicBool::new(true);
    let answer = Choice::new(move |asked| match asked.method.as_str() {
        "POST" if first.swap(false, Ordering::SeqCst) => {
            vec![Step::Wait(waiting.clone()), Step::send(said()), Step::Next]
        }
        "POST" => vec![Step::send("HTTP/1.1 204 No Content\r\n\r\n"), Step::Next],
        _ => vec![Step::send(said()), Step::Next],
    });
    let origin = Origin::start().serve("*", Answer::Chosen(answer));
    let config = cached(&origin, "").toml("purge = { allow = [\"127.0.0.0/8\"] }");
    let proxy = Proxy::start(&config);
    let mut client = proxy.client();
    client.send(post("/form?x", "a=b").to_bytes());
    eventually("the origin is asked", Deadline::soon(), || (origin.heads() == 1).then_some(()));
    assert_eq!(proxy.ask(other).status / 100, 2);
    gate.pass();
    client.response().expect_body("posted");
    proxy.get("/form?x").expect_body("posted");
    let asked = origin.heads();
    proxy.get("/form?x").expect_body("posted");
    assert_eq!(origin.heads(), asked, "what the GET has brought is kept");
    asked
}

fn said() -> String {
    format!(
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n{HERE}Content-Length: 6\r\n\r\nposted"
    )
}

#[test]
fn the_answer_to_a_post_over_http2_is_kept_too() {
    let origin = Origin::start().serve("*", form(200, HERE, "posted"));
    let config = switchback_integration::config()
        .web("h2c = true")
        .site("")
        .route("/*", "proxy = \"app\"\ncache = \"main\"")
        .upstream("app", &[&origin], "")
        .toml("[zones.main]\nmemory = \"64MiB\"");
    let proxy = Proxy::start(&config);
    let mut client = H2Client::cleartext(proxy.address("web"));
    let answer = client.ask(&H2Request::new("POST", "/form?x").authority("localhost").frame("a=b"));
    answer.expect_status(200);
    proxy.get("/form?x").expect_body("posted");
    assert_eq!(origin.heads(), 1);
}

#[test]
fn what_location_names_is_invalid_in_the_next_process_too() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("cache");
    let origin = Origin::start().serve(
        "*",
        Answer::Chosen(Choice::new(|asked| {
            let head = match asked.method.as_str() {
                "POST" => "Location: /there\r\nContent-Location: /here\r\n",
                _ => "Cache-Control: max-age=600\r\n",
            };
            let head = format!("HTTP/1.1 200 OK\r\n{head}Content-Length: 2\r\n\r\nok");
            vec![Step::send(head), Step::Next]
        })),
    );
    let config = site()
        .route("/*", "proxy = \"app\"\ncache = \"main\"")
        .upstream("app", &[&origin], "")
        .toml(format_args!(
            "[zones.main]\nmemory = \"8MiB\"\ndisk = {{ path = \"{}\", size = \"64MiB\", min_free = \"1MiB\" }}",
            path.display()
        ));
    let records = || std::fs::read(path.join("v1/purges")).unwrap_or_default();
    let start = || {
        let before = records();
        let proxy = Proxy::start(&config);
        eventually("purges are recorded", Deadline::soon(), || (records() != before).then_some(()));
        proxy
    };
    let proxy = start();
    let pages = ["/there", "/here", "/elsewhere"];
    pages.iter().for_each(|page| drop(proxy.ask(&get(page))));
    proxy.ask(&post("/form", "")).expect_status(200);
    proxy.stop();
    let proxy = start();
    let before = origin.heads();
    proxy.get("/elsewhere").expect_body("ok");
    assert_eq!(origin.heads(), before, "it was stored");
    for page in ["/there", "/here"] {
        let before = origin.requests(page).len();
        proxy.get(page).expect_body("ok");
        assert_eq!(origin.requests(page).len(), before + 1, "{page}");
    }
}
