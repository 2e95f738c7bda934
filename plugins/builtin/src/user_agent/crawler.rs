//! Crawlers, and how they prove that they are who they say.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use switchback_plugin::{
    Background, BuildError, Operating, Operation, Outcome, Request, Setup, StoreAction,
};

use super::list::parse;
use super::{CrawlerOptions, any_of, no_empty};
use crate::networks::{Networks, network};
use crate::watched::Watched;

/// Crawlers that are known here, with what their owners say of how to know them.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Known {
    /// Google's, by names in `googlebot.com` and `google.com`.
    Googlebot,
    /// Microsoft's, by names in `search.msn.com`.
    Bingbot,
    /// Apple's, by names in `applebot.apple.com`.
    Applebot,
    /// Yandex's, by names in `yandex.com`, `yandex.net` and `yandex.ru`.
    Yandexbot,
    /// Baidu's, by names in `baidu.com` and `baidu.jp`.
    Baiduspider,
    /// Amazon's, by names in `crawl.amazonbot.amazon`.
    Amazonbot,
    /// Seznam's, by names in `seznam.cz`.
    Seznambot,
    /// Huawei's, by names in `petalsearch.com`.
    Petalbot,
}

impl Known {
    pub(super) fn crawler(self) -> Crawler {
        // Not `googleusercontent.com`: whoever rents a machine there has such a name.
        let (name, contains, domains): (&str, &[&str], &[&str]) = match self {
            Self::Googlebot => (
                "googlebot",
                &["Googlebot", "Google-InspectionTool", "GoogleOther", "Storebot-Google"],
                &["googlebot.com", "google.com"],
            ),
            Self::Bingbot => ("bingbot", &["bingbot"], &["search.msn.com"]),
            Self::Applebot => ("applebot", &["Applebot"], &["applebot.apple.com"]),
            Self::Yandexbot => {
                ("yandexbot", &["yandex.com/bots"], &["yandex.com", "yandex.net", "yandex.ru"])
            }
            Self::Baiduspider => ("baiduspider", &["Baiduspider"], &["baidu.com", "baidu.jp"]),
            Self::Amazonbot => ("amazonbot", &["Amazonbot"], &["crawl.amazonbot.amazon"]),
            Self::Seznambot => ("seznambot", &["SeznamBot"], &["seznam.cz"]),
            Self::Petalbot => ("petalbot", &["PetalBot"], &["petalsearch.com"]),
        };
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Crawler {
            name: name.to_owned(),
            contains: owned(contains),
            domains: owned(domains),
            networks: Networks::default(),
            files: Vec::new(),
        }
    }
}

/// One crawler.
pub(super) struct Crawler {
    name: String,
    contains: Vec<String>,
    /// In lower case, without a dot at either end.
    domains: Vec<String>,
    networks: Networks,
    files: Vec<Watched<Networks>>,
}

/// Whether a client is the crawler that it says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Verified,
    False,
    Unknown,
}

impl Verdict {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::False => "false",
            Self::Unknown => "unknown",
        }
    }
}

