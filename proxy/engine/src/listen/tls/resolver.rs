//! Which certificate a client is shown.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use switchback_route::HostTable;

use super::identity::Identity;
use super::names::{self, NameTable};

/// Certificates that stand for the same names, one for each kind of key.
pub(super) type Choice = Box<[Arc<Identity>]>;

/// Which certificate a client is shown: of the site whose host it asks for, else one that bears the name, else the first.
#[derive(Debug)]
pub(super) struct Resolver {
    /// The hosts of all sites, with the certificates of those that have their own.
    pub(super) hosts: HostTable<Owner>,
    /// Those of the site that answers any host.
    pub(super) any: Owner,
    /// Of sites, by [`Owner`].
    pub(super) choices: Vec<Choice>,
    /// Of the listener.
    pub(super) own: Choice,
    /// Whether a client that asks for no known name is sent away.
    pub(super) refuses_unknown: bool,
    /// The names of `own`, as they were when they were looked at last.
    pub(super) names: ArcSwap<Names>,
}

/// Whose certificates are shown: a site's by number, or the listener's.
pub(super) type Owner = Option<u32>;

/// The names of certificates at some moment.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// How often all certificates together had changed.
    version: u64,
    table: NameTable,
}

impl Names {
    /// Those of `identities` now.
    pub(super) fn of(identities: &[Arc<Identity>]) -> Self {
        // Before the names are read: what changes in between is looked at again.
        let version = version(identities);
        let mut table = NameTable::default();
        for (identity, number) in identities.iter().zip(0..) {
            for name in &identity.loaded().names {
                table.insert(name, number);
            }
        }
        Self { version, table }
    }
}

fn version(identities: &[Arc<Identity>]) -> u64 {
    identities.iter().map(|identity| identity.version()).sum()
}

impl Resolver {
    /// Looks again which names the certificates bear, if any has changed.
    pub(super) fn renew_names(&self) {
        if self.names.load().version != version(&self.own) {
            self.names.store(Arc::new(Names::of(&self.own)));
        }
    }

    /// Whose certificates a client that asks for `name` is shown.
    pub(super) fn owner(&self, name: &str) -> Owner {
        self.hosts.find(name).unwrap_or(self.any)
    }

    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let known = name.and_then(|name| self.hosts.find(name));
        if let Some(choice) = known.flatten().and_then(|owner| self.choices.get(owner as usize)) {
            return best(choice.iter(), schemes);
        }
        let names = self.names.load();
        let numbers = name.map(|name| names.table.find(name)).unwrap_or_default();
        if !numbers.is_empty() {
            let named = numbers.iter().filter_map(|number| self.own.get(*number as usize));
            return best(named, schemes);
        }
        if self.refuses_unknown && known.is_none() {
            return None;
        }
        self.fallback(schemes)
    }

    /// Of the site for any host, else the first of the listener with its siblings of the same names, else a site's.
    fn fallback(&self, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        if let Some(choice) = self.any.and_then(|owner| self.choices.get(owner as usize)) {
            return best(choice.iter(), schemes);
        }
        let Some(first) = self.own.first() else {
            return best(self.choices.first()?.iter(), schemes);
        };
        let names = &first.loaded().names;
        best(self.own.iter().filter(|other| other.loaded().names == *names), schemes)
    }
}

/// One that the client can verify, rather with an ECDSA key than with an RSA key; the first where it can verify none.
fn best<'i>(
    identities: impl Iterator<Item = &'i Arc<Identity>> + Clone,
    schemes: &[SignatureScheme],
) -> Option<Arc<CertifiedKey>> {
    let mut rsa = None;
    for identity in identities.clone() {
        let loaded = identity.loaded();
        if loaded.certified.key.choose_scheme(schemes).is_none() {
            continue;
        }
        if !loaded.is_rsa() {
            return Some(Arc::clone(&loaded.certified));
        }
        rsa.get_or_insert_with(|| Arc::clone(&loaded.certified));
    }
    rsa.or_else(|| identities.into_iter().next().map(|first| Arc::clone(&first.loaded().certified)))
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(names::normal);
        self.choose(name.as_deref(), hello.signature_schemes())
    }
}
