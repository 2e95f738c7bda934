//! A stream that has become a tunnel (RFC 8441).

use bytes::{Bytes, BytesMut};
use h2::Reason;
use h2::ext::Protocol;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::Session;
use super::session::LONGEST;
use crate::h2::outflow::{Outflow, Refusal};

impl Session {
    /// What the client wants to speak on this stream, if it has sent an extended CONNECT.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.request.extensions.get::<Protocol>().map(Protocol::as_str)
    }

    /// Copies both ways between the client and `upstream` until both have ended, beginning with what was `received` from
    /// there. Either may be quiet for as long as it likes, but must take what the other sends. The final header must have
    /// been written. Says how many bytes passed up and down.
    pub async fn tunnel<S>(
        &mut self,
        upstream: &mut S,
        received: Bytes,
        window: usize,
    ) -> (u64, u64)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Some(outflow) = self.outflow.clone() else { return (0, 0) };
        let (limit, before) = (self.write_timeout, (self.body_read, self.body_sent));
        self.read_timeout = LONGEST;
        let (mut reader, mut writer) = tokio::io::split(upstream);
        let mut sent = received.len();
        let down = async {
            outflow.write(received, limit).await?;
            let mut buffer = BytesMut::new();
            loop {
                buffer.reserve(window);
                // What waits for the client's window goes on meanwhile, and has its deadline.
                let deadline = outflow.deadline(limit).unwrap_or_else(|| Instant::now() + LONGEST);
                let mut read = std::pin::pin!(reader.read_buf(&mut buffer));
                let read = std::future::poll_fn(|cx| {
                    let _ = outflow.poll_flushed(cx);
                    read.as_mut().poll(cx)
                });
                match timeout_at(deadline, read).await {
                    Ok(Ok(0)) => break,
                    Ok(Ok(read)) => sent += read,
                    Ok(Err(_)) => return Err(Refusal::Closed),
                    Err(_) if outflow.deadline(limit).is_some_and(|end| end <= Instant::now()) => {
                        return Err(Refusal::TimedOut);
                    }
                    Err(_) => continue,
                }
                outflow.write(buffer.split().freeze(), limit).await?;
            }
            outflow.end(None)?;
            outflow.flushed(limit).await
        };
        let up = async {
            while let Some(data) = self.read().await.ok()? {
                writer.write_all(&data).await.ok()?;
                writer.flush().await.ok()?;
            }
            writer.shutdown().await.ok()
        };
        let is_over = both(down, up, limit).await;
        if !is_over {
            abandon(&outflow);
        }
        self.body_sent += sent;
        ((self.body_read - before.0) as u64, (self.body_sent - before.1) as u64)
    }
}

/// Whether both directions came to their end. A client that has been told of the end has `limit` to end as well.
async fn both(
    down: impl Future<Output = Result<(), Refusal>>,
    up: impl Future<Output = Option<()>>,
    limit: std::time::Duration,
) -> bool {
    let (mut down, mut up) = (std::pin::pin!(down), std::pin::pin!(up));
    tokio::select! {
        ended = &mut down => ended.is_ok() && matches!(timeout(limit, up).await, Ok(Some(()))),
        ended = &mut up => ended.is_some() && down.await.is_ok(),
    }
}

fn abandon(outflow: &Outflow) {
    outflow.reset(Reason::CANCEL);
}
