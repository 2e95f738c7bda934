//! TLS towards clients: which certificates, and what is agreed on.

use std::path::PathBuf;
use std::time::Duration;

use super::build::Findings;
use super::certificates::{self, CertificatePlan};
use crate::at::At;
use crate::diagnostic::Code;
use crate::model::{ClientCertificates, ClientVerify, ListenerTls, Tickets, UnknownName};
use crate::native::FromText;

/// TLS of a listener.
#[derive(Clone, Debug)]
pub struct ListenerTlsPlan {
    /// Its certificates; the first is shown where none fits better.
    pub certificates: Vec<CertificatePlan>,
    /// Names and addresses for a certificate that is made when the listener starts; empty where none is.
    pub self_signed: Vec<String>,
    /// Whether a client that asks for no name that is known is sent away.
    pub refuses_unknown: bool,
    /// Never empty.
    pub versions: Vec<TlsVersion>,
    /// Those preferred first. Never empty.
    pub ciphers: Vec<CipherSuite>,
    /// Those preferred first. Never empty.
    pub groups: Vec<KeyGroup>,
    /// Whether the order of `ciphers` counts rather than the client's.
    pub prefers_own_order: bool,
    /// How sessions are resumed; `None` is not at all.
    pub tickets: Option<TicketsPlan>,
    /// Certificates of clients.
    pub client: Option<ClientCertificatesPlan>,
    /// How many handshakes a worker takes a step forward before it turns to its other connections.
    pub handshakes: u32,
}

/// How sessions are resumed.
#[derive(Clone, Debug)]
pub struct TicketsPlan {
    /// The first encrypts, all decrypt; empty where keys are made here.
    pub keys: Vec<At<PathBuf>>,
    /// How often a key is made.
    pub rotate: Duration,
    /// How long a ticket is good.
    pub lifetime: Duration,
}

