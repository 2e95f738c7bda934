//! `switchback plugin list`: which plugins there are.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use switchback::{ProcessEnvironment, read_file};
use switchback_plugin::Module;

use crate::config_search;
use crate::exit::Exit;
use crate::output::show;

/// Lists those that are linked in, and the modules in the folders where the configuration has them looked for.
pub(super) fn list(named: Option<PathBuf>) -> Exit {
    let mut out = String::new();
    super::with_registry(|registry| {
        registry.named().for_each(|module| line(&mut out, &**module));
    });
    for folder in folders(named) {
        for file in modules(&folder) {
            match super::load(&file) {
                Ok(module) => {
                    line(&mut out, &*module);
                    // Writing to a string does not fail.
                    let _ = writeln!(out, "    {}", file.display());
                }
                Err(error) => {
                    let _ = writeln!(out, "{}: {error}", file.display());
                }
            }
        }
    }
    show(out)
}

fn line(out: &mut String, module: &dyn Module) {
    let kind = module.kind().to_string();
    let _ = writeln!(out, "{:<24} {kind:<7} {}", module.name(), module.version());
}

/// Without a configuration, or with one that cannot be read, there are none.
fn folders(named: Option<PathBuf>) -> Vec<PathBuf> {
    let Ok(file) = config_search::find(named) else { return Vec::new() };
    let Some(config) = read_file(&file, &ProcessEnvironment).value else { return Vec::new() };
    config.plugin_path.iter().map(|folder| folder.to_path_buf()).collect()
}

/// In the order of their names.
fn modules(folder: &Path) -> Vec<PathBuf> {
    let is_module = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "so" || extension == "wasm")
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_module).collect();
    files.sort();
    files
}
