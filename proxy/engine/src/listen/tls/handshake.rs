//! One handshake, from the first byte to what was agreed on.

use std::io;
use std::sync::Arc;

use super::{Tls, TlsFacts, agreed};
use crate::listen::connection::Ends;
use crate::listen::lent::linger;
use crate::listen::secured::Secured;
use crate::listen::stream::{ClientStream, PlainStream};
use crate::listen::worker::Worker;
use crate::snapshot::Listener;

/// Why there is no TLS.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The client speaks plain HTTP; this is its connection.
    PlainHttp(PlainStream),
    /// The handshake failed.
    Failed(Reason, io::Error),
}

/// Why a handshake failed, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// What came was plain HTTP.
    PlainHttp,
    /// It took too long.
    Deadline,
    /// The client went away.
    Closed,
    /// The client asked for a name that nobody here has.
    UnknownName,
    /// The client's certificate is missing or not good.
    ClientCertificate,
    /// No version, cipher suite, group or protocol that both speak.
    NothingInCommon,
    /// The client refused, such as for the sake of the certificate it was shown.
    Alert,
    /// What came was not TLS as it should be.
    Protocol,
}

impl Reason {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 8] = [
        Self::PlainHttp,
        Self::Deadline,
        Self::Closed,
        Self::UnknownName,
        Self::ClientCertificate,
        Self::NothingInCommon,
        Self::Alert,
        Self::Protocol,
    ];

    /// As the label of a metric.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::PlainHttp => "plain_http",
            Self::Deadline => "deadline",
            Self::Closed => "closed",
            Self::UnknownName => "unknown_name",
            Self::ClientCertificate => "client_certificate",
            Self::NothingInCommon => "nothing_in_common",
            Self::Alert => "alert",
            Self::Protocol => "protocol",
        }
    }
}

/// Makes TLS of `stream` within the listener's deadline.
pub(crate) async fn accept(
    worker: &Worker,
    (listener, tls): (&Listener, &Tls),
    stream: PlainStream,
) -> Result<(Secured, TlsFacts), Failure> {
    let handshake = async {
        let first = stream.first_byte().await.map_err(failed)?;
        if first.is_some_and(|first| first.is_ascii_uppercase()) {
            return Err(Failure::PlainHttp(stream));
        }
        let handshake = Secured::accept(Arc::clone(&tls.config), stream);
        worker.turns.take(tls.handshakes, handshake).await.map_err(failed)
    };
    // The handshake's state is large and short-lived.
    let handshake = Box::pin(handshake);
    let Ok(done) = tokio::time::timeout(listener.plan.timeouts.handshake, handshake).await else {
        return Err(Failure::Failed(Reason::Deadline, io::ErrorKind::TimedOut.into()));
    };
    let (stream, server_name) = done?;
    let facts = agreed::facts(stream.session(), server_name);
    Ok((stream, facts))
}

fn failed(error: io::Error) -> Failure {
    Failure::Failed(reason(&error), error)
}

fn reason(error: &io::Error) -> Reason {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        None => Reason::Closed,
        Some(rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertificate(_)) => {
            Reason::ClientCertificate
        }
        Some(rustls::Error::PeerIncompatible(_) | rustls::Error::NoApplicationProtocol) => {
            Reason::NothingInCommon
        }
        Some(rustls::Error::AlertReceived(_)) => Reason::Alert,
        // So it is told that the resolver has found nothing to show.
        Some(rustls::Error::General(_)) => Reason::UnknownName,
        Some(_) => Reason::Protocol,
    }
}

/// What a client hears that speaks plain HTTP to a TLS port.
const PLAIN_HTTP: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 47\r\n\
    Connection: close\r\n\r\nThis is a TLS port. Ask again, over https://.\r\n";

/// Tells a client that it speaks plain HTTP to a TLS port, and closes.
pub(crate) async fn answer_plain_http(mut stream: ClientStream, ends: Ends) {
    use tokio::io::AsyncWriteExt as _;
    // It fits into any socket's buffer, so it does not wait.
    match stream.write_all(PLAIN_HTTP).await {
        Ok(()) => linger(stream).await,
        Err(error) => tracing::debug!(peer = ?ends.peer, %error, "no answer to plain HTTP"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_as_long_as_it_says() {
        let page = std::str::from_utf8(PLAIN_HTTP).unwrap();
        let (head, body) = page.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{}", body.len());
    }

    #[test]
    fn reasons_are_numbered_in_their_order_and_have_labels_of_their_own() {
        for (number, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number);
            let same = Reason::ALL.iter().filter(|other| other.label() == reason.label());
            assert_eq!(same.count(), 1);
        }
    }
}
