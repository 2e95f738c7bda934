//! `honeypot`: paths that nobody asks for who means well.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv6Addr};

use schemars::JsonSchema;
use serde::Deserialize;
use switchback_plugin::{
    BuildError, Counter, Flow, Level, Operating, Plugin, Request, Setup, StoreAction, hooks,
};

use crate::networks::{Networks, network};
use crate::path_list::PathList;
use crate::turns::Turns;
use crate::units::Time;

/// Paths that nobody asks for who means well.
pub(crate) struct Honeypot {
    traps: PathList,
    trap_status: u16,
    status: u16,
    remember: Time,
    store: String,
    spared: Networks,
    delay: Time,
    turns: Turns,
    trapped: Counter,
    refused: Counter,
}

/// What an operator may say.
///
/// Where the traps are on a path that is linked to, forbid it in `robots.txt`: crawlers that mean well stay away then.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// Paths of traps: `/wp-login.php`; one that ends in `*` stands for all that begin so. Whoever asks for one is noted.
    traps: Vec<String>,
    /// The status with which a trap answers.
    trap_status: u16,
    /// The status with which all requests of a client that is noted are refused.
    status: u16,
    /// How long a client is noted, from its last request for a trap on. `"0"`: not at all, and only traps answer.
    remember: Time,
    /// The store in which clients are noted: by address, of IPv6 by the first 64 bits.
    store: String,
    /// Networks whose clients are never noted, nor refused.
    spare: Vec<String>,
    /// How long a trap waits before it answers.
    tarpit: Time,
    /// How many wait at the same time; to those beyond, the trap answers at once.
    tarpits: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            traps: Vec::new(),
            trap_status: 404,
            status: 403,
            remember: Time::seconds(3_600),
            store: "honeypot".to_owned(),
            spare: Vec::new(),
            tarpit: Time::seconds(0),
            tarpits: 100,
        }
    }
}

/// A connection that waits longer than this costs us more than its client.
const LONGEST_TARPIT: Time = Time::seconds(300);

#[hooks]
impl Plugin for Honeypot {
    const NAME: &'static str = "honeypot";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Options = Options;
    type State = ();

    fn build(options: Options, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        options.check()?;
        // The store is asked before, and told after.
        setup.timeout(options.tarpit.0 + std::time::Duration::from_secs(1));
        let spared = options.spare.iter().enumerate().map(|(index, text)| {
            network(text).map_err(|message| BuildError::new(format!("spare[{index}]"), message))
        });
        let spared: Result<Vec<_>, _> = spared.collect();
        Ok(Self {
            traps: PathList::new("traps", &options.traps)?,
            spared: Networks::new(spared?),
            turns: Turns::new(options.tarpits),
            trap_status: options.trap_status,
            status: options.status,
            remember: options.remember,
            store: options.store,
            delay: options.tarpit,
            trapped: setup.counter("honeypot_trapped_total", "Requests for a trap.", &[])?,
            refused: setup.counter(
                "honeypot_refused_total",
                "Requests of clients that had asked for a trap.",
                &[],
            )?,
        })
    }

    async fn on_request(&self, (): &mut (), request: &mut Request<'_>) -> Flow {
        let is_trap = self.traps.find(&request.path()).is_some();
        let address = request.client_address().map(|address| address.to_canonical());
        let address = address.filter(|address| !self.spared.contains(*address));
        if is_trap {
            return self.trap(address, request).await;
        }
        let Some(address) = address.filter(|_| !self.remember.0.is_zero()) else {
            return Flow::Continue;
        };
        match request.stored(&self.store, key(address)).await {
            Ok(None) => Flow::Continue,
            Ok(Some(_)) => {
                self.refused.add(1);
                Flow::status(self.status)
            }
            Err(error) => Flow::fail(format!("store `{}`: {error}", self.store)),
        }
    }
}

impl Honeypot {
    async fn trap(&self, address: Option<IpAddr>, request: &mut Request<'_>) -> Flow {
        self.trapped.add(1);
        if let Some(address) = address.filter(|_| !self.remember.0.is_zero()) {
            let put = StoreAction::Put { value: "1".into(), ttl: Some(self.remember.0) };
            if let Err(error) = request.store(&self.store, key(address), put).await {
                request.log(Level::Warn, &format!("{address} could not be noted: {error}"));
            }
        }
        if !self.delay.0.is_zero()
            && let Some(_turn) = self.turns.take()
        {
            // A wait that is cut short is answered sooner.
            let _ = request.sleep(self.delay.0).await;
        }
        Flow::status(self.trap_status)
    }
}

/// Whoever has an address of IPv6 has all those with the same first 64 bits.
fn key(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).to_string(),
    }
}

impl Options {
    fn check(&self) -> Result<(), BuildError> {
        if self.traps.is_empty() {
            return Err(BuildError::new("traps", "there is no trap"));
        }
        for (key, status) in [("trap_status", self.trap_status), ("status", self.status)] {
            if !(200..=599).contains(&status) {
                let message = format!("{status} is no status of an answer: 200 to 599");
                return Err(BuildError::new(key, message));
            }
        }
        if self.tarpit > LONGEST_TARPIT {
            return Err(BuildError::new("tarpit", format!("at most {LONGEST_TARPIT}")));
        }
        if !self.tarpit.0.is_zero() && self.tarpits == 0 {
            return Err(BuildError::new("tarpits", "with none, no trap waits"));
        }
        if self.store.is_empty() {
            return Err(BuildError::new("store", "a store has a name"));
        }
        Ok(())
    }
}
