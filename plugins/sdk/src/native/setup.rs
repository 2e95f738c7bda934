//! What a plugin finds when it is made, as the host's functions tell of it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::null;
use std::sync::Arc;
use std::time::Duration;

use switchback_plugin_abi as abi;

use super::exchange::{first, nanoseconds};
use super::{bytes, slice, text};
use crate::exchange::{Level, Refused};
use crate::setup::{Meter, MetricKind, Services};

/// The host while an instance is made. Each call is the host's own function with the setup that it gave for the call of `instance_new`, in
/// which this lives.
pub(super) struct HostServices {
    host: &'static abi::Host,
    setup: *mut abi::Setup,
}

impl HostServices {
    pub(super) fn new(host: &'static abi::Host, setup: *mut abi::Setup) -> Self {
        Self { host, setup }
    }

    fn has(&self, kind: u32, name: &str) -> bool {
        // SAFETY: see the struct; the bytes are valid for the call.
        unsafe { (self.host.has)(self.setup, kind, bytes(name.as_bytes())) == abi::OK }
    }

    fn about(&self, which: u32) -> Option<abi::Bytes> {
        let mut value = abi::Bytes::ABSENT;
        // SAFETY: see the struct; what is filled is on the stack.
        let code = unsafe { (self.host.about)(self.setup, which, &raw mut value) };
        (code == abi::OK).then_some(value)
    }

    fn set_time(&mut self, which: u32, time: Duration) {
        // SAFETY: see the struct.
        unsafe { (self.host.set_time)(self.setup, which, nanoseconds(time)) };
    }
}

impl Services for HostServices {
    fn define(
        &mut self,
        kind: MetricKind,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
    ) -> Result<Arc<dyn Meter>, Refused> {
        let pair = |(name, value): &(&str, &str)| abi::Field {
            name: bytes(name.as_bytes()),
            value: bytes(value.as_bytes()),
        };
        let labels: Vec<_> = labels.iter().map(pair).collect();
        let metric = abi::Metric {
            size: size_of::<abi::Metric>() as u32,
            kind: kind as u32,
            name: bytes(name.as_bytes()),
            help: bytes(help.as_bytes()),
            labels: first(&labels),
            label_count: labels.len(),
        };
        let mut meter = null();
        // SAFETY: see the struct; the metric is valid for the call, and what is filled is on the stack.
        let code =
            unsafe { (self.host.define_metric)(self.setup, &raw const metric, &raw mut meter) };
        if code != abi::OK || meter.is_null() {
            return Err(Refused::from_number(code).unwrap_or(Refused::Unsupported));
        }
        Ok(Arc::new(HostMeter { host: self.host, meter }))
    }

    fn every(&mut self, period: Duration) {
        self.set_time(abi::TIME_EVERY, period);
    }

    fn timeout(&mut self, timeout: Duration) {
        self.set_time(abi::TIME_TIMEOUT, timeout);
    }

    fn has_upstream(&self, name: &str) -> bool {
        self.has(abi::NAME_UPSTREAM, name)
    }

    fn has_variable(&self, name: &str) -> bool {
        self.has(abi::NAME_VARIABLE, name)
    }

    fn folder(&self) -> Option<&Path> {
        // SAFETY: valid until `instance_new` returns.
        let folder = unsafe { slice(self.about(abi::ABOUT_FOLDER)?) }?;
        Some(Path::new(OsStr::from_bytes(folder)))
    }

    fn instance_name(&self) -> &str {
        // SAFETY: valid until `instance_new` returns.
        self.about(abi::ABOUT_INSTANCE_NAME).and_then(|name| unsafe { text(name) }).unwrap_or("")
    }

    fn log(&self, level: Level, message: &str) {
        // SAFETY: see the struct; the bytes are valid for the call.
        unsafe { (self.host.setup_log)(self.setup, level as u32, bytes(message.as_bytes())) };
    }
}

/// One metric of the host, given back when it is dropped.
struct HostMeter {
    host: &'static abi::Host,
    meter: *const abi::Meter,
}

// SAFETY: the host's functions for metrics may be called on any thread.
unsafe impl Send for HostMeter {}
// SAFETY: as above, on several at once.
unsafe impl Sync for HostMeter {}

impl Meter for HostMeter {
    fn add(&self, value: f64) {
        // SAFETY: not given back before this is dropped.
        unsafe { (self.host.meter_add)(self.meter, value) };
    }

    fn set(&self, value: f64) {
        // SAFETY: as in `add`.
        unsafe { (self.host.meter_set)(self.meter, value) };
    }
}

impl Drop for HostMeter {
    fn drop(&mut self) {
        // SAFETY: once, here.
        unsafe { (self.host.meter_free)(self.meter) };
    }
}
