//! Plugins as they are configured, and the filters that ask them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::build::Findings;
use super::{ListenerPlan, RoutePlan, SitePlan};
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::model::{Config, Filter, Filters, ModuleFile, Name, Options, OrText, Plugin, Sha256};

/// Index into [`Plan::plugins`](super::Plan::plugins).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PluginId(pub u32);

/// A plugin with all its options: what a filter asks. Filters that say the same share one.
#[derive(Clone, Debug)]
pub struct PluginPlan {
    /// The name by which it is configured, or that of the program's own plugin.
    pub name: Box<str>,
    /// Where it comes from.
    pub source: PluginSource,
    /// What becomes of a request that it fails at.
    pub on_error: OnError,
    /// How long it may take at one hook; `None` is what it says itself.
    pub timeout: Option<Duration>,
    /// What it may use.
    pub limits: PluginLimitsPlan,
    /// Who shares an instance of it.
    pub isolation: Isolation,
    /// Its options, those of the filter in their places.
    pub options: Options,
    /// Where its options are written, else where it is named.
    pub at: Location,
    /// Where the plugin itself is named.
    pub named_at: Location,
    /// Whether a filter asks it. One that nobody asks is checked all the same.
    pub is_used: bool,
}

impl PluginPlan {
    /// Where the option is written that `path` names, else where its options are.
    #[must_use]
    pub fn locate(&self, path: &str) -> Location {
        self.options.locate(path).unwrap_or_else(|| self.at.clone())
    }

    /// Whether both are one plugin with the same options, wherever that is written.
    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name
            && self.source == other.source
            && self.on_error == other.on_error
            && self.timeout == other.timeout
            && self.limits == other.limits
            && self.isolation == other.isolation
            && self.options == other.options
    }
}

/// Where a plugin comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PluginSource {
    /// The program has it, under this name. Whether that is so is found when the plan is assembled.
    Program(Box<str>),
    /// A file.
    Module {
        /// Which.
        path: PathBuf,
        /// What it must be.
        sha256: Option<[u8; 32]>,
    },
}

/// What a Wasm plugin may use; `None` is what is usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PluginLimitsPlan {
    /// Bytes of memory of each instance.
    pub memory: Option<u64>,
    /// How long it may compute at one hook.
    pub cpu: Option<Duration>,
    /// How many instances there are.
    pub instances: Option<u32>,
}

/// Who shares an instance of a Wasm plugin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// The requests of a worker thread.
    #[default]
    Worker,
    /// Nobody: each request has its own.
    Request,
}

/// What becomes of a request that a plugin fails at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnError {
    /// It is refused.
    #[default]
    Closed,
    /// It goes on as if the plugin were not there.
    Open,
}

/// One place of a chain of filters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterPlan {
    /// This plugin is asked.
    One(PluginId),
    /// One of these must let the request pass. Never empty.
    Any(Vec<Self>),
    /// All of these must. Never empty.
    All(Vec<Self>),
}

/// Puts in what is asked about the requests of listeners, sites and routes, and tells the plugins that are.
pub(super) fn settle(
    config: &Config,
    (listeners, sites, routes): (&mut [ListenerPlan], &mut [SitePlan], &mut [RoutePlan]),
    findings: &mut Findings<'_>,
) -> Vec<PluginPlan> {
    let mut plugins = Plugins::new(config, findings);
    for (listener, plan) in config.listeners.iter().zip(listeners) {
        plan.filters = plugins.filters(&listener.filters, findings);
    }
    for (site, plan) in config.sites.iter().zip(sites) {
        plan.filters = plugins.filters(&site.filters, findings);
        // Where one of its routes is wrong, they do not match up; but then there is no plan anyway.
        let ids = plan.routes.start as usize..plan.routes.end as usize;
        let mut plans = routes.get_mut(ids).unwrap_or_default().iter_mut();
        for route in &site.routes {
            let filters = plugins.filters(&route.filters, findings);
            if let Some(plan) = plans.next() {
                plan.filters = filters;
            }
        }
    }
    plugins.into_plans(findings)
}

/// The plugins that filters have named so far.
struct Plugins<'a> {
    config: &'a Config,
    /// Those of `[plugins.NAME]`, as they stand there.
    named: HashMap<&'a str, PluginPlan>,
    plans: Vec<PluginPlan>,
}

