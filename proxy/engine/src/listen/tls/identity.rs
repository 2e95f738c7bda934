//! A certificate with its key, as long as somebody uses it; what its files hold may change under way.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use rustls::SignatureAlgorithm;
use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use switchback_conf::Code;
use switchback_conf::plan::CertificatePlan;

use super::files::{self, Flaw, Watched};
use super::names;

/// Where a certificate comes from: that is what makes it the same one after a reload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// Files: the chain, the key, and what is stapled.
    Files { certificate: PathBuf, key: PathBuf, ocsp: Option<PathBuf> },
    /// Made here for these names.
    SelfSigned(Vec<String>),
}

impl From<&CertificatePlan> for Source {
    fn from(plan: &CertificatePlan) -> Self {
        let CertificatePlan { certificate, key, ocsp, .. } = plan.clone();
        Self::Files { certificate, key, ocsp }
    }
}

/// A certificate with its key.
#[derive(Debug)]
pub(crate) struct Identity {
    source: Source,
    current: ArcSwap<Loaded>,
    watched: Option<Watched>,
    /// How often it has changed.
    version: AtomicU64,
}

/// What was read last.
#[derive(Debug)]
pub(super) struct Loaded {
    /// What clients are shown.
    pub(super) certified: Arc<CertifiedKey>,
    /// The names it bears, lower-case.
    pub(super) names: Box<[Box<str>]>,
}

impl Loaded {
    /// Whether its key is of the kind that old clients alone need.
    pub(super) fn is_rsa(&self) -> bool {
        self.certified.key.algorithm() == SignatureAlgorithm::RSA
    }
}

impl Identity {
    /// Reads it, or makes it.
    pub(super) fn new(source: Source) -> Result<Self, Flaw> {
        let paths = match &source {
            Source::SelfSigned(names) => {
                let current = ArcSwap::from_pointee(self_signed(names)?);
                return Ok(Self { source, current, watched: None, version: AtomicU64::new(0) });
            }
            Source::Files { certificate, key, ocsp } => {
                let files = [Some(certificate), Some(key), ocsp.as_ref()];
                files.into_iter().flatten().cloned().collect()
            }
        };
        let (watched, loaded) = Watched::read(paths, || load(&source))?;
        let current = ArcSwap::from_pointee(loaded);
        Ok(Self { source, current, watched: Some(watched), version: AtomicU64::new(0) })
    }

    /// What was read last.
    pub(super) fn loaded(&self) -> arc_swap::Guard<Arc<Loaded>> {
        self.current.load()
    }

    /// How often it has changed.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Reads again what has changed. Blocks.
    pub(super) fn refresh(&self) -> Result<(), Flaw> {
        let Some(watched) = &self.watched else { return Ok(()) };
        if let Some(loaded) = watched.changed(|| load(&self.source))? {
            self.store(loaded);
        }
        Ok(())
    }

    /// The same, but whatever is wrong leaves it as it was. Blocks.
    pub(super) fn look(&self) {
        let Some(watched) = &self.watched else { return };
        if let Some(loaded) = watched.look(|| load(&self.source)) {
            self.store(loaded);
        }
    }

    fn store(&self, loaded: Loaded) {
        self.current.store(Arc::new(loaded));
        self.version.fetch_add(1, Ordering::AcqRel);
    }
}

fn load(source: &Source) -> Result<Loaded, Flaw> {
    match source {
        Source::SelfSigned(names) => self_signed(names),
        Source::Files { certificate, key, ocsp } => {
            let staple = ocsp.as_deref().map(staple).transpose()?;
            let chain = chain(certificate)?;
            let mut certified =
                CertifiedKey::from_der(chain, private_key(key)?, &aws_lc_rs::default_provider())
                    .map_err(|error| unusable(certificate, key, &error))?;
            certified.ocsp = staple;
            loaded(certified)
        }
    }
}

