//! TLS towards clients and towards upstreams.

use std::path::PathBuf;

use super::define::model;
use super::text::{Count, OrOff, OrText, Short};
use crate::at::At;
use crate::plan::{CipherSuite, KeyGroup, TlsVersion};
use crate::units::Timeout;

model! {
    /// TLS towards clients. Its certificates are `certificate` with `key`, then `certificates`, or `self_signed`; sites may bring their
    /// own. Which one a client is shown follows from the name it asks for. The files of certificates, keys, staples, tickets and
    /// revocations are watched: what is written there acts without a reload.
    pub struct ListenerTls: Default {
        /// A PEM file with the certificate chain, the server's own certificate first. It is shown where no other fits.
        pub certificate: Option<At<PathBuf>> = None,
        /// A PEM file with the private key of `certificate`.
        pub key: Option<At<PathBuf>> = None,
        /// A DER file with the OCSP answer that is stapled to `certificate`.
        pub ocsp: Option<At<PathBuf>> = None,
        /// More certificates, each used for the names it bears: files, patterns such as `"certs/*.pem"`, or tables. Of several
        /// with one name, the client is shown one that it can verify: ECDSA rather than RSA.
        pub certificates: Vec<At<OrText<Certificate>>> = Vec::new(),
        /// Names and addresses for a certificate that is made when the listener starts; for trying things out.
        pub self_signed: Option<Vec<At<Box<str>>>> = None,
        /// What becomes of a client that asks for a name that no certificate and no site has, or for none: `"default"` shows it the
        /// first certificate, `"refuse"` ends the handshake.
        pub unknown_name: UnknownName = UnknownName::Default,
        /// Versions of TLS, of `"1.2"` and `"1.3"`.
        pub versions: Vec<At<TlsVersion>> = Vec::from([TlsVersion::Tls12.into(), TlsVersion::Tls13.into()]),
        /// Cipher suites, those preferred first, by their names at IANA or in OpenSSL. Of a version of which none is named, all are
        /// offered.
        pub ciphers: Vec<At<CipherSuite>> = Vec::new(),
        /// Groups for the key exchange, those preferred first.
        pub groups: Vec<At<KeyGroup>> = KeyGroup::ALL.map(At::from).to_vec(),
        /// Whether the order of `ciphers` counts rather than the client's.
        pub prefer_server_order: bool = false,
        /// How clients come back without a full handshake: `"off"` is not at all.
        pub tickets: OrOff<Tickets> = OrOff::On(Tickets::default()),
        /// Certificates of clients. Without it, none are asked for.
        pub client: Option<At<ClientCertificates>> = None,
        /// How many handshakes a worker takes a step forward before it turns to its other connections again. The rest waits for
        /// its turn, within `timeouts.handshake`.
        pub handshakes: Count<1, 65_535> = Count::clamped(64),
    }
}

model! {
    /// A certificate with its key. Written as a path, or a pattern such as `"certs/*.pem"`, it is that file alone.
    pub struct Certificate {
        /// A PEM file with the certificate chain, the server's own certificate first.
        pub certificate: At<PathBuf>,
        /// A PEM file with the private key. Without it, the file beside the certificate that ends with `.key` instead, or else the
        /// file of the certificate itself.
        pub key: Option<At<PathBuf>> = None,
        /// A DER file with the OCSP answer that is stapled to the certificate.
        pub ocsp: Option<At<PathBuf>> = None,
    }
}

impl Short for Certificate {
    type Key = PathBuf;

    fn from_key(certificate: At<PathBuf>) -> Self {
        Self { certificate, key: None, ocsp: None }
    }

    fn as_key(&self) -> Option<&PathBuf> {
        (self.key.is_none() && self.ocsp.is_none()).then_some(&self.certificate.value)
    }
}

model! {
    /// Certificates of one site. They are shown to clients that ask for a host of the site, whatever names they bear.
    pub struct SiteTls: Default {
        /// A PEM file with the certificate chain, the server's own certificate first.
        pub certificate: Option<At<PathBuf>> = None,
        /// A PEM file with the private key of `certificate`.
        pub key: Option<At<PathBuf>> = None,
        /// A DER file with the OCSP answer that is stapled to `certificate`.
        pub ocsp: Option<At<PathBuf>> = None,
        /// More certificates, such as one with an RSA key beside one with an ECDSA key.
        pub certificates: Vec<At<OrText<Certificate>>> = Vec::new(),
    }
}

model! {
    /// Session tickets: what a client brings along to resume its session. Nothing is kept here for them.
    pub struct Tickets: Default {
        /// Files with ticket keys as nginx reads them: 48 or 80 random bytes. The first encrypts, all decrypt; machines that share
        /// them resume one another's sessions. Without any, keys are made here.
        pub keys: Vec<At<PathBuf>> = Vec::new(),
        /// How often a new key is made. Without it, `"12h"`.
        pub rotate: Option<At<Timeout>> = None,
        /// How long a ticket is good, at most 7 days.
        pub lifetime: At<Timeout> = At::from(Timeout::seconds(24 * 60 * 60)),
    }
}

model! {
    /// Certificates that clients show (mutual TLS).
    pub struct ClientCertificates {
        /// A PEM file with the certificates of the authorities that sign those of clients.
        pub ca: At<PathBuf>,
        /// Whether every client must show one: `"required"` or `"optional"`. One that is shown must always be good.
        pub verify: ClientVerify = ClientVerify::Required,
        /// PEM files with lists of what was revoked, for every authority on the way to `ca`. They are watched.
        pub crl: Vec<At<PathBuf>> = Vec::new(),
        /// How many authorities may stand between a client's certificate and `ca`.
        pub depth: Count<0, 6> = Count::clamped(1),
    }
}

/// What becomes of a client that asks for an unknown name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownName {
    /// It is shown the first certificate.
    Default,
    /// The handshake ends.
    Refuse,
}

/// Whether clients must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientVerify {
    /// They must.
    Required,
    /// They may.
    Optional,
}

model! {
    /// TLS towards an upstream. `{}` takes all defaults.
    pub struct UpstreamTls: Default {
        /// The name that the certificate must bear, also sent as SNI. Without it, the host name of each endpoint; endpoints
        /// that are addresses or Unix sockets have none, so there it must be written.
        pub server_name: Option<At<Box<str>>> = None,
        /// A PEM file with the certificates that are trusted. Without it, those of the system.
        pub ca: Option<At<PathBuf>> = None,
        /// Whether the certificate is verified. Turn it off for tests alone.
        pub verify: bool = true,
    }
}
