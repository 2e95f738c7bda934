//! TLS towards clients. The provider is passed explicitly; the process has no default of ours.

mod agreed;
mod client;
mod files;
mod handshake;
mod identity;
mod names;
mod resolver;
mod store;
mod tickets;
mod turns;
mod verifier;

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::server::NoServerSessionStorage;
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};
use switchback_conf::plan::{
    CipherSuite, KeyGroup, ListenerId, ListenerPlan, ListenerTlsPlan, Plan, SitePlan, TlsVersion,
};
use switchback_conf::{Code, Diagnostic};
use switchback_route::HostTable;
use switchback_value::HostPattern;

use super::connection::{Connection, TlsFacts};
pub(crate) use agreed::curve;
pub(crate) use client::ClientCertificate;
pub(crate) use handshake::{Failure, Reason, accept, answer_plain_http};
use identity::Source;
use resolver::{Choice, Names, Owner, Resolver};
pub(crate) use store::Store;
use tickets::{KeyRing, Ticketer};
pub(crate) use turns::Turns;
use verifier::ClientVerifier;

/// TLS of one listener.
#[derive(Debug)]
pub(crate) struct Tls {
    config: Arc<ServerConfig>,
    resolver: Arc<Resolver>,
    client: Option<Arc<ClientVerifier>>,
    tickets: Option<Arc<KeyRing>>,
    handshakes: u32,
}

impl Tls {
    /// TLS of `listener`, which is number `id` of `plan`; `None` for plain text. Reads files.
    ///
    /// # Errors
    /// Everything that is wrong with its certificates, keys and lists.
    pub(crate) fn assemble(
        plan: &Plan,
        (listener, id): (&ListenerPlan, ListenerId),
        store: &Store,
    ) -> Result<Option<Arc<Self>>, Vec<Diagnostic>> {
        let Some(tls) = listener.tls.as_deref() else { return Ok(None) };
        let mut found = Vec::new();
        let resolver = resolver(plan, (tls, id), (listener, store), &mut found);
        let client = tls.client.as_ref().and_then(|client| {
            ClientVerifier::new(client).map(Arc::new).map_err(|error| found.push(error)).ok()
        });
        let tickets = tls.tickets.as_ref().and_then(|tickets| {
            let at = tickets.keys.first().map_or(&listener.at, |first| &first.at);
            store.key_ring(tickets).map_err(|flaw| found.push(flaw.at(at))).ok()
        });
        if !found.is_empty() {
            return Err(found);
        }
        let resolver = Arc::new(resolver);
        let config = config(listener, tls, (&resolver, client.as_ref(), tickets.as_ref()))
            .map_err(|error| {
                let message = format!("TLS cannot be set up: {error}");
                vec![Diagnostic::error(Code::Assemble, listener.at.clone(), message)]
            })?;
        let handshakes = tls.handshakes;
        Ok(Some(Arc::new(Self { config: Arc::new(config), resolver, client, tickets, handshakes })))
    }

    /// Reads again the files that have changed; those of certificates are the store's affair, and looked at before. Blocks.
    pub(crate) fn look(&self) {
        self.resolver.renew_names();
        if let Some(client) = &self.client {
            client.look();
        }
        if let Some(tickets) = &self.tickets {
            tickets.look();
        }
    }

    /// Whether a request that came over `connection` may be answered by the site whose hosts are `site`'s: clients must have shown
    /// what is asked of them now, and asked in the handshake for a name with the same certificates. Else whoever was judged for
    /// one host could ask for another.
    pub(crate) fn serves(&self, connection: &Connection, host: &str) -> bool {
        let judged_by = connection.listener.tls.as_ref().and_then(|tls| tls.client.as_ref());
        if let Some(client) = &self.client
            && judged_by.is_none_or(|judged_by| judged_by.policy() != client.policy())
        {
            return false;
        }
        if self.resolver.choices.is_empty() {
            return true;
        }
        // A client that sends no name may reach every host, as without certificates of sites.
        let asked = connection.tls.as_ref().and_then(|tls| tls.server_name.as_deref());
        // rustls gives it in lower case, as hosts are.
        asked.is_none_or(|asked| {
            asked == host || self.resolver.owner(asked) == self.resolver.owner(host)
        })
    }
}

