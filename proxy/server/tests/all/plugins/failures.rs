//! What becomes of requests whose plugins fail: one that may deny never lets anybody through by failing.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use super::doing::{DROPPED, RELEASED};
use super::{Answer, World};

fn site(at: &str, what: &str, more: &str) -> String {
    format!(
        "[[sites]]\n[[sites.routes]]\nproxy = \"app\"\n\
         filters = [{{ use = \"does\", timeout = \"50ms\"{more}, options = {{ at = \"{at}\", do = \"{what}\" }} }}]\n"
    )
}

#[test]
fn whoever_fails_before_the_answer_has_the_request_refused() {
    for at in ["request", "route", "upstream", "upstream_request", "upstream_response", "response"]
    {
        for what in ["panic", "fail", "hang"] {
            let world = World::start(&site(at, what, ""));
            for answer in [world.get("/"), world.ask_h2("GET", "/", b"")] {
                assert_eq!(answer.status, 500, "{at} {what} {answer:?}");
                assert!(!answer.body.contains("GET / "), "{at} {what} {answer:?}");
            }
        }
    }
}

#[test]
fn whoever_may_be_passed_over_is() {
    for at in ["request", "route", "upstream", "upstream_request", "upstream_response", "response"]
    {
        for what in ["panic", "fail", "hang"] {
            let world = World::start(&site(at, what, ", on_error = \"open\""));
            let answer = world.get("/");
            assert_eq!(answer.status, 200, "{at} {what} {answer:?}");
            assert!(answer.body.starts_with("GET / "), "{at} {what} {answer:?}");
        }
    }
}

#[test]
fn a_denial_anywhere_before_the_head_is_the_answer() {
    for at in ["request", "route", "upstream", "upstream_request", "upstream_response", "response"]
    {
        let world = World::start(&site(at, "deny", ""));
        for answer in [world.get("/"), world.ask_h2("GET", "/", b"")] {
            assert_eq!((answer.status, &*answer.body), (403, "Forbidden\n"), "{at}");
        }
        let reached = !matches!(at, "request" | "route" | "upstream" | "upstream_request");
        assert_eq!(world.origin.requests() > 0, reached, "{at}");
    }
}

#[test]
fn a_denial_of_what_is_fetched_is_not_stored() {
    let site = |at: &str| site(at, "deny", "") + "cache = \"main\"\n[zones.main]\n";
    for at in ["upstream_request", "upstream_response"] {
        let world = World::start(&site(at));
        for _ in 0..2 {
            let answer = world.get("/kept");
            assert_eq!((answer.status, &*answer.body), (403, "Forbidden\n"), "{at}");
        }
    }
}

#[test]
fn a_response_is_broken_off_when_a_plugin_fails_within_it() {
    let world = World::start(&site("response_body", "panic", ""));
    let answer = world.get("/");
    // As long as its head waits for more, there is still a page.
    assert!(!answer.is_whole || answer.status == 500, "{answer:?}");
    assert!(!answer.body.contains("GET / "), "{answer:?}");
    let world = World::start(&site("response_body", "panic", ", on_error = \"open\""));
    let answer = world.get("/");
    assert!(answer.is_whole && answer.body.starts_with("GET / "), "{answer:?}");
}

#[test]
fn a_failure_is_counted_with_its_cause() {
    let world = World::start(&site("request", "panic", ""));
    world.get("/");
    let mut metrics = String::new();
    world.handle.metrics(&mut metrics);
    for line in [
        "switchback_plugin_calls_total{plugin=\"does\"} 1",
        "switchback_plugin_failures_total{plugin=\"does\",kind=\"panic\"} 1",
    ] {
        assert!(metrics.lines().any(|own| own == line), "{line}\n{metrics}");
    }
}

#[test]
fn one_that_fails_too_often_is_left_alone_and_lets_nobody_through() {
    let world =
        World::start("[[sites]]\nfilters = [\"fails\"]\n[[sites.routes]]\nproxy = \"app\"\n");
    for _ in 0..15 {
        assert_eq!(world.get("/").status, 500);
    }
    let mut metrics = String::new();
    world.handle.metrics(&mut metrics);
    assert!(metrics.contains("switchback_plugin_left_alone{plugin=\"fails\"} 1"), "{metrics}");
    assert!(metrics.contains("{plugin=\"fails\",kind=\"breaker\"} 5"), "{metrics}");
    assert_eq!(world.origin.requests(), 0);
}

#[test]
fn one_that_spins_is_counted_and_left_alone_while_it_does() {
    for (tag, more, status) in [("closed", "", 500), ("open", ", on_error = \"open\"", 200)] {
        let filter = format!(
            "{{ use = \"does\", timeout = \"50ms\"{more}, options = {{ at = \"request\", do = \"spin\", value = \"{tag}\" }} }}"
        );
        let world = World::start(&format!(
            "[[sites]]\n[[sites.routes]]\nproxy = \"app\"\nfilters = [{filter}]\n"
        ));
        let mut stream = world.connect();
        write!(stream, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        // The only worker is in the plugin: who tells of it is another.
        let spin = "switchback_plugin_failures_total{plugin=\"does\",kind=\"spin\"} 1";
        counted(&world, |line| line == spin);
        assert_eq!(world.origin.requests(), 0);

        RELEASED.lock().push(tag.to_owned());
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(Answer::read(&answer, true).status, status, "{tag}");
        // Nobody asks it now: it would spin no more.
        assert_eq!(world.get("/").status, status, "{tag}");
        counted(&world, |line| line.contains("kind=\"breaker\"") && !line.ends_with(" 0"));
        counted(&world, |line| line == spin);
    }
}

/// Waits for a line of what is counted.
fn counted(world: &World, is_it: impl Fn(&str) -> bool) {
    let began = Instant::now();
    loop {
        let mut metrics = String::new();
        world.handle.metrics(&mut metrics);
        if metrics.lines().any(&is_it) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{metrics}");
        std::thread::yield_now();
    }
}

fn dropped(tag: &str) {
    let began = Instant::now();
    while !DROPPED.lock().iter().any(|own| own == tag) {
        assert!(began.elapsed() < Duration::from_secs(20), "{tag} is still there");
        std::thread::yield_now();
    }
}

#[test]
fn what_waits_for_a_client_that_is_gone_is_given_up() {
    let text = site("request", "hang", "").replace("50ms", "300s");
    let world = World::start(&text);
    let mut stream = world.connect();
    write!(stream, "GET / HTTP/1.1\r\nHost: a\r\nX-Guard: gone-1\r\n\r\n").unwrap();
    drop(stream);
    dropped("gone-1");
    assert_eq!(world.origin.requests(), 0);
}

#[test]
fn a_route_that_is_named_for_errors_answers_where_a_plugin_fails() {
    let text = site("request", "fail", "")
        + "errors = { 500 = \"sorry\" }\n[[sites.routes]]\nname = \"sorry\"\ninternal = true\nrespond.body = \"sorry\"\n";
    for answer in [World::start(&text).get("/"), World::start(&text).ask_h2("GET", "/", b"")] {
        assert_eq!((answer.status, &*answer.body), (500, "sorry"), "{answer:?}");
    }
}