/// Certificates of clients.
#[derive(Clone, Debug)]
pub struct ClientCertificatesPlan {
    /// PEM: who signs them.
    pub ca: At<PathBuf>,
    /// Whether a client without one is sent away.
    pub is_required: bool,
    /// PEM: what was revoked.
    pub crl: Vec<At<PathBuf>>,
    /// How many authorities may stand between a client's certificate and `ca`.
    pub depth: u32,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// Defines an enum whose values have several names in the world, the first of them ours.
macro_rules! named {
    ($(#[doc = $doc:literal])+ $type:ident [$count:literal]: $($value:ident = $first:literal $(| $other:literal)*;)+) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type {
            $(#[doc = concat!("`", $first, "`.")] $value,)+
        }

        impl $type {
            /// All of them, those preferred first.
            pub const ALL: [Self; $count] = [$(Self::$value,)+];

            /// Its names, the usual one first.
            #[must_use]
            pub const fn names(&self) -> &'static [&'static str] {
                match self { $(Self::$value => &[$first, $($other),*],)+ }
            }
        }
    };
}

named! {
    /// What is encrypted with: the suites of TLS 1.3, and those of 1.2 that keep their secrets when a key is lost.
    CipherSuite [9]:
    Aes256GcmSha384 = "TLS_AES_256_GCM_SHA384" | "TLS13_AES_256_GCM_SHA384";
    Aes128GcmSha256 = "TLS_AES_128_GCM_SHA256" | "TLS13_AES_128_GCM_SHA256";
    Chacha20Poly1305Sha256 = "TLS_CHACHA20_POLY1305_SHA256" | "TLS13_CHACHA20_POLY1305_SHA256";
    EcdheEcdsaAes256GcmSha384 = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" | "ECDHE-ECDSA-AES256-GCM-SHA384";
    EcdheEcdsaAes128GcmSha256 = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" | "ECDHE-ECDSA-AES128-GCM-SHA256";
    EcdheEcdsaChacha20Poly1305Sha256 = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256" | "ECDHE-ECDSA-CHACHA20-POLY1305";
    EcdheRsaAes256GcmSha384 = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384" | "ECDHE-RSA-AES256-GCM-SHA384";
    EcdheRsaAes128GcmSha256 = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" | "ECDHE-RSA-AES128-GCM-SHA256";
    EcdheRsaChacha20Poly1305Sha256 = "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256" | "ECDHE-RSA-CHACHA20-POLY1305";
}

named! {
    /// A group for the key exchange. The first withstands quantum computers too.
    KeyGroup [4]:
    X25519Mlkem768 = "X25519MLKEM768";
    X25519 = "X25519";
    P256 = "P-256" | "secp256r1" | "prime256v1";
    P384 = "P-384" | "secp384r1";
}

impl CipherSuite {
    /// The version it belongs to.
    #[must_use]
    pub const fn version(self) -> TlsVersion {
        match self {
            Self::Aes256GcmSha384 | Self::Aes128GcmSha256 | Self::Chacha20Poly1305Sha256 => {
                TlsVersion::Tls13
            }
            _ => TlsVersion::Tls12,
        }
    }
}

pub(super) fn of_listener(tls: &At<ListenerTls>, findings: &mut Findings<'_>) -> ListenerTlsPlan {
    let versions = versions(tls, findings);
    ListenerTlsPlan {
        certificates: certificates::of_listener(tls, findings),
        self_signed: tls.self_signed.iter().flatten().map(|name| name.to_string()).collect(),
        refuses_unknown: tls.unknown_name == UnknownName::Refuse,
        ciphers: ciphers(&tls.ciphers, &versions, findings),
        versions,
        groups: groups(tls, findings),
        prefers_own_order: tls.prefer_server_order,
        tickets: tls.tickets.on().map(|tickets| plan_tickets(tickets, findings)),
        client: tls.client.as_ref().map(|client| plan_client(client, findings)),
        handshakes: tls.handshakes.value(),
    }
}

fn versions(tls: &At<ListenerTls>, findings: &mut Findings<'_>) -> Vec<TlsVersion> {
    if tls.versions.is_empty() {
        findings.error(Code::Empty, &tls.at, "at least one of `versions` is needed");
    }
    once(&tls.versions, findings)
}

fn groups(tls: &At<ListenerTls>, findings: &mut Findings<'_>) -> Vec<KeyGroup> {
    if tls.groups.is_empty() {
        findings.error(Code::Empty, &tls.at, "at least one of `groups` is needed");
    }
    let groups = once(&tls.groups, findings);
    // TLS 1.2 knows no hybrid groups.
    let is_old = tls.versions.iter().all(|version| version.value == TlsVersion::Tls12);
    if is_old && groups.iter().all(|group| *group == KeyGroup::X25519Mlkem768) {
        let message = "`X25519MLKEM768` alone is of no use to TLS 1.2";
        findings.error(Code::NoEffect, &tls.at, message);
    }
    groups
}

/// Those written, and all others of the versions of which none is written.
fn ciphers(
    written: &[At<CipherSuite>],
    versions: &[TlsVersion],
    findings: &mut Findings<'_>,
) -> Vec<CipherSuite> {
    let mut suites = once(written, findings);
    for suite in written.iter().filter(|suite| !versions.contains(&suite.version())) {
        let message = "this cipher suite is for a version of TLS that is not offered";
        findings.error(Code::NoEffect, &suite.at, message);
    }
    for version in versions {
        if !suites.iter().any(|suite| suite.version() == *version) {
            suites.extend(CipherSuite::ALL.into_iter().filter(|suite| suite.version() == *version));
        }
    }
    suites
}

/// The values of a list in which each may stand once.
fn once<T: Copy + PartialEq + FromText>(list: &[At<T>], findings: &mut Findings<'_>) -> Vec<T> {
    let mut values: Vec<T> = Vec::with_capacity(list.len());
    for value in list {
        if values.contains(&value.value) {
            let message = format!("`{}` is named twice", value.to_text());
            findings.error(Code::Duplicate, &value.at, message);
        } else {
            values.push(value.value);
        }
    }
    values
}

/// RFC 8446, section 4.6.1.
const MAX_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const ROTATE: Duration = Duration::from_secs(12 * 60 * 60);
/// Keys made here that are kept at once.
const MAX_KEYS: u64 = 60;

fn plan_tickets(tickets: &Tickets, findings: &mut Findings<'_>) -> TicketsPlan {
    let Tickets { keys, rotate, lifetime } = tickets;
    for key in keys {
        findings.readable(key, &key.at, "ticket key");
    }
    if let Some(rotate) = rotate.as_ref().filter(|_| !keys.is_empty()) {
        let message = "keys that are read from files are not rotated here";
        findings.error(Code::NoEffect, &rotate.at, message);
    }
    let plan = TicketsPlan {
        keys: keys.clone(),
        rotate: rotate.as_ref().map_or(ROTATE, |rotate| rotate.value.std()),
        lifetime: lifetime.value.std(),
    };
    if plan.lifetime > MAX_LIFETIME {
        findings.error(Code::OutOfRange, &lifetime.at, "a ticket is good for at most 7 days");
    }
    let kept = plan.lifetime.as_secs() / plan.rotate.as_secs().max(1);
    if let Some(rotate) = rotate.as_ref().filter(|_| keys.is_empty() && kept > MAX_KEYS) {
        let message = format!("a lifetime of {kept} rotations is too long: at most {MAX_KEYS}");
        findings.error(Code::OutOfRange, &rotate.at, message);
    }
    plan
}

fn plan_client(
    client: &At<ClientCertificates>,
    findings: &mut Findings<'_>,
) -> ClientCertificatesPlan {
    let ClientCertificates { ca, verify, crl, depth } = &client.value;
    findings.readable(ca, &ca.at, "CA file");
    for crl in crl {
        findings.readable(crl, &crl.at, "list of revocations");
    }
    ClientCertificatesPlan {
        ca: ca.clone(),
        is_required: *verify == ClientVerify::Required,
        crl: crl.clone(),
        depth: depth.value(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_version_without_named_suites_all_are_offered() {
        let gaps = crate::native::Gaps::default();
        let mut findings = Findings::new(&gaps);
        let both = [TlsVersion::Tls12, TlsVersion::Tls13];
        let named = [CipherSuite::EcdheRsaAes128GcmSha256.into()];
        let suites = ciphers(&named, &both, &mut findings);
        assert_eq!(suites.len(), 4);
        assert_eq!(suites.first(), Some(&CipherSuite::EcdheRsaAes128GcmSha256));
        assert!(suites[1..].iter().all(|suite| suite.version() == TlsVersion::Tls13));
        assert_eq!(ciphers(&[], &both, &mut findings).len(), CipherSuite::ALL.len());
        assert_eq!(findings.count(), 0);
        ciphers(&named, &[TlsVersion::Tls13], &mut findings);
        assert_eq!(findings.count(), 1);
    }

    #[test]
    fn every_name_names_one_thing() {
        let mut names: Vec<_> = CipherSuite::ALL.iter().flat_map(CipherSuite::names).collect();
        names.extend(KeyGroup::ALL.iter().flat_map(KeyGroup::names));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