fn resolver(
    plan: &Plan,
    (tls, id): (&ListenerTlsPlan, ListenerId),
    (listener, store): (&ListenerPlan, &Store),
    found: &mut Vec<Diagnostic>,
) -> Resolver {
    let mut own = store.identities(&tls.certificates, found);
    if !tls.self_signed.is_empty() {
        match store.identity(Source::SelfSigned(tls.self_signed.clone())) {
            Ok(identity) => own.push(identity),
            Err(flaw) => found.push(flaw.at(&listener.at)),
        }
    }
    let mut resolver = Resolver {
        hosts: HostTable::new(),
        any: None,
        choices: Vec::new(),
        names: ArcSwap::from_pointee(Names::of(&own)),
        own: own.into(),
        refuses_unknown: tls.refuses_unknown,
    };
    for site in plan.sites.iter().filter(|site| site.listeners.contains(&id)) {
        let owner = owner(store.identities(&site.certificates, found).into(), &mut resolver);
        add_hosts(site, owner, &mut resolver);
    }
    resolver
}

/// The number of a site's certificates. Sites with the same ones share it.
fn owner(choice: Choice, resolver: &mut Resolver) -> Owner {
    if choice.is_empty() {
        return None;
    }
    let is_same = |other: &Choice| {
        other.len() == choice.len()
            && other.iter().zip(&choice).all(|(one, other)| Arc::ptr_eq(one, other))
    };
    let known = resolver.choices.iter().position(is_same);
    let number = known.unwrap_or(resolver.choices.len());
    if known.is_none() {
        resolver.choices.push(choice);
    }
    u32::try_from(number).ok()
}

fn add_hosts(site: &SitePlan, owner: Owner, resolver: &mut Resolver) {
    let mut answers_any = site.is_default;
    for host in &site.hosts {
        match host {
            HostPattern::Any => answers_any = true,
            // The plan has refused hosts that two sites of one listener claim.
            host => drop(resolver.hosts.insert(host, owner)),
        }
    }
    if answers_any && owner.is_some() {
        resolver.any = owner;
    }
}

fn config(
    listener: &ListenerPlan,
    tls: &ListenerTlsPlan,
    (resolver, client, tickets): (
        &Arc<Resolver>,
        Option<&Arc<ClientVerifier>>,
        Option<&Arc<KeyRing>>,
    ),
) -> Result<ServerConfig, rustls::Error> {
    let provider = CryptoProvider {
        cipher_suites: tls.ciphers.iter().map(suite).collect(),
        kx_groups: tls.groups.iter().map(group).collect(),
        ..aws_lc_rs::default_provider()
    };
    let versions: Vec<_> = tls.versions.iter().map(protocol).collect();
    let builder = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&versions)?;
    let builder = match client {
        Some(client) => builder.with_client_cert_verifier(Arc::<ClientVerifier>::clone(client)),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::<Resolver>::clone(resolver));
    config.alpn_protocols = if listener.h2 {
        vec![b"h2".to_vec(), b"http/1.1".to_vec()]
    } else {
        vec![b"http/1.1".to_vec()]
    };
    config.ignore_client_order = tls.prefers_own_order;
    // Nothing is kept here for a session: its ticket holds all.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    match tickets {
        Some(ring) => {
            config.ticketer =
                Arc::new(Ticketer { ring: Arc::clone(ring), client: client.cloned() });
        }
        None => config.send_tls13_tickets = 0,
    }
    Ok(config)
}

fn protocol(version: &TlsVersion) -> &'static SupportedProtocolVersion {
    match version {
        TlsVersion::Tls12 => &version::TLS12,
        TlsVersion::Tls13 => &version::TLS13,
    }
}

fn group(group: &KeyGroup) -> &'static dyn SupportedKxGroup {
    match group {
        KeyGroup::X25519Mlkem768 => kx_group::X25519MLKEM768,
        KeyGroup::X25519 => kx_group::X25519,
        KeyGroup::P256 => kx_group::SECP256R1,
        KeyGroup::P384 => kx_group::SECP384R1,
    }
}

fn suite(suite: &CipherSuite) -> SupportedCipherSuite {
    match suite {
        CipherSuite::Aes256GcmSha384 => cipher_suite::TLS13_AES_256_GCM_SHA384,
        CipherSuite::Aes128GcmSha256 => cipher_suite::TLS13_AES_128_GCM_SHA256,
        CipherSuite::Chacha20Poly1305Sha256 => cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        CipherSuite::EcdheEcdsaAes256GcmSha384 => {
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
        }
        CipherSuite::EcdheEcdsaAes128GcmSha256 => {
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        }
        CipherSuite::EcdheEcdsaChacha20Poly1305Sha256 => {
            cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        }
        CipherSuite::EcdheRsaAes256GcmSha384 => cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::EcdheRsaAes128GcmSha256 => cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::EcdheRsaChacha20Poly1305Sha256 => {
            cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
        }
    }
}
