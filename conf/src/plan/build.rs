//! From what was said to what it means.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use super::maps::{self, Maps};
use super::{
    ListenerId, Plan, UpstreamId, UpstreamPlan, ZoneId, ZonePlan, dictionary, encoders, listeners,
    logs, plugins, process, sites, spill, upstreams, zones,
};
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::model::{Config, Name, Table, Upstream};
use crate::native::{Gaps, listed};
use crate::outcome::Outcome;
use switchback_value::suggest::nearest;

/// What `config` means, and everything that is wrong with it.
///
/// Certificates, keys and other files must be there and readable; what is in them is looked at when the plan is assembled.
pub fn plan(config: &Config) -> Outcome<Plan> {
    let (plan, diagnostics) = plan_with(config, &Gaps::default());
    Outcome::new(plan, diagnostics)
}

/// The same for a configuration of which parts could not be read: what may follow from that is not told again.
pub(crate) fn plan_with(config: &Config, gaps: &Gaps) -> (Plan, Vec<Diagnostic>) {
    let mut findings = Findings::new(gaps);
    if let Some(include) = config.include.first() {
        let message =
            "includes are followed when files are read, not in a configuration built in code";
        findings.error(Code::NoEffect, &include.at, message);
    }
    let maps = maps::maps(config, &mut findings);
    let (mut listeners, listener_names) = listeners::listeners(config, &mut findings);
    let (mut upstreams, upstream_names) = upstreams::upstreams(config, &mut findings);
    let (zones, zone_names) = zones::zones(config, &mut findings);
    let names = Names {
        listeners: listener_names,
        upstreams: upstream_names,
        upstream_models: &config.upstreams,
        zones: zone_names,
        zone_plans: &zones,
    };
    spill::settle(&mut upstreams, &names, &mut findings);
    let (mut sites, mut routes) = sites::sites(config, &names, &mut findings);
    let plugins = plugins::settle(config, (&mut listeners, &mut sites, &mut routes), &mut findings);
    zones::check_use(config, &routes, &mut findings);
    let plan = Plan {
        process: process::process(config, &mut findings),
        forwarding: process::forwarding(config, &mut findings),
        log: logs::log(config, &mut findings),
        listeners,
        sites,
        routes,
        upstreams,
        maps,
        zones,
        resolvers: config.resolvers.iter().map(|server| server.0).collect(),
        encoders: encoders::encoders(config),
        dictionaries: encoders::dictionaries(config),
        plugins,
    };
    encoders::check_use(config, &plan, &mut findings);
    dictionary::check_use(&plan, &mut findings);
    (plan, findings.diagnostics)
}

/// What `config` says of one upstream, whatever else it says or lacks; `None` where it says nothing of it.
pub fn plan_upstream(config: &Config, name: &str) -> Outcome<Option<UpstreamPlan>> {
    let gaps = Gaps::default();
    let mut findings = Findings::new(&gaps);
    let mut alone = Config { maps: config.maps.clone(), ..Config::default() };
    if let Some((name, upstream)) = config.upstreams.iter().find(|(own, _)| &***own == name) {
        alone.upstreams.insert(name.clone(), upstream.clone());
    }
    maps::maps(&alone, &mut findings);
    let (plans, _) = upstreams::upstreams(&alone, &mut findings);
    Outcome::new(plans.into_iter().next(), findings.into_diagnostics())
}

/// The ids of what has a name.
pub(super) struct Names<'a> {
    pub(super) listeners: HashMap<&'a str, ListenerId>,
    pub(super) upstreams: HashMap<&'a str, UpstreamId>,
    pub(super) upstream_models: &'a Table<Name, At<Upstream>>,
    pub(super) zones: HashMap<&'a str, ZoneId>,
    pub(super) zone_plans: &'a [ZonePlan],
}

/// What is wrong, as far as it has been found.
pub(super) struct Findings<'a> {
    diagnostics: Vec<Diagnostic>,
    gaps: &'a Gaps,
    /// What there is to refer to as `$map_NAME`.
    pub(super) maps: Maps,
}

impl<'a> Findings<'a> {
    pub(super) fn new(gaps: &'a Gaps) -> Self {
        Self { diagnostics: Vec::new(), gaps, maps: Maps::default() }
    }

    /// How much has been found.
    pub(super) fn count(&self) -> usize {
        self.diagnostics.len()
    }

    pub(super) fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.diagnostics
    }

    /// Whether something called `name` may be among what could not be read.
    pub(super) fn may_hide(&self, name: &str) -> bool {
        self.gaps.may_hide(name)
    }
}

impl Findings<'_> {
    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    pub(super) fn error(&mut self, code: Code, at: &Location, message: impl Into<String>) {
        self.report(Diagnostic::error(code, at.clone(), message));
    }

    /// That something is missing, unless it may be among what could not be read.
    pub(super) fn missing(&mut self, diagnostic: Diagnostic) {
        if !self.gaps.any() {
            self.report(diagnostic);
        }
    }

    /// That `name` is none of `defined`, which are called `plural`.
    pub(super) fn unknown_name<'n>(
        &mut self,
        code: Code,
        name: &At<Name>,
        (noun, plural): (&str, &str),
        defined: impl Iterator<Item = &'n str>,
    ) {
        if self.gaps.may_hide(name) {
            return;
        }
        let mut defined: Vec<_> = defined.collect();
        defined.sort_unstable();
        let hint = match nearest(name, defined.iter().copied()) {
            Some(meant) => Some(format!("did you mean `{meant}`?")),
            None if !defined.is_empty() => {
                Some(format!("defined {plural} are {}", listed(defined)))
            }
            None => (!self.gaps.any()).then(|| format!("there are no {plural}")),
        };
        let message = format!("{noun} `{}` is not defined", **name);
        self.report(Diagnostic::error(code, name.at.clone(), message).maybe_hint(hint));
    }

    /// That a file which is needed cannot be read.
    pub(super) fn readable(&mut self, path: &Path, at: &Location, what: &str) {
        let opened = File::open(path).and_then(|file| file.metadata());
        let reason = match opened {
            Ok(metadata) if metadata.is_dir() => "it is a directory".to_owned(),
            Ok(_) => return,
            Err(error) => error.to_string(),
        };
        self.error(
            Code::FileUnreadable,
            at,
            format!("cannot read the {what} {}: {reason}", path.display()),
        );
    }

    /// That a path is too long for the address of a Unix socket.
    pub(super) fn socket_path(&mut self, path: &Path, at: &Location) {
        /// Of 108 bytes one is the zero at the end.
        const MAX_SOCKET_PATH: usize = 107;
        let length = path.as_os_str().len();
        if length > MAX_SOCKET_PATH {
            let message = format!(
                "the path of a Unix socket has at most {MAX_SOCKET_PATH} bytes, this one has {length}"
            );
            self.error(Code::SocketPathTooLong, at, message);
        }
    }
}
