//! `switchback proxy`: a configuration built in code.

use std::net::SocketAddr;

use switchback::Config;
use switchback_conf::model::{
    BindAddress, Cache, Listener, ListenerTls, Name, OrOff, OrText, Proxy, Route, Site, Upstream,
    UpstreamTls, Zone,
};
use switchback_conf::plan::EndpointAddress;
use switchback_conf::units::Size;
use thiserror::Error;

use super::quick::{self, NotAnAddress};
use crate::cli;
use crate::exit::Exit;
use crate::output::fail;

/// Proxies one address to another, or prints the configuration that would.
pub(crate) fn proxy(wanted: &cli::Proxy) -> Exit {
    let config = match configure(wanted) {
        Ok(config) => config,
        Err(error) => {
            fail(error);
            return Exit::Usage;
        }
    };
    quick::start(config, &introduce(wanted), wanted.print_config)
}

fn introduce(wanted: &cli::Proxy) -> String {
    let tls = if wanted.tls_self_signed {
        "TLS with a certificate made just now: browsers warn, curl needs -k"
    } else {
        "no TLS"
    };
    let cache = wanted.cache.as_ref();
    let cache = cache.map_or_else(String::new, |size| format!("  answers are kept in {size}\n"));
    let encode = if wanted.encode { quick::ENCODED } else { "" };
    format!("  {tls}\n  to {}\n{cache}{encode}", wanted.to)
}

/// What cannot be understood of an address.
#[derive(Debug, Error, PartialEq)]
enum Misread {
    #[error(transparent)]
    Listen(#[from] NotAnAddress),
    #[error(
        "`{0}` is not an address to proxy to; write it as localhost:3000, https://app.example or unix:/path"
    )]
    Target(String),
    #[error("`{0}` has a path; the path of each request is sent as it is, leave it out")]
    TargetPath(String),
    #[error("`{0}` is not a size for `--cache`; write it as 256MiB")]
    Size(String),
}

fn configure(wanted: &cli::Proxy) -> Result<Config, Misread> {
    let mut config = quick::config(wanted.workers, wanted.access_log.as_deref());
    config.listeners.push(listener(wanted)?.into());
    let target = Target::read(&wanted.to)?;
    let mut route = Route::proxy(Proxy::to(target.name.clone()));
    if wanted.encode {
        quick::encode(&mut route);
    }
    if let Some(size) = &wanted.cache {
        let memory = Size::parse(size).ok_or_else(|| Misread::Size(size.clone()))?;
        let zone = Name::new("default").ok_or_else(|| Misread::Size(size.clone()))?;
        route.cache = Some(OrOff::On(OrText(Cache::of(zone.clone()))).into());
        config.zones.insert(zone, Zone { memory: memory.into(), ..Zone::default() }.into());
    }
    config.sites.push(Site::new([route]).into());
    let mut upstream = Upstream::new([target.address]);
    upstream.tls = target.tls.then(|| UpstreamTls::default().into());
    config.upstreams.insert(target.name, upstream.into());
    Ok(config)
}

fn listener(wanted: &cli::Proxy) -> Result<Listener, Misread> {
    let address = quick::listen_address(&wanted.address)?;
    let names = certificate_names(&address);
    let mut listener = Listener::new(address);
    listener.h2c = wanted.h2c.into();
    if wanted.tls_self_signed {
        let self_signed = Some(names.iter().map(|name| name.as_str().into()).collect());
        listener.tls = Some(ListenerTls { self_signed, ..ListenerTls::default() }.into());
    }
    Ok(listener)
}

/// What clients on this machine call it, and its own address where it has one.
fn certificate_names(address: &BindAddress) -> Vec<String> {
    let mut names = ["localhost", "127.0.0.1", "::1"].map(String::from).to_vec();
    if let BindAddress::Tcp(address) = address {
        let own = address.ip().to_string();
        if !address.ip().is_unspecified() && !names.contains(&own) {
            names.push(own);
        }
    }
    names
}

/// Where to, as said after `--to`.
#[derive(Debug, PartialEq)]
struct Target {
    name: Name,
    address: EndpointAddress,
    tls: bool,
}

impl Target {
    fn read(text: &str) -> Result<Self, Misread> {
        let misread = || Misread::Target(text.to_owned());
        let name = Name::new("app").ok_or_else(misread)?;
        if let Some(path) = text.strip_prefix("unix:") {
            let address = EndpointAddress::Unix(path.into());
            return if path.is_empty() {
                Err(misread())
            } else {
                Ok(Self { name, address, tls: false })
            };
        }
        let (authority, default_port, tls) = match text.split_once("://") {
            None => (text, None, false),
            Some(("http", authority)) => (authority, Some(80), false),
            Some(("https", authority)) => (authority, Some(443), true),
            Some(_) => return Err(misread()),
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if authority.contains(['/', '?', '#']) {
            return Err(Misread::TargetPath(text.to_owned()));
        }
        let address = endpoint(authority, default_port).ok_or_else(misread)?;
        Ok(Self { name, address, tls })
    }
}

fn endpoint(authority: &str, default_port: Option<u16>) -> Option<EndpointAddress> {
    if let Ok(address) = authority.parse::<SocketAddr>() {
        return (address.port() != 0).then_some(EndpointAddress::Ip(address));
    }
    let bare =
        authority.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(authority);
    if let (Ok(ip), Some(port)) = (bare.parse(), default_port) {
        return Some(EndpointAddress::Ip(SocketAddr::new(ip, port)));
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0)?),
        None => (authority, default_port?),
    };
    // `:3000` is what people type for their own machine.
    let host = if host.is_empty() { "localhost" } else { host };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let names_a_host = host.bytes().all(is_name)
        && !host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    names_a_host.then(|| EndpointAddress::Name { host: host.to_ascii_lowercase().into(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> (String, bool) {
        let target = Target::read(text).unwrap();
        (target.address.to_string(), target.tls)
    }

    #[test]
    fn targets_are_hosts_urls_or_sockets() {
        assert_eq!(target("localhost:3000"), ("localhost:3000".into(), false));
        assert_eq!(target(":3000"), ("localhost:3000".into(), false));
        assert_eq!(target("10.0.0.1:80"), ("10.0.0.1:80".into(), false));
        assert_eq!(target("http://app.example"), ("app.example:80".into(), false));
        assert_eq!(target("https://app.example/"), ("app.example:443".into(), true));
        assert_eq!(target("https://[::1]"), ("[::1]:443".into(), true));
        assert_eq!(target("unix:/run/app.sock"), ("unix:/run/app.sock".into(), false));
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for text in [
            "",
            "localhost",
            "ftp://a:1",
            "a b:80",
            "10.0.0.1",
            "app:0",
            "app:70000",
            "unix:",
            "1.2.3:80",
        ] {
            assert_eq!(Target::read(text), Err(Misread::Target(text.into())), "{text}");
        }
        assert!(matches!(Target::read("http://app/v1"), Err(Misread::TargetPath(_))));
    }
}
