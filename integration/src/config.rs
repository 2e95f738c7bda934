//! Configuration files for tests, written block by block in Switchback's own language.

use std::fmt::{Display, Write};
use std::path::Path;

use crate::origin::Origin;

/// A configuration and the files it names. Tables stand in the order in which they were added.
#[derive(Clone, Debug, Default)]
pub struct Config {
    top: Vec<String>,
    tables: String,
    files: Vec<(String, String)>,
}

/// Nothing but a pid file, and so a control socket.
#[must_use]
pub fn config() -> Config {
    Config::default()
}

/// One listener named `web` on a loopback port of its own, and one site for any host that still wants its routes.
#[must_use]
pub fn site() -> Config {
    config().web("").site("")
}

/// This text, with a pid file if it names none.
#[must_use]
pub fn text(toml: impl Into<String>) -> Config {
    Config { tables: toml.into(), ..Config::default() }
}

impl Config {
    /// One more line above all tables.
    #[must_use]
    pub fn top(mut self, line: impl Into<String>) -> Self {
        self.top.push(line.into());
        self
    }

    /// More text after what is there.
    #[must_use]
    pub fn toml(mut self, text: impl Display) -> Self {
        writeln!(self.tables, "{text}").expect("a String takes text");
        self
    }

    /// The listener `web` on a loopback port of its own, with these lines beside its name and address.
    #[must_use]
    pub fn web(self, lines: impl Display) -> Self {
        self.toml(format_args!(
            "[[listeners]]\nname = \"web\"\naddress = \"127.0.0.1:0\"\n{lines}\n"
        ))
    }

    /// A listener with these lines.
    #[must_use]
    pub fn listener(self, lines: impl Display) -> Self {
        self.toml(format_args!("[[listeners]]\n{lines}\n"))
    }

    /// A site with these lines; the routes that follow are its.
    #[must_use]
    pub fn site(self, lines: impl Display) -> Self {
        self.toml(format_args!("[[sites]]\n{lines}\n"))
    }

    /// A route of the last site for this path, with these lines.
    #[must_use]
    pub fn route(self, path: &str, lines: impl Display) -> Self {
        self.route_lines(format_args!("match = {{ path = {} }}\n{lines}", quoted(path)))
    }

    /// A route of the last site with these lines.
    #[must_use]
    pub fn route_lines(self, lines: impl Display) -> Self {
        self.toml(format_args!("[[sites.routes]]\n{lines}\n"))
    }

    /// A route of the last site for this path that answers 200 with this text.
    #[must_use]
    pub fn respond(self, path: &str, body: &str) -> Self {
        self.route(path, format_args!("respond = {{ status = 200, body = {} }}", quoted(body)))
    }

    /// A route for every path to this origin, as the upstream `app`.
    #[must_use]
    pub fn proxy_to(self, origin: &Origin) -> Self {
        self.route("/*", "proxy = \"app\"").upstream("app", &[origin], "")
    }

    /// An upstream of these origins, with these lines beside its endpoints.
    #[must_use]
    pub fn upstream(self, name: &str, origins: &[&Origin], lines: impl Display) -> Self {
        let endpoints: Vec<String> =
            origins.iter().map(|origin| origin.endpoint().to_string()).collect();
        self.endpoints(name, &endpoints, lines)
    }

    /// An upstream of these endpoints, with these lines beside them.
    #[must_use]
    pub fn endpoints(self, name: &str, endpoints: &[impl AsRef<str>], lines: impl Display) -> Self {
        let listed: Vec<String> =
            endpoints.iter().map(|endpoint| quoted(endpoint.as_ref())).collect();
        self.toml(format_args!(
            "[upstreams.{name}]\nendpoints = [{}]\n{lines}\n",
            listed.join(", ")
        ))
    }

    /// A file beside the configuration.
    #[must_use]
    pub fn file(mut self, name: &str, content: impl Into<String>) -> Self {
        self.files.push((name.to_owned(), content.into()));
        self
    }

    /// As it is written to disk.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = self.top.join("\n");
        text.push('\n');
        let names_pid_file = text.contains("pid_file") || self.tables.contains("pid_file");
        if !names_pid_file {
            text.push_str("pid_file = \"switchback.pid\"\n");
        }
        let names_workers = text.contains("workers") || self.tables.contains("workers");
        if !names_workers {
            text.push_str("workers = 2\n");
        }
        text + "\n" + &self.tables
    }

    pub(crate) fn write(&self, folder: &Path) -> std::io::Result<()> {
        for (name, content) in &self.files {
            let path = folder.join(name);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(path, content)?;
        }
        std::fs::write(folder.join(CONFIG_FILE), self.to_toml())
    }
}

/// The configuration's name in the folder of its proxy.
pub(crate) const CONFIG_FILE: &str = "switchback.toml";

/// As a TOML string; JSON's escapes are a subset of TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
