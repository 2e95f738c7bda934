//! Pingora's view of [`Session`]: its trait for foreign protocols, method by method.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use h2::Reason;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Version, header};
use pingora_core::protocols::Digest;
use pingora_core::protocols::http::HttpTask;
use pingora_core::protocols::http::body_buffer::FixedBuffer;
use pingora_core::protocols::http::custom::CustomMessageWrite;
use pingora_core::protocols::http::custom::server::Session as ServerSession;
use pingora_core::protocols::http::v1::client::http_req_header_to_wire;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_error::ErrorType::{InternalError, ReadTimedout};
use pingora_error::{Error, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::time::timeout;

use super::{REPLAY_LIMIT, Session};
use crate::h2::fields;

/// Messages beside the two bodies, which HTTP/2 does not have.
type Messages = Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>;

/// No time-out means this one: every wait ends.
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

#[async_trait]
impl ServerSession for Session {
    fn req_header(&self) -> &RequestHeader {
        &self.request
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        &mut self.request
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        self.read().await
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if no_body_expected || self.is_request_read() {
            Err(self.idle().await)
        } else {
            self.read().await
        }
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        let limit = self.drain_timeout;
        let drained = timeout(limit, async {
            while !self.is_request_read() && self.read().await?.is_some() {}
            Ok(())
        });
        drained
            .await
            .unwrap_or_else(|_| Error::e_explain(ReadTimedout, "draining the request body"))
    }

    fn is_body_done(&mut self) -> bool {
        self.is_request_read()
    }

    fn is_body_empty(&mut self) -> bool {
        self.is_request_empty()
    }

    async fn write_response_header(
        &mut self,
        response: Box<ResponseHeader>,
        end: bool,
    ) -> Result<()> {
        self.write_header(response, end)
    }

    async fn write_response_header_ref(
        &mut self,
        response: &ResponseHeader,
        end: bool,
    ) -> Result<()> {
        self.write_header(Box::new(response.clone()), end)
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        self.write(data, end).await
    }

    async fn write_trailers(&mut self, mut trailers: HeaderMap) -> Result<()> {
        fields::clean_trailers(&mut trailers);
        self.end_drawn().await?;
        self.end(Some(trailers))
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let mut ended = false;
        for task in tasks {
            ended |= task.is_end();
            match task {
                HttpTask::Header(header, end) => self.write_header(header, end)?,
                HttpTask::Body(data, end) => self.write(data.unwrap_or_default(), end).await?,
                HttpTask::Trailer(Some(trailers)) => self.write_trailers(*trailers).await?,
                HttpTask::Trailer(None) | HttpTask::Done => {
                    self.end_drawn().await?;
                    self.end(None)?;
                }
                HttpTask::UpgradedBody(..) => {
                    return Error::e_explain(InternalError, "HTTP/2 has no upgrade");
                }
                HttpTask::Failed(error) => return Err(error),
            }
        }
        Ok(ended)
    }

    async fn finish(&mut self) -> Result<()> {
        self.finish_response().await
    }

    async fn shutdown(&mut self, code: u32, _ctx: &str) {
        self.reset(if code == 0 { Reason::INTERNAL_ERROR } else { Reason::from(code) });
    }

    async fn abandon(&mut self, _ctx: &str) {
        self.reset(Reason::INTERNAL_ERROR);
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.written.as_deref()
    }

    fn body_bytes_sent(&self) -> usize {
        self.body_sent
    }

    fn body_bytes_read(&self) -> usize {
        self.body_read
    }

    fn enable_retry_buffering(&mut self) {
        self.replay.get_or_insert_with(|| FixedBuffer::new(REPLAY_LIMIT));
    }

    fn retry_buffer_truncated(&self) -> bool {
        self.replay.as_ref().is_some_and(FixedBuffer::is_truncated)
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        self.replay.as_ref().filter(|replay| !replay.is_truncated())?.get_buffer()
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.read_timeout = timeout.unwrap_or(LONGEST);
    }

    fn get_read_timeout(&self) -> Option<Duration> {
        Some(self.read_timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.write_timeout = timeout.unwrap_or(LONGEST);
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        Some(self.write_timeout)
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.drain_timeout = timeout.unwrap_or(LONGEST);
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        Some(self.drain_timeout)
    }

    fn request_summary(&self) -> String {
        let uri = &self.request.uri;
        let path = uri.path_and_query().map_or("", PathAndQuery::as_str);
        let host = uri.authority().map_or("", |authority| authority.as_str());
        format!("{} {path}, Host: {host}", self.request.method)
    }

    /// The request as inner requests start from it. Pingora writes that of its own session without a `Host`.
    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        let mut request = self.request.clone();
        let authority = request.uri.authority().map(|authority| authority.as_str().to_owned());
        if let Some(Ok(host)) = authority.map(|authority| HeaderValue::from_str(&authority)) {
            // The name is valid, so this cannot fail.
            let _ = request.insert_header(header::HOST, host);
        }
        request.set_version(Version::HTTP_11);
        http_req_header_to_wire(&request).map(|wire| wire.freeze()).unwrap_or_default()
    }

    fn digest(&self) -> Option<&Digest> {
        Some(&self.digest)
    }

    /// `None`: the streams of a connection share it.
    fn digest_mut(&mut self) -> Option<&mut Digest> {
        std::sync::Arc::get_mut(&mut self.digest)
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.digest.socket_digest.as_ref()?.peer_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.digest.socket_digest.as_ref()?.local_addr()
    }

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(&mut self) -> Option<Messages> {
        Some(Box::new(futures::stream::empty()))
    }

    fn restore_custom_message_reader(&mut self, _reader: Messages) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        Some(Box::new(()))
    }

    fn restore_custom_message_writer(
        &mut self,
        _writer: Box<dyn CustomMessageWrite>,
    ) -> Result<()> {
        Ok(())
    }
}
