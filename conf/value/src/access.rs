//! Who may ask: a small tree of checks, compiled once and evaluated against the facts of a request.

use std::fmt;
use std::net::IpAddr;

use http::{Method, header};
use ipnet::IpNet;
use regex::bytes::{Regex, RegexBuilder};
use thiserror::Error;

use crate::condition::{Condition, canonical};
use crate::host_pattern::{HostPattern, HostPatternError};
use crate::variable::{Facts, Variable};

/// A check that a request passes or does not.
///
/// [`passes`](Self::passes) asks for nothing but what the outcome depends on, and allocates nothing of its own.
#[derive(Clone, Debug)]
pub enum Access {
    /// The first rule that is for the client's address decides; a client that no rule is for passes.
    Clients(Vec<ClientRule>),
    /// The method is one of these.
    Methods(Vec<Method>),
    /// The page that led here is one of these.
    Referers(Referers),
    /// The condition holds.
    When(Condition),
    /// All of these pass; of none, always.
    All(Vec<Self>),
    /// One of these passes; of none, never.
    Any(Vec<Self>),
}

impl Access {
    /// Whether the request that `facts` describe passes.
    pub fn passes(&self, facts: &dyn Facts) -> bool {
        match self {
            Self::Clients(rules) => allows(rules, facts.client_ip()),
            Self::Methods(methods) => methods.contains(facts.method()),
            Self::Referers(referers) => {
                let referer = facts.fact(&REFERER);
                referers.accept(referer.as_deref())
            }
            Self::When(condition) => condition.holds(facts),
            Self::All(parts) => parts.iter().all(|part| part.passes(facts)),
            Self::Any(parts) => parts.iter().any(|part| part.passes(facts)),
        }
    }
}

/// `$http_referer`.
static REFERER: Variable = Variable::Header(header::REFERER);

/// `allow 10.0.0.0/8`, `deny 192.0.2.1`, `deny all`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRule {
    verdict: Verdict,
    /// `None` is everybody, clients without an address included.
    net: Option<IpNet>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Allow,
    Deny,
}

impl ClientRule {
    /// Reads the text form. IPv4 networks in their IPv6 form are taken as IPv4.
    pub fn parse(text: &str) -> Result<Self, ClientRuleError> {
        let (verdict, whom) = text.split_once(' ').ok_or(ClientRuleError::Form)?;
        let verdict = match verdict {
            "allow" => Verdict::Allow,
            "deny" => Verdict::Deny,
            _ => return Err(ClientRuleError::Form),
        };
        let whom = whom.trim_start();
        if whom == "all" {
            return Ok(Self { verdict, net: None });
        }
        let address = whom.parse::<IpAddr>().map(IpNet::from);
        let net = address.or_else(|_| whom.parse::<IpNet>());
        let net = net.map_err(|_| ClientRuleError::Network(whom.to_owned()))?;
        if net.trunc() != net {
            return Err(ClientRuleError::HostBits(net));
        }
        Ok(Self { verdict, net: Some(canonical(net)) })
    }

    /// Whether it is for everybody, so that none after it decides anything.
    pub fn is_for_all(&self) -> bool {
        self.net.is_none()
    }

    fn is_for(&self, client: Option<IpAddr>) -> bool {
        match (&self.net, client) {
            (None, _) => true,
            (Some(net), Some(client)) => net.contains(&client),
            (Some(_), None) => false,
        }
    }
}

impl fmt::Display for ClientRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.verdict {
            Verdict::Allow => "allow ",
            Verdict::Deny => "deny ",
        })?;
        match &self.net {
            None => f.write_str("all"),
            Some(net) if net.prefix_len() == net.max_prefix_len() => write!(f, "{}", net.addr()),
            Some(net) => write!(f, "{net}"),
        }
    }
}

/// Why a text is not a rule for clients.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClientRuleError {
    /// Neither `allow` nor `deny`, or nobody behind it.
    #[error("a rule is `allow` or `deny` and whom: an address, a network or `all`")]
    Form,
    /// What stands behind is no network.
    #[error("`{0}` is neither an address nor a network nor `all`")]
    Network(String),
    /// The address says more than the network.
    #[error(
        "`{0}` says more than its {len} bits: write `{net}` or `{address}`",
        len = .0.prefix_len(), net = .0.trunc(), address = .0.addr()
    )]
    HostBits(IpNet),
}

