//! The numbers of the C interface, read back.

use crate::exchange::{Fact, Level, Map, Part, Refused};
use crate::hook::Hook;
use crate::operation::OperationError;
use crate::setup::MetricKind;

macro_rules! numbers {
    ($($name:ident as $number:ident { $($variant:ident),* $(,)? })*) => {$(
        impl $name {
            /// What has that number in the C interface; `None` where nothing has.
            #[must_use]
            pub const fn from_number(number: $number) -> Option<Self> {
                $(
                    if number == Self::$variant as $number {
                        return Some(Self::$variant);
                    }
                )*
                None
            }
        }
    )*};
}

numbers! {
    Map as u32 { RequestHeaders, RequestTrailers, ResponseHeaders, ResponseTrailers }
    Fact as u32 {
        Method, Scheme, Host, Path, Query, Target, Protocol, ClientAddress, RequestId, Site, Route,
        Upstream, Shard, Endpoint, Attempt, Status, CacheStatus, BytesSent, Elapsed, Aborted,
        Plugin,
    }
    Part as u32 { Method, Host, Path, Query }
    Level as u32 { Trace, Debug, Info, Warn, Error }
    Hook as u32 {
        Request, Route, Upstream, UpstreamRequest, UpstreamResponse, Response, RequestBody,
        ResponseBody, Log, Tick,
    }
    MetricKind as u32 { Counter, Gauge, Histogram }
    Refused as i32 { NotNow, Invalid, Unknown, Full, Unsupported }
    OperationError as i32 { Timeout, Failed, TooLarge, Refused, Cancelled }
}
