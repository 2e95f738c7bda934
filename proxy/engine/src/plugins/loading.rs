//! Plugins of the program and of files, found for those that a configuration names.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;
use switchback_conf::plan::{PluginPlan, PluginSource, shown_sha256};
use switchback_conf::{Code, Diagnostic};
use switchback_plugin::Module;
use switchback_value::suggest::nearest;

use super::{Limits, ModuleFile, Plugins};

/// What a plugin is, wherever it was found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    /// The program's own of this name.
    Program(Box<str>),
    /// A file with this SHA-256.
    File([u8; 32], Limits),
}

/// Files that were loaded, by content.
pub(super) type Loaded = Mutex<HashMap<Origin, Arc<dyn Module>>>;

/// Larger files are refused.
const MOST: u64 = 256 << 20;

/// The plugin that `plan` names, and what it is. `defined` are the names of all that are configured.
///
/// # Errors
/// There is none, or it cannot be loaded.
pub(super) fn find(
    plan: &PluginPlan,
    plugins: &Plugins,
    loaded: &Loaded,
    defined: &[&str],
) -> Result<(Origin, Arc<dyn Module>), Diagnostic> {
    match &plan.source {
        PluginSource::Program(name) => match plugins.find(name) {
            Some(module) => Ok((Origin::Program(name.clone()), Arc::clone(module))),
            None => Err(unknown(name, plan, plugins, defined)),
        },
        PluginSource::Module { path, sha256 } => {
            let refuse = |reason: String| {
                let message = format!("cannot load the plugin {}: {reason}", path.display());
                Diagnostic::error(Code::PluginModule, plan.named_at.clone(), message)
            };
            let content = read(path).map_err(|error| refuse(error.to_string()))?;
            let sum = sum(&content);
            if let Some(wanted) = sha256.filter(|wanted| *wanted != sum) {
                let (is, wanted) = (shown_sha256(sum), shown_sha256(wanted));
                let found = refuse(format!("its SHA-256 is {is}, and must be {wanted}"));
                return Err(found.hint("it is another file than the one that was meant"));
            }
            let limits = limits(plan);
            let origin = Origin::File(sum, limits);
            if let Some(module) = loaded.lock().get(&origin) {
                return Ok((origin, Arc::clone(module)));
            }
            let file = ModuleFile { path, content: &content, sha256: sum, limits };
            let module = load(&file, plugins).map_err(refuse)?;
            loaded.lock().insert(origin.clone(), Arc::clone(&module));
            Ok((origin, module))
        }
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    match std::fs::metadata(path)?.len() {
        0..=MOST => std::fs::read(path),
        _ => Err(std::io::Error::other("larger than 256 MiB")),
    }
}

fn sum(content: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    for (byte, own) in sum.iter_mut().zip(digest(&SHA256, content).as_ref()) {
        *byte = *own;
    }
    sum
}

fn limits(plan: &PluginPlan) -> Limits {
    let said = plan.limits;
    Limits { memory: said.memory, cpu: said.cpu, instances: said.instances }
}

fn load(file: &ModuleFile<'_>, plugins: &Plugins) -> Result<Arc<dyn Module>, String> {
    match plugins.loader(file.path) {
        Some(loader) => loader.load(file),
        None => {
            let ending = file.path.extension().unwrap_or_default().to_string_lossy();
            Err(format!("this program cannot load plugins that end with `.{ending}`"))
        }
    }
}

fn unknown(name: &str, plan: &PluginPlan, plugins: &Plugins, defined: &[&str]) -> Diagnostic {
    let message = format!("plugin `{name}` is not defined, and this program has none of that name");
    let own: Vec<&str> = plugins.modules().map(|module| module.name()).collect();
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
