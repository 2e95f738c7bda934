//! Whether a client's certificate is good: signed by an authority of ours, near enough to it, and not revoked.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use switchback_conf::plan::ClientCertificatesPlan;
use switchback_conf::{Code, Diagnostic};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList,
    RevocationCheckDepth, RevocationOptions, RevocationOptionsBuilder, UnknownStatusPolicy,
    VerifiedPath,
};

use super::files::{self, Flaw, Watched};

/// Verifies what clients show.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    roots: Arc<RootCertStore>,
    hints: Vec<DistinguishedName>,
    is_required: bool,
    depth: usize,
    /// Authorities and rules, without what was revoked.
    policy: [u8; 32],
    revocations: ArcSwap<Revocations>,
    watched: Option<(Box<[PathBuf]>, Watched)>,
}

/// What was revoked, as it was read last.
#[derive(Debug)]
struct Revocations {
    verifier: Arc<dyn ClientCertVerifier>,
    lists: Vec<CertRevocationList<'static>>,
    /// Policy and revocations.
    digest: [u8; 32],
}

impl ClientVerifier {
    pub(super) fn new(plan: &ClientCertificatesPlan) -> Result<Self, Diagnostic> {
        let authorities = authorities(plan).map_err(|flaw| flaw.at(&plan.ca.at))?;
        let mut roots = RootCertStore::empty();
        let mut seen = digest::Context::new(&digest::SHA256);
        seen.update(&[u8::from(plan.is_required), u8::try_from(plan.depth).unwrap_or(u8::MAX)]);
        for authority in authorities {
            seen.update(&(authority.len() as u64).to_be_bytes());
            seen.update(&authority);
            roots.add(authority).map_err(|error| no_authority(plan, &error).at(&plan.ca.at))?;
        }
        let (roots, policy) = (Arc::new(roots), output(seen));
        let paths: Vec<PathBuf> = plan.crl.iter().map(|path| path.value.clone()).collect();
        let at = plan.crl.first().map_or(&plan.ca.at, |first| &first.at);
        let read = || revocations(&roots, &policy, &paths, plan.is_required);
        let (watched, revocations) =
            Watched::read(paths.clone(), read).map_err(|flaw| flaw.at(at))?;
        let watched = (!paths.is_empty()).then(|| (paths.into_boxed_slice(), watched));
        Ok(Self {
            hints: roots.subjects(),
            roots,
            is_required: plan.is_required,
            depth: plan.depth as usize,
            policy,
            revocations: ArcSwap::from_pointee(revocations),
            watched,
        })
    }

    /// Reads again what was revoked, if that has changed. Blocks.
    pub(super) fn look(&self) {
        let Some((paths, watched)) = &self.watched else { return };
        let read = || revocations(&self.roots, &self.policy, paths, self.is_required);
        if let Some(revocations) = watched.look(read) {
            self.revocations.store(Arc::new(revocations));
        }
    }

    /// What distinguishes its authorities and rules from others.
    pub(super) fn policy(&self) -> &[u8; 32] {
        &self.policy
    }

    /// The same with what is revoked now.
    pub(super) fn policy_in_force(&self) -> [u8; 32] {
        self.revocations.load().digest
    }

    /// Whether there is a way to an authority that is short enough. Only asked where a long one was offered.
    fn is_near(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        (now, lists): (UnixTime, &[CertRevocationList<'static>]),
    ) -> Result<(), Error> {
        let too_far = || Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let leaf = EndEntityCert::try_from(leaf).map_err(|_| too_far())?;
        let judge = |path: &VerifiedPath<'_>| {
            let is_near = path.intermediate_certificates().count() <= self.depth;
            if is_near { Ok(()) } else { Err(webpki::Error::MaximumPathDepthExceeded) }
        };
        let lists: Vec<&CertRevocationList<'_>> = lists.iter().collect();
        let algorithms = provider::default_provider().signature_verification_algorithms;
        leaf.verify_for_usage(
            algorithms.all,
            &self.roots.roots,
            others,
            now,
            KeyUsage::client_auth(),
            revocation_options(&lists),
            Some(&judge),
        )
        .map(|_| ())
        .map_err(|_| too_far())
    }
}

/// As strict as OpenSSL with `X509_V_FLAG_CRL_CHECK_ALL`: every authority on the way must say what it revoked, and lately.
fn revocation_options<'a>(
    lists: &'a [&'a CertRevocationList<'a>],
) -> Option<RevocationOptions<'a>> {
    let options = RevocationOptionsBuilder::new(lists).ok()?;
    Some(
        options
            .with_depth(RevocationCheckDepth::Chain)
            .with_status_policy(UnknownStatusPolicy::Deny)
            .with_expiration_policy(ExpirationPolicy::Enforce)
            .build(),
    )
}

fn authorities(plan: &ClientCertificatesPlan) -> Result<Vec<CertificateDer<'static>>, Flaw> {
    let text = files::read(&plan.ca).map_err(|reason| no_authority(plan, &reason))?;
    let found = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(no_authority(plan, &"it holds no PEM certificate")),
        Err(error) => Err(no_authority(plan, &error)),
    }
}

fn no_authority(plan: &ClientCertificatesPlan, reason: &dyn std::fmt::Display) -> Flaw {
    let message = format!("authorities `{}`: {reason}", plan.ca.display());
    let hint = "a PEM file with the certificates of the authorities to trust";
    Flaw::new(Code::CertificateAuthority, message, hint)
}

fn revocations(
    roots: &Arc<RootCertStore>,
    policy: &[u8; 32],
    paths: &[PathBuf],
    is_required: bool,
) -> Result<Revocations, Flaw> {
    let mut seen = digest::Context::new(&digest::SHA256);
    seen.update(policy);
    let (mut encoded, mut lists) = (Vec::new(), Vec::new());
    for path in paths {
        let flaw = |reason: &dyn std::fmt::Display| {
            let message = format!("revocations `{}`: {reason}", path.display());
            Flaw::new(Code::Revocations, message, "a PEM file with lists of revoked certificates")
        };
        let text = files::read(path).map_err(|reason| flaw(&reason))?;
        let before = encoded.len();
        for list in CertificateRevocationListDer::pem_slice_iter(&text) {
            let list = list.map_err(|error| flaw(&error))?;
            let parsed = OwnedCertRevocationList::from_der(&list).map_err(|error| flaw(&error))?;
            seen.update(&(list.len() as u64).to_be_bytes());
            seen.update(&list);
            lists.push(CertRevocationList::from(parsed));
            encoded.push(list);
        }
        if encoded.len() == before {
            return Err(flaw(&"it holds no PEM list of revoked certificates"));
        }
    }
    let provider: Arc<CryptoProvider> = Arc::new(provider::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider)
        .with_crls(encoded)
        .enforce_revocation_expiration();
    let builder = if is_required { builder } else { builder.allow_unauthenticated() };
    let verifier = builder.build().map_err(|error| {
        Flaw::new(Code::CertificateAuthority, error.to_string(), "see what `client` names")
    })?;
    Ok(Revocations { verifier, lists, digest: output(seen) })
}

fn output(context: digest::Context) -> [u8; 32] {
    context.finish().as_ref().first_chunk().copied().unwrap_or_default()
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.is_required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let revocations = self.revocations.load();
        let verified = revocations.verifier.verify_client_cert(end_entity, intermediates, now)?;
        if intermediates.len() > self.depth {
            self.is_near(end_entity, intermediates, (now, &revocations.lists))?;
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.revocations.load().verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.revocations.load().verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.revocations.load().verifier.supported_verify_schemes()
    }
}
