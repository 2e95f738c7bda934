//! What a handshake has agreed on.

use rustls::{CommonState, HandshakeKind, NamedGroup, ProtocolVersion};

use super::client::ClientCertificate;
use crate::listen::connection::TlsFacts;

/// What was agreed on in `session`, in which the client asked for `server_name`.
pub(super) fn facts(session: &CommonState, server_name: Option<Box<str>>) -> TlsFacts {
    let protocol = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLSv1.3",
    };
    let cipher =
        session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("");
    let client = session.peer_certificates().and_then(<[_]>::first);
    TlsFacts {
        protocol,
        cipher,
        server_name,
        group: session.negotiated_key_exchange_group().map(|group| group.name()),
        is_resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
        has_alpn: session.alpn_protocol().is_some(),
        is_h2: session.alpn_protocol() == Some(b"h2"),
        client: client.map(|leaf| Box::new(ClientCertificate::new(leaf))),
    }
}

/// A group's name in OpenSSL, and so in nginx.
pub(crate) fn curve(group: NamedGroup) -> &'static str {
    match group {
        NamedGroup::X25519MLKEM768 => "X25519MLKEM768",
        NamedGroup::X25519 => "X25519",
        NamedGroup::secp256r1 => "prime256v1",
        NamedGroup::secp384r1 => "secp384r1",
        _ => "",
    }
}
