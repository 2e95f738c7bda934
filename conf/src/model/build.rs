//! Short ways to say in code what a file says in a line.

use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;

use switchback_value::escape_literal;

use super::{
    BindAddress, Files, FolderText, Matcher, Name, OrText, Proxy, Respond, Route, TemplateText,
    Text,
};
use crate::at::At;
use crate::plan::EndpointAddress;

/// A text that cannot be a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name must not be empty or hold control characters")]
pub struct NotAName;

impl FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        Self::new(text).ok_or(NotAName)
    }
}

impl From<SocketAddr> for BindAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl From<SocketAddr> for EndpointAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl From<&Path> for FolderText {
    /// Exactly this directory: dollar signs and braces in it mean nothing.
    fn from(path: &Path) -> Self {
        Self(TemplateText(escape_literal(&path.to_string_lossy()).into()))
    }
}

impl Respond {
    /// 200 with this body, a template.
    #[must_use]
    pub fn text(body: &str) -> Self {
        Self { body: Text::from(body).into(), ..Self::default() }
    }
}

impl Route {
    /// Every request, passed on.
    #[must_use]
    pub fn proxy(proxy: Proxy) -> Self {
        Self { proxy: Some(OrText(proxy).into()), ..Self::default() }
    }

    /// Every request, answered with a fixed text.
    #[must_use]
    pub fn respond(respond: Respond) -> Self {
        Self { respond: Some(respond.into()), ..Self::default() }
    }

    /// Every request, answered with files.
    #[must_use]
    pub fn files(files: Files) -> Self {
        Self { files: Some(OrText(files).into()), ..Self::default() }
    }

    /// Every request, answered by the program's own action of that name.
    #[must_use]
    pub fn action(name: Name) -> Self {
        Self { action: Some(name.into()), ..Self::default() }
    }

    /// Only requests for this path, too: `"/exact"`, `"/below/*"`, `"/users/{id}"` or `"~regex"`.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        let matcher = self.matcher.get_or_insert_with(|| At::from(Matcher::default()));
        matcher.value.path.0.push(path.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{Config, Listener, Site, Upstream};
    use crate::read_text;

    #[test]
    fn what_is_built_in_code_is_what_a_file_says() {
        let app: Name = "app".parse().unwrap();
        let mut config = Config::default();
        let listen: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        let endpoint: SocketAddr = "[::1]:3000".parse().unwrap();
        config.listeners.push(Listener::new(listen.into()).into());
        config.upstreams.insert(app.clone(), Upstream::new([endpoint.into()]).into());
        let routes = [
            Route::proxy(Proxy::to(app)),
            Route::respond(Respond::text("hello $host\n")).path("/hello").path("/hi/*"),
            Route::files(Files::below(FolderText::from(Path::new("/srv/a$b{c}")))).path("/files/*"),
            Route::action("mine".parse().unwrap()).path("/users/{id}"),
        ];
        config.sites.push(Site::new(routes).into());

        let text = r#"
            listeners = [{ address = "127.0.0.1:8080" }]
            upstreams.app.endpoints = ["[::1]:3000"]
            [[sites]]
            [[sites.routes]]
            proxy = "app"
            [[sites.routes]]
            match.path = ["/hello", "/hi/*"]
            respond.body = "hello $host\n"
            [[sites.routes]]
            match.path = "/files/*"
            files = "/srv/a$$b{{c}}"
            [[sites.routes]]
            match.path = "/users/{id}"
            action = "mine"
        "#;
        let read = read_text("a.toml", text, &BTreeMap::new()).into_result().unwrap();
        assert_eq!(config.to_toml(), read.to_toml());
    }

    #[test]
    fn a_name_is_not_empty() {
        assert_eq!("".parse::<Name>(), Err(NotAName));
        assert_eq!("a\n".parse::<Name>(), Err(NotAName));
        assert_eq!(&*"a b".parse::<Name>().unwrap(), "a b");
    }
}
