//! `user-agent`: rules about who asks, by what they call themselves, and proof of it for crawlers.

mod crawler;
mod list;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use regex::bytes::{RegexSet, RegexSetBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use switchback_plugin::{
    Answer, Background, BuildError, Counter, Flow, Plugin, Request, Setup, hooks,
};

use crate::turns::Turns;
use crate::units::Time;
use crate::watched;
use crawler::{Claim, Crawler, Known, Verdict};

/// Rules about who asks, by what they call themselves, and proof of it for crawlers.
pub(crate) struct UserAgent {
    crawlers: Vec<Crawler>,
    claims: RegexSet,
    rules: Vec<Rule>,
    patterns: RegexSet,
    options: Settings,
    turns: Turns,
    metrics: Metrics,
}

/// Rules about who asks, by what they call themselves, and proof of it for crawlers.
///
/// The variable `plugin_crawler` becomes the name of the crawler that a client says it is, `plugin_crawler_verdict` one of `verified`,
/// `false` and `unknown`; `plugin_user_agent_tag` becomes the tag of the rule that matched.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// Rules about `User-Agent`, of which the first that matches counts. Verified crawlers pass without being asked.
    rules: Vec<RuleOptions>,
    /// Crawlers that are asked for proof, by the names of those that are known here: their domains and what they call themselves.
    verify: Vec<Known>,
    /// Other crawlers that are asked for proof.
    crawlers: Vec<CrawlerOptions>,
    /// What becomes of a client that says it is a crawler and is not: a status from 400 to 599, or `"pass"`: it is treated like anybody
    /// else.
    false_claim: Outcome,
    /// What becomes of a client whose proof cannot be had now, because names are not resolved. 503 has real crawlers come back later.
    unknown: Outcome,
    /// A header that the request of a verified crawler gets, with its name. What clients send under that name is removed.
    verified_header: Option<String>,
    /// The status of what a rule denies.
    deny_status: u16,
    /// The store in which proofs are kept.
    store: String,
    /// How long a proof holds.
    remember: Time,
    /// How long a false claim is remembered.
    remember_false: Time,
    /// How many proofs are looked for at the same time; what is beyond is unknown.
    lookups: usize,
    /// How often files are looked at; `"0"` for never.
    reload: Time,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            verify: Vec::new(),
            crawlers: Vec::new(),
            false_claim: Outcome::Status(403),
            unknown: Outcome::Status(503),
            verified_header: None,
            deny_status: 403,
            store: "user-agent".to_owned(),
            remember: Time::seconds(86_400),
            remember_false: Time::seconds(3_600),
            lookups: 64,
            reload: watched::PERIOD,
        }
    }
}

/// A rule.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RuleOptions {
    /// Texts of which one is in `User-Agent`, in upper or lower case.
    #[serde(default)]
    contains: Vec<String>,
    /// A regular expression that is found in `User-Agent`, in upper or lower case. `^$` is for clients that send none.
    #[serde(default)]
    regex: Option<String>,
    /// `"allow"` lets the request through, `"deny"` does not, and `"tag"` notes the tag and asks the next rule.
    action: Action,
    /// What is put into the variable `plugin_user_agent_tag`.
    #[serde(default)]
    tag: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Action {
    /// Lets it through.
    Allow,
    /// Does not.
    Deny,
    /// Notes the tag and asks the next rule.
    Tag,
}

/// A crawler, and how it proves that it is one: by one of `domains`, `networks` and `files`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CrawlerOptions {
    /// Its name: letters, digits, `-` and `_`.
    name: String,
    /// Texts of which one is in its `User-Agent`, in upper or lower case.
    contains: Vec<String>,
    /// Its address has a name in one of these domains, and that name has the address.
    #[serde(default)]
    domains: Vec<String>,
    /// Its address is in one of these networks.
    #[serde(default)]
    networks: Vec<String>,
    /// Its address is in a network of one of these files: one a line, or JSON as Google, Microsoft and others publish it (`prefixes`).
    #[serde(default)]
    files: Vec<PathBuf>,
}