fn loaded(certified: CertifiedKey) -> Result<Loaded, Flaw> {
    let leaf = certified.cert.first().map(|leaf| names::of(leaf)).unwrap_or_default();
    Ok(Loaded { certified: Arc::new(certified), names: leaf })
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Flaw> {
    let flaw = |reason: &str| {
        let message = format!("certificate `{}`: {reason}", path.display());
        let hint = "a PEM file with the certificate first, then its intermediates";
        Flaw::new(Code::Certificate, message, hint)
    };
    let text = files::read(path).map_err(|reason| flaw(&reason))?;
    let chain = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(flaw("it holds no PEM certificate")),
        Err(error) => Err(flaw(&error.to_string())),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Flaw> {
    let flaw = |reason: &str| {
        let message = format!("key `{}`: {reason}", path.display());
        Flaw::new(Code::PrivateKey, message, "a PEM file with one unencrypted private key")
    };
    let text = files::read(path).map_err(|reason| flaw(&reason))?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| flaw(&error.to_string()))
}

fn unusable(certificate: &Path, key: &Path, error: &rustls::Error) -> Flaw {
    let (certificate, key) = (certificate.display(), key.display());
    match error {
        rustls::Error::InconsistentKeys(_) => Flaw::new(
            Code::KeyMismatch,
            format!("the private key `{key}` does not belong to the certificate `{certificate}`"),
            "both files are renewed together",
        ),
        other => Flaw::new(
            Code::Certificate,
            format!("certificate `{certificate}` and key `{key}` cannot be used: {other}"),
            "an X.509 certificate with an ECDSA, RSA or Ed25519 key",
        ),
    }
}

/// An OCSP answer (RFC 6960, 4.2.1) that says something: a sequence that begins with the status "successful".
fn staple(path: &Path) -> Result<Vec<u8>, Flaw> {
    let flaw = |reason: &str| {
        let message = format!("OCSP answer `{}`: {reason}", path.display());
        Flaw::new(Code::OcspAnswer, message, "a DER file, as `openssl ocsp -respout` writes it")
    };
    let answer = files::read(path).map_err(|reason| flaw(&reason))?;
    if is_successful(&answer) { Ok(answer) } else { Err(flaw("it is no successful answer in DER")) }
}

fn is_successful(answer: &[u8]) -> bool {
    let [0x30, length, rest @ ..] = answer else { return false };
    let long = usize::from(length & 0x7f);
    let (length, body) = match length {
        0..=0x7f => (long, rest),
        0x81..=0x84 => {
            let Some((digits, body)) = rest.split_at_checked(long) else { return false };
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), body)
        }
        _ => return false,
    };
    body.len() == length && body.starts_with(&[0x0a, 0x01, 0x00])
}

/// A certificate made on the spot. Browsers warn of it; it is for trying things out.
fn self_signed(names: &[String]) -> Result<Loaded, Flaw> {
    let flaw = |error: &dyn std::fmt::Display| {
        let message = format!("a certificate cannot be made: {error}");
        Flaw::new(Code::Assemble, message, "names such as \"localhost\"")
    };
    let made = rcgen::generate_simple_self_signed(names.to_vec()).map_err(|error| flaw(&error))?;
    let key =
        PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(|error| flaw(&error))?;
    let chain = vec![made.cert.der().clone()];
    let certified = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
    loaded(certified.map_err(|error| flaw(&error))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_successful_answers_are_stapled() {
        assert!(is_successful(&[0x30, 0x05, 0x0a, 0x01, 0x00, 0xa0, 0x00]));
        assert!(is_successful(&[0x30, 0x81, 0x03, 0x0a, 0x01, 0x00]));
        for bad in [
            &[][..],
            &[0x30],
            &[0x30, 0x03, 0x0a, 0x01, 0x01],
            &[0x30, 0x04, 0x0a, 0x01, 0x00],
            &[0x30, 0x80, 0x0a, 0x01, 0x00],
            &[0x30, 0x84, 0x0a],
            b"-----BEGIN",
        ] {
            assert!(!is_successful(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_certificate_made_here_bears_its_names() {
        let identity =
            Identity::new(Source::SelfSigned(vec!["A.example".into(), "::1".into()])).unwrap();
        assert_eq!(*identity.loaded().names, ["a.example".into()]);
        assert!(!identity.loaded().is_rsa());
    }
}
