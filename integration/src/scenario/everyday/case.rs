//! One request of the comparison, and the lists that they are gathered in.

use crate::message::{Request, request};

/// Which listener of a site is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// `127.0.0.1:8080`.
    Plain,
    /// `127.0.0.1:8443`.
    Tls,
}

/// A request as bytes.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) door: Door,
    /// The method, which decides whether the answer has a body.
    pub(super) method: String,
    pub(super) bytes: Vec<u8>,
}

impl Case {
    /// The head on one line, for reports.
    pub(super) fn label(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let head = text.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n", " | ");
        let mut label: String = head.chars().take(240).collect();
        if label.len() < head.len() {
            label.push('…');
        }
        label
    }

    /// Whether it asks for a range with a number of more digits than 64 bits have.
    pub(super) fn asks_for_huge_range(&self) -> bool {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        let ranges = text.lines().filter_map(|line| line.strip_prefix("Range: "));
        ranges
            .flat_map(|range| range.split(|it: char| !it.is_ascii_digit()))
            .any(|it| it.len() > 19)
    }

    /// Whether its request line or its `Host` is not exactly as RFC 9112 has it, or they name different hosts.
    pub(super) fn is_loose(&self) -> bool {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        let line = text.split("\r\n").next().unwrap_or_default();
        let words: Vec<&str> = line.split(' ').collect();
        let [_, target, "HTTP/1.1" | "HTTP/1.0"] = words.as_slice() else { return true };
        if !target.is_ascii()
            || target.contains(['<', '>', '"', '`', '{', '}', '|', '^', '\\', '#'])
        {
            return true;
        }
        if target.contains("%0") || target.contains("%1") {
            return true;
        }
        let authority = match target.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => {
                Some(rest.split(['/', '?']).next().unwrap_or_default())
            }
            Some(_) => return true,
            None => None,
        };
        let host = text.split("\r\n").find_map(|line| line.strip_prefix("Host: "));
        let is_other = authority.is_some_and(|authority| {
            host.is_some_and(|host| !host.eq_ignore_ascii_case(authority))
        });
        is_other || [host, authority].into_iter().flatten().any(is_odd_host)
    }

    /// The values of a header of the request.
    pub(super) fn values(&self, name: &str) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        let fields = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        let named = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.trim().to_owned()).collect()
    }

    /// Whether the request has this header.
    pub(super) fn has(&self, name: &str) -> bool {
        !self.values(name).is_empty()
    }

    /// Whether its body comes in chunks.
    pub(super) fn is_chunked(&self) -> bool {
        self.bytes.windows(10).any(|window| window == b": chunked\r")
    }

    /// The target as sent.
    pub(super) fn target(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        text.split(' ').nth(1).unwrap_or_default().to_owned()
    }
}

/// Whether this is no host with an optional port, as RFC 3986 has them.
fn is_odd_host(host: &str) -> bool {
    let after_brackets = host.rfind(']').map_or(0, |end| end + 1);
    let (name, port) = match host[after_brackets..].rsplit_once(':') {
        Some((name, port)) => (&host[..after_brackets + name.len()], port),
        None => (host, ""),
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~[]:%".contains(&byte);
    !name.bytes().all(is_name) || !port.bytes().all(|byte| byte.is_ascii_digit())
}

/// A list of requests for one host.
pub(super) struct Cases {
    host: String,
    door: Door,
    list: Vec<Case>,
}

impl Cases {
    pub(super) fn new(host: &str) -> Self {
        Self { host: host.to_owned(), door: Door::Plain, list: Vec::new() }
    }

    pub(super) fn done(self) -> Vec<Case> {
        self.list
    }

    /// Whom the requests that follow are for.
    pub(super) fn at(&mut self, host: &str) -> &mut Self {
        host.clone_into(&mut self.host);
        self
    }

    /// Where the requests that follow go.
    pub(super) fn through(&mut self, door: Door) -> &mut Self {
        self.door = door;
        self
    }

    pub(super) fn get(&mut self, target: &str) -> &mut Self {
        self.ask("GET", target, &[])
    }

    pub(super) fn gets(&mut self, targets: &[&str]) -> &mut Self {
        targets.iter().for_each(|target| {
            self.get(target);
        });
        self
    }

    pub(super) fn with(&mut self, target: &str, headers: &[(&str, &str)]) -> &mut Self {
        self.ask("GET", target, headers)
    }

    pub(super) fn ask(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
    ) -> &mut Self {
        let asked = headers
            .iter()
            .fold(request(method, target), |asked, (name, value)| asked.header(name, value));
        self.send(method, asked)
    }

    /// A request that names no host yet.
    pub(super) fn send(&mut self, method: &str, asked: Request) -> &mut Self {
        let bytes = asked.host(&self.host).to_bytes();
        self.bytes(method, bytes)
    }

    /// Exactly this text, in which `\n` stands for the end of a line, and the empty line is added.
    pub(super) fn text(&mut self, method: &str, text: &str) -> &mut Self {
        self.bytes(method, (text.replace('\n', "\r\n") + "\r\n\r\n").into_bytes())
    }

    fn bytes(&mut self, method: &str, bytes: Vec<u8>) -> &mut Self {
        let method = method.to_owned();
        self.list.push(Case { door: self.door, method, bytes });
        self
    }
}
