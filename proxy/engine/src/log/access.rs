//! Access logs: a line for each request.

use std::sync::Arc;

use switchback_conf::plan::{
    AccessLogPlan, LogEscape, LogFormat, LogTarget, RotatePlan, Sample, SyslogSeverity,
};
use switchback_value::{Condition, Template, Variable, escape};

use super::redact::{Escape, Mask, Redaction};
use super::syslog::Mark;
use super::writer::LogWriter;
use super::{httplog, json};
use crate::http::facts::RequestFacts;

/// One access log of a snapshot.
#[derive(Debug)]
pub(crate) struct AccessLog {
    format: Format,
    when: Condition,
    sample: Sample,
    redaction: Redaction,
    /// For a syslog.
    mark: Option<(Mark, SyslogSeverity)>,
    rotate: Option<RotatePlan>,
    writer: Arc<LogWriter>,
}

#[derive(Debug)]
enum Format {
    Template(Line),
    Json,
    Httplog,
}

#[derive(Debug)]
struct Line {
    template: Template,
    escape: Escape,
    absent: &'static [u8],
    /// Of each variable, where secrets may be in it.
    masks: Box<[Mask]>,
}

impl AccessLog {
    /// The log of `plan`, written by `writer`.
    pub(crate) fn new(plan: AccessLogPlan, writer: Arc<LogWriter>) -> Self {
        let redaction = Redaction::new(plan.redact);
        let format = match plan.format {
            LogFormat::Json => Format::Json,
            LogFormat::Httplog => Format::Httplog,
            LogFormat::Template { template, escape } => {
                Format::Template(Line::new(template, escape, &redaction))
            }
        };
        let mark = matches!(plan.target, LogTarget::Syslog(_))
            .then(|| (Mark::new(&plan.syslog), plan.syslog.severity));
        let (when, sample, rotate) = (plan.when, plan.sample, plan.rotate);
        Self { format, when, sample, redaction, mark, rotate, writer }
    }

    /// Whether its lines may refer to such a variable by themselves.
    pub(crate) fn asks_for(&self, is_sought: fn(&Variable) -> bool) -> bool {
        let of_format = match &self.format {
            Format::Template(line) => line.template.variables().any(is_sought),
            Format::Json | Format::Httplog => false,
        };
        of_format || self.when.variables().into_iter().any(is_sought)
    }

    /// Has the writer put its file aside as this log says: from now on this log is in force.
    pub(crate) fn take_over(&self) {
        self.writer.rotate_by(self.rotate);
    }

    /// Writes the line of one request, if its condition holds.
    pub(crate) fn write(&self, facts: &RequestFacts<'_>) {
        let is_sampled =
            self.sample == Sample::ALL || self.sample.takes(spread(&facts.context().request.id));
        if !is_sampled || !self.when.holds(facts) {
            return;
        }
        let mut line = Vec::with_capacity(512);
        if let Some((mark, severity)) = &self.mark {
            mark.begin(*severity, std::time::SystemTime::now(), &mut line);
        }
        match &self.format {
            Format::Template(format) => format.write(facts, &self.redaction, &mut line),
            Format::Json => json::line(facts, &self.redaction, &mut line),
            Format::Httplog => httplog::line(facts, &self.redaction, &mut line),
        }
        line.push(b'\n');
        self.writer.write(&line);
    }
}

impl Line {
    fn new(template: Template, escape: LogEscape, redaction: &Redaction) -> Self {
        let mask = |variable: &Variable| redaction.mask(variable);
        let masks = template.variables().map(mask).collect();
        let (escape, absent): (Escape, &[u8]) = match escape {
            LogEscape::Default => (escape::log, b"-"),
            LogEscape::Json => (escape::json, b""),
            LogEscape::None => (escape::none, b""),
        };
        Self { template, escape, absent, masks }
    }

    fn write(&self, facts: &RequestFacts<'_>, redaction: &Redaction, out: &mut Vec<u8>) {
        let value = |index: usize, value: &[u8], out: &mut Vec<u8>| {
            let mask = self.masks.get(index).copied().unwrap_or(Mask::Nothing);
            redaction.write(mask, value, self.escape, out);
        };
        self.template.render_each(facts, out, value, self.absent);
    }
}

/// A number that is the same for the same id, and spread evenly over all there are: FNV-1a with a finisher.
fn spread(id: &str) -> u64 {
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_near_its_share_and_always_the_same() {
        let tenth = Sample::millionths(100_000).unwrap();
        let taken = |id: usize| tenth.takes(spread(&format!("request-{id}")));
        let count = (0..10_000).filter(|id| taken(*id)).count();
        assert!((800..1200).contains(&count), "{count}");
        assert!((0..100).all(|id| taken(id) == taken(id)));
    }
}
