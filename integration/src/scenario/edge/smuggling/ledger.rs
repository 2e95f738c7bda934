//! What the origin parsed beside what the proxy logged.

use std::collections::HashMap;

use crate::grammar::{Framing, Intended, fingerprint};

/// Which request of which client connection, as the proxy counts them.
type Key = (u64, u64);

/// A request as an origin parsed it.
#[derive(Clone, Debug)]
pub(super) struct Parsed {
    /// What the proxy says it is; `None` if it says nothing, or somebody else does.
    pub(super) key: Option<Key>,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) framing: Framing,
    pub(super) body: u64,
    pub(super) length: u64,
}

/// A request as the proxy logged it.
#[derive(Clone, Debug)]
struct Logged {
    method: String,
    target: String,
    length: String,
    is_answered: bool,
}

/// Both sides, as far as they have not been matched.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    parsed: HashMap<Key, Parsed>,
    logged: HashMap<Key, Logged>,
    intended: HashMap<String, (String, u64)>,
    last: HashMap<u64, u64>,
    matched: u64,
    differences: Vec<String>,
}

impl Ledger {
    /// A request that has to arrive.
    pub(super) fn intend(&mut self, intended: &Intended) {
        let body = fingerprint(&intended.body);
        self.intended.insert(intended.target.clone(), (intended.method.clone(), body));
    }

    /// What the origin says.
    pub(super) fn parse(&mut self, parsed: Parsed) {
        if let Some((method, body)) = self.intended.remove(&parsed.target)
            && (method != parsed.method || body != parsed.body)
        {
            self.differ(format!("not as it was sent: {parsed:?}, sent {method}"));
        }
        let Some(key) = parsed.key else {
            return self
                .differ(format!("parsed by the origin, but not sent as a request: {parsed:?}"));
        };
        match self.logged.remove(&key) {
            Some(logged) => self.compare(&parsed, &logged),
            None => {
                if let Some(twice) = self.parsed.insert(key, parsed) {
                    self.differ(format!("parsed twice: {twice:?}"));
                }
            }
        }
    }

    /// Bytes that the origin could not parse.
    pub(super) fn unsound(&mut self, why: &str, bytes: &[u8]) {
        self.differ(format!("the origin got what is no request, {why}: {}", bytes.escape_ascii()));
    }

    /// A line of the log: connection, request, method, the upstream's status, `Content-Length`, target.
    pub(super) fn log(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line).into_owned();
        let fields: Vec<&str> = text.splitn(6, '\t').collect();
        let [connection, request, method, status, length, target] = fields[..] else { return };
        let (Ok(connection), Ok(request)) = (connection.parse(), request.parse()) else { return };
        let before = self.last.insert(connection, request);
        if before.is_some_and(|before| before >= request) {
            self.differ(format!("logged out of order: {text}"));
        }
        let is_answered = status.ends_with("200");
        let (method, length) = (method.to_owned(), length.to_owned());
        // What stands in a log raw goes on encoded where it is tolerated at all.
        let target = encoded(line, target);
        let logged = Logged { method, target, length, is_answered };
        match self.parsed.remove(&(connection, request)) {
            Some(parsed) => self.compare(&parsed, &logged),
            None => drop(self.logged.insert((connection, request), logged)),
        }
    }

    fn compare(&mut self, parsed: &Parsed, logged: &Logged) {
        self.matched += 1;
        let is_framed = match parsed.framing {
            Framing::Length => logged.length == parsed.length.to_string(),
            Framing::Nothing | Framing::Chunked => logged.length.is_empty() || logged.length == "-",
        };
        if parsed.method != logged.method || parsed.target != logged.target || !is_framed {
            self.differ(format!("{parsed:?} was logged as {logged:?}"));
        }
    }

    /// Requests that both sides have.
    pub(super) fn matched(&self) -> u64 {
        self.matched
    }

    /// Whether the log has everything that the origin has parsed.
    pub(super) fn is_settled(&self) -> bool {
        self.parsed.is_empty()
    }

    /// What does not fit, nothing being under way any more. Begins anew.
    pub(super) fn settle(&mut self) -> Vec<String> {
        for parsed in std::mem::take(&mut self.parsed).into_values() {
            self.differ(format!("not in the log: {parsed:?}"));
        }
        for logged in std::mem::take(&mut self.logged).into_values() {
            if logged.is_answered {
                self.differ(format!("answered, but never parsed by the origin: {logged:?}"));
            }
        }
        for (target, sent) in std::mem::take(&mut self.intended) {
            self.differ(format!("sound, but never parsed by the origin: {target} {sent:?}"));
        }
        self.last.clear();
        std::mem::take(&mut self.differences)
    }

    fn differ(&mut self, what: String) {
        self.differences.push(what);
    }
}

/// The target of a log line, with what no URI may have encoded.
fn encoded(line: &[u8], lossy: &str) -> String {
    if lossy.is_ascii() && !lossy.contains(['"', '<', '>', '\\', '^', '`', '{', '|', '}']) {
        return lossy.to_owned();
    }
    let raw = line.splitn(6, |byte| *byte == b'\t').last().unwrap_or_default();
    let mut target = String::new();
    for byte in raw {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(byte) {
            target.push(char::from(*byte));
        } else {
            target.push_str(&format!("%{byte:02X}"));
        }
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(key: Option<Key>, target: &str) -> Parsed {
        let (method, target) = ("GET".to_owned(), target.to_owned());
        Parsed { key, method, target, framing: Framing::Nothing, body: fingerprint(b""), length: 0 }
    }

    fn differences(steps: impl FnOnce(&mut Ledger)) -> usize {
        let mut ledger = Ledger::default();
        steps(&mut ledger);
        ledger.settle().len()
    }

    #[test]
    fn the_same_on_both_sides_is_no_difference() {
        let sent = Intended { method: "GET".into(), target: "/a".into(), body: Vec::new() };
        let found = differences(|ledger| {
            ledger.intend(&sent);
            ledger.parse(parsed(Some((1, 1)), "/a"));
            ledger.log(b"1\t1\tGET\t200\t-\t/a");
            ledger.log(b"1\t2\tGET\t200\t-\t/<\xff>");
            ledger.parse(parsed(Some((1, 2)), "/%3C%FF%3E"));
            ledger.log(b"1\t3\tGET\t-\t-\t/refused");
        });
        assert_eq!(found, 0);
    }

    #[test]
    fn whatever_only_one_side_has_is_a_difference() {
        assert_eq!(differences(|ledger| ledger.parse(parsed(None, "/evil"))), 1);
        assert_eq!(differences(|ledger| ledger.parse(parsed(Some((1, 1)), "/evil"))), 1);
        assert_eq!(differences(|ledger| ledger.log(b"1\t1\tGET\t200\t-\t/lost")), 1);
        assert_eq!(differences(|ledger| ledger.unsound("so", b"x")), 1);
        let sent = Intended { method: "GET".into(), target: "/a".into(), body: Vec::new() };
        assert_eq!(differences(|ledger| ledger.intend(&sent)), 1);
        for line in ["1\t1\tPOST\t200\t-\t/a", "1\t1\tGET\t200\t-\t/b", "1\t1\tGET\t200\t5\t/a"] {
            let found = differences(|ledger| {
                ledger.parse(parsed(Some((1, 1)), "/a"));
                ledger.log(line.as_bytes());
            });
            assert_eq!(found, 1, "{line}");
        }
        let backwards = differences(|ledger| {
            ledger.log(b"1\t2\tGET\t-\t-\t/a");
            ledger.log(b"1\t1\tGET\t-\t-\t/a");
        });
        assert_eq!(backwards, 1);
    }
}
