//! Who may ask, how many at once, and how fast they are answered.

use http::{Method, StatusCode};
use schemars::{Schema, SchemaGenerator};
use serde::Serializer;

use super::define::model;
use super::table::OneOrMany;
use super::text::{Count, TemplateText};
use crate::at::At;
use crate::native::{Decoder, Node, Setting};
use crate::units::{Bytes, Size, Timeout};

model! {
    /// Who may ask. Everything that is said must hold. A request that is refused is a fault, so `errors` apply to it.
    pub struct Access: Default {
        /// Rules for the client's address, in order: `"allow 10.0.0.0/8"`, `"deny 192.0.2.1"`, `"deny all"`. The first that is for
        /// the client decides; without one it passes. A client on a Unix socket has no address: only `all` is for it.
        pub clients: Vec<At<Box<str>>> = Vec::new(),
        /// The methods, of which it must be one. `GET` does not include `HEAD`.
        pub methods: OneOrMany<Method> = OneOrMany::default(),
        /// Which pages may lead here, by `Referer`: `"none"` when there is no such header, `"blocked"` when it does not begin with
        /// `http://` or `https://`, hosts such as `"*.example.com"` or `"example.com/gallery/"`, `"~regex"` for what follows `//`.
        pub referers: Vec<At<Box<str>>> = Vec::new(),
        /// A condition, such as `'$http_x_key == "secret"'`.
        pub when: Option<At<Box<str>>> = None,
        /// Tables like this one, of which one must hold.
        pub any: Vec<At<Access>> = Vec::new(),
        /// Tables like this one, all of which must hold.
        pub all: Vec<At<Access>> = Vec::new(),
        /// The status of a refusal, 400 to 599. Without it 403, or 405 where only `methods` is said.
        pub status: Option<At<FaultStatus>> = None,
    }
}

model! {
    /// How many requests may be in progress at once; streams of HTTP/2 count singly. At least one of `per_client` and `total`.
    pub struct Concurrency: Default {
        /// How many of one client.
        pub per_client: Option<At<Count<1, 1_000_000>>> = None,
        /// How many of all clients together.
        pub total: Option<Count<1, 1_000_000>> = None,
        /// What makes a client, for `per_client`: a template. Requests for which it renders empty do not count, and only its
        /// first 255 bytes do. Without it the client's address, of IPv6 the first 64 bits; none on a Unix socket.
        pub key: Option<At<TemplateText>> = None,
        /// The status of a request too many, 400 to 599.
        pub status: FaultStatus = FaultStatus::UNAVAILABLE,
    }
}

model! {
    /// How long the upstream may take on this route. What is not said is as the upstream has it.
    pub struct RouteTimeouts: Default {
        /// To connect, TLS included.
        pub connect: Option<Timeout> = None,
        /// Between two pieces of an answer, and until the first.
        pub read: Option<Timeout> = None,
        /// Until a piece of a request is taken.
        pub write: Option<Timeout> = None,
    }
}

model! {
    /// How fast an answer is sent. Each answer by itself; a WebSocket is not slowed.
    pub struct Bandwidth {
        /// Bytes in a second. `"0"` is as fast as it goes.
        pub rate: At<Bytes>,
        /// How much is sent before that, as fast as it goes.
        pub after: Option<At<Size>> = None,
    }
}

/// The status of a refusal, 400 to 599.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultStatus(StatusCode);

impl FaultStatus {
    /// 503.
    pub const UNAVAILABLE: Self = Self(StatusCode::SERVICE_UNAVAILABLE);

    /// `status` if it tells of a fault.
    #[must_use]
    pub fn new(status: StatusCode) -> Option<Self> {
        (400..=599).contains(&status.as_u16()).then_some(Self(status))
    }

    /// The status.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.0
    }
}

impl Setting for FaultStatus {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        let number = Count::<400, 599>::decode(node, decoder)?.value();
        let status =
            u16::try_from(number).ok().and_then(|number| StatusCode::from_u16(number).ok());
        status.map(Self)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.0.as_u16())
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        Count::<400, 599>::schema(generator)
    }
}
