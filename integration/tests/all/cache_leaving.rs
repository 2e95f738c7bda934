//! A client that leaves before it has its answer: it is let go at once, and with it what was fetched for it alone.

use std::time::Duration;

use switchback_integration::{
    Authority, Client, Config, Deadline, Gate, H2Client, H2Request, Origin, Proxy, Step, Trust,
    config, eventually, get,
};

/// How a client comes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lane {
    Plain,
    Tls,
}

/// How it goes.
#[derive(Clone, Copy, Debug)]
enum Leave {
    /// It says that it sends no more, and reads on.
    Finishes,
    /// Over TLS, without a word there.
    Closes,
    Resets,
}

const WAYS: [(Lane, Leave); 6] = [
    (Lane::Plain, Leave::Finishes),
    (Lane::Plain, Leave::Closes),
    (Lane::Plain, Leave::Resets),
    (Lane::Tls, Leave::Finishes),
    (Lane::Tls, Leave::Closes),
    (Lane::Tls, Leave::Resets),
];

/// A cache before `origin`, with a listener in plain text and one with TLS.
struct Rig {
    authority: Authority,
    origin: Origin,
    proxy: Proxy,
}

impl Rig {
    fn new(origin: Origin) -> Self {
        let authority = Authority::new();
        let identity = authority.identity(&["localhost"]);
        let config: Config = config()
            .file("a.pem", identity.certificate_pem())
            .file("a.key", identity.key_pem())
            .web("h2c = true")
            .listener("name = \"tls\"\naddress = \"127.0.0.2:0\"\ntls = { certificate = \"a.pem\", key = \"a.key\" }")
            .site("")
            .route("/*", "proxy = \"app\"\ncache = \"main\"")
            .upstream("app", &[&origin], "")
            .toml("[zones.main]")
            .toml("[[log.access]]\nfile = \"access.log\"\nformat = '$request_uri $status'");
        let proxy = Proxy::start(&config);
        Self { authority, origin, proxy }
    }

    fn client(&self, lane: Lane) -> Client {
        match lane {
            Lane::Plain => self.proxy.client(),
            Lane::Tls => {
                let trust = Trust::Authority(&self.authority);
                Client::tls(self.proxy.address("tls"), "localhost", &trust)
            }
        }
    }

    /// Waits until nobody is connected any more.
    fn wait_for_nobody(&self) {
        eventually("the client is let go", Deadline::soon(), || {
            (self.proxy.status()["connections"] == 0).then_some(())
        });
    }

    fn wait_for_line(&self, line: &str) {
        eventually("the log tells of it", Deadline::soon(), || {
            let text = std::fs::read_to_string(self.proxy.folder().join("access.log")).ok()?;
            text.lines().any(|written| written == line).then_some(())
        });
    }
}

/// `None` where the client is kept, for it still reads.
fn leave(mut client: Client, how: Leave) -> Option<Client> {
    match how {
        Leave::Finishes => {
            client.finish_sending();
            return Some(client);
        }
        Leave::Closes => drop(client),
        Leave::Resets => client.reset(),
    }
    None
}

/// The head of a body that may not be stored. Behind its first bytes, an origin that has [`Step::Next`] says nothing more, and
/// sees the connection end.
const UNSTORABLE: &str =
    "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn one_that_leaves_before_the_head_is_let_go_and_its_fetch_ends_with_the_head() {
    for (lane, how) in WAYS {
        let gate = Gate::new();
        let steps = [
            Step::ReadBody,
            Step::Wait(gate.clone()),
            Step::send(UNSTORABLE),
            Step::send("5\r\nfirst\r\n"),
            Step::Next,
        ];
        let rig = Rig::new(Origin::start().serve("/a", steps));
        let mut client = rig.client(lane);
        client.send(get("/a").to_bytes());
        rig.origin.wait_for_heads(1);
        let kept = leave(client, how);
        rig.wait_for_line("/a 499");
        rig.wait_for_nobody();
        gate.pass();
        rig.origin.wait_for_open_connections(0);
        drop(kept);
    }
}

