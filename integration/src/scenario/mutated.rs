//! Broken configurations: whatever `check` says, `reload` and `run` say too, and nobody panics.

use crate::config::{Config, config, text};
use crate::message::get;
use crate::mutation::mutations;
use crate::proxy::Proxy;

/// What mutated configurations came to.
#[derive(Clone, Debug, Default)]
pub struct Mutated {
    /// How many were tried.
    pub tried: usize,
    /// How many of them `check` refused.
    pub refused: usize,
    /// Where something was wrong.
    pub faults: Vec<String>,
}

/// Tries `count` mutations of a configuration that uses most of the language.
///
/// # Panics
/// When the unmutated configuration is refused.
#[must_use]
#[track_caller]
pub fn mutated(count: usize) -> Mutated {
    let sound = sound();
    let proxy = Proxy::start(&sound);
    let mut found = Mutated::default();
    for mutation in mutations(&sound.to_toml(), count, 20_261_121) {
        found.tried += 1;
        if let Err(fault) = try_one(&proxy, &mutation.text, &mut found.refused) {
            found.faults.push(format!("{}: {fault}", mutation.what));
        }
        let restored = proxy.reload(&sound);
        if !restored.accepted || proxy.get("/fixed").status != 200 {
            found
                .faults
                .push(format!("{}: not restored: {:?}", mutation.what, restored.diagnostics));
        }
    }
    found
}

fn try_one(proxy: &Proxy, toml: &str, refused: &mut usize) -> Result<(), String> {
    std::fs::write(proxy.config_file(), toml).map_err(|error| error.to_string())?;
    let check = proxy.run(&["check", "-c", "switchback.toml"]);
    if check.stderr.contains("panicked") || !matches!(check.code, Some(0 | 1)) {
        return Err(format!("check ended with {:?}: {}", check.code, check.stderr));
    }
    let sound = check.code == Some(0);
    *refused += usize::from(!sound);
    let verdict = proxy.reload_as_written();
    if verdict.accepted != sound {
        return Err(format!(
            "check says {sound}, reload {}: {:?}\n{}",
            verdict.accepted, verdict.diagnostics, check.stderr
        ));
    }
    if !sound && proxy.client().ask(&get("/fixed")).status != 200 {
        return Err("the old configuration no longer serves".to_owned());
    }
    if !sound {
        expect_no_start(toml)?;
    }
    if proxy.stderr().contains("panicked") { Err("the proxy panicked".to_owned()) } else { Ok(()) }
}

/// What `check` refuses does not start, not even by half.
fn expect_no_start(toml: &str) -> Result<(), String> {
    match Proxy::try_start(&text(toml)) {
        Ok(_proxy) => Err("check refuses it, but it starts".to_owned()),
        Err(refusal) if refusal.code == Some(1) && !refusal.stderr.contains("panicked") => Ok(()),
        Err(refusal) => Err(format!("run ended with {:?}: {}", refusal.code, refusal.stderr)),
    }
}

/// Most of the language. Endpoints are names, so that no swap makes an address that can be bound of them.
fn sound() -> Config {
    config()
        .top("trusted_proxies = [\"10.0.0.0/8\", \"::1\"]")
        .top("shutdown_timeout = \"5s\"")
        .web("timeouts = { header = \"10s\", body = \"20s\" }\nlimits = { target = \"4KiB\", fields = 64 }")
        .toml("[forwarding]\nforwarded = true\nvia = \"edge\"\n")
        .site("hosts = [\"shop.example\", \"*.shop.example\"]\nencoded_slash = \"refuse\"\nbody_limit = \"2MiB\"")
        .route("/users/{id}/*", "proxy = { upstream = \"users\", rewrite = \"/v2/{id}?$args\" }\nerrors = { 404 = \"lost\" }")
        .route_lines("name = \"lost\"\ninternal = true\nrespond = { status = 404, body = \"lost: $uri\" }")
        .site("default = true")
        .respond("/fixed", "fixed")
        .route_lines(
            "match = { path = \"/admin/*\", method = [\"GET\", \"POST\"], when = \"$http_x_key == 'k'\" }\npriority = 5\n\
             proxy = \"users\"\nrequest_headers = { set = { x-from = \"$remote_addr\" }, remove = [\"cookie\"] }",
        )
        .endpoints("users", &["localhost:1", "localhost:2"], "tries = 2\ntimeouts = { connect = \"1s\", read = \"2s\" }")
}
