//! Pingora's view of [`Session`]: its trait for foreign protocols, method by method.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use http::HeaderMap;
use pingora_core::protocols::http::custom::client::Session as ClientSession;
use pingora_core::protocols::http::custom::{BodyWrite, CustomMessageWrite};
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::protocols::{Digest, UniqueIDType};
use pingora_error::ErrorType::InternalError;
use pingora_error::{Error, Result};
use pingora_http::{RequestHeader, ResponseHeader};

use super::{STILL, Session};

/// Messages beside the two bodies, which HTTP/2 does not have.
type Messages = Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>;

#[async_trait]
impl ClientSession for Session {
    async fn write_request_header(&mut self, request: Box<RequestHeader>, end: bool) -> Result<()> {
        self.send_request(&request, end)
    }

    async fn write_request_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        let Some(body) = self.request_body() else {
            return Error::e_explain(InternalError, "a request body before its header");
        };
        body.write(data).await?;
        if end {
            body.end();
        }
        Ok(())
    }

    async fn finish_request_body(&mut self) -> Result<()> {
        if let Some(body) = self.request_body() {
            body.end();
        }
        Ok(())
    }

    fn take_request_body_writer(&mut self) -> Option<Box<dyn BodyWrite>> {
        Some(Box::new(self.request_body()?))
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.read_timeout = timeout.unwrap_or(STILL);
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.write_timeout = timeout.unwrap_or(STILL);
    }

    async fn read_response_header(&mut self) -> Result<()> {
        self.read_header().await
    }

    fn response_header(&self) -> Option<&ResponseHeader> {
        self.head.as_ref()
    }

    async fn read_response_body(&mut self) -> Result<Option<Bytes>> {
        self.read_body().await
    }

    async fn read_trailers(&mut self) -> Result<Option<HeaderMap>> {
        self.read_end().await
    }

    fn response_finished(&self) -> bool {
        self.is_response_over()
    }

    /// `h2` says that a stream is over only when END_STREAM has come, so there is no error left to look for.
    async fn check_response_end_or_error(&mut self, _headers: bool) -> Result<bool> {
        Ok(self.is_response_over())
    }

    async fn shutdown(&mut self, _code: u32, _ctx: &str) {
        self.cancel();
    }

    fn was_upgraded(&self) -> bool {
        false
    }

    fn digest(&self) -> Option<&Digest> {
        Some(self.connection().digest())
    }

    /// `None`: the streams of a connection share it.
    fn digest_mut(&mut self) -> Option<&mut Digest> {
        None
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.connection().digest().socket_digest.as_ref()?.peer_addr()
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.connection().digest().socket_digest.as_ref()?.local_addr()
    }

    fn fd(&self) -> UniqueIDType {
        self.connection().id()
    }

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(&mut self) -> Option<Messages> {
        Some(Box::new(futures::stream::empty()))
    }

    async fn drain_custom_messages(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        Some(Box::new(()))
    }
}
