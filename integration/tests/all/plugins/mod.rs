//! Plugins of all kinds, through the real program: linked in, compiled modules, Wasm, and those that are built in.

#[cfg(test)]
mod builtin;
#[cfg(test)]
mod builtin_access;
#[cfg(test)]
mod builtin_changes;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod front_door;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod modules;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod steering;
#[cfg(test)]
mod websocket;

use switchback_integration::{Config, Origin, PluginModule, Proxy, Request, site};
use switchback_plugin::Kind;

/// All kinds.
const KINDS: [Kind; 3] = [Kind::Linked, Kind::Native, Kind::Wasm];

/// Where the plugin `conformance`, which does what it is told, comes from as that kind: a line of `[plugins.NAME]`.
fn source(kind: Kind) -> String {
    let module = match kind {
        Kind::Linked => return "use = \"conformance\"".to_owned(),
        Kind::Native => PluginModule::Conformance,
        Kind::Wasm => PluginModule::ConformanceWasm,
    };
    // A build for tests is slow: it has more time than is usual.
    let limits = if kind == Kind::Wasm { "\nlimits = { cpu = \"10s\" }" } else { "" };
    format!("module = \"{}\"{limits}", module.file().display())
}

/// A plugin of this kind under this name, with these lines beside where it comes from; it has a long time for everything.
fn plugin(name: &str, kind: Kind, lines: &str) -> String {
    format!("[plugins.{name}]\n{}\ntimeout = \"60s\"\n{lines}\n", source(kind))
}

/// The program that has plugins of this kind.
#[track_caller]
fn start(kind: Kind, config: &Config) -> Proxy {
    match kind {
        Kind::Linked => Proxy::start_linked(config),
        Kind::Native | Kind::Wasm => Proxy::start(config),
    }
}

/// Every path is for this origin, and asks this filter, a built-in plugin as a rule.
fn filtered(filter: &str, origin: &Origin) -> Config {
    site().route("/*", format!("filters = [{filter}]\nproxy = \"app\"")).upstream(
        "app",
        &[origin],
        "",
    )
}

/// The same of a built-in plugin with these options. Something is answered by the proxy itself: then requests without a body are received by
/// the front door.
fn built_in(name: &str, options: &str, origin: &Origin) -> Config {
    filtered(&format!("{{ use = \"{name}\", options = {{ {options} }} }}"), origin)
        .route("/answered-here", "respond = {}")
}

/// What an origin that echoes was sent in fields of this name.
fn received(proxy: &Proxy, request: &Request, name: &str) -> Vec<String> {
    let answer = proxy.ask(request);
    answer.expect_status(200);
    let echoed = answer.json();
    let fields = echoed["headers"].as_array().unwrap();
    let fields = fields
        .iter()
        .filter(|field| field[0].as_str().is_some_and(|own| own.eq_ignore_ascii_case(name)));
    fields.map(|field| field[1].as_str().unwrap().to_owned()).collect()
}
