//! `switchback plugin`: what authors of plugins need.

mod bench;
mod check;
mod list;
mod new;

use std::path::Path;
use std::sync::Arc;

use switchback::{Config, Server};
use switchback_plugin::Module;
use switchback_plugin_host::{Limits, LoadError, Registry};

use crate::cli::Plugin;
use crate::exit::Exit;

/// Does what `switchback plugin ...` says.
pub(super) fn plugin(wanted: Plugin) -> Exit {
    match wanted {
        Plugin::New(wanted) => new::new(&wanted),
        Plugin::Check(wanted) => check::check(&wanted),
        Plugin::Bench(wanted) => bench::bench(&wanted),
        Plugin::List(file) => list::list(file.config),
    }
}

/// The plugin in `file`; or the one of that name that is linked in, where there is no such file.
fn load(file: &Path) -> Result<Arc<dyn Module>, LoadError> {
    with_registry(|registry| {
        if let Some(module) = file.to_str().and_then(|name| registry.find(name)) {
            return Ok(Arc::clone(module));
        }
        registry.load(file, &[".".into()], None, Limits::default())
    })
}

/// The plugins of this program.
fn with_registry<T>(work: impl FnOnce(&Registry) -> T) -> T {
    work(Server::new(Config::default()).plugins())
}