impl<'a> Plugins<'a> {
    fn new(config: &'a Config, findings: &mut Findings<'_>) -> Self {
        let mut named = HashMap::with_capacity(config.plugins.len());
        for (name, plugin) in config.plugins.iter() {
            if let Some(plan) = of_table(name, plugin, config, findings) {
                named.insert(&**name, plan);
            }
        }
        Self { config, named, plans: Vec::new() }
    }

    /// What `filters` mean.
    fn filters(&mut self, filters: &Filters, findings: &mut Findings<'_>) -> Vec<FilterPlan> {
        filters.iter().filter_map(|filter| self.filter(filter, findings)).collect()
    }

    fn filter(
        &mut self,
        filter: &At<OrText<Filter>>,
        findings: &mut Findings<'_>,
    ) -> Option<FilterPlan> {
        match (&filter.used, &filter.any, &filter.all) {
            (Some(name), None, None) => Some(FilterPlan::One(self.one(name, filter))),
            (None, Some(any), None) => {
                self.group(any, ("any", filter), findings).map(FilterPlan::Any)
            }
            (None, None, Some(all)) => {
                self.group(all, ("all", filter), findings).map(FilterPlan::All)
            }
            (None, None, None) => {
                let message = "this filter names no plugin";
                let found = Diagnostic::error(Code::PluginUnfit, filter.at.clone(), message);
                findings
                    .report(found.hint("`use` names one; `any` and `all` are groups of filters"));
                None
            }
            _ => {
                let message = "a filter has one of `use`, `any` and `all`";
                findings.error(Code::PluginUnfit, &filter.at, message);
                None
            }
        }
    }

    fn group(
        &mut self,
        members: &At<Filters>,
        (key, filter): (&str, &At<OrText<Filter>>),
        findings: &mut Findings<'_>,
    ) -> Option<Vec<FilterPlan>> {
        if members.is_empty() {
            findings.error(Code::Empty, &members.at, format!("`{key}` names no filter"));
        }
        let of_one = [
            (!filter.options.is_empty()).then_some(("options", &filter.options.at)),
            filter.on_error.as_ref().map(|on_error| ("on_error", &on_error.at)),
            filter.timeout.as_ref().map(|timeout| ("timeout", &timeout.at)),
        ];
        for (other, at) in of_one.into_iter().flatten() {
            let message = format!("`{other}` belongs to a filter with `use`, not to a group");
            findings.error(Code::PluginUnfit, at, message);
        }
        let planned = self.filters(members, findings);
        // A member less would let pass, or stop, other requests.
        (!planned.is_empty() && planned.len() == members.len()).then_some(planned)
    }

    fn one(&mut self, name: &At<Name>, filter: &At<OrText<Filter>>) -> PluginId {
        let mut plan = match self.named.get(&***name) {
            Some(plan) => plan.clone(),
            None => of_program(name),
        };
        if !filter.options.is_empty() {
            plan.options = plan.options.with(&filter.options);
            plan.at = filter.options.at.clone();
        }
        if let Some(on_error) = &filter.on_error {
            plan.on_error = on_error.value;
        }
        if let Some(timeout) = &filter.timeout {
            plan.timeout = Some(timeout.std());
        }
        plan.is_used = true;
        self.id_of(plan)
    }

