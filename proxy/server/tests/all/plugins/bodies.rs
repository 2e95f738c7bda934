//! Bodies that plugins read and change.

use super::World;

fn site(at: &str, what: &str, value: &str, more: &str) -> String {
    format!(
        "[[sites]]\nbody_limit = \"1MiB\"\n[[sites.routes]]\nproxy = \"app\"\n{more}\
         filters = [{{ use = \"does\", timeout = \"5s\", options = {{ at = \"{at}\", do = \"{what}\", value = \"{value}\" }} }}]\n"
    )
}

#[test]
fn a_response_is_rewritten_with_another_length() {
    let world = World::start(&site("response_body", "whole", "", ""));
    for answer in [world.get("/shop"), world.ask_h2("GET", "/shop", b"")] {
        assert!(answer.is_whole && answer.body.starts_with("<GET /store "), "{answer:?}");
        assert!(answer.body.ends_with('>'), "{answer:?}");
        assert_eq!(answer.field("content-length"), "");
    }
}

#[test]
fn responses_that_are_made_or_stored_here_are_rewritten_for_each_client() {
    let text = site("response_body", "whole", "", "cache = \"main\"\n") + "[zones.main]\n";
    let world = World::start(&text);
    for answer in
        [world.get("/kept/shop"), world.get("/kept/shop"), world.ask_h2("GET", "/kept/shop", b"")]
    {
        assert!(answer.is_whole && answer.body.starts_with("<GET /kept/store "), "{answer:?}");
    }
    assert_eq!(world.origin.requests(), 1);
    let text = site("response_body", "whole", "", "")
        .replace("proxy = \"app\"", "respond.body = \"a shop\"");
    let world = World::start(&text);
    for answer in [world.get("/"), world.ask_h2("GET", "/", b"")] {
        assert_eq!((&*answer.body, answer.field("content-length")), ("<a store>", "9"));
    }
    let head = world.ask("HEAD / HTTP/1.1\r\n", b"");
    assert_eq!((head.status, head.field("content-length")), (200, ""));
}

#[test]
fn a_request_is_rewritten_with_another_length() {
    let world = World::start(&site("request_body", "double", "", ""));
    let answer = world.ask("POST / HTTP/1.1\r\nContent-Length: 5\r\n", b"hello");
    assert!(answer.body.ends_with("\nhellohello"), "{answer:?}");
    let answer =
        world.ask("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n");
    assert!(answer.body.ends_with("\nhellohello"), "{answer:?}");
    let answer = world.ask_h2("POST", "/", b"hello");
    assert!(answer.body.ends_with("\nhellohello"), "{answer:?}");
}

#[test]
fn a_whole_body_is_read_and_sent_on_as_if_nobody_had() {
    for at in ["request", "route"] {
        let world = World::start(&site(at, "body", "100000", ""));
        let body = "0123456789".repeat(5_000);
        let head = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n", body.len());
        let answer = world.ask(&head, body.as_bytes());
        assert!(answer.body.contains("x-body: 50000\n"), "{:.300}", answer.body);
        assert!(answer.body.ends_with(&body), "{:.300}", answer.body);
        let answer = world.ask_h2("POST", "/", b"hello");
        assert!(
            answer.body.contains("x-body: 5\n") && answer.body.ends_with("\nhello"),
            "{answer:?}"
        );
        let answer = world.get("/");
        assert!(answer.body.contains("x-body: 0"), "{answer:?}");
    }
}

#[test]
fn a_body_that_is_too_large_for_a_plugin_is_sent_on_all_the_same() {
    let world = World::start(&site("request", "body", "10", ""));
    let chunks = b"14\r\n01234567890123456789\r\n0\r\n\r\n";
    let answer = world.ask("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", chunks);
    assert!(answer.body.contains("x-body: the answer is larger than its limit"), "{answer:?}");
    assert!(answer.body.ends_with("01234567890123456789"), "{answer:?}");
    let answer = world.ask("POST / HTTP/1.1\r\nContent-Length: 20\r\n", b"01234567890123456789");
    assert!(answer.body.ends_with("01234567890123456789"), "{answer:?}");
}

#[test]
fn a_body_over_the_limit_of_the_route_is_refused_whoever_reads_it() {
    let text = site("request", "body", "100000", "").replace("1MiB", "10");
    let world = World::start(&text);
    let chunks = b"14\r\n01234567890123456789\r\n0\r\n\r\n";
    let answer = world.ask("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", chunks);
    assert_eq!((answer.status, world.origin.requests()), (413, 0), "{answer:?}");
}
