//! Plugins that are linked in, asked over real sockets.

mod bodies;
mod config;
mod doing;
mod failures;
mod hooks;
mod origin;
mod reload;
mod steering;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::Bytes;
use switchback::{Handle, Server};
use switchback_conf::read_text;

use doing::{Does, Fails, Traces};
use origin::Origin;

/// A server with the plugins of these tests, in front of an origin.
struct World {
    handle: Handle,
    origin: Origin,
}

/// A configuration without what tests add: `ORIGIN` stands for its address.
const BASE: &str = "workers = 1\ncontrol = { socket = \"off\" }\nlisteners = [{ address = \"127.0.0.1:0\", h2c = true }]\n";

fn server(text: &str, origin: &Origin) -> Server {
    let text = format!("{BASE}{text}").replace("ORIGIN", &origin.address);
    let config = read_text("test.toml", &text, &BTreeMap::new()).into_result();
    with_plugins(Server::new(config.unwrap_or_else(|found| panic!("{found:#?}"))))
}

fn with_plugins(server: Server) -> Server {
    server.plugin::<Traces>().plugin::<Does>().plugin::<Fails>()
}

impl World {
    /// With one site, which has these keys and routes.
    fn start(site: &str) -> Self {
        let origin = Origin::start();
        let upstreams = "\n[upstreams.app]\nendpoints = [\"ORIGIN\"]\n[upstreams.other]\nendpoints = [\"ORIGIN\"]\n";
        let handle = server(&format!("{site}{upstreams}"), &origin).spawn().unwrap();
        Self { handle, origin }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.handle.status().listeners[0].address).unwrap()
    }

    fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\n"), b"")
    }

    /// The answer to this, on a connection of its own.
    fn ask(&self, head: &str, body: &[u8]) -> Answer {
        let mut stream = self.connect();
        stream
            .write_all(format!("{head}Host: shop.example\r\nConnection: close\r\n\r\n").as_bytes())
            .unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        // A connection that is broken off is what some tests are about.
        let is_whole = stream.read_to_end(&mut answer).is_ok();
        Answer::read(&answer, is_whole)
    }

    /// The same over HTTP/2.
    fn ask_h2(&self, method: &str, path: &str, body: &'static [u8]) -> Answer {
        let address = self.handle.status().listeners[0].address.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
            tokio::spawn(async move { drop(connection.await) });
            let uri = format!("http://shop.example{path}");
            let request = http::Request::builder().method(method).uri(uri).body(()).unwrap();
            let (response, mut sending) = client.send_request(request, body.is_empty()).unwrap();
            if !body.is_empty() {
                sending.send_data(Bytes::from_static(body), true).unwrap();
            }
            let Ok(response) = response.await else { return Answer::default() };
            let (head, mut receiving) = response.into_parts();
            let mut body = Vec::new();
            let mut is_whole = true;
            while let Some(piece) = receiving.data().await {
                match piece {
                    Ok(piece) => {
                        receiving.flow_control().release_capacity(piece.len()).unwrap();
                        body.extend_from_slice(&piece);
                    }
                    Err(_) => is_whole = false,
                }
            }
            let fields = head.headers.iter();
            let fields = fields.map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            });
            Answer {
                status: head.status.as_u16(),
                fields: fields.collect(),
                body: String::from_utf8_lossy(&body).into_owned(),
                is_whole,
                interim: Vec::new(),
            }
        })
    }
}

/// What a client was sent.
#[derive(Debug, Default)]
struct Answer {
    status: u16,
    fields: Vec<(String, String)>,
    body: String,
    /// Whether it came to its end.
    is_whole: bool,
    /// Heads of 1xx before it.
    interim: Vec<String>,
}

impl Answer {
    fn read(bytes: &[u8], is_whole: bool) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let mut interim = Vec::new();
        let mut rest = &*text;
        let (head, body) = loop {
            let Some((head, after)) = rest.split_once("\r\n\r\n") else { return Self::default() };
            if !head.starts_with("HTTP/1.1 1") {
                break (head, after);
            }
            interim.push(head.to_owned());
            rest = after;
        };
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let field = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            (name.to_ascii_lowercase(), value.to_owned())
        };
        let fields: Vec<_> = lines.map(field).collect();
        let is_chunked =
            fields.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
        let (body, ended) = if is_chunked { unchunked(body) } else { (body.to_owned(), true) };
        Self { status, fields, body, is_whole: is_whole && ended, interim }
    }

    fn field(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(own, _)| own == name);
        found.map_or("", |(_, value)| value)
    }
}

fn unchunked(mut body: &str) -> (String, bool) {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let Ok(length) = usize::from_str_radix(length, 16) else { break };
        if length == 0 {
            return (whole, true);
        }
        let Some(piece) = rest.get(..length) else { break };
        whole.push_str(piece);
        body = rest.get(length + 2..).unwrap_or_default();
    }
    (whole, false)
}