/// What becomes of a client that could not prove what it says.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize, PartialEq, Eq)]
#[serde(untagged)]
enum Outcome {
    /// Refused with that status.
    Status(u16),
    /// Treated like anybody else.
    Other(Other),
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Other {
    /// Treated like anybody else.
    Pass,
}

impl Outcome {
    const fn status(self) -> Option<u16> {
        match self {
            Self::Status(status) => Some(status),
            Self::Other(Other::Pass) => None,
        }
    }
}

struct Rule {
    action: Action,
    tag: Option<String>,
}

/// What is left of the options.
struct Settings {
    false_claim: Outcome,
    unknown: Outcome,
    verified_header: Option<String>,
    deny_status: u16,
    store: String,
    remember: Time,
    remember_false: Time,
}

struct Metrics {
    verified: Counter,
    lied: Counter,
    unknown: Counter,
    denied: Counter,
}

#[hooks]
impl Plugin for UserAgent {
    const NAME: &'static str = "user-agent";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Options = Options;
    type State = ();

    fn build(options: Options, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        options.check()?;
        let known = options.verify.iter().map(|known| Ok(known.crawler()));
        let own = options.crawlers.iter().enumerate();
        let own = own.map(|(index, own)| Crawler::new(&format!("crawlers[{index}]"), own, setup));
        let crawlers: Vec<Crawler> = known.chain(own).collect::<Result<_, _>>()?;
        // Names are asked for twice, and servers of names are far away.
        setup.timeout(std::time::Duration::from_secs(5));
        if crawlers.iter().any(Crawler::has_files) {
            watched::watch("reload", options.reload, setup)?;
        }
        let claims = crawlers.iter().map(Crawler::pattern);
        let claims = set(claims).map_err(|message| BuildError::new("crawlers", message))?;
        let (rules, patterns) = rules(options.rules)?;
        let looked = |verdict: &str, setup: &mut Setup<'_>| {
            setup.counter("crawlers_total", "Claims to be a crawler.", &[("verdict", verdict)])
        };
        Ok(Self {
            crawlers,
            claims,
            rules,
            patterns,
            turns: Turns::new(options.lookups),
            metrics: Metrics {
                verified: looked("verified", setup)?,
                lied: looked("false", setup)?,
                unknown: looked("unknown", setup)?,
                denied: setup.counter("user_agents_denied_total", "Denied by a rule.", &[])?,
            },
            options: Settings {
                false_claim: options.false_claim,
                unknown: options.unknown,
                verified_header: options.verified_header,
                deny_status: options.deny_status,
                store: options.store,
                remember: options.remember,
                remember_false: options.remember_false,
            },
        })
    }

    async fn on_request(&self, (): &mut (), request: &mut Request<'_>) -> Flow {
        if let Some(header) = &self.options.verified_header
            && let Err(refused) = request.remove_header(header)
        {
            return Flow::fail(format!("header `{header}`: {refused}"));
        }
        let agent = request.header_bytes("user-agent").unwrap_or_default().into_owned();
        let claimed = self.claims.matches(&agent).into_iter().next();
        if let Some(crawler) = claimed.and_then(|index| self.crawlers.get(index)) {
            let verdict = self.verdict(crawler, request).await;
            if let Some(flow) = self.judge(crawler, verdict, request) {
                return flow;
            }
        }
        self.ask_rules(&agent, request)
    }

    async fn on_tick(&self, background: &mut Background<'_>) {
        for crawler in &self.crawlers {
            crawler.refresh(background).await;
        }
    }
}

impl UserAgent {
    async fn verdict(&self, crawler: &Crawler, request: &mut Request<'_>) -> Verdict {
        let Some(address) = request.client_address() else { return Verdict::Unknown };
        let claim = Claim { crawler, address: address.to_canonical() };
        if let Some(verdict) = claim.by_network() {
            return verdict;
        }
        let store = &self.options.store;
        if let Some(verdict) = claim.remembered(store, request).await {
            return verdict;
        }
        let Some(_turn) = self.turns.take() else {
            return Verdict::Unknown;
        };
        let verdict = claim.by_name(request).await;
        let ttl = match verdict {
            Verdict::Verified => self.options.remember,
            Verdict::False => self.options.remember_false,
            Verdict::Unknown => return verdict,
        };
        claim.remember(store, verdict, ttl.0, request).await;
        verdict
    }

    /// What follows from a verdict; `None` where the rules are to be asked.
    fn judge(
        &self,
        crawler: &Crawler,
        verdict: Verdict,
        request: &mut Request<'_>,
    ) -> Option<Flow> {
        let noted = request
            .set_variable("plugin_crawler", crawler.name())
            .and_then(|()| request.set_variable("plugin_crawler_verdict", verdict.name()));
        if let Err(refused) = noted {
            return Some(Flow::fail(format!("variable `$plugin_crawler`: {refused}")));
        }
        match verdict {
            Verdict::Verified => {
                self.metrics.verified.add(1);
                let header = self.options.verified_header.as_ref();
                let set =
                    header.map_or(Ok(()), |header| request.set_header(header, crawler.name()));
                Some(set.map_or_else(
                    |refused| Flow::fail(format!("the header of verified crawlers: {refused}")),
                    |()| Flow::Continue,
                ))
            }
            Verdict::False => {
                self.metrics.lied.add(1);
                self.options.false_claim.status().map(Flow::status)
            }
            Verdict::Unknown => {
                self.metrics.unknown.add(1);
                let answer = |status| Answer::plain(status).with_header("retry-after", "60").into();
                self.options.unknown.status().map(answer)
            }
        }
    }

