//! `switchback plugin check`: what the proxy sees of a plugin.

use switchback_plugin::testing::{Harness, Surroundings};
use switchback_plugin::{Hook, Module};

use crate::cli::CheckPlugin;
use crate::exit::Exit;
use crate::output::{fail, show};

/// Loads a plugin as the proxy would, and shows what it is; with options, also whether it takes them.
pub(super) fn check(wanted: &CheckPlugin) -> Exit {
    let module = match super::load(&wanted.of.plugin) {
        Ok(module) => module,
        Err(error) => return fail(error),
    };
    if wanted.schema {
        return match module.schema() {
            Some(schema) => show(format_args!("{schema}\n")),
            None => fail("the plugin does not tell which options it has"),
        };
    }
    let Some(options) = &wanted.of.options else { return show(describe(&*module)) };
    match Harness::of(&*module, Surroundings::default(), options) {
        Ok(_) => show(format_args!("{}options: good\n", describe(&*module))),
        Err(error) => fail(format_args!("{}: options: {error}", module.name())),
    }
}

fn describe(module: &dyn Module) -> String {
    let hooks: Vec<&str> = Hook::ALL
        .into_iter()
        .filter(|hook| module.hooks().contains(*hook))
        .map(Hook::name)
        .collect();
    let hooks = if hooks.is_empty() { "none".to_owned() } else { hooks.join(", ") };
    format!("{} {} ({})\nhooks: {hooks}\n", module.name(), module.version(), module.kind())
}
