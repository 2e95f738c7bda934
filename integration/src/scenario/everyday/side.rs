//! The two that are compared, over the same files and origins.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

use super::case::{Case, Door};
use super::tree::Tree;
use crate::client::{Client, Trust};
use crate::config::text;
use crate::message::{Reply, Response};
use crate::origin::{Answer, Origin, Received};
use crate::peer::{Peer, free_address};
use crate::proxy::Proxy;

/// What stands behind and below the proxies.
pub(super) struct Ground {
    pub(super) tree: Tree,
    pub(super) origins: [Origin; 2],
    /// Bound, so that nobody else takes its port, but nobody listens.
    closed: Socket,
}

impl Ground {
    pub(super) fn new(answers: &[(String, Reply)]) -> Self {
        let origin = |name: &str| {
            let hello = Reply::ok(format!("Hello from {name}.\n"));
            let first = Origin::start().serve("*", hello.header("Content-Type", "text/plain"));
            let tunnel = first.serve("/socket/open", Answer::Tunnel);
            answers.iter().fold(tunnel, |origin, (path, reply)| origin.serve(path, reply.clone()))
        };
        let closed = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        closed.bind(&any.into()).expect("a port on loopback");
        Self { tree: Tree::new(), origins: [origin("one"), origin("two")], closed }
    }

    fn closed_port(&self) -> u16 {
        let address = self.closed.local_addr().ok().and_then(|address| address.as_socket());
        address.expect("a bound socket").port()
    }

    /// How many requests each origin has had.
    fn marks(&self) -> [usize; 2] {
        [0, 1].map(|number| self.origins[number].count())
    }

    /// What the origins have had since.
    fn since(&self, marks: [usize; 2]) -> Vec<(usize, Received)> {
        let of = |number: usize| {
            let new = self.origins[number].requests_after(marks[number]);
            new.into_iter().map(move |received| (number, received))
        };
        of(0).chain(of(1)).collect()
    }

    /// A configuration with what is here in place of the addresses and paths that it names.
    fn put_in_place(&self, config: &str, doors: [SocketAddr; 2]) -> String {
        let etc = self.tree.etc();
        let places = [
            ("127.0.0.1:8080", doors[0].to_string()),
            ("127.0.0.1:8443", doors[1].to_string()),
            ("127.0.0.1:3000", self.origins[0].endpoint().to_string()),
            ("127.0.0.1:3001", self.origins[1].endpoint().to_string()),
            ("127.0.0.1:3009", format!("127.0.0.1:{}", self.closed_port())),
            ("/srv/", format!("{}/", self.tree.srv().display())),
            ("/etc/ssl/", format!("{}/", etc.display())),
            ("/etc/nginx/reports.htpasswd", format!("{}/reports.htpasswd", etc.display())),
            ("/run/nginx.pid", "nginx.pid".to_owned()),
            ("/var/log/nginx/error.log", "stderr".to_owned()),
            ("/var/log/nginx/", String::new()),
            ("${LOG_FOLDER:-/var/log/switchback}/", String::new()),
        ];
        places.iter().fold(config.to_owned(), |text, (place, here)| text.replace(place, here))
    }
}

/// One of the two.
pub(super) struct Side<'a> {
    ground: &'a Ground,
    doors: [SocketAddr; 2],
    _process: Process,
}

enum Process {
    Nginx { _peer: Peer },
    Switchback { _proxy: Box<Proxy> },
}

/// What came of a request.
pub(super) struct Outcome {
    /// The answer, or why there is none.
    pub(super) answer: Result<Response, String>,
    /// What the origins received, each with the number of the origin.
    pub(super) received: Vec<(usize, Received)>,
    /// The ports of the side, for addresses that name them.
    pub(super) ports: [u16; 2],
}

impl<'a> Side<'a> {
    /// nginx with this configuration; `None` when it is not installed.
    pub(super) fn nginx(ground: &'a Ground, config: &str) -> Option<Self> {
        let doors = [free_address(), free_address()];
        let peer = Peer::nginx_whole(&ground.put_in_place(config, doors), doors[0])?;
        Some(Self { ground, doors, _process: Process::Nginx { _peer: peer } })
    }

    /// Switchback with this configuration, or why it does not start.
    pub(super) fn switchback(ground: &'a Ground, config: &str) -> Result<Self, String> {
        let doors = [free_address(), free_address()];
        let config = text(ground.put_in_place(config, doors));
        let proxy = Proxy::try_start(&config).map_err(|refusal| refusal.stderr)?;
        Ok(Self { ground, doors, _process: Process::Switchback { _proxy: Box::new(proxy) } })
    }

    /// Sends one request on a connection of its own.
    pub(super) fn ask(&self, case: &Case) -> Outcome {
        let marks = self.ground.marks();
        let answer = self.answer(case);
        let ports = self.doors.map(|door| door.port());
        Outcome { answer, received: self.ground.since(marks), ports }
    }

    fn answer(&self, case: &Case) -> Result<Response, String> {
        let mut client = match case.door {
            Door::Plain => Client::tcp(self.doors[0]),
            Door::Tls => Client::tls(self.doors[1], "example.org", &Trust::Anyone),
        };
        // The other end may answer and close before it has read everything.
        let _sent = client.try_send(&case.bytes);
        loop {
            match client.try_response_to(&case.method) {
                Ok(response) if response.status == 100 => {}
                Ok(response) => return Ok(response),
                Err(error) => return Err(format!("{error:?}")),
            }
        }
    }
}
