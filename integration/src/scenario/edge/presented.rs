//! Which certificate a listener presents.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConnection, Error};

use crate::certs::{Identity, credulous_client_config};

/// Whether a new client for `localhost` is shown this certificate.
pub(super) fn presented(address: SocketAddr, identity: &Identity) -> bool {
    let wanted = CertificateDer::from_pem_slice(identity.certificate_pem().as_bytes());
    handshake(address).is_ok_and(|shown| wanted.is_ok_and(|wanted| shown == wanted))
}

fn handshake(address: SocketAddr) -> std::io::Result<CertificateDer<'static>> {
    let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
    // A configuration of its own: a resumed session would show no certificate.
    let config = credulous_client_config(&[]);
    let mut session = ClientConnection::new(config, name).map_err(std::io::Error::other)?;
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    session.complete_io(&mut stream)?;
    let shown = session.peer_certificates().and_then(|chain| chain.first().cloned());
    shown.ok_or_else(|| std::io::Error::other(Error::NoCertificatesPresented))
}
