//! The TLS settings of a listener. The provider is passed explicitly; the process has no default of ours.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use switchback_conf::plan::{ListenerPlan, ListenerTlsPlan};
use switchback_conf::{Code, Diagnostic, Location};

use super::connection::TlsFacts;

/// A certificate chain, leaf first, and its key.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The TLS settings of `listener`; `None` for plain text.
pub(crate) fn config(listener: &ListenerPlan) -> Result<Option<Arc<ServerConfig>>, Diagnostic> {
    let Some(tls) = &listener.tls else { return Ok(None) };
    let at = &listener.at;
    let (chain, key) = match tls {
        ListenerTlsPlan::Files { certificate, key } => {
            (chain(certificate, at)?, private_key(key, at)?)
        }
        ListenerTlsPlan::SelfSigned(names) => self_signed(names, at)?,
    };
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder =
        builder.with_safe_default_protocol_versions().map_err(|error| assemble(at, &error))?;
    let mut config = builder
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| mismatch(at, &error))?;
    config.alpn_protocols = if listener.h2 {
        vec![b"h2".to_vec(), b"http/1.1".to_vec()]
    } else {
        vec![b"http/1.1".to_vec()]
    };
    Ok(Some(Arc::new(config)))
}

fn chain(path: &Path, at: &Location) -> Result<Vec<CertificateDer<'static>>, Diagnostic> {
    let chain =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let reason = match chain {
        Ok(chain) if !chain.is_empty() => return Ok(chain),
        Ok(_) => "it holds no PEM certificate".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(Diagnostic::error(
        Code::Certificate,
        at.clone(),
        format!("certificate `{}`: {reason}", path.display()),
    )
    .hint("a PEM file with the certificate first, then its intermediates"))
}

fn private_key(path: &Path, at: &Location) -> Result<PrivateKeyDer<'static>, Diagnostic> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| {
        Diagnostic::error(
            Code::PrivateKey,
            at.clone(),
            format!("key `{}`: {error}", path.display()),
        )
        .hint("a PEM file with one unencrypted private key")
    })
}

/// A certificate made on the spot. Browsers warn of it; it is for trying things out.
fn self_signed(names: &[String], at: &Location) -> Result<Identity, Diagnostic> {
    let made =
        rcgen::generate_simple_self_signed(names.to_vec()).map_err(|error| assemble(at, &error))?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())
        .map_err(|error| assemble(at, &error))?;
    Ok((vec![made.cert.der().clone()], key))
}

fn mismatch(at: &Location, error: &rustls::Error) -> Diagnostic {
    match error {
        rustls::Error::InconsistentKeys(_) => Diagnostic::error(
            Code::KeyMismatch,
            at.clone(),
            "the private key does not belong to the certificate",
        ),
        other => Diagnostic::error(
            Code::Certificate,
            at.clone(),
            format!("certificate and key cannot be used: {other}"),
        ),
    }
}

fn assemble(at: &Location, error: &dyn std::fmt::Display) -> Diagnostic {
    Diagnostic::error(Code::Assemble, at.clone(), format!("TLS cannot be set up: {error}"))
}

/// What was agreed on, with the name that the client asked for.
pub(crate) fn facts(session: &rustls::CommonState, server_name: Option<Box<str>>) -> TlsFacts {
    let protocol = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLSv1.3",
    };
    let cipher =
        session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("");
    TlsFacts { protocol, cipher, server_name }
}
