//! A request body taken in whole, to be sent as often as it takes: in memory while small, then in a file without a name.

use bytes::{Bytes, BytesMut};
use http::header;
use pingora_error::{ErrorType, OrErr, Result};
use pingora_proxy::Session;
use tokio::io::AsyncWriteExt;

use super::context::Context;
use super::fault::{Fault, Kind};

/// Bodies up to this size stay in memory.
const IN_MEMORY: usize = 16 * 1024;
/// What an inner request is given at a time.
const PIECE: usize = 64 * 1024;

/// Reads the whole body of `session`'s request, no longer than its route allows, for an inner request.
pub(crate) async fn take_in(session: &mut Session, context: &mut Context) -> Result<Vec<Bytes>> {
    whole(session, context).await.map(pieces)
}

/// The same in one piece.
pub(crate) async fn whole(session: &mut Session, context: &mut Context) -> Result<Bytes> {
    let limit = context.route().and_then(|route| route.body_limit).unwrap_or(u64::MAX);
    if expects_continue(session) {
        session.downstream_session.write_continue_response().await?;
    }
    let mut memory = BytesMut::new();
    let mut file: Option<tokio::fs::File> = None;
    while let Some(piece) = session.downstream_session.read_request_body().await? {
        context.body_received += piece.len() as u64;
        if context.body_received > limit {
            return Err(context
                .fail(Fault::client(Kind::BodyTooLarge, "request body larger than `body_limit`")));
        }
        match &mut file {
            Some(file) => file
                .write_all(&piece)
                .await
                .or_err(ErrorType::FileWriteError, "spooling a request body")?,
            None => memory.extend_from_slice(&piece),
        }
        if file.is_none() && memory.len() > IN_MEMORY {
            let mut spool =
                new_file().or_err(ErrorType::FileCreateError, "spooling a request body")?;
            spool
                .write_all(&memory.split())
                .await
                .or_err(ErrorType::FileWriteError, "spooling a request body")?;
            file = Some(spool);
        }
    }
    match file {
        None => Ok(memory.freeze()),
        Some(file) => {
            map(file).await.or_err(ErrorType::FileReadError, "reading a spooled request body")
        }
    }
}

/// Whether the client waits to be asked for its body.
pub(in crate::http) fn expects_continue(session: &Session) -> bool {
    let expect = session.req_header().headers.get(header::EXPECT);
    expect.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

fn new_file() -> std::io::Result<tokio::fs::File> {
    tempfile::tempfile().map(tokio::fs::File::from_std)
}

#[expect(
    unsafe_code,
    reason = "mapping a file is the way to replay a body of any size without holding it on the heap"
)]
async fn map(mut file: tokio::fs::File) -> std::io::Result<Bytes> {
    file.flush().await?;
    let file = file.into_std().await;
    // SAFETY: the file has no name and this is its only descriptor, so nobody can change or shorten it while it is mapped.
    let map = unsafe { memmap2::Mmap::map(&file)? };
    Ok(Bytes::from_owner(map))
}

/// What an inner request is given, one after the other.
pub(super) fn pieces(mut whole: Bytes) -> Vec<Bytes> {
    let mut pieces = Vec::with_capacity(whole.len().div_ceil(PIECE));
    while !whole.is_empty() {
        pieces.push(whole.split_to(PIECE.min(whole.len())));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_spooled_body_is_read_back_in_pieces() {
        let body: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let mut file = new_file().unwrap();
        file.write_all(&body).await.unwrap();
        let pieces = pieces(map(file).await.unwrap());
        assert_eq!(pieces.len(), 4);
        assert!(pieces.iter().all(|piece| piece.len() <= PIECE));
        assert_eq!(pieces.concat(), body);
    }

    #[test]
    fn an_empty_body_has_no_pieces() {
        assert!(pieces(Bytes::new()).is_empty());
    }
}
