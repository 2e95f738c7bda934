//! What the proxy offers.

use core::ffi::c_void;

use crate::operation::Outcome;
use crate::value::{Bytes, Endpoint, Exchange, Field, Meter, Metric, Setup, Steer, Visit};

/// The functions of the host. A module keeps the pointer that it was given: it is valid as long as the program runs.
///
/// Functions return `SB_OK`, or a negative number that says why nothing was done. What makes no sense in the hook at hand is `SB_ABSENT`
/// or `SB_NOT_NOW`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// Size of this struct: larger in later versions.
    pub size: u32,
    /// `SB_ABI_MAJOR` of the host.
    pub abi_major: u16,
    /// `SB_ABI_MINOR` of the host.
    pub abi_minor: u16,

    /// The first value of a field (in any case), or `SB_ABSENT`.
    pub field: unsafe extern "C" fn(
        exchange: *mut Exchange,
        map: u32,
        name: Bytes,
        value: *mut Bytes,
    ) -> i32,
    /// Calls `visit` with all fields, in order. It must not call the host.
    pub fields: unsafe extern "C" fn(
        exchange: *mut Exchange,
        map: u32,
        visit: Visit,
        data: *mut c_void,
    ) -> i32,
    /// Sets, appends or removes a field: `SB_CHANGE_..`
    pub change_field: unsafe extern "C" fn(
        exchange: *mut Exchange,
        map: u32,
        change: u32,
        name: Bytes,
        value: Bytes,
    ) -> i32,
    /// What is known beside the fields (`SB_FACT_..`), or `SB_ABSENT`.
    pub fact: unsafe extern "C" fn(exchange: *mut Exchange, fact: u32, value: *mut Bytes) -> i32,
    /// A variable, without `$`, or `SB_ABSENT`.
    pub variable:
        unsafe extern "C" fn(exchange: *mut Exchange, name: Bytes, value: *mut Bytes) -> i32,
    /// Sets a variable of the request, for later plugins, templates and logs.
    pub set_variable:
        unsafe extern "C" fn(exchange: *mut Exchange, name: Bytes, value: Bytes) -> i32,
    /// Changes a part of the target: `SB_PART_..`
    pub set_part: unsafe extern "C" fn(exchange: *mut Exchange, part: u32, value: Bytes) -> i32,
    /// Changes the status of the response.
    pub set_status: unsafe extern "C" fn(exchange: *mut Exchange, status: u32) -> i32,
    /// Decides where the request goes.
    pub steer: unsafe extern "C" fn(exchange: *mut Exchange, steer: *const Steer) -> i32,
    /// How many endpoints may be asked, in `SB_HOOK_UPSTREAM`.
    pub endpoint_count: unsafe extern "C" fn(exchange: *mut Exchange) -> usize,
    /// One of them, or `SB_ABSENT`.
    pub endpoint:
        unsafe extern "C" fn(exchange: *mut Exchange, index: usize, endpoint: *mut Endpoint) -> i32,
    /// Whom to ask, by index, in that order.
    pub prefer:
        unsafe extern "C" fn(exchange: *mut Exchange, order: *const usize, count: usize) -> i32,
    /// The piece of the body at hand, and whether it is the last one (1) or not (0).
    pub piece:
        unsafe extern "C" fn(exchange: *mut Exchange, piece: *mut Bytes, is_last: *mut u32) -> i32,
    /// Sends `piece` instead of it.
    pub set_piece: unsafe extern "C" fn(exchange: *mut Exchange, piece: Bytes) -> i32,
    /// Has the piece at hand wait for the next one.
    pub hold_piece: unsafe extern "C" fn(exchange: *mut Exchange) -> i32,
    /// Sends an interim response at once.
    pub inform: unsafe extern "C" fn(
        exchange: *mut Exchange,
        status: u32,
        fields: *const Field,
        count: usize,
    ) -> i32,
    /// Begins an operation: `kind` is `SB_OPERATION_..`, `operation` points to the struct of that kind.
    pub begin: unsafe extern "C" fn(
        exchange: *mut Exchange,
        kind: u32,
        operation: *const c_void,
        id: *mut u32,
    ) -> i32,
    /// What came of an operation, once; `SB_PENDING` while there is nothing to see.
    pub poll: unsafe extern "C" fn(exchange: *mut Exchange, id: u32, outcome: *mut Outcome) -> i32,
    /// Ends an operation that nobody waits for any more.
    pub cancel: unsafe extern "C" fn(exchange: *mut Exchange, id: u32),
    /// Nanoseconds since 1970.
    pub now: unsafe extern "C" fn(exchange: *mut Exchange) -> u64,
    /// Writes a line to the error log: `SB_LEVEL_..`
    pub log: unsafe extern "C" fn(exchange: *mut Exchange, level: u32, message: Bytes),
    /// What the request is answered with when the hook returns `SB_ANSWER`; the last call counts. `status` is 200 to 599.
    pub answer: unsafe extern "C" fn(
        exchange: *mut Exchange,
        status: u32,
        fields: *const Field,
        count: usize,
        body: Bytes,
    ) -> i32,
    /// Why the hook returns `SB_FAIL` or `SB_PANICKED`: for the error log, never for the client.
    pub fail: unsafe extern "C" fn(exchange: *mut Exchange, message: Bytes),

    /// Defines a metric. The same once more is the same metric.
    pub define_metric: unsafe extern "C" fn(
        setup: *mut Setup,
        metric: *const Metric,
        meter: *mut *const Meter,
    ) -> i32,
    /// Adds to a counter or a gauge; notes one value of a histogram.
    pub meter_add: unsafe extern "C" fn(meter: *const Meter, value: f64),
    /// Sets a gauge.
    pub meter_set: unsafe extern "C" fn(meter: *const Meter, value: f64),
    /// Gives a metric back. What it has counted stays.
    pub meter_free: unsafe extern "C" fn(meter: *const Meter),
    /// Sets a time of the plugin: `SB_TIME_..`
    pub set_time: unsafe extern "C" fn(setup: *mut Setup, which: u32, nanoseconds: u64) -> i32,
    /// Whether the configuration has something of that name (`SB_NAME_..`): `SB_OK` or `SB_ABSENT`.
    pub has: unsafe extern "C" fn(setup: *mut Setup, kind: u32, name: Bytes) -> i32,
    /// What is known about the configuration (`SB_ABOUT_..`), or `SB_ABSENT`.
    pub about: unsafe extern "C" fn(setup: *mut Setup, which: u32, value: *mut Bytes) -> i32,
    /// Writes a line to the error log, or to whoever checks a configuration.
    pub setup_log: unsafe extern "C" fn(setup: *mut Setup, level: u32, message: Bytes),
    /// Why `instance_new` returns null: where in the options (as in `rules[1].rate`, may be absent), what is wrong, and what to do (may be
    /// absent).
    pub refuse: unsafe extern "C" fn(setup: *mut Setup, path: Bytes, message: Bytes, help: Bytes),
}