    fn id_of(&mut self, plan: PluginPlan) -> PluginId {
        let found = self.plans.iter().position(|own| own.is_same(&plan));
        let index = found.unwrap_or_else(|| {
            self.plans.push(plan);
            self.plans.len() - 1
        });
        PluginId(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// All plugins, those that no filter names last.
    fn into_plans(mut self, findings: &mut Findings<'_>) -> Vec<PluginPlan> {
        for (name, plugin) in self.config.plugins.iter() {
            let Some(plan) = self.named.remove(&**name) else { continue };
            if self.plans.iter().any(|own| own.name == plan.name) {
                continue;
            }
            let message = format!("the plugin `{name}` has no effect: no filter names it");
            let hint = format!("`filters = [\"{name}\"]` on a listener, a site or a route");
            let found = Diagnostic::warning(Code::NoEffect, plugin.at.clone(), message);
            findings.missing(found.hint(hint));
            self.plans.push(plan);
        }
        self.plans
    }
}

/// A plugin that the program has, with nothing said about it.
fn of_program(name: &At<Name>) -> PluginPlan {
    PluginPlan {
        name: (***name).into(),
        source: PluginSource::Program((***name).into()),
        on_error: OnError::default(),
        timeout: None,
        limits: PluginLimitsPlan::default(),
        isolation: Isolation::default(),
        options: Options::new(),
        at: name.at.clone(),
        named_at: name.at.clone(),
        is_used: false,
    }
}

fn of_table(
    name: &Name,
    plugin: &At<Plugin>,
    config: &Config,
    findings: &mut Findings<'_>,
) -> Option<PluginPlan> {
    check_combination(plugin, findings);
    let (source, named_at) = match (&plugin.module, &plugin.used) {
        (Some(module), _) => {
            let path = module_file(module, config, findings)?;
            let sha256 = plugin.sha256.as_ref().map(|sum| sum.value.0);
            (PluginSource::Module { path, sha256 }, &module.at)
        }
        (None, Some(used)) => (PluginSource::Program((***used).into()), &used.at),
        (None, None) => (PluginSource::Program((**name).into()), &plugin.at),
    };
    let limits = plugin.limits.as_ref().map(|limits| PluginLimitsPlan {
        memory: limits.memory.as_ref().map(|memory| memory.bytes()),
        cpu: limits.cpu.as_ref().map(|cpu| cpu.std()),
        instances: limits.instances.as_ref().map(|count| count.value.value()),
    });
    let has_options = plugin.options.at.file().is_some();
    Some(PluginPlan {
        name: (**name).into(),
        source,
        on_error: plugin.on_error,
        timeout: plugin.timeout.as_ref().map(|timeout| timeout.std()),
        limits: limits.unwrap_or_default(),
        isolation: plugin.isolation.value,
        options: plugin.options.value.clone(),
        at: if has_options { &plugin.options.at } else { &plugin.at }.clone(),
        named_at: named_at.clone(),
        is_used: false,
    })
}

fn check_combination(plugin: &At<Plugin>, findings: &mut Findings<'_>) {
    if let (Some(used), Some(_)) = (&plugin.used, &plugin.module) {
        let message = "`use` names a plugin of the program, and `module` is a file with one";
        let found = Diagnostic::error(Code::PluginUnfit, used.at.clone(), message);
        findings.report(found.hint("write one of the two"));
    }
    if let (Some(sum), None) = (&plugin.sha256, &plugin.module) {
        let message = "`sha256` is of the file of a `module`, and there is none";
        findings.error(Code::PluginUnfit, &sum.at, message);
    }
    let is_wasm = plugin.module.as_ref().is_some_and(|module| has_ending(module.path(), "wasm"));
    let isolation = &plugin.isolation;
    let is_isolated = isolation.value != Isolation::default() || isolation.at.file().is_some();
    let of_wasm = [
        plugin.limits.as_ref().map(|limits| (&limits.at, "`limits` can be kept for Wasm alone")),
        is_isolated.then_some((&isolation.at, "`isolation` is for Wasm alone")),
    ];
    for (at, message) in of_wasm.into_iter().flatten().filter(|_| !is_wasm) {
        let message = format!("{message}, and this plugin is none");
        let found = Diagnostic::error(Code::PluginUnfit, at.clone(), message);
        findings.report(found.hint("compiled plugins run as part of the process"));
    }
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|own| own == ending)
}

/// Where the file of a module is; it is there and can be read.
fn module_file(
    module: &At<ModuleFile>,
    config: &Config,
    findings: &mut Findings<'_>,
) -> Option<PathBuf> {
    let written = module.path();
    if !has_ending(written, "so") && !has_ending(written, "wasm") {
        let message = format!("{} is no plugin by its name", written.display());
        let found = Diagnostic::error(Code::PluginUnfit, module.at.clone(), message);
        findings.report(found.hint("compiled plugins end with `.so`, those of Wasm with `.wasm`"));
        return None;
    }
    if !module.is_name() {
        findings.readable(written, &module.at, "plugin");
        return Some(written.to_owned());
    }
    let mut candidates = config.plugin_path.iter().map(|folder| folder.join(written));
    let found = candidates.find(|path| path.exists());
    if let Some(path) = &found {
        findings.readable(path, &module.at, "plugin");
        return found;
    }
    let folders: Vec<_> =
        config.plugin_path.iter().map(|folder| folder.display().to_string()).collect();
    let message = format!("there is no plugin {}", written.display());
    let hint = match folders.is_empty() {
        true => "a name without `/` is looked for in the folders of `plugin_path`, which are none"
            .to_owned(),
        false => format!("looked for in {}", folders.join(", ")),
    };
    findings.report(Diagnostic::error(Code::FileUnreadable, module.at.clone(), message).hint(hint));
    None
}

/// What a SHA-256 looks like to people.
#[must_use]
pub fn shown_sha256(sum: [u8; 32]) -> String {
    Sha256(sum).to_string()
}
