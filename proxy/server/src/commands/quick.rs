//! What `proxy`, `respond` and the like have in common: a configuration that is built from a command line.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use switchback::{Config, Server};
use switchback_conf::model::{AccessLog, BindAddress, Count, OrOff, OrOn, Route, Workers};
use switchback_conf::plan::LogTarget;
use thiserror::Error;

use super::serve::{Introduction, serve};
use crate::exit::Exit;
use crate::output::{show, tell};

/// Serves `config`, or prints it. `told` says in a line or two what it does.
pub(crate) fn start(config: Config, told: &str, only_print: bool) -> Exit {
    let toml = config.to_toml();
    if only_print {
        return show(toml);
    }
    let introduction = format!("{told}\nsave this as switchback.toml:\n\n{toml}");
    match serve(Server::new(config), Introduction::Shown(introduction)) {
        Ok(exit) => exit,
        Err(error) => {
            tell(error);
            Exit::Failed
        }
    }
}

/// A configuration with what every command line may say: threads, and a log file (`-` is standard output).
pub(crate) fn config(workers: Option<u16>, access_log: Option<&Path>) -> Config {
    let mut config = Config::default();
    if let Some(workers) = workers {
        config.workers = Workers::Count(Count::clamped(workers.into()));
    }
    if let Some(file) = access_log {
        let to_stdout = file.as_os_str() == "-";
        let file = if to_stdout { LogTarget::Stdout } else { LogTarget::File(file.to_owned()) };
        config.log.access.push(AccessLog::to(file).into());
    }
    config
}

/// What is told where answers are encoded.
pub(crate) const ENCODED: &str = "  text is encoded for clients that can decode it\n";

/// Has the answers of `route` encoded, in the usual way.
pub(crate) fn encode(route: &mut Route) {
    route.encode = Some(OrOff::On(OrOn::default()).into());
}

/// What is no address to listen on.
#[derive(Debug, Error, PartialEq)]
#[error("`{0}` is not an address to listen on; write it as 127.0.0.1:8080, :8080 or unix:/path")]
pub(crate) struct NotAnAddress(String);

/// The address that `text` names.
pub(crate) fn listen_address(text: &str) -> Result<BindAddress, NotAnAddress> {
    let misread = || NotAnAddress(text.to_owned());
    if let Some(path) = text.strip_prefix("unix:") {
        return if path.is_empty() { Err(misread()) } else { Ok(BindAddress::Unix(path.into())) };
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(BindAddress::Tcp(address));
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(misread)?;
    let port = port.parse().map_err(|_| misread())?;
    match host {
        "" => Ok(BindAddress::Any(port)),
        "localhost" => Ok(BindAddress::Tcp((Ipv4Addr::LOCALHOST, port).into())),
        _ => Err(misread()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_port_listens_everywhere_and_localhost_on_the_loopback() {
        assert_eq!(listen_address(":8080"), Ok(BindAddress::Any(8080)));
        assert_eq!(
            listen_address("localhost:80"),
            Ok(BindAddress::Tcp("127.0.0.1:80".parse().unwrap()))
        );
        assert_eq!(listen_address("[::1]:80"), Ok(BindAddress::Tcp("[::1]:80".parse().unwrap())));
        for text in ["", "8080", "app:80", ":x", "unix:"] {
            assert!(listen_address(text).is_err(), "{text}");
        }
    }
}
