//! How a listener's sockets are set up.

use std::borrow::Cow;

use super::define::model;
use super::text::{Count, OrOff};
use crate::at::At;
use crate::native::{FromText, Problem};
use crate::units::{Size, Timeout};

model! {
    /// Options of a listener's sockets. What the kernel refuses is an error of the start or reload.
    pub struct SocketOptions: Default {
        /// Connections that may wait to be accepted; the kernel cuts it to `net.core.somaxconn`.
        pub backlog: At<Count<1, 65_535>> = At::from(Count::clamped(65_535)),
        /// The network interface that connections must come in by, such as `"eth0"`.
        pub device: Option<At<Box<str>>> = None,
        /// Whether other processes of the same user may listen at the address too, if they say so as well: the kernel spreads
        /// connections over all of them. Without it, an address that is in use is an error.
        pub share: At<bool> = At::from(false),
        /// Whether addresses that are not this machine's may be bound, as a transparent proxy does. Needs `CAP_NET_ADMIN`.
        pub transparent: At<bool> = At::from(false),
        /// Connections are accepted when they have sent something, or after this time; in whole seconds. They wait in the kernel.
        pub defer_accept: Option<At<Timeout>> = None,
        /// Connections that may be waiting to be completed while they bring data already (TCP Fast Open). Without it, none.
        pub fast_open: Option<At<Count<1, 65_535>>> = None,
        /// Whether the kernel asks silent clients whether they are still there: a table, `{}` for its defaults, or `"off"`.
        pub keepalive: At<OrOff<Keepalive>> = At::from(OrOff::Off),
        /// Bytes that the kernel takes in for a connection before they are read. Without it, the kernel decides as it goes.
        pub receive_buffer: Option<At<Size>> = None,
        /// Bytes that the kernel takes for a connection before they are acknowledged. Without it, the kernel decides as it goes.
        pub send_buffer: Option<At<Size>> = None,
        /// Bytes that the kernel takes for a connection before they are sent, so that a client that hardly reads holds little
        /// memory and little of a worker's time (`TCP_NOTSENT_LOWAT`). Without it, 128 KiB.
        pub notsent_lowat: Option<At<Size>> = None,
    }
}

model! {
    /// When the kernel asks silent clients whether they are still there; in whole seconds.
    pub struct Keepalive: Default {
        /// Silence before the first question.
        pub idle: Timeout = Timeout::seconds(60),
        /// Between two questions.
        pub interval: Timeout = Timeout::seconds(10),
        /// Questions without answer before the connection ends.
        pub count: Count<1, 127> = Count::clamped(6),
    }
}

/// Who owns the file of a Unix socket: `"user:group"`, `"user"` or `":group"`, by name or number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user; `None` leaves it.
    pub user: Option<Box<str>>,
    /// The group; `None` leaves it.
    pub group: Option<Box<str>>,
}

impl FromText for Owner {
    const EXPECTED: &'static str = "an owner such as \"www-data:www-data\"";

    fn from_text(text: &str) -> Result<Self, Problem> {
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        let is_name =
            |name: &str| !name.contains(|c: char| c == ':' || c.is_whitespace() || c.is_control());
        if (user.is_empty() && group.is_empty()) || !is_name(user) || !is_name(group) {
            let problem = Problem::new(format!("`{text}` is not an owner"));
            return Err(problem.hint("as in \"user:group\", \"user\" or \":group\""));
        }
        let half = |name: &str| (!name.is_empty()).then(|| name.into());
        Ok(Self { user: half(user), group: half(group) })
    }

    fn to_text(&self) -> Cow<'_, str> {
        let user = self.user.as_deref().unwrap_or_default();
        match &self.group {
            Some(group) => format!("{user}:{group}").into(),
            None => Cow::Borrowed(user),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_half_of_an_owner_is_optional() {
        for text in ["www", "www:web", ":web", "1000:1000"] {
            assert_eq!(Owner::from_text(text).unwrap().to_text(), text);
        }
        assert_eq!(Owner::from_text("www:").unwrap().to_text(), "www");
        for text in ["", ":", "a:b:c", "a b", "a\n"] {
            assert!(Owner::from_text(text).is_err(), "{text:?}");
        }
    }
}
