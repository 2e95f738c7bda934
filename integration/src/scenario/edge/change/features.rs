//! What this binary can do. A change that it cannot make is left out of the scenario, and said to be.

use std::net::SocketAddr;

use super::world::{Change, World};
use crate::client::Client;
use crate::command::switchback;
use crate::config::config;
use crate::message::get;
use crate::proxy::Proxy;

/// An ability that scenarios need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Listeners come and go on reload.
    Listeners,
    /// Requests on connections of a listener that went are answered as before.
    KeptConnections,
    /// Sockets of a listener that stays are made anew, with other settings, on reload.
    SocketSettings,
    /// The number of workers changes on reload.
    Workers,
    /// Certificates change when their files do.
    CertificateFiles,
    /// `switchback upgrade`.
    Upgrade,
    /// Bodies must keep a least rate.
    LeastRate,
    /// Several processes share an address.
    SharedAddress,
}

impl Feature {
    /// What the code of this repository cannot do yet: the tests require all else, and `make show-edge` all of it. Whoever
    /// makes one of them true takes it off this list.
    pub const NOT_YET: &'static [Self] = &[];

    /// What the scenario of changes asks for.
    const OF_CHANGES: [Self; 6] = [
        Self::Listeners,
        Self::KeptConnections,
        Self::SocketSettings,
        Self::Workers,
        Self::CertificateFiles,
        Self::Upgrade,
    ];

    /// Whether the code of this repository should have it.
    #[must_use]
    pub fn is_required(self) -> bool {
        !Self::NOT_YET.contains(&self)
    }

    /// What is needed to make this change.
    pub(super) fn needed_for(change: Change) -> Option<Self> {
        match change {
            Change::Routes | Change::CertificateNamed => None,
            Change::CertificateReplaced => Some(Self::CertificateFiles),
            Change::ListenerAdded | Change::ListenerMoved | Change::ListenerRemoved => {
                Some(Self::Listeners)
            }
            Change::SocketsReopened => Some(Self::SocketSettings),
            Change::Workers => Some(Self::Workers),
        }
    }

    /// Those of the scenario of changes that this binary does not have, each with what became of the attempt.
    pub(super) fn missing() -> Vec<(Self, String)> {
        let probed = Self::OF_CHANGES.into_iter().map(|feature| (feature, feature.probe()));
        probed.filter_map(|(feature, probe)| Some((feature, probe.err()?))).collect()
    }

    /// Whether the binary has it, as a proxy shows that serves nobody else.
    pub(in super::super) fn probe(self) -> Result<(), String> {
        match self {
            Self::Listeners => change_alone(Change::ListenerAdded),
            Self::KeptConnections => ask_after_the_listener_went(),
            Self::SocketSettings => change_alone(Change::SocketsReopened),
            Self::Workers => change_alone(Change::Workers),
            Self::CertificateFiles => change_alone(Change::CertificateReplaced),
            Self::Upgrade => {
                let folder = tempfile::tempdir().expect("a temporary folder");
                let finished = switchback(folder.path(), &["upgrade", "--help"]);
                let known = finished.code == Some(0);
                if known { Ok(()) } else { Err(finished.stderr.lines().take(1).collect()) }
            }
            Self::LeastRate => is_taken("min_rate = { receive = \"240\", send = \"240\" }"),
            Self::SharedAddress => is_taken("socket = { share = true }"),
        }
    }
}

fn change_alone(change: Change) -> Result<(), String> {
    let (mut world, proxy) = alone();
    world.change(change, &proxy)
}

/// Whether a listener may say this.
fn is_taken(line: &str) -> Result<(), String> {
    let config = config().web(line).site("").respond("/*", "hello");
    Proxy::try_start(&config).map(drop).map_err(|refusal| refusal.stderr)
}

fn ask_after_the_listener_went() -> Result<(), String> {
    let (mut world, proxy) = alone();
    world.change(Change::ListenerAdded, &proxy)?;
    let mut client = Client::tcp(world.guest.ok_or("no listener was added")?);
    let mut ask = || client.try_ask(&get("/fixed")).map(|answer| answer.status);
    let before = ask();
    world.change(Change::ListenerRemoved, &proxy)?;
    match (before, ask()) {
        (Ok(200), Ok(200)) => Ok(()),
        (before, after) => Err(format!("answered with {before:?}, then with {after:?}")),
    }
}

/// A proxy that serves nobody else.
fn alone() -> (World, Proxy) {
    let nobody: SocketAddr = ([127, 0, 0, 1], 9).into();
    let world = World::new(nobody, false);
    let proxy = Proxy::start(&world.config());
    (world, proxy)
}