#[test]
fn one_that_leaves_in_the_middle_ends_what_is_fetched_for_it_however_silent_the_origin() {
    for (lane, how) in WAYS {
        let steps =
            [Step::ReadBody, Step::send(UNSTORABLE), Step::send("5\r\nfirst\r\n"), Step::Next];
        let rig = Rig::new(Origin::start().serve("/a", steps));
        let mut client = rig.client(lane);
        client.send(get("/a").to_bytes());
        client.response_head().expect_status(200);
        assert_eq!(client.read_exactly(10), b"5\r\nfirst\r\n");
        let kept = leave(client, how);
        rig.origin.wait_for_open_connections(0);
        rig.wait_for_nobody();
        drop(kept);
    }
}

#[test]
fn a_stream_over_http2_that_is_reset_ends_what_is_fetched_for_it() {
    let gate = Gate::new();
    let steps = [
        Step::ReadBody,
        Step::Wait(gate.clone()),
        Step::send(UNSTORABLE),
        Step::send("5\r\nfirst\r\n"),
        Step::Next,
    ];
    let rig = Rig::new(Origin::start().serve("*", steps));
    let mut client = H2Client::cleartext(rig.proxy.address("web"));
    let mut stream = client.open(&H2Request::new("GET", "/middle"));
    stream.end();
    gate.pass();
    assert_eq!((stream.status(), stream.receive()), (200, b"first".to_vec()));
    drop(stream);
    let mut stream = client.open(&H2Request::new("GET", "/before"));
    stream.end();
    stream.drive_until(|| rig.origin.heads() == 2 && rig.origin.open_connections() == 1);
    drop(stream);
    // The connection goes on, and takes word of the reset with it.
    let mut other = client.open(&H2Request::new("GET", "/other"));
    other.end();
    other.drive_until(|| rig.origin.heads() == 3);
    gate.pass();
    gate.pass();
    assert_eq!((other.status(), other.receive()), (200, b"first".to_vec()));
    other.drive_until(|| rig.origin.open_connections() == 1);
}

#[test]
fn what_may_be_stored_is_fetched_to_its_end_whoever_has_left() {
    for (lane, how) in WAYS {
        let gate = Gate::new();
        let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 10\r\n\r\n";
        let steps = [
            Step::ReadBody,
            Step::Wait(gate.clone()),
            Step::send(head),
            Step::send("first"),
            Step::Wait(gate.clone()),
            Step::send("later"),
            Step::Next,
        ];
        let rig = Rig::new(Origin::start().serve("/a", steps));
        let mut client = rig.client(lane);
        client.send(get("/a").to_bytes());
        rig.origin.wait_for_heads(1);
        let kept = leave(client, how);
        rig.wait_for_nobody();
        gate.pass();
        gate.pass();
        rig.client(lane).ask(&get("/a")).expect_status(200).expect_body("firstlater");
        assert_eq!(rig.origin.heads(), 1);
        drop(kept);
    }
}

#[test]
fn requests_that_are_sent_while_one_waits_are_answered_in_their_turn() {
    const MORE: usize = 900;
    for lane in [Lane::Plain, Lane::Tls] {
        let gate = Gate::new();
        let body = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 1\r\n\r\na";
        let steps = [Step::ReadBody, Step::Wait(gate.clone()), Step::send(body), Step::Next];
        let rig = Rig::new(Origin::start().serve("/a", steps));
        let mut client = rig.client(lane);
        client.send(get("/a").to_bytes());
        rig.origin.wait_for_heads(1);
        // More than is read at a time.
        let more = get("/a").header("X-Long", &"x".repeat(200)).to_bytes().repeat(MORE);
        client.send(more);
        gate.pass();
        for _ in 0..=MORE {
            client.response().expect_status(200).expect_body("a");
        }
        assert_eq!(rig.origin.heads(), 1);
    }
}

#[test]
fn of_what_is_sent_while_a_request_waits_little_is_read() {
    for lane in [Lane::Plain, Lane::Tls] {
        let gate = Gate::new();
        let steps = [Step::ReadBody, Step::Wait(gate.clone()), Step::Next];
        let rig = Rig::new(Origin::start().serve("/a", steps));
        let mut client = rig.client(lane);
        client.send(get("/a").to_bytes());
        rig.origin.wait_for_heads(1);
        // More than two sockets hold: if it were all read, this would not end for want of room.
        client.set_patience(Duration::from_millis(500));
        assert!(client.try_send(vec![b'x'; 64 * 1024 * 1024]).is_err(), "{lane:?}");
        drop(client);
        gate.pass();
    }
}