fn allows(rules: &[ClientRule], client: Option<IpAddr>) -> bool {
    // A dual-stack socket shows IPv4 clients as ::ffff:a.b.c.d; operators write a.b.c.d.
    let client = client.map(|client| client.to_canonical());
    let decisive = rules.iter().find(|rule| rule.is_for(client));
    decisive.is_none_or(|rule| rule.verdict == Verdict::Allow)
}

/// Which pages may lead here, as nginx's `valid_referers` has it.
#[derive(Clone, Debug, Default)]
pub struct Referers(Vec<Referer>);

/// One of them.
#[derive(Clone, Debug)]
enum Referer {
    /// No `Referer` at all.
    None,
    /// One that does not begin with `http://` or `https://`: cut by something on the way.
    Blocked,
    /// A page of such a host, below such a path; an empty path is any.
    Page { host: HostPattern, path: Box<str> },
    /// What the regex finds behind `http://` or `https://`, in any case.
    Regex(Regex),
}

impl Referers {
    /// Adds what one text says.
    pub fn add(&mut self, text: &str) -> Result<(), RefererError> {
        self.0.push(Referer::parse(text)?);
        Ok(())
    }

    /// Whether a request with such a `Referer` passes.
    fn accept(&self, referer: Option<&[u8]>) -> bool {
        let page = referer.and_then(behind_scheme);
        self.0.iter().any(|accepted| match (accepted, referer, page) {
            (Referer::None, referer, _) => referer.is_none(),
            (Referer::Blocked, referer, page) => referer.is_some() && page.is_none(),
            (Referer::Page { host, path }, _, Some(page)) => is_page(page, host, path),
            (Referer::Regex(regex), _, Some(page)) => regex.is_match(page),
            (Referer::Page { .. } | Referer::Regex(_), _, None) => false,
        })
    }
}

impl Referer {
    fn parse(text: &str) -> Result<Self, RefererError> {
        match text {
            "none" => return Ok(Self::None),
            "blocked" => return Ok(Self::Blocked),
            _ => {}
        }
        if let Some(pattern) = text.strip_prefix('~') {
            let regex = RegexBuilder::new(pattern).case_insensitive(true).build();
            return regex.map(Self::Regex).map_err(|error| RefererError::Regex(last_line(&error)));
        }
        if text.contains("://") {
            return Err(RefererError::Scheme);
        }
        let (host, path) = text.split_at(text.find('/').unwrap_or(text.len()));
        Ok(Self::Page { host: HostPattern::parse(host)?, path: path.into() })
    }
}

/// The last line of the error, which is the reason; those before show the place once more.
fn last_line(error: &regex::Error) -> String {
    let report = error.to_string();
    let last = report.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// Why a text is not a referer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RefererError {
    /// The part before the path is no host pattern.
    #[error(transparent)]
    Host(#[from] HostPatternError),
    /// The regex does not parse.
    #[error("not a regular expression: {0}")]
    Regex(String),
    /// It begins with a scheme.
    #[error("a referer is written without `http://` or `https://`, which both match")]
    Scheme,
}

/// What follows `http://` or `https://`.
fn behind_scheme(referer: &[u8]) -> Option<&[u8]> {
    ["http://", "https://"].iter().find_map(|scheme| {
        let (start, rest) = referer.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme.as_bytes()).then_some(rest)
    })
}

/// Whether `page`, without its scheme, is of that host and below that path. Its port makes no difference.
fn is_page(page: &[u8], host: &HostPattern, path: &str) -> bool {
    let slash = memchr::memchr3(b'/', b'?', b'#', page).unwrap_or(page.len());
    let (authority, below) = page.split_at(slash);
    let name = std::str::from_utf8(authority).ok().map(without_port);
    name.is_some_and(|name| is_host(name, host)) && below.starts_with(path.as_bytes())
}

