//! What an upstream is told of the client before TLS and HTTP: a header of the PROXY protocol.

use std::borrow::Cow;
use std::net::SocketAddr;

use http::Version;
use pingora_http::RequestHeader;
use switchback_conf::plan::{ProxyVersion, SendProxyPlan, SentTlv};

use super::context::Context;
use super::facts::RequestFacts;
use crate::listen::connection::{Connection, TlsFacts};
use crate::listen::proxy_protocol::tlv::{self, Tlvs};
use crate::listen::proxy_protocol::write::{Draft, NOWHERE, line, one_family, ssl};

/// The header for the client of the request `head`.
pub(crate) fn header(send: &SendProxyPlan, head: &RequestHeader, context: &Context) -> Vec<u8> {
    let ends = ends(context);
    if send.version == ProxyVersion::V1 {
        return line(ends);
    }
    let mut draft = Draft::new(ends);
    for sent in &send.tlvs {
        if let Some((kind, value)) = value(sent, head, context) {
            draft.add(kind, &value);
        }
    }
    draft.finish(send.checksum)
}

/// The client, as trusted proxies have it, and what it connected to; `None` when it has no address.
fn ends(context: &Context) -> Option<(SocketAddr, SocketAddr)> {
    let connection = &context.connection;
    let client = context.request.client?;
    // A proxy that names the client does not tell its port.
    let port = connection.peer.filter(|peer| peer.ip().to_canonical() == client);
    let source = SocketAddr::new(client, port.map_or(0, |peer| peer.port()));
    Some(one_family(source, connection.destination().unwrap_or(NOWHERE)))
}

type Value<'v> = Option<(u8, Cow<'v, [u8]>)>;

/// What we know of the client's connection ourselves comes before what a proxy in front said of it.
fn value<'v>(sent: &SentTlv, head: &RequestHeader, context: &'v Context) -> Value<'v> {
    let connection = &*context.connection;
    let said = |kind: u8| said(connection).find(kind).map(|value| (kind, Cow::Borrowed(value)));
    let tls = connection.tls.as_ref();
    match sent {
        SentTlv::Authority => {
            let own = tls.and_then(|tls| tls.server_name.as_deref());
            let own = own.map(|name| (tlv::AUTHORITY, Cow::Borrowed(name.as_bytes())));
            own.or_else(|| said(tlv::AUTHORITY))
        }
        SentTlv::Alpn => match tls {
            Some(_) => Some((tlv::ALPN, Cow::Borrowed(spoken(head)))),
            None => said(tlv::ALPN),
        },
        SentTlv::Ssl => match tls {
            Some(tls) => Some((tlv::SSL, own_ssl(tls).into())),
            None => said(tlv::SSL).or_else(|| Some((tlv::SSL, ssl(false, &[]).into()))),
        },
        SentTlv::UniqueId => said(tlv::UNIQUE_ID)
            .or_else(|| Some((tlv::UNIQUE_ID, Cow::Borrowed(context.request.id.as_bytes())))),
        SentTlv::Custom(kind, template) => {
            let mut value = Vec::new();
            template.render(&RequestFacts::new(head, context), &mut value);
            Some((*kind, value.into()))
        }
    }
}

fn said(connection: &Connection) -> Tlvs<'_> {
    connection.proxied.as_ref().map_or_else(Tlvs::default, |proxied| proxied.tlvs())
}

/// The protocol of the request, as ALPN names it.
fn spoken(head: &RequestHeader) -> &'static [u8] {
    if head.version == Version::HTTP_2 { b"h2" } else { b"http/1.1" }
}

fn own_ssl(tls: &TlsFacts) -> Vec<u8> {
    let parts = [(tlv::SSL_VERSION, tls.protocol), (tlv::SSL_CIPHER, tls.cipher)];
    ssl(true, &parts.map(|(kind, text)| (kind, text.as_bytes())))
}
