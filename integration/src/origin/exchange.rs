//! One connection at an origin, request after request.

use std::io::Write;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::Shared;
use super::answer::{Answer, Step};
use super::received::Received;
use crate::message::{Reply, pattern_byte};
use crate::patience::Deadline;
use crate::stream::Stream;
use crate::wire::{Framing, Head, Headers, Incoming, WireError, framing};

/// The key and the answer of RFC 6455, 1.3.
const WEBSOCKET_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A pooled connection may be idle for as long as any test lasts.
const LONG: Duration = Duration::from_secs(600);

/// What becomes of the connection after an answer.
enum Then {
    Next,
    Close,
}

pub(super) fn serve_connection(stream: Stream, shared: &Arc<Shared>) {
    let Ok(closer) = stream.closer() else { return };
    let connection = shared.ledger.opened(closer);
    let mut exchange =
        Exchange { incoming: Incoming::new(stream), shared: Arc::clone(shared), connection };
    // A broken connection is the peer's business: what matters about it is what the ledger says.
    let _ended = exchange.serve();
    drop(exchange);
    shared.ledger.closed(connection);
}

struct Exchange {
    incoming: Incoming<Stream>,
    shared: Arc<Shared>,
    connection: usize,
}

/// A request whose body may still be under way.
struct Asked {
    head: Head,
    method: String,
    target: String,
}

impl Exchange {
    fn serve(&mut self) -> Result<(), WireError> {
        self.incoming.stream.set_read_timeout(LONG)?;
        self.incoming.stream.handshake()?;
        while !self.shared.is_stopped() {
            let head = self.incoming.head()?;
            self.shared.ledger.head();
            let asked = Asked::new(head)?;
            let answer = self.shared.answer(asked.path());
            match self.answer(&asked, answer)? {
                Then::Next => {}
                Then::Close => return Ok(()),
            }
        }
        Ok(())
    }

    fn answer(&mut self, asked: &Asked, answer: Answer) -> Result<Then, WireError> {
        match answer {
            Answer::Script(steps) => self.script(asked, steps),
            Answer::Chosen(choice) => {
                let request = self.read_body(asked)?;
                self.script(asked, choice.steps(&request))
            }
            Answer::Tunnel => self.tunnel(asked),
            Answer::Reply(reply) => {
                self.read_body(asked)?;
                self.reply(asked, &reply)
            }
            Answer::Echo => {
                let request = self.read_body(asked)?;
                let body = echo(&request).to_string();
                self.reply(asked, &Reply::ok(body).header("Content-Type", "application/json"))
            }
            Answer::Stream { length, chunked } => {
                self.read_body(asked)?;
                self.shared.ledger.answering();
                self.stream(length, chunked)?;
                Ok(Then::Next)
            }
        }
    }

    fn reply(&mut self, asked: &Asked, reply: &Reply) -> Result<Then, WireError> {
        let bytes = reply.to_bytes(&asked.method);
        self.shared.ledger.answering();
        self.send(&bytes)?;
        Ok(if reply.closes() || asked.closes() { Then::Close } else { Then::Next })
    }

    fn read_body(&mut self, asked: &Asked) -> Result<Received, WireError> {
        if asked.expects_continue() {
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let framing = framing(&asked.head.headers, Framing::Nothing)?;
        let (body, trailers) = self.incoming.body(framing)?;
        let request = asked.received(body, trailers, self.connection);
        self.shared.ledger.request(request.clone());
        Ok(request)
    }

    fn script(&mut self, asked: &Asked, steps: Vec<Step>) -> Result<Then, WireError> {
        for step in steps {
            match step {
                Step::Send(bytes) => {
                    self.shared.ledger.answering();
                    self.send(&bytes)?;
                }
                Step::Drip(bytes, pause) => self.drip(&bytes, pause)?,
                Step::ReadBody => drop(self.read_body(asked)?),
                Step::Wait(gate) if gate.wait(Deadline::after(LONG)) => {}
                Step::Wait(_) => return Ok(Then::Close),
                Step::Fin => self.incoming.stream.finish()?,
                Step::Reset => {
                    self.incoming.stream.reset_on_drop()?;
                    return Ok(Then::Close);
                }
                Step::Stall => self.stall(),
                Step::Next => return Ok(Then::Next),
            }
        }
        Ok(Then::Close)
    }

    fn drip(&mut self, bytes: &[u8], pause: Duration) -> Result<(), WireError> {
        for byte in bytes {
            self.send(&[*byte])?;
            thread::park_timeout(pause);
        }
        Ok(())
    }

    fn stall(&self) {
        while !self.shared.is_stopped() {
            let deadline = Deadline::after(Duration::from_millis(100));
            let _stopped = self.shared.ledger.wait(deadline, |_| self.shared.is_stopped());
        }
    }

    fn tunnel(&mut self, asked: &Asked) -> Result<Then, WireError> {
        self.shared.ledger.request(asked.received(Vec::new(), Headers::default(), self.connection));
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {WEBSOCKET_ACCEPT}\r\n\r\n"
        );
        self.send(head.as_bytes())?;
        loop {
            let bytes = self.incoming.some()?;
            if bytes.is_empty() {
                return Ok(Then::Close);
            }
            self.send(&bytes)?;
        }
    }

    fn stream(&mut self, length: usize, chunked: bool) -> Result<(), WireError> {
        const BLOCK: usize = 32 * 1024;
        let framing = if chunked {
            "Transfer-Encoding: chunked".to_owned()
        } else {
            format!("Content-Length: {length}")
        };
        self.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n").as_bytes())?;
        let mut sent = 0;
        while sent < length {
            let end = (sent + BLOCK).min(length);
            let block: Vec<u8> = (sent..end).map(pattern_byte).collect();
            if chunked {
                self.send(format!("{:x}\r\n", block.len()).as_bytes())?;
            }
            self.send(&block)?;
            if chunked {
                self.send(b"\r\n")?;
            }
            sent = end;
        }
        if chunked { self.send(b"0\r\n\r\n") } else { Ok(()) }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        self.incoming.stream.write_all(bytes)?;
        Ok(self.incoming.stream.flush()?)
    }
}

impl Asked {
    fn new(head: Head) -> Result<Self, WireError> {
        let words: Vec<&str> = head.start.split(' ').collect();
        let [method, target, "HTTP/1.1"] = words.as_slice() else {
            return Err(WireError::Malformed(format!("no request line: {:?}", head.start)));
        };
        let (method, target) = ((*method).to_owned(), (*target).to_owned());
        Ok(Self { head, method, target })
    }

    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    fn expects_continue(&self) -> bool {
        self.head
            .headers
            .all("expect")
            .iter()
            .any(|value| value.eq_ignore_ascii_case("100-continue"))
    }

    fn closes(&self) -> bool {
        self.head.headers.all("connection").iter().any(|value| value.eq_ignore_ascii_case("close"))
    }

    fn received(&self, body: Vec<u8>, trailers: Headers, connection: usize) -> Received {
        Received {
            method: self.method.clone(),
            target: self.target.clone(),
            headers: self.head.headers.clone(),
            body,
            trailers,
            raw_head: self.head.raw.clone(),
            connection,
        }
    }
}

fn echo(request: &Received) -> serde_json::Value {
    json!({
        "method": request.method,
        "target": request.target,
        "headers": request.headers.0,
        "body": String::from_utf8_lossy(&request.body),
        "connection": request.connection,
    })
}