/// `a.example` of `a.example:8080`, `[::1]` of `[::1]:80`.
fn without_port(authority: &str) -> &str {
    let end = authority.find(']').map_or(0, |bracket| bracket + 1);
    let port = authority.get(end..).and_then(|rest| rest.find(':'));
    port.and_then(|port| authority.get(..end + port)).unwrap_or(authority)
}

fn is_host(name: &str, pattern: &HostPattern) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    match pattern {
        HostPattern::Any => true,
        HostPattern::Exact(host) => name.eq_ignore_ascii_case(host),
        HostPattern::Suffix(suffix) => {
            let start = name.len().checked_sub(suffix.len()).filter(|start| *start > 0);
            let end = start.and_then(|start| name.get(start..));
            end.is_some_and(|end| end.eq_ignore_ascii_case(suffix))
        }
        HostPattern::Prefix(prefix) => {
            let start = name.get(..prefix.len()).filter(|start| start.len() < name.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        }
        HostPattern::Regex(regex) => regex.is_match(name),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Access, ClientRule, ClientRuleError, RefererError, Referers};
    use crate::condition::Condition;
    use crate::sample::Sample;
    use crate::scope::Scope;
    use http::Method;

    fn clients(rules: &[&str]) -> Access {
        Access::Clients(rules.iter().map(|rule| ClientRule::parse(rule).unwrap()).collect())
    }

    fn referers(texts: &[&str]) -> Access {
        let mut referers = Referers::default();
        texts.iter().for_each(|text| referers.add(text).unwrap());
        Access::Referers(referers)
    }

    fn when(text: &str) -> Access {
        Access::When(Condition::parse(text, &Scope::new()).unwrap())
    }

    #[test]
    fn the_first_rule_for_a_client_decides() {
        let rules: &[&str] =
            &["deny 10.0.0.5", "allow 10.0.0.0/8", "allow 2001:db8::/32", "deny all"];
        for (rules, client, passes) in [
            (rules, Some("10.0.0.5"), false),
            (rules, Some("10.0.0.6"), true),
            (rules, Some("::ffff:10.0.0.6"), true),
            (rules, Some("::ffff:10.0.0.5"), false),
            (rules, Some("2001:db8::1"), true),
            (rules, Some("2001:db9::1"), false),
            (rules, Some("192.0.2.1"), false),
            (rules, None, false),
            (&["deny 10.0.0.0/8"], Some("192.0.2.1"), true),
            (&["deny 0.0.0.0/0"], Some("::1"), true),
            (&["deny 0.0.0.0/0", "deny ::/0"], None, true),
            (&["deny ::ffff:10.0.0.0/104"], Some("10.1.1.1"), false),
            (&["allow all", "deny all"], Some("10.1.1.1"), true),
            (&[], Some("10.1.1.1"), true),
        ] {
            let facts = client.map_or_else(Sample::new, |ip| Sample::new().with_client(ip));
            assert_eq!(clients(rules).passes(&facts), passes, "{client:?} by {rules:?}");
        }
    }

    #[test]
    fn a_rule_is_written_as_it_is_read() {
        for text in
            ["deny all", "allow 10.0.0.0/8", "deny 192.0.2.1", "allow 2001:db8::/32", "deny ::1"]
        {
            assert_eq!(ClientRule::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "deny", "deny ", "refuse all", "all", "denyall", "allow: all"] {
            let expected = if text == "deny " {
                ClientRuleError::Network(String::new())
            } else {
                ClientRuleError::Form
            };
            assert_eq!(ClientRule::parse(text), Err(expected), "{text:?}");
        }
        let more = ClientRule::parse("deny 10.0.0.1/8").unwrap_err().to_string();
        assert_eq!(
            more,
            "`10.0.0.1/8` says more than its 8 bits: write `10.0.0.0/8` or `10.0.0.1`"
        );
        assert!(ClientRule::parse("deny 10.0.0.0/33").is_err());
    }

    #[test]
    fn referers_are_judged_as_nginx_does() {
        for (accepted, referer, passes) in [
            (&["none"][..], None, true),
            (&["none"], Some(""), false),
            (&["blocked"], Some(""), true),
            (&["blocked"], Some("xxxx"), true),
            (&["blocked"], Some("ftp://a.example/"), true),
            (&["blocked"], Some("http://a.example/"), false),
            (&["blocked"], None, false),
            (&["a.example"], Some("http://a.example"), true),
            (&["a.example"], Some("HTTPS://A.Example/x?y"), true),
            (&["a.example"], Some("http://a.example:8080/x"), true),
            (&["a.example"], Some("http://a.example?x"), true),
            (&["a.example"], Some("http://a.example./x"), true),
            (&["a.example"], Some("http://a.example.evil.example/"), false),
            (&["a.example"], Some("http://evil.example/a.example"), false),
            (&["a.example"], Some("http://a.example@evil.example/"), false),
            (&["a.example"], Some("a.example"), false),
            (&["*.a.example"], Some("http://www.a.example/"), true),
            (&["*.a.example"], Some("http://a.example/"), false),
            (&["*.a.example"], Some("http://.a.example/"), false),
            (&["*.a.example"], Some("http://xa.example/"), false),
            (&["www.a.*"], Some("http://www.a.org/"), true),
            (&["www.a.*"], Some("http://www.a./"), false),
            (&["a.example/gallery/"], Some("http://a.example/gallery/x"), true),
            (&["a.example/gallery/"], Some("http://a.example/other"), false),
            (&["[::1]"], Some("http://[::1]:80/"), true),
            (&["~\\.a\\.example/x"], Some("http://www.A.example/x"), true),
            (&["~^http"], Some("http://a.example/"), false),
            (&["b.example", "~^a"], Some("http://a.example/"), true),
            (&["*"], Some("http://\u{e9}/"), true),
            (&["a.example"], None, false),
        ] {
            let facts = Sample::new();
            let facts = match referer {
                Some(referer) => facts.with("http_referer", referer),
                None => facts,
            };
            assert_eq!(referers(accepted).passes(&facts), passes, "{referer:?} by {accepted:?}");
        }
    }

    #[test]
    fn what_is_no_referer_is_refused() {
        let error = |text: &str| Referers::default().add(text).unwrap_err();
        assert_eq!(error("http://a.example/"), RefererError::Scheme);
        assert!(matches!(error("~("), RefererError::Regex(_)));
        assert!(matches!(error("a b"), RefererError::Host(_)));
        assert!(matches!(error("/path"), RefererError::Host(_)));
    }

    #[test]
    fn methods_conditions_and_nests_add_up() {
        let either = Access::Any(vec![
            clients(&["allow 10.0.0.0/8", "deny all"]),
            Access::All(vec![Access::Methods(vec![Method::GET]), when("$arg_key == 'k'")]),
        ]);
        let inside = || Sample::new().with_client("10.1.1.1");
        let outside = || Sample::new().with_client("192.0.2.1");
        assert!(either.passes(&inside().with_method(Method::POST)));
        assert!(either.passes(&outside().with("arg_key", "k")));
        assert!(!either.passes(&outside().with("arg_key", "k").with_method(Method::POST)));
        assert!(!either.passes(&outside()));
        assert!(Access::All(vec![]).passes(&outside()));
        assert!(!Access::Any(vec![]).passes(&outside()));
    }

    #[test]
    fn nothing_is_asked_that_makes_no_difference() {
        let access = Access::All(vec![Access::Methods(vec![Method::POST]), when("$arg_key")]);
        let facts = Sample::new();
        assert!(!access.passes(&facts));
        assert!(facts.asked().is_empty());
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_parsers(text in "\\PC{0,24}", referer in "\\PC{0,40}") {
            let _ = ClientRule::parse(&text);
            let mut referers = Referers::default();
            let _ = referers.add(&text);
            referers.accept(Some(referer.as_bytes()));
        }

        #[test]
        fn a_deny_of_everybody_at_the_end_leaves_only_those_allowed(octets: [u8; 4]) {
            let rules = clients(&["allow 10.0.0.0/8", "deny all"]);
            let client = std::net::Ipv4Addr::from(octets);
            let facts = Sample::new().with_client(&client.to_string());
            prop_assert_eq!(rules.passes(&facts), octets[0] == 10);
        }
    }
}
