//! The places of a request's way at which plugins are asked.

use std::fmt;

use crate::exchange::Map;
use crate::operation::Operation;

/// One place of a request's way at which a plugin may be asked.
///
/// The numbers are those of the C interface, and are never given to another hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum Hook {
    /// The request's head was received and its route found; nothing was answered or asked yet.
    Request = 0,
    /// Before the cache is looked into and an upstream is chosen.
    Route = 1,
    /// Before each try, once per endpoint that is to be asked.
    Upstream = 2,
    /// The head as it is about to be sent to the endpoint.
    UpstreamRequest = 3,
    /// The head that came from the endpoint, before the cache stores it.
    UpstreamResponse = 4,
    /// The head as it is about to be sent to the client, wherever it came from.
    Response = 5,
    /// A piece of the request's body, on its way to the endpoint.
    RequestBody = 6,
    /// A piece of the response's body, on its way to the client.
    ResponseBody = 7,
    /// The request has ended, whichever way.
    Log = 8,
    /// The time that the plugin asked for in [`Setup::every`](crate::Setup::every) has passed; no request is at hand.
    Tick = 9,
}

impl Hook {
    /// All of them, in the order of a request's way.
    pub const ALL: [Self; 10] = [
        Self::Request,
        Self::Route,
        Self::Upstream,
        Self::UpstreamRequest,
        Self::UpstreamResponse,
        Self::Response,
        Self::RequestBody,
        Self::ResponseBody,
        Self::Log,
        Self::Tick,
    ];

    /// Its name, as in the [`Plugin`](crate::Plugin) trait.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "on_request",
            Self::Route => "on_route",
            Self::Upstream => "on_upstream",
            Self::UpstreamRequest => "on_upstream_request",
            Self::UpstreamResponse => "on_upstream_response",
            Self::Response => "on_response",
            Self::RequestBody => "on_request_body",
            Self::ResponseBody => "on_response_body",
            Self::Log => "on_log",
            Self::Tick => "on_tick",
        }
    }

    /// Whether a plugin may await there. Where the proxy cannot wait, a hook that does is a failure of the plugin.
    #[must_use]
    pub const fn may_wait(self) -> bool {
        !matches!(self, Self::ResponseBody | Self::Log)
    }

    /// Whether `operation` may be begun there: where nobody can wait, only what answers at once.
    #[must_use]
    pub const fn may_begin(self, operation: &Operation) -> bool {
        self.may_wait() || matches!(operation, Operation::Store(_))
    }

    /// Whether fields of `map` may be changed there: until the head that has them is sent.
    #[must_use]
    pub const fn may_change(self, map: Map) -> bool {
        match map {
            Map::RequestHeaders => {
                matches!(self, Self::Request | Self::Route | Self::Upstream | Self::UpstreamRequest)
            }
            Map::RequestTrailers => matches!(self, Self::RequestBody),
            Map::ResponseHeaders => matches!(self, Self::UpstreamResponse | Self::Response),
            Map::ResponseTrailers => matches!(self, Self::ResponseBody),
        }
    }

    /// Whether method, host, path and query may be changed there.
    #[must_use]
    pub const fn may_change_target(self) -> bool {
        matches!(self, Self::Request | Self::UpstreamRequest)
    }

    /// Whether it may be decided there where the request goes.
    #[must_use]
    pub const fn may_steer(self) -> bool {
        matches!(self, Self::Request | Self::Route)
    }

    /// Whether a piece of a body is at hand.
    #[must_use]
    pub const fn has_piece(self) -> bool {
        matches!(self, Self::RequestBody | Self::ResponseBody)
    }

    /// Whether interim responses may be sent there: no head was sent yet.
    #[must_use]
    pub const fn may_inform(self) -> bool {
        matches!(
            self,
            Self::Request
                | Self::Route
                | Self::Upstream
                | Self::UpstreamRequest
                | Self::RequestBody
        )
    }
}

/// A set of hooks.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Hooks(u64);

impl Hooks {
    /// None.
    pub const NONE: Self = Self(0);

    /// These.
    #[must_use]
    pub const fn of(hooks: &[Hook]) -> Self {
        let mut bits = 0;
        let mut rest = hooks;
        while let [hook, others @ ..] = rest {
            bits |= 1 << *hook as u32;
            rest = others;
        }
        Self(bits)
    }

    /// Those whose bits are set, as the C interface has them; bits that no hook has are kept, and mean nothing.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// A bit for each, at the place of the hook's number.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether `hook` is among them.
    #[must_use]
    pub const fn contains(self, hook: Hook) -> bool {
        self.0 & (1 << hook as u32) != 0
    }

    /// Both sets in one.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Hook::ALL.into_iter().filter(|hook| self.contains(*hook)).map(Hook::name);
        f.debug_set().entries(names).finish()
    }
}
