//! What is tried again, and what never is.

use switchback_integration::{Config, Origin, Proxy, Reply, Step, get, pattern, post, site};

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

#[test]
fn an_endpoint_that_comes_back_is_used_again() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = site().route("/*", "proxy = \"app\"").endpoints("app", &[address.to_string()], "");
    let proxy = Proxy::start(&config);
    proxy.get("/").expect_status(502);
    let listener = std::net::TcpListener::bind(address).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 1024];
        let _read = std::io::Read::read(&mut stream, &mut head).unwrap();
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nback")
            .unwrap();
    });
    proxy.ask(&get("/")).expect_status(200).expect_body("back");
}