impl Crawler {
    pub(super) fn new(
        path: &str,
        options: &CrawlerOptions,
        setup: &Setup<'_>,
    ) -> Result<Self, BuildError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if options.name.is_empty() || !options.name.bytes().all(fits) {
            let message = format!("`{}` is no name: letters, digits, `-`, `_`", options.name);
            return Err(BuildError::new(format!("{path}.name"), message));
        }
        if options.contains.is_empty() {
            let message = "nothing says who says that it is this crawler";
            return Err(BuildError::new(format!("{path}.contains"), message));
        }
        no_empty(&format!("{path}.contains"), &options.contains)?;
        if options.domains.is_empty() && options.networks.is_empty() && options.files.is_empty() {
            return Err(BuildError::new(path, "nothing proves that a client is this crawler")
                .with_help("say `domains`, `networks` or `files`"));
        }
        Ok(Self {
            name: options.name.clone(),
            contains: options.contains.clone(),
            domains: domains(&format!("{path}.domains"), &options.domains)?,
            networks: networks(&format!("{path}.networks"), &options.networks)?,
            files: files(&format!("{path}.files"), &options.files, setup)?,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn pattern(&self) -> String {
        any_of(&self.contains)
    }

    pub(super) fn has_files(&self) -> bool {
        !self.files.is_empty()
    }

    pub(super) async fn refresh(&self, background: &mut Background<'_>) {
        for file in &self.files {
            file.refresh(background).await;
        }
    }

    /// Whether `name` is in one of its domains: `x.example.com` is in `example.com`, `badexample.com` is not.
    fn owns(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.domains.iter().any(|domain| {
            name.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.'))
        })
    }
}

/// A client that says it is a crawler.
pub(super) struct Claim<'a> {
    pub(super) crawler: &'a Crawler,
    pub(super) address: IpAddr,
}

/// An address has one name as a rule; one with many is none of a crawler.
const MOST_NAMES: usize = 4;

impl Claim<'_> {
    /// By what is known without asking anybody; `None` where names must be asked for.
    pub(super) fn by_network(&self) -> Option<Verdict> {
        let listed = self.crawler.networks.contains(self.address)
            || self.crawler.files.iter().any(|file| file.current().contains(self.address));
        if listed {
            return Some(Verdict::Verified);
        }
        self.crawler.domains.is_empty().then_some(Verdict::False)
    }

    fn key(&self) -> String {
        format!("{} {}", self.crawler.name, self.address)
    }

    pub(super) async fn remembered(
        &self,
        store: &str,
        request: &mut Request<'_>,
    ) -> Option<Verdict> {
        match request.stored(store, self.key()).await.ok()??.as_ref() {
            b"verified" => Some(Verdict::Verified),
            b"false" => Some(Verdict::False),
            _ => None,
        }
    }

    /// What cannot be kept is looked for again.
    pub(super) async fn remember(
        &self,
        store: &str,
        verdict: Verdict,
        ttl: Duration,
        request: &mut Request<'_>,
    ) {
        let value = verdict.name().into();
        let put = StoreAction::Put { value, ttl: Some(ttl) };
        let _ = request.store(store, self.key(), put).await;
    }

    /// The address has a name of the crawler's, and that name has the address: anybody can name an address, but only whose a name is can
    /// give it an address.
    pub(super) async fn by_name(&self, request: &mut Request<'_>) -> Verdict {
        let asked = request.operate(Operation::ResolveAddress(self.address)).await;
        let Ok(Outcome::Names(names)) = asked else { return Verdict::Unknown };
        let own = names.into_iter().filter(|name| self.crawler.owns(name)).take(MOST_NAMES);
        let mut verdict = Verdict::False;
        for name in own {
            match request.operate(Operation::Resolve(name)).await {
                Ok(Outcome::Addresses(addresses)) => {
                    if addresses.iter().any(|address| address.to_canonical() == self.address) {
                        return Verdict::Verified;
                    }
                }
                _ => verdict = Verdict::Unknown,
            }
        }
        verdict
    }
}

fn domains(path: &str, domains: &[String]) -> Result<Vec<String>, BuildError> {
    let located = |(index, domain): (usize, &String)| {
        let name = domain.trim_matches('.').to_ascii_lowercase();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if name.contains('.') && name.bytes().all(fits) {
            return Ok(name);
        }
        let message = format!("`{domain}` is no domain that a crawler has: as in googlebot.com");
        Err(BuildError::new(format!("{path}[{index}]"), message))
    };
    domains.iter().enumerate().map(located).collect()
}

fn networks(path: &str, networks: &[String]) -> Result<Networks, BuildError> {
    let located = |(index, text): (usize, &String)| {
        network(text).map_err(|message| BuildError::new(format!("{path}[{index}]"), message))
    };
    let read: Result<Vec<_>, _> = networks.iter().enumerate().map(located).collect();
    Ok(Networks::new(read?))
}

fn files(
    path: &str,
    files: &[PathBuf],
    setup: &Setup<'_>,
) -> Result<Vec<Watched<Networks>>, BuildError> {
    let open = |(index, file): (usize, &PathBuf)| {
        Watched::open(&format!("{path}[{index}]"), file, setup, parse)
    };
    files.iter().enumerate().map(open).collect()
}
