//! Time-outs that a plugin says for a request: how long connecting may take, sending may stand still, and an answer may be waited for.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use switchback_integration::{
    Answer, Client, Config, Origin, Proxy, Request, Step, get, request, site,
};
use switchback_plugin::Kind;

use super::{KINDS, plugin, start};

/// An address where nobody is, not even to refuse: its queue of connections is full.
struct Unreachable {
    address: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl Unreachable {
    fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let patience = Duration::from_millis(200);
        let queue = std::iter::from_fn(|| TcpStream::connect_timeout(&address, patience).ok());
        let queue = queue.take(64).collect();
        Self { address, _listener: listener, _queue: queue }
    }
}

/// The configuration waits for everything longer than any test does.
const LONG: &str = "timeouts = { connect = \"10m\", read = \"10m\", write = \"10m\" }\ntries = 1";

fn steered(kind: Kind, endpoint: &str) -> Proxy {
    let config: Config = site()
        .route("/*", "filters = [\"says\"]\nproxy = \"app\"\nbody_limit = \"1GiB\"")
        .endpoints("app", &[endpoint], LONG)
        .toml(plugin("says", kind, ""));
    start(kind, &config)
}

/// A request that says this of its own way.
fn says(request: Request, script: &str) -> Request {
    request.header("x-on-route", script)
}

fn upgrade(request: Request) -> Request {
    request
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
}

#[test]
fn connecting_takes_no_longer_than_a_plugin_says() {
    let nobody = Unreachable::new();
    for kind in KINDS {
        let proxy = steered(kind, &nobody.address.to_string());
        for request in [get("/"), upgrade(get("/"))] {
            let began = Instant::now();
            let answer = proxy.ask(&says(request, "steer connect-timeout 200"));
            assert!([502, 504].contains(&answer.status), "{kind}: {answer}");
            assert!(began.elapsed() >= Duration::from_millis(200), "{kind}: {:?}", began.elapsed());
        }
    }
}

#[test]
fn an_answer_is_waited_for_no_longer_than_a_plugin_says() {
    for kind in KINDS {
        let silent = Origin::start().serve("*", [Step::ReadBody, Step::Stall]);
        let proxy = steered(kind, &silent.endpoint().to_string());
        proxy.ask(&says(get("/"), "steer read-timeout 200")).expect_status(504);
        proxy.ask(&says(upgrade(get("/")), "steer read-timeout 200")).expect_status(504);
    }
}

/// More than the buffers of all sockets on its way hold.
const MUCH: usize = 64 << 20;

/// Sends a body until nobody takes it any more.
fn send_much(client: &mut Client, request: &Request) {
    let piece = vec![b'x'; 1 << 20];
    client.send(request.head_bytes());
    for _ in 0..MUCH / piece.len() {
        if client.try_send(&piece).is_err() {
            break;
        }
    }
}

/// Whoever does not take the request may have answered all the same, which is waited for as for any answer: what is seen is that sending
/// ends.
#[test]
fn sending_stands_still_no_longer_than_a_plugin_says() {
    for kind in KINDS {
        let deaf = Origin::start().serve("*", Answer::Script(vec![Step::Stall]));
        let proxy = steered(kind, &deaf.endpoint().to_string());
        let mut client = proxy.client();
        let request = request("PUT", "/").header("Content-Length", &MUCH.to_string());
        let request = says(request, "steer send-timeout 300");
        let sending = std::thread::spawn(move || send_much(&mut client, &request));
        proxy.wait_for_stderr("WriteTimedout context: writing body, timeout: 300ms");
        drop(proxy);
        sending.join().unwrap();
    }
}
