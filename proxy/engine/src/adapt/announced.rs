//! Connections to upstreams that begin with a header of the PROXY protocol.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::connectors::l4::Connect;
use pingora_core::protocols::l4::ext::{connect, connect_uds};
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::ErrorType::{ConnectError, InternalError};
use pingora_error::{Error, OrErr, Result};
use tokio::io::AsyncWriteExt;

/// The longest that such a connection waits for its client's next request: nobody else can use it, and a worker's pool has room
/// for so many connections of all upstreams together.
const IDLE: Duration = Duration::from_secs(10);

/// Has connections to `peer` begin with `header`, and keeps them to client connection `number`.
///
/// The header tells of one client, and TLVs may tell of one request: a connection is used again only for requests of the same
/// client connection that would send the same header. Pingora's own key knows nothing of it.
pub(crate) fn announce(peer: &mut HttpPeer, header: Vec<u8>, number: u64) {
    let mut hasher = DefaultHasher::new();
    (peer.group_key, number, &header).hash(&mut hasher);
    peer.group_key = hasher.finish();
    let idle = peer.options.idle_timeout.unwrap_or(IDLE);
    peer.options.idle_timeout = Some(idle.min(IDLE));
    peer.options.custom_l4 = Some(Arc::new(Announced(header)));
}

/// Connects, and sends the header. The time-out of the whole connecting bounds both.
#[derive(Debug)]
struct Announced(Vec<u8>);

#[async_trait]
impl Connect for Announced {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        const UNSENT: &str = "sending the PROXY header";
        match address {
            SocketAddr::Inet(address) => {
                let mut stream = connect(address, None).await?;
                stream.write_all(&self.0).await.or_err(ConnectError, UNSENT)?;
                Ok(stream.into())
            }
            SocketAddr::Unix(address) => {
                let Some(path) = address.as_pathname() else {
                    return Error::e_explain(InternalError, "a Unix socket without a path");
                };
                let mut stream = connect_uds(path).await?;
                stream.write_all(&self.0).await.or_err(ConnectError, UNSENT)?;
                Ok(stream.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(header: &[u8], number: u64, idle: u64) -> HttpPeer {
        let mut peer = HttpPeer::new(("127.0.0.1", 1), false, String::new());
        peer.group_key = 7;
        peer.options.idle_timeout = Some(Duration::from_secs(idle));
        announce(&mut peer, header.to_vec(), number);
        peer
    }

    #[test]
    fn connections_are_kept_to_one_client_and_one_header() {
        let key = |header: &[u8], number| announced(header, number, 60).group_key;
        assert_eq!(key(b"a", 1), key(b"a", 1));
        assert!(key(b"a", 1) != key(b"a", 2) && key(b"a", 1) != key(b"b", 1));
    }

    #[test]
    fn what_nobody_else_can_use_is_not_kept_for_long() {
        let idle = |seconds| announced(b"", 1, seconds).options.idle_timeout;
        assert_eq!((idle(60), idle(3)), (Some(IDLE), Some(Duration::from_secs(3))));
    }
}
