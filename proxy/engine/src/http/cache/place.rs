//! The places that a URL names for a purge.

use std::borrow::Cow;

use switchback_cache::Address;
use switchback_conf::plan::{KeyPartsPlan, KeyPlan, KeyQueryPlan};
use switchback_route::{EncodedSlash, NormalPath};

use super::key;
use crate::http::host;
use crate::purge::PurgeError;

/// What of an address the keys of a route hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shape {
    parts: KeyPartsPlan,
    slash: EncodedSlash,
}

impl Shape {
    /// That of a route of a site where an encoded slash becomes this.
    pub(crate) fn new(key: &KeyPlan, slash: EncodedSlash) -> Self {
        let (scheme, host, query) = match key {
            KeyPlan::Whole(_) => (true, true, KeyQueryPlan::All),
            KeyPlan::Parts(parts) => (parts.scheme, parts.host, parts.query.clone()),
        };
        Self { parts: KeyPartsPlan { scheme, host, query, parts: Vec::new() }, slash }
    }
}

/// What a URL says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place<'u> {
    schemes: &'static [&'static str],
    host: String,
    port: &'u str,
    path: &'u str,
    query: &'u str,
}

impl<'u> Place<'u> {
    /// `https://host:port/path?query`, or without scheme for both.
    pub(crate) fn parse(url: &'u str) -> Result<Self, PurgeError> {
        let bad = || PurgeError::BadUrl(url.into());
        let (schemes, rest): (&'static [&'static str], &str) = match url.split_once("://") {
            Some(("http", rest)) => (&["http"], rest),
            Some(("https", rest)) => (&["https"], rest),
            Some((before, _)) if !before.contains(['/', '?']) => return Err(bad()),
            _ => (&["http", "https"], url),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if target.contains('#') || url.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err(bad());
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let name = host::name(authority.as_bytes()).ok_or_else(bad)?;
        let port = key::port_of(authority.as_bytes());
        Ok(Self {
            schemes,
            host: name.to_ascii_lowercase(),
            port: std::str::from_utf8(port).map_err(|_| bad())?,
            path: if path.is_empty() { "/" } else { path },
            query,
        })
    }

    /// Calls `visit` with each address that routes of this shape may keep it under.
    pub(crate) fn visit(&self, shape: &Shape, mut visit: impl FnMut(Address<'_>)) {
        let Ok(path) = NormalPath::parse(self.path, shape.slash) else { return };
        let path = path.to_encoded();
        let query: Cow<'_, [u8]> = key::kept_query(&shape.parts.query, self.query.as_bytes());
        for scheme in self.schemes {
            let usual = if *scheme == "http" { "80" } else { "443" };
            // With or without, it is the same place to whoever asks for it.
            let is_usual = self.port.is_empty() || self.port == usual;
            let ports = if is_usual { ["", usual] } else { [self.port; 2] };
            for port in ports.into_iter().take(if is_usual { 2 } else { 1 }) {
                let full = Address {
                    scheme: scheme.as_bytes(),
                    host: self.host.as_bytes(),
                    port: port.as_bytes(),
                    path: path.as_bytes(),
                    query: &query,
                };
                visit(key::address(&shape.parts, full));
            }
        }
    }
}

/// A host as keys of this shape hold it: they may hold none.
pub(crate) fn host_in<'h>(shape: &Shape, host: &'h str) -> &'h str {
    if shape.parts.host { host } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(url: &str, shape: &Shape) -> Vec<String> {
        let mut seen = Vec::new();
        Place::parse(url).unwrap().visit(shape, |address| {
            let Address { scheme, host, port, path, query } = address;
            let parts = [scheme, host, port, path, query];
            seen.push(parts.map(|part| part.escape_ascii().to_string()).join(" "));
        });
        seen
    }

    fn shape(scheme: bool, host: bool, query: KeyQueryPlan) -> Shape {
        let parts = KeyPartsPlan { scheme, host, query, parts: Vec::new() };
        Shape { parts, slash: EncodedSlash::Keep }
    }

    #[test]
    fn a_url_is_a_place_for_each_scheme_and_port_it_may_mean() {
        let all = shape(true, true, KeyQueryPlan::All);
        let https = ["https a.example  /b c=1", "https a.example 443 /b c=1"];
        assert_eq!(addresses("https://A.Example./x/../b?c=1", &all), https);
        assert_eq!(addresses("https://a.example:443/b?c=1", &all), https);
        assert_eq!(addresses("http://a:8080", &all), ["http a 8080 / "]);
        let both = ["http a  /b ", "http a 80 /b ", "https a  /b ", "https a 443 /b "];
        assert_eq!(addresses("a/b", &all), both);
        assert_eq!(addresses("http://[::1]:81/", &all), ["http [::1] 81 / "]);
    }

    #[test]
    fn what_keys_leave_out_does_not_matter() {
        let few = shape(false, false, KeyQueryPlan::None);
        assert!(addresses("http://a:81/b?c", &few).iter().all(|place| place == "   /b "));
        assert_eq!(host_in(&few, "a"), "");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for url in ["", "/path", "ftp://a/", "http://", "http://a b/", "http://a/#b", "a:x/", "é/"]
        {
            assert!(Place::parse(url).is_err(), "{url}");
        }
    }
}
