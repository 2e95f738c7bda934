//! Numbers of the proxy-wasm interface.

use switchback_plugin::{Level, Map, Refused};

/// What a host function says. As `proxy_status_t`; the numbers are those of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Status {
    Ok = 0,
    NotFound = 1,
    BadArgument = 2,
    ParseFailure = 4,
    InvalidMemoryAccess = 6,
    Empty = 7,
    CasMismatch = 8,
    InternalFailure = 10,
    Unimplemented = 12,
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotNow | Refused::Invalid => Self::BadArgument,
            Refused::Unknown => Self::NotFound,
            Refused::Full => Self::InternalFailure,
            Refused::Unsupported => Self::Unimplemented,
        }
    }
}

/// Why something was not done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Failed {
    /// By the exchange, whose words the SDK knows.
    Refused(Refused),
    /// By us.
    Says(Status),
}

impl From<Refused> for Failed {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Status> for Failed {
    fn from(status: Status) -> Self {
        Self::Says(status)
    }
}

impl From<Failed> for Status {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Refused(refused) => refused.into(),
            Failed::Says(status) => status,
        }
    }
}

/// A list of fields, as `proxy_map_type_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapKind {
    /// Of the request or its response.
    Of(Map),
    /// Of the response to a call of the plugin's own.
    CallHeaders,
    /// Its trailers, which the proxy does not tell: none.
    CallTrailers,
}

impl MapKind {
    /// # Errors
    ///
    /// [`Status::Unimplemented`] for metadata of gRPC, [`Status::BadArgument`]
    pub(crate) fn of(number: u32) -> Result<Self, Status> {
        match number {
            0 => Ok(Self::Of(Map::RequestHeaders)),
            1 => Ok(Self::Of(Map::RequestTrailers)),
            2 => Ok(Self::Of(Map::ResponseHeaders)),
            3 => Ok(Self::Of(Map::ResponseTrailers)),
            4 | 5 => Err(Status::Unimplemented),
            6 => Ok(Self::CallHeaders),
            7 => Ok(Self::CallTrailers),
            _ => Err(Status::BadArgument),
        }
    }
}

/// Bytes that a plugin may read, as `proxy_buffer_type_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BufferKind {
    RequestBody,
    ResponseBody,
    CallBody,
    VmConfiguration,
    PluginConfiguration,
    /// Of streams without HTTP, of gRPC, of functions that we never call: known, and never there.
    Absent,
}

impl BufferKind {
    /// # Errors
    ///
    /// [`Status::BadArgument`]
    pub(crate) fn of(number: u32) -> Result<Self, Status> {
        match number {
            0 => Ok(Self::RequestBody),
            1 => Ok(Self::ResponseBody),
            4 => Ok(Self::CallBody),
            6 => Ok(Self::VmConfiguration),
            7 => Ok(Self::PluginConfiguration),
            2 | 3 | 5 | 8 => Ok(Self::Absent),
            _ => Err(Status::BadArgument),
        }
    }
}

/// The level of a line of the log; `None` for a number that is none.
pub(crate) fn level(number: u32) -> Option<Level> {
    match number {
        0 => Some(Level::Trace),
        1 => Some(Level::Debug),
        2 => Some(Level::Info),
        3 => Some(Level::Warn),
        4 | 5 => Some(Level::Error),
        _ => None,
    }
}
