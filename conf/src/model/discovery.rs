//! How endpoints are found.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use super::define::model;
use crate::at::At;
use crate::native::{FromText, Problem};
use crate::units::Timeout;

model! {
    /// How long what a name stands for is believed: as long as its records say, within these bounds.
    pub struct Resolve: Default {
        /// At least so long.
        pub min: At<Timeout> = At::from(Timeout::seconds(1)),
        /// At most so long.
        pub max: At<Timeout> = At::from(Timeout::seconds(300)),
    }
}

/// A name server, such as `"10.0.0.2"` or `"[::1]:5353"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameServer(pub SocketAddr);

/// Where name servers listen.
const PORT: u16 = 53;

impl FromText for NameServer {
    const EXPECTED: &'static str = "a name server such as \"10.0.0.2:53\"";

    fn from_text(text: &str) -> Result<Self, Problem> {
        let address = text.parse::<SocketAddr>().ok();
        let address =
            address.or_else(|| text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, PORT)));
        address.filter(|address| address.port() != 0).map(Self).ok_or_else(|| {
            Problem::new(format!("`{text}` is not the address of a name server"))
                .hint("as in \"10.0.0.2\" or \"[::1]:5353\"")
        })
    }

    fn to_text(&self) -> Cow<'_, str> {
        Cow::Owned(self.0.to_string())
    }
}