    fn ask_rules(&self, agent: &[u8], request: &mut Request<'_>) -> Flow {
        let matched = self.patterns.matches(agent);
        for rule in matched.into_iter().filter_map(|index| self.rules.get(index)) {
            if let Some(tag) = &rule.tag
                && let Err(refused) = request.set_variable("plugin_user_agent_tag", tag)
            {
                return Flow::fail(format!("variable `$plugin_user_agent_tag`: {refused}"));
            }
            match rule.action {
                Action::Tag => {}
                Action::Allow => return Flow::Continue,
                Action::Deny => {
                    self.metrics.denied.add(1);
                    return Flow::status(self.options.deny_status);
                }
            }
        }
        Flow::Continue
    }
}

/// Patterns in upper and lower case.
fn set(patterns: impl IntoIterator<Item = String>) -> Result<RegexSet, String> {
    let set = RegexSetBuilder::new(patterns).case_insensitive(true).unicode(false).build();
    set.map_err(|error| error.to_string())
}

fn any_of(texts: &[String]) -> String {
    texts.iter().map(|text| regex::escape(text)).collect::<Vec<_>>().join("|")
}

fn rules(options: Vec<RuleOptions>) -> Result<(Vec<Rule>, RegexSet), BuildError> {
    let mut rules = Vec::with_capacity(options.len());
    let mut patterns = Vec::with_capacity(options.len());
    for (index, rule) in options.into_iter().enumerate() {
        let path = format!("rules[{index}]");
        let pattern = match (&*rule.contains, rule.regex) {
            ([_, ..], None) => {
                no_empty(&format!("{path}.contains"), &rule.contains)?;
                any_of(&rule.contains)
            }
            ([], Some(regex)) => {
                let checked = set([regex.clone()]);
                checked.map_err(|message| BuildError::new(format!("{path}.regex"), message))?;
                regex
            }
            _ => {
                let message = "a rule has exactly one of `contains` and `regex`";
                return Err(BuildError::new(path, message));
            }
        };
        if rule.action == Action::Tag && rule.tag.is_none() {
            return Err(BuildError::new(format!("{path}.tag"), "`tag` needs a tag"));
        }
        patterns.push(pattern);
        rules.push(Rule { action: rule.action, tag: rule.tag });
    }
    let patterns = set(patterns).map_err(|message| BuildError::new("rules", message))?;
    Ok((rules, patterns))
}

fn no_empty(path: &str, texts: &[String]) -> Result<(), BuildError> {
    match texts.iter().position(String::is_empty) {
        Some(index) => Err(BuildError::new(format!("{path}[{index}]"), "is in every text")),
        None => Ok(()),
    }
}

impl Options {
    fn check(&self) -> Result<(), BuildError> {
        if self.rules.is_empty() && self.verify.is_empty() && self.crawlers.is_empty() {
            return Err(BuildError::new("", "nothing is asked of anybody")
                .with_help("say what in `rules`, `verify` or `crawlers`"));
        }
        let statuses = [
            ("false_claim", self.false_claim.status()),
            ("unknown", self.unknown.status()),
            ("deny_status", Some(self.deny_status)),
        ];
        for (key, status) in statuses {
            if let Some(status) = status.filter(|status| !(400..=599).contains(status)) {
                let message = format!("{status} does not refuse anybody: 400 to 599");
                return Err(BuildError::new(key, message));
            }
        }
        if let Some(name) = &self.verified_header
            && http::HeaderName::from_bytes(name.as_bytes()).is_err()
        {
            let message = format!("`{name}` is no name of a header");
            return Err(BuildError::new("verified_header", message));
        }
        if self.lookups == 0 {
            return Err(BuildError::new("lookups", "with none, nobody is ever verified"));
        }
        if self.store.is_empty() {
            return Err(BuildError::new("store", "a store has a name"));
        }
        Ok(())
    }
}

/// Whether it is a list of networks.
pub(crate) fn is_list(text: &str) -> bool {
    list::parse(text).is_ok()
}
