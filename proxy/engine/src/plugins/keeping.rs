//! Plugins that are configured, kept from one configuration to the next: one that is the same goes on with what it remembers.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::Mutex;
use switchback_conf::plan::{self, FilterPlan, Plan, PluginPlan, PluginSource, shown_sha256};
use switchback_conf::{Code, Diagnostic};
use switchback_plugin::{BuildError, Instance, Module};
use switchback_plugin_host::{
    Chain, Configured, Digest, Limits, Node, Observer, OnError, Policy, Registry,
};
use switchback_value::suggest::nearest;
use tokio::sync::Notify;

use super::living::Living;
use super::meters::Meters;
use super::services::{Names, Needs, Offer};
use super::store::Stores;
use crate::http::filter::names::VariableNames;
use crate::http::filter::operations::Threads;

/// What outlives configurations of plugins.
#[derive(Default)]
pub(crate) struct Keeping {
    /// What there is to configure.
    registry: Arc<Registry>,
    kept: Mutex<HashMap<Identity, Arc<Kept>>>,
    /// What is counted.
    pub(crate) meters: Arc<Meters>,
    /// What is there of each plugin.
    pub(crate) living: Living,
    /// What plugins keep.
    pub(crate) stores: Stores,
    /// What variables are called.
    pub(crate) names: VariableNames,
    /// Where they do what takes long.
    pub(crate) threads: Threads,
    /// There are others to tick.
    pub(crate) changed: Notify,
}

/// What a configured plugin is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Identity {
    name: Box<str>,
    /// Its place in memory, which is nobody else's as long as it is kept.
    module: usize,
    options: Box<str>,
    on_error: plan::OnError,
    timeout: Option<Duration>,
}

/// A plugin that is in use.
pub(crate) struct Kept {
    pub(crate) configured: Arc<Configured>,
    /// Kept because its place says what it is.
    _module: Arc<dyn Module>,
    needs: Needs,
    /// Whether somebody ticks it.
    pub(super) is_ticking: AtomicBool,
}

/// How long a hook may take where nobody says anything.
const USUAL_TIMEOUT: Duration = Duration::from_millis(50);

impl Keeping {
    /// Of what the program has.
    pub(crate) fn new(registry: Arc<Registry>) -> Self {
        Self { registry, ..Self::default() }
    }

    /// The plugins of `plan`, in its order. What is wrong with one is told, and it is left out.
    pub(crate) fn find(&self, plan: &Plan, found: &mut Vec<Diagnostic>) -> Vec<Option<Arc<Kept>>> {
        let names = Names::of(plan);
        let defined: Vec<&str> = plan.plugins.iter().map(|plugin| &*plugin.name).collect();
        let one = |plugin: &PluginPlan| match self.one(plugin, &names, &defined) {
            Ok(kept) => Some(kept),
            Err(wrong) => {
                found.push(wrong);
                None
            }
        };
        plan.plugins.iter().map(one).collect()
    }

    fn one(
        &self,
        plan: &PluginPlan,
        names: &Names,
        defined: &[&str],
    ) -> Result<Arc<Kept>, Diagnostic> {
        let module = self.module(plan, defined)?;
        let identity = Identity {
            name: plan.name.clone(),
            module: Arc::as_ptr(&module).cast::<()>() as usize,
            options: plan.options.to_json().to_string().into(),
            on_error: plan.on_error,
            timeout: plan.timeout,
        };
        let known = self.kept.lock().get(&identity).cloned();
        if let Some(kept) = known.filter(|kept| names.have(&kept.needs)) {
            return Ok(kept);
        }
        let mut offer = Offer {
            name: &plan.name,
            names,
            meters: &self.meters,
            folder: plan.at.file().and_then(|file| Some(file.parent()?.to_owned())),
            needs: Mutex::default(),
            tick: None,
            timeout: None,
        };
        let building = AssertUnwindSafe(|| module.build(&identity.options, &mut offer));
        let built = catch_unwind(building).unwrap_or_else(|_| {
            Err(BuildError::new("", "it panicked when it was made of these options"))
        });
        let instance = built.map_err(|error| refusal(&error, plan))?;
        self.living.note(&plan.name, module.kind(), &instance);
        let Offer { needs, tick, timeout, .. } = offer;
        let policy = Policy {
            on_error: match plan.on_error {
                plan::OnError::Closed => OnError::Closed,
                plan::OnError::Open => OnError::Open,
            },
            timeout: plan.timeout.or(timeout).unwrap_or(USUAL_TIMEOUT),
            tick,
            ..Policy::default()
        };
        let kept = Arc::new(Kept {
            configured: self.configured(&plan.name, instance, policy),
            _module: module,
            needs: needs.into_inner(),
            is_ticking: AtomicBool::new(false),
        });
        self.kept.lock().insert(identity, Arc::clone(&kept));
        Ok(kept)
    }

