//! Plugins that are configured, kept from one configuration to the next: one that is the same goes on with what it remembers.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use switchback_conf::plan::{self, FilterPlan, Plan, PluginPlan, PluginSource, shown_sha256};
use switchback_conf::{Code, Diagnostic};
use switchback_plugin::{BuildError, Module};
use switchback_plugin_host::{
    Build, Built, Chain, Configured, Digest, Estate, Isolation, Limits, Metrics, Node, OnError,
    Registry, Said, Store,
};
use switchback_value::suggest::nearest;
use tokio::sync::Notify;

use super::living::Living;
use super::successors::succeed;
use super::surroundings::{Names, Needs, Surroundings};
use crate::http::filter::names::VariableNames;
use crate::http::filter::operations::Threads;

/// What outlives configurations of plugins.
#[derive(Default)]
pub(crate) struct Keeping {
    /// What there is to configure.
    registry: Arc<Registry>,
    kept: Mutex<HashMap<Identity, Arc<Kept>>>,
    /// Those that the configuration in force asks, in its order.
    in_force: Mutex<Vec<Weak<Kept>>>,
    /// What is counted.
    pub(crate) metrics: Arc<Metrics>,
    /// What is there of each plugin.
    pub(crate) living: Living,
    /// What plugins store.
    pub(crate) store: Store,
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
    /// For the one that takes its place.
    estate: Estate,
}

/// A plugin of a plan.
enum Sought {
    /// It is there already.
    Known(Arc<Kept>),
    /// It has to be made.
    New { module: Arc<dyn Module>, identity: Identity },
}

impl Keeping {
    /// Of what the program has.
    pub(crate) fn new(registry: Arc<Registry>) -> Self {
        Self { registry, ..Self::default() }
    }

    /// The plugins of `plan`, in its order. What is wrong with one is told, and it is left out.
    pub(crate) fn find(&self, plan: &Plan, found: &mut Vec<Diagnostic>) -> Vec<Option<Arc<Kept>>> {
        let names = Names::of(plan);
        let defined: Vec<&str> = plan.plugins.iter().map(|plugin| &*plugin.name).collect();
        let seek = |plugin: &PluginPlan| self.seek(plugin, &names, &defined);
        let sought: Vec<_> = plan.plugins.iter().map(seek).collect();
        let left = self.left(&plan.plugins, &sought);
        let mut all = Vec::with_capacity(sought.len());
        for ((plugin, sought), left) in plan.plugins.iter().zip(sought).zip(left) {
            let kept = match sought {
                Ok(Sought::Known(kept)) => Ok(kept),
                Ok(Sought::New { module, identity }) => {
                    self.make(plugin, (module, identity), &names, left)
                }
                Err(wrong) => Err(wrong),
            };
            all.push(kept.map_err(|wrong| found.push(wrong)).ok());
        }
        all
    }

    fn seek(
        &self,
        plan: &PluginPlan,
        names: &Names,
        defined: &[&str],
    ) -> Result<Sought, Diagnostic> {
        let module = self.module(plan, defined)?;
        let identity = Identity {
            name: plan.name.clone(),
            module: Arc::as_ptr(&module).cast::<()>() as usize,
            options: plan.options.to_json().to_string().into(),
            on_error: plan.on_error,
            timeout: plan.timeout,
        };
        Ok(match self.known(&identity, names) {
            Some(kept) => Sought::Known(kept),
            None => Sought::New { module, identity },
        })
    }

    fn known(&self, identity: &Identity, names: &Names) -> Option<Arc<Kept>> {
        let known = self.kept.lock().get(identity).cloned();
        known.filter(|kept| names.have(&kept.needs))
    }

    /// What each of these plugins is left by one in force: nothing, unless it is to be made and takes the place of one.
    fn left(&self, plugins: &[PluginPlan], sought: &[Result<Sought, Diagnostic>]) -> Vec<Estate> {
        let stays = |one: &Arc<Kept>| {
            let is = |sought: &Result<Sought, Diagnostic>| matches!(sought, Ok(Sought::Known(kept)) if Arc::ptr_eq(kept, one));
            sought.iter().any(is)
        };
        let gone: Vec<Arc<Kept>> =
            self.in_force().into_iter().filter(|kept| !stays(kept)).collect();
        let gone_names: Vec<&str> = gone.iter().map(|kept| &**kept.configured.name()).collect();
        let new = plugins.iter().zip(sought).map(|(plugin, sought)| {
            let is_new = plugin.is_used && matches!(sought, Ok(Sought::New { .. }));
            is_new.then_some(&*plugin.name)
        });
        let new: Vec<Option<&str>> = new.collect();
        let estate = |index: Option<usize>| {
            let before = index.and_then(|index| gone.get(index));
            before.map(|kept| kept.estate.clone()).unwrap_or_default()
        };
        succeed(&new, &gone_names).into_iter().map(estate).collect()
    }

    fn make(
        &self,
        plan: &PluginPlan,
        (module, identity): (Arc<dyn Module>, Identity),
        names: &Names,
        left: Estate,
    ) -> Result<Arc<Kept>, Diagnostic> {
        // Two files may be one module.
        if let Some(kept) = self.known(&identity, names) {
            return Ok(kept);
        }
        let surroundings = Surroundings {
            names,
            folder: plan.at.file().and_then(|file| Some(file.parent()?.to_owned())),
            needs: Mutex::default(),
        };
        let on_error = match plan.on_error {
            plan::OnError::Closed => OnError::Closed,
            plan::OnError::Open => OnError::Open,
        };
        let said = Said { on_error, timeout: plan.timeout };
        let build = Build::new(&plan.name, &surroundings, &self.metrics).after(left);
        let built = build.configured(&*module, &identity.options, said);
        let Built { plugin, estate } = built.map_err(|error| refusal(&error, plan))?;
        self.living.note(&plan.name, module.kind(), plugin.instance());
        let kept = Arc::new(Kept {
            configured: plugin,
            _module: module,
            needs: surroundings.needs.into_inner(),
            estate,
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
                    isolation: match plan.isolation {
                        plan::Isolation::Worker => Isolation::Worker,
                        plan::Isolation::Request => Isolation::Request,
                    },
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

    /// Those that the configuration in force asks, in its order.
    fn in_force(&self) -> Vec<Arc<Kept>> {
        self.in_force.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Has `plugins` be those that the configuration in force asks.
    pub(crate) fn put_in_force(&self, plugins: &[Arc<Kept>]) {
        *self.in_force.lock() = plugins.iter().map(Arc::downgrade).collect();
    }

    /// Lets go of what no snapshot refers to any more: after a configuration was put in force, and after one was refused.
    pub(crate) fn forget_unused(&self) {
        // What is dropped is a plugin's own: not under the lock.
        let unused: Vec<_> = {
            let mut kept = self.kept.lock();
            let is_unused = |_: &Identity, kept: &mut Arc<Kept>| Arc::strong_count(kept) == 1;
            kept.extract_if(is_unused).collect()
        };
        drop(unused);
        self.metrics.forget_unused();
    }

    /// Lets go of modules that the configuration in force does not name.
    pub(crate) fn forget_modules(&self) {
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
