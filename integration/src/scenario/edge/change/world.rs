//! The proxy's configuration as it stands, and everything about it that can be changed while it serves.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::certs::{Authority, Identity};
use crate::config::{Config, config};
use crate::message::get;
use crate::patience::Deadline;
use crate::peer::free_address;
use crate::proxy::Proxy;

use super::super::presented::presented;
use crate::client::Client;

/// One kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A route with the number of this configuration comes, its predecessor's goes.
    Routes,
    /// The listener names other certificate files.
    CertificateNamed,
    /// The certificate files hold another certificate; nobody asks for a reload.
    CertificateReplaced,
    /// A listener is added.
    ListenerAdded,
    /// It moves to another port.
    ListenerMoved,
    /// It goes.
    ListenerRemoved,
    /// The listener under load gets another backlog, and so other sockets.
    SocketsReopened,
    /// Another number of workers.
    Workers,
}

impl Change {
    /// In the order in which they are made, again and again.
    pub(super) const ALL: [Self; 8] = [
        Self::Routes,
        Self::ListenerAdded,
        Self::Workers,
        Self::CertificateNamed,
        Self::ListenerMoved,
        Self::SocketsReopened,
        Self::ListenerRemoved,
        Self::CertificateReplaced,
    ];
}

/// What the proxy is configured to be.
pub(super) struct World {
    origin: SocketAddr,
    upgrades: bool,
    patient: bool,
    pub(super) plain: SocketAddr,
    pub(super) tls: SocketAddr,
    /// Where the listener that comes and goes is, and where it was before.
    pub(super) guest: Option<SocketAddr>,
    left: Option<SocketAddr>,
    generation: usize,
    workers: usize,
    backlog: Option<usize>,
    authority: Authority,
    certificates: [Identity; 2],
    named: usize,
}

/// How long a change may take to be seen.
const PATIENCE: Duration = Duration::from_secs(5);

impl World {
    /// Before `origin`, with a table for `upgrades` if there are to be some.
    pub(super) fn new(origin: SocketAddr, upgrades: bool) -> Self {
        let authority = Authority::new();
        let certificates = [(); 2].map(|()| authority.identity(&["localhost"]));
        Self {
            origin,
            upgrades,
            patient: true,
            plain: free_address(),
            tls: free_address(),
            guest: None,
            left: None,
            generation: 1,
            workers: 2,
            backlog: None,
            authority,
            certificates,
            named: 0,
        }
    }

    /// As it is written to disk.
    pub(super) fn config(&self) -> Config {
        let Self { plain, tls, named, workers, generation, .. } = self;
        let socket = self.backlog.map(|backlog| format!("socket = {{ backlog = {backlog} }}"));
        let mut config = config()
            .top(format!("workers = {workers}"))
            // What is under way must end by itself, also on a machine that is busy with other tests.
            .top("shutdown_timeout = \"120s\"")
            .listener(format_args!(
                "name = \"web\"\naddress = \"{plain}\"\n{}",
                socket.unwrap_or_default()
            ))
            .listener(format_args!(
                "name = \"secure\"\naddress = \"{tls}\"\n\
                 tls = {{ certificate = \"{named}.pem\", key = \"{named}.key\" }}"
            ));
        if let Some(guest) = self.guest {
            config = config.listener(format_args!("name = \"guest\"\naddress = \"{guest}\""));
        }
        if self.upgrades {
            let timeout = if self.patient { "30s" } else { "1s" };
            config = config.toml(format_args!("[upgrade]\ntimeout = \"{timeout}\"\n"));
        }
        for (number, identity) in self.certificates.iter().enumerate() {
            config = config
                .file(&format!("{number}.pem"), identity.certificate_pem())
                .file(&format!("{number}.key"), identity.key_pem());
        }
        config
            .site("")
            .respond("/fixed", &format!("generation {generation}"))
            .respond(&format!("/only-in-{generation}"), "here")
            .route("/app/*", "proxy = \"app\"")
            .endpoints("app", &[self.origin.to_string()], "")
    }

