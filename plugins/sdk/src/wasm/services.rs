//! What a guest finds when it is made.
#![expect(unsafe_code, reason = "what the host gives is read where it landed")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::exchange::{Level, Refused};
use crate::setup::{Meter, MetricKind, Services};
use crate::wasm::landing::Hold;
use crate::wasm::system;
use crate::wasm::wire::Writer;

/// What the host offers a plugin that is being made.
pub(super) struct HostServices {
    name: String,
    folder: Option<PathBuf>,
    is_known: bool,
}

impl HostServices {
    pub(super) fn new(is_known: bool) -> Self {
        // SAFETY: no hook begins while this one stands.
        let hold = unsafe { Hold::new() };
        let name = system::property(&hold, "plugin_name").unwrap_or_default().into_owned();
        let folder = system::beyond("switchback.folder", &[]).unwrap_or_default();
        let folder = String::from_utf8(folder).ok().filter(|folder| !folder.is_empty());
        Self {
            name: String::from_utf8(name).unwrap_or_default(),
            folder: folder.map(PathBuf::from),
            is_known,
        }
    }

    /// Whether the host says so; another host than ours cannot be asked, and is trusted.
    fn has(&self, function: &str, name: &str) -> bool {
        let message = Writer::default().text(name).bytes();
        !self.is_known
            || system::beyond(function, &message).is_ok_and(|answer| answer.first() == Some(&1))
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
        if !self.is_known {
            let labels: String = labels.iter().map(|(_, value)| format!(".{value}")).collect();
            let id = system::define(kind as u32, &format!("{name}{labels}"));
            return Ok(Arc::new(Metric { id: id.ok_or(Refused::Full)?, kind, is_known: false }));
        }
        let mut writer = Writer::default();
        writer.number(kind as u64).text(name).text(help).number(labels.len() as u64);
        for (name, value) in labels {
            writer.text(name).text(value);
        }
        let id = system::beyond("switchback.define", &writer.bytes())?;
        let id = u32::from_le_bytes(id.try_into().map_err(|_| Refused::Unsupported)?);
        Ok(Arc::new(Metric { id, kind, is_known: true }))
    }

    fn every(&mut self, period: Duration) {
        system::tick_every(u32::try_from(period.as_millis()).unwrap_or(u32::MAX).max(1));
    }

    fn timeout(&mut self, timeout: Duration) {
        // Another host has its own.
        let _ = system::beyond("switchback.timeout", &Writer::default().time(timeout).bytes());
    }

    fn has_upstream(&self, name: &str) -> bool {
        self.has("switchback.has_upstream", name)
    }

    fn has_variable(&self, name: &str) -> bool {
        self.has("switchback.has_variable", name)
    }

    fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    fn instance_name(&self) -> &str {
        &self.name
    }

    fn log(&self, level: Level, message: &str) {
        system::log(level as u32, message);
    }
}

struct Metric {
    id: u32,
    kind: MetricKind,
    is_known: bool,
}

/// Whole numbers go the short way, which all hosts have.
const EXACT: f64 = 9_007_199_254_740_992.0;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "only for whole numbers that are not too large"
)]
impl Meter for Metric {
    fn add(&self, value: f64) {
        let is_whole = value.fract() == 0.0 && (0.0..EXACT).contains(&value);
        match self.kind {
            MetricKind::Histogram if is_whole => system::record(self.id, value as u64),
            MetricKind::Counter | MetricKind::Gauge if is_whole => {
                system::increment(self.id, value as i64);
            }
            _ if self.is_known => self.say("switchback.add", value),
            _ => system::increment(self.id, value.round() as i64),
        }
    }

    fn set(&self, value: f64) {
        if self.is_known {
            self.say("switchback.set", value);
        } else {
            system::record(self.id, value.round().max(0.0) as u64);
        }
    }
}

impl Metric {
    fn say(&self, function: &str, value: f64) {
        let message = Writer::default().number(u64::from(self.id)).number(value.to_bits()).bytes();
        // A metric that is not there counts nothing.
        let _ = system::beyond(function, &message);
    }
}
