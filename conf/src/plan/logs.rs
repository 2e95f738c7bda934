//! Planning logs.

use std::collections::HashMap;
use std::path::Path;

use switchback_value::Condition;

use super::build::Findings;
use super::texts::Captures;
use super::{
    AccessLogPlan, LogEscape, LogFormat, LogPlan, LogTarget, RotatePlan, SyslogAddress, SyslogPlan,
    SyslogSeverity,
};
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::model::{AccessLog, Config, Syslog, TemplateText};

/// nginx's format of that name.
const COMBINED: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
                        \"$http_referer\" \"$http_user_agent\"";
/// The format that `combined` adds to.
const COMMON: &str =
    "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent";

pub(super) fn log(config: &Config, findings: &mut Findings<'_>) -> LogPlan {
    let log = &config.log;
    let access: Vec<_> = log.access.iter().filter_map(|log| access_log(log, findings)).collect();
    one_rotation_each(&access, findings);
    let syslog = syslog(log.syslog.as_ref(), &log.file, findings);
    if let Some(options) = &log.syslog
        && options.severity.is_some()
    {
        no_effect(findings, &options.at, "`severity` has no effect here: each message has its own");
    }
    LogPlan {
        level: log.level,
        target: log.file.value.clone(),
        format: log.format,
        syslog,
        at: log.file.at.clone(),
        access,
    }
}

fn access_log(log: &At<AccessLog>, findings: &mut Findings<'_>) -> Option<AccessLogPlan> {
    let format = format(log, findings);
    let when = match &log.when {
        Some(text) => findings.condition(text, &Captures::default()),
        None => Some(Condition::always()),
    };
    Some(AccessLogPlan {
        target: log.file.value.clone(),
        at: log.file.at.clone(),
        syslog: syslog(log.syslog.as_ref(), &log.file, findings),
        rotate: rotate(log, findings),
        redact: log.redact.iter().map(|name| name.to_ascii_lowercase().into()).collect(),
        sample: log.sample,
        format: format?,
        when: when?,
    })
}

fn format(log: &AccessLog, findings: &mut Findings<'_>) -> Option<LogFormat> {
    let captures = Captures::default();
    findings.no_controls(Code::Template, &log.format, "the format of a log");
    let named = |text: &str| At::from(TemplateText::from(text));
    let template = match log.format.value.as_ref() {
        "combined" => findings.template(&named(COMBINED), &captures),
        "common" => findings.template(&named(COMMON), &captures),
        "json" | "httplog" => {
            if let Some(escape) = &log.escape {
                no_effect(findings, &escape.at, "`escape` has no effect on this format");
            }
            let is_json = log.format.value.as_ref() == "json";
            return Some(if is_json { LogFormat::Json } else { LogFormat::Httplog });
        }
        _ => findings.template(&log.format, &captures),
    };
    let escape = log.escape.as_ref().map_or(LogEscape::Default, |escape| escape.value);
    template.map(|template| LogFormat::Template { template, escape })
}

fn rotate(log: &AccessLog, findings: &mut Findings<'_>) -> Option<RotatePlan> {
    let rotate = log.rotate.as_ref()?;
    if !matches!(log.file.value, LogTarget::File(_)) {
        no_effect(findings, &rotate.at, "`rotate` has no effect: only files can be put aside");
        return None;
    }
    Some(RotatePlan { size: rotate.size.bytes(), keep: rotate.keep.value() })
}

fn syslog(
    options: Option<&At<Syslog>>,
    target: &At<LogTarget>,
    findings: &mut Findings<'_>,
) -> SyslogPlan {
    match &target.value {
        LogTarget::Syslog(SyslogAddress::Unix(path)) => findings.socket_path(path, &target.at),
        LogTarget::Syslog(SyslogAddress::Udp { .. }) => {}
        LogTarget::Stdout | LogTarget::Stderr | LogTarget::File(_) => {
            if let Some(options) = options {
                no_effect(findings, &options.at, "`syslog` has no effect: this log goes to none");
            }
        }
    }
    let usual = Syslog::default();
    let options = options.map_or(&usual, |options| &options.value);
    SyslogPlan {
        facility: options.facility,
        severity: options.severity.unwrap_or(SyslogSeverity::Info),
        tag: (*options.tag).into(),
    }
}

fn no_effect(findings: &mut Findings<'_>, at: &Location, message: &str) {
    findings.report(Diagnostic::warning(Code::NoEffect, at.clone(), message));
}

/// A file has one writer, which puts it aside in one way.
fn one_rotation_each(logs: &[AccessLogPlan], findings: &mut Findings<'_>) {
    let mut first: HashMap<&Path, &AccessLogPlan> = HashMap::new();
    for log in logs {
        let LogTarget::File(path) = &log.target else { continue };
        let earlier = *first.entry(path).or_insert(log);
        if earlier.rotate != log.rotate {
            let message = format!("two access logs write {} and rotate it differently", log.target);
            let diagnostic = Diagnostic::error(Code::Duplicate, log.at.clone(), message);
            findings.report(diagnostic.hint(format!("the first stands at {}", earlier.at)));
        }
    }
}