    /// Has the proxy wait for successors as usual, or hardly: one that never comes would otherwise keep everybody waiting.
    pub(super) fn be_patient(&mut self, patient: bool, proxy: &Proxy) -> Result<(), String> {
        self.patient = patient;
        self.reload(proxy)
    }

    fn reload(&self, proxy: &Proxy) -> Result<(), String> {
        let verdict = proxy.reload(&self.config());
        if verdict.accepted && verdict.diagnostics.is_empty() {
            return Ok(());
        }
        Err(format!("{:?}", verdict.diagnostics))
    }

    /// Makes a change and sees it act, or says why it did not.
    pub(super) fn change(&mut self, change: Change, proxy: &Proxy) -> Result<(), String> {
        self.decide(change);
        if change == Change::CertificateReplaced {
            proxy.write(&self.config());
        } else {
            self.reload(proxy)?;
        }
        self.see(change, proxy)
    }

    fn decide(&mut self, change: Change) {
        match change {
            Change::Routes => self.generation += 1,
            Change::CertificateNamed => self.named = 1 - self.named,
            Change::CertificateReplaced => {
                self.certificates[self.named] = self.authority.identity(&["localhost"]);
            }
            Change::ListenerAdded | Change::ListenerMoved => {
                self.left = self.guest.replace(free_address());
            }
            Change::ListenerRemoved => self.left = self.guest.take(),
            Change::SocketsReopened => {
                self.backlog = Some(self.backlog.map_or(1000, |backlog| backlog + 1));
            }
            Change::Workers => self.workers = 1 + self.workers % 4,
        }
    }

    fn see(&self, change: Change, proxy: &Proxy) -> Result<(), String> {
        match change {
            Change::Routes => {
                soon("the new route answers and the old is gone", || self.is_routed())
            }
            Change::CertificateNamed | Change::CertificateReplaced => {
                let wanted = &self.certificates[self.named];
                soon("the new certificate is presented", || presented(self.tls, wanted))
            }
            Change::ListenerAdded | Change::ListenerMoved | Change::ListenerRemoved => {
                soon("the listener accepts where it is and nowhere else", || self.is_listening())
            }
            Change::SocketsReopened => {
                soon("the sockets have the new backlog", || self.has_backlog())
            }
            Change::Workers => soon("the status tells the number of workers", || {
                proxy.status()["workers"].as_u64() == Some(self.workers as u64)
            }),
        }
    }

    fn is_routed(&self) -> bool {
        let mut client = Client::tcp(self.plain);
        let status = |client: &mut Client, number| {
            client.try_ask(&get(&format!("/only-in-{number}"))).map(|answer| answer.status).ok()
        };
        status(&mut client, self.generation) == Some(200)
            && status(&mut client, self.generation - 1) == Some(404)
    }

    fn is_listening(&self) -> bool {
        let accepts = |address| TcpStream::connect_timeout(&address, PATIENCE).is_ok();
        let answers = |address: SocketAddr| {
            accepts(address)
                && Client::tcp(address)
                    .try_ask(&get("/fixed"))
                    .is_ok_and(|answer| answer.status == 200)
        };
        self.guest.is_none_or(answers) && !self.left.is_some_and(accepts)
    }

    /// As `ss` tells it: the send queue of a listening socket is the length that its backlog may have.
    fn has_backlog(&self) -> bool {
        let port = format!("sport = :{}", self.plain.port());
        let output = Command::new("ss").args(["-Hltn", &port]).output();
        let printed = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let printed = printed.unwrap_or_default();
        let mut backlogs = printed.lines().map(|line| {
            line.split_whitespace().nth(2).and_then(|number| number.parse::<usize>().ok())
        });
        !printed.is_empty() && backlogs.all(|backlog| backlog == self.backlog)
    }
}

fn soon(what: &str, mut look: impl FnMut() -> bool) -> Result<(), String> {
    let deadline = Deadline::after(PATIENCE);
    while !look() {
        if deadline.has_passed() {
            return Err(format!("in vain: {what}"));
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
    Ok(())
}
