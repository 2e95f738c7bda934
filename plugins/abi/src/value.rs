//! What is handed from one side to the other.

use core::ffi::c_void;
use core::marker::{PhantomData, PhantomPinned};
use core::ptr::null;

/// One request while a hook runs. Of use only during the call that it is given to.
#[repr(C)]
pub struct Exchange {
    opaque: [u8; 0],
    neighbours: PhantomData<(*mut u8, PhantomPinned)>,
}

/// What a plugin finds when it is made. Of use only during the call of `instance_new`.
#[repr(C)]
pub struct Setup {
    opaque: [u8; 0],
    neighbours: PhantomData<(*mut u8, PhantomPinned)>,
}

/// One metric. Of use on any thread, until it is given back to `meter_free`.
#[repr(C)]
pub struct Meter {
    opaque: [u8; 0],
    neighbours: PhantomData<(*mut u8, PhantomPinned)>,
}

/// Bytes that somebody else owns. `data` is null where there is nothing, which is something else than no bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Bytes {
    /// The first one; null where there is nothing.
    pub data: *const u8,
    /// How many.
    pub length: usize,
}

impl Bytes {
    /// Nothing.
    pub const ABSENT: Self = Self { data: null(), length: 0 };

    /// Those of `bytes`, to be looked at as long as they are borrowed.
    #[must_use]
    pub const fn of(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr(), length: bytes.len() }
    }
}

/// One field, or any other pair of a name and a value.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name: in lower case when it comes from the host, in any case when it is given to it.
    pub name: Bytes,
    /// Its value.
    pub value: Bytes,
}

/// An endpoint that may be asked.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    /// Size of this struct, set by whoever wants to have it filled.
    pub size: u32,
    /// Its share, as it is configured.
    pub weight: u32,
    /// Requests that it has in hand.
    pub in_flight: u32,
    /// 1 where the balancer would ask it, otherwise 0.
    pub ready: u32,
    /// Its latency in nanoseconds; 0 while unknown.
    pub latency: u64,
    /// `10.0.0.1:8080` or `unix:/run/app.sock`
    pub address: Bytes,
}

/// One decision about where a request goes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Steer {
    /// Size of this struct.
    pub size: u32,
    /// Which decision: `SB_STEER_..`
    pub kind: u32,
    /// The name or key, where the decision has one.
    pub text: Bytes,
    /// The number, where the decision has one.
    pub number: u64,
}

/// A metric to be defined. It is shown as `switchback_plugin_NAME` with a label `plugin`, and `labels`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Size of this struct.
    pub size: u32,
    /// What it counts: `SB_METRIC_..`
    pub kind: u32,
    /// Its name.
    pub name: Bytes,
    /// What it means.
    pub help: Bytes,
    /// Labels.
    pub labels: *const Field,
    /// How many labels.
    pub label_count: usize,
}

/// Is called with each field of a list.
pub type Visit = unsafe extern "C" fn(data: *mut c_void, name: Bytes, value: Bytes);