    fn module(&self, plan: &PluginPlan, defined: &[&str]) -> Result<Arc<dyn Module>, Diagnostic> {
        match &plan.source {
            PluginSource::Program(name) => match self.registry.find(name) {
                Some(module) => Ok(Arc::clone(module)),
                None => Err(unknown(name, plan, &self.registry, defined)),
            },
            PluginSource::Module { path, sha256 } => {
                let said = plan.limits;
                let limits = Limits {
                    memory: said.memory.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
                    cpu: said.cpu,
                    instances: said.instances.map(|count| count as usize),
                };
                let digest = sha256.and_then(|sum| Digest::parse(&shown_sha256(sum)));
                // The plan has found it already: nowhere else is it looked for.
                let loaded = self.registry.load(path, &[PathBuf::new()], digest, limits);
                loaded.map_err(|error| {
                    Diagnostic::error(Code::PluginModule, plan.named_at.clone(), error.to_string())
                })
            }
        }
    }

    fn configured(
        &self,
        name: &str,
        instance: Arc<dyn Instance>,
        policy: Policy,
    ) -> Arc<Configured> {
        let observer = Arc::clone(&self.meters) as Arc<dyn Observer>;
        Configured::new(name, instance, policy, observer)
    }

    /// Those that are in use.
    pub(crate) fn all(&self) -> Vec<Arc<Kept>> {
        self.kept.lock().values().cloned().collect()
    }

    /// Lets go of what no snapshot refers to any more.
    pub(crate) fn forget_unused(&self) {
        // What is dropped is a plugin's own: not under the lock.
        let unused: Vec<_> = {
            let mut kept = self.kept.lock();
            let is_unused = |_: &Identity, kept: &mut Arc<Kept>| Arc::strong_count(kept) == 1;
            kept.extract_if(is_unused).collect()
        };
        drop(unused);
        self.registry.sweep();
    }
}

impl std::fmt::Debug for Keeping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeping").field("kept", &self.kept.lock().len()).finish_non_exhaustive()
    }
}

fn unknown(name: &str, plan: &PluginPlan, registry: &Registry, defined: &[&str]) -> Diagnostic {
    let message = format!("plugin `{name}` is not defined, and this program has none of that name");
    let own: Vec<&str> = registry.named().map(|module| module.name()).collect();
    let all = own.iter().chain(defined).copied().filter(|other| *other != name);
    let hint = match nearest(name, all) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if own.is_empty() => {
            "it has none at all; a program that Switchback is built into registers its own with `Server::plugin`"
                .to_owned()
        }
        None => format!("it has `{}`", own.join("`, `")),
    };
    Diagnostic::error(Code::UnknownPlugin, plan.named_at.clone(), message).hint(hint)
}

/// What a plugin says of its options, with the place of the one that it is about.
fn refusal(error: &BuildError, plan: &PluginPlan) -> Diagnostic {
    let message = match error.path.is_empty() {
        true => format!("plugin `{}`: {}", plan.name, error.message),
        false => format!("plugin `{}`: option `{}`: {}", plan.name, error.path, error.message),
    };
    let found = Diagnostic::error(Code::PluginOption, plan.locate(&error.path), message);
    match &error.help {
        Some(help) => found.hint(help.clone()),
        None => found,
    }
}

/// The chain of `filters`; `None` where it is empty or something of it was refused.
pub(crate) fn chain(filters: &[FilterPlan], plugins: &[Option<Arc<Kept>>]) -> Option<Arc<Chain>> {
    if filters.is_empty() {
        return None;
    }
    let nodes: Option<Vec<Node>> = filters.iter().map(|filter| node(filter, plugins)).collect();
    Some(Arc::new(Chain::new(nodes?)))
}

fn node(filter: &FilterPlan, plugins: &[Option<Arc<Kept>>]) -> Option<Node> {
    let group = |members: &[FilterPlan]| -> Option<Vec<Node>> {
        members.iter().map(|member| node(member, plugins)).collect()
    };
    Some(match filter {
        FilterPlan::One(id) => {
            let kept = plugins.get(id.0 as usize)?.as_ref()?;
            Node::One(Arc::clone(&kept.configured))
        }
        FilterPlan::Any(members) => Node::Any(group(members)?),
        FilterPlan::All(members) => Node::All(group(members)?),
    })
}
