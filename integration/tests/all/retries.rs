//! What is tried again, and what never is.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use switchback_integration::{Config, Origin, Proxy, Reply, Step, get, pattern, post, site};

use crate::cache_disk::metric;

fn before(origins: &[&Origin]) -> Config {
    site().top("workers = 1").route("/*", "proxy = \"app\"").upstream("app", origins, "tries = 3")
}

fn received(origins: &[Origin]) -> usize {
    origins.iter().map(|origin| origin.requests("*").len()).sum()
}

/// Two origins that take a request in and then break.
fn breaking(end: &Step) -> [Origin; 2] {
    [(); 2].map(|()| Origin::start().serve("*", [Step::ReadBody, end.clone()]))
}

#[test]
fn a_post_that_was_sent_is_never_sent_again() {
    for end in [Step::Reset, Step::Fin] {
        let origins = breaking(&end);
        let proxy = Proxy::start(&before(&[&origins[0], &origins[1]]));
        proxy.ask(&post("/", "once")).expect_status(502);
        assert_eq!(received(&origins), 1, "after {end:?}");
    }
}

#[test]
fn a_post_whose_answer_began_is_never_sent_again() {
    let origins = breaking(&Step::send("HTTP/1.1 200 OK\r\nContent-Le"));
    let proxy = Proxy::start(&before(&[&origins[0], &origins[1]]));
    proxy.ask(&post("/", pattern(100_000))).expect_status(502);
    assert_eq!(received(&origins), 1);
}

#[test]
fn an_error_of_the_origin_is_an_answer_and_not_tried_again() {
    let origins = [(); 2].map(|()| Origin::start().serve("*", Reply::ok("broken").status(503)));
    let proxy = Proxy::start(&before(&[&origins[0], &origins[1]]));
    proxy.get("/").expect_status(503).expect_body("broken");
    assert_eq!(received(&origins), 1);
}

#[test]
fn every_post_is_answered_once_although_origins_close_as_they_like() {
    let closes =
        [Step::ReadBody, Step::send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), Step::Fin];
    let origin = Origin::start().serve("*", closes);
    let proxy = Proxy::start(&before(&[&origin]));
    let mut client = proxy.client();
    for number in 0..50 {
        let path = format!("/{number}");
        let answer = client.ask(&post(&path, "x"));
        assert!(matches!(answer.status, 200 | 502), "{answer}");
        assert!(origin.requests(&path).len() <= 1, "{path} was sent twice");
        if answer.headers.all("connection").contains(&"close") {
            client = proxy.client();
        }
    }
}

/// An origin that gives this answer to the first request on each connection and closes it on the second, which it has read. With
/// the number of requests that it had.
fn closing_on_the_second(answer: &'static [u8]) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, had) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&had);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = [0; 4096];
            for answer in [answer, b""] {
                if stream.read(&mut head).unwrap_or(0) == 0 {
                    break;
                }
                count.fetch_add(1, Ordering::Relaxed);
                stream.write_all(answer).unwrap();
            }
        }
    });
    (address, had)
}

fn before_one(address: SocketAddr) -> Proxy {
    let config = site().top("workers = 1").route("/*", "proxy = \"app\"");
    Proxy::start(&config.endpoints("app", &[address.to_string()], ""))
}

#[test]
fn however_many_connections_were_closed_for_want_of_use_what_may_be_repeated_is_answered() {
    let (address, had) = closing_on_the_second(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let proxy = before_one(address);
    for _ in 0..20 {
        proxy.get("/").expect_status(200);
    }
    assert_eq!(had.load(Ordering::Relaxed), 39);
    let name = "upstream_retries_total{upstream=\"app\",reason=\"stale_connection\"}";
    assert_eq!(metric(&proxy, name), 19);
}

#[test]
fn where_requests_fail_those_on_closed_connections_are_sent_again_within_the_budget() {
    let broken = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    let (address, had) = closing_on_the_second(broken);
    let proxy = before_one(address);
    for _ in 0..20 {
        let status = proxy.get("/").status;
        assert!(matches!(status, 502 | 503), "{status}");
    }
    let had = had.load(Ordering::Relaxed);
    // Three from the beginning, a fifth of those that came, and perhaps one that came back with time.
    assert!((20..=28).contains(&had), "{had}");
}

#[test]
fn an_endpoint_that_comes_back_is_used_again() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = site().route("/*", "proxy = \"app\"").endpoints("app", &[address.to_string()], "");
    let proxy = Proxy::start(&config);
    proxy.get("/").expect_status(502);
    let listener = TcpListener::bind(address).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 1024];
        let _read = stream.read(&mut head).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nback").unwrap();
    });
    proxy.ask(&get("/")).expect_status(200).expect_body("back");
}
