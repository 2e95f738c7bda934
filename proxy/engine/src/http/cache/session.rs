//! The client of a request of our own, as Pingora's proxy sees it: of a fill, of a copy of a request, or of one whose answer nobody
//! waits for. It has at most a small body to send, and takes an answer as fast as whoever it is for does.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use http::HeaderMap;
use pingora_core::protocols::Digest;
use pingora_core::protocols::http::HttpTask;
use pingora_core::protocols::http::custom::CustomMessageWrite;
use pingora_core::protocols::http::custom::server::Session as ServerSession;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_error::ErrorType::InternalError;
use pingora_error::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::sync::{mpsc, oneshot};

use super::ahead::{self, Ahead};
use super::store::{Receiving, Unwanted};

/// Messages beside the two bodies, of which there are none.
type Messages = Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>;

/// One request of our own. Dropped before its answer has ended, that of a fill gives back what receives it, which then knows that
/// it is cut.
pub(in crate::http) struct Session {
    request: RequestHeader,
    /// The body of the request, and whether it was taken.
    content: (Bytes, bool),
    receiving: Option<Receiving>,
    given_back: Option<oneshot::Sender<Receiving>>,
    /// Where everything of the answer goes as it is, in place of `receiving`.
    passing: Option<mpsc::Sender<HttpTask>>,
    written: Option<Box<ResponseHeader>>,
    /// Where 1xx go, if anywhere, and how many have gone.
    ahead: (Option<Ahead>, usize),
    received: usize,
    has_ended: bool,
    digest: Digest,
}

impl Session {
    /// A request whose answer is `receiving`'s, and where that is given back.
    pub(super) fn new(
        request: RequestHeader,
        content: Bytes,
        receiving: Receiving,
        ahead: Option<Ahead>,
    ) -> (Self, oneshot::Receiver<Receiving>) {
        let (given_back, taken_back) = oneshot::channel();
        let mut session = Self::unheard(request, content);
        session.receiving = Some(receiving);
        session.given_back = Some(given_back);
        session.ahead = (ahead, 0);
        (session, taken_back)
    }

    /// A request without a body whose answer goes to `passing` as it comes.
    pub(in crate::http) fn passing(
        request: RequestHeader,
        passing: mpsc::Sender<HttpTask>,
    ) -> Self {
        let mut session = Self::unheard(request, Bytes::new());
        session.passing = Some(passing);
        session
    }

    /// A request whose answer is nobody's.
    pub(super) fn unheard(request: RequestHeader, content: Bytes) -> Self {
        Self {
            request,
            content: (content, false),
            receiving: None,
            given_back: None,
            passing: None,
            written: None,
            ahead: (None, 0),
            received: 0,
            has_ended: false,
            digest: Digest::default(),
        }
    }

    /// Whether these were all that there is.
    async fn write_all(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let mut ended = false;
        for task in tasks {
            ended |= task.is_end();
            if let Some(passing) = self.passing.clone() {
                self.pass(task, &passing).await?;
                continue;
            }
            match task {
                HttpTask::Header(head, end) => self.write_header(head, end).await?,
                HttpTask::Body(bytes, end) => self.write(bytes.unwrap_or_default(), end).await?,
                HttpTask::Trailer(Some(trailers)) => self.take_trailers(*trailers).await?,
                HttpTask::Trailer(None) | HttpTask::Done => self.end().await?,
                HttpTask::UpgradedBody(..) => return upgraded(),
                HttpTask::Failed(error) => return Err(error),
            }
        }
        Ok(ended)
    }

    async fn pass(&mut self, task: HttpTask, passing: &mpsc::Sender<HttpTask>) -> Result<()> {
        match &task {
            HttpTask::Header(head, _) if !head.status.is_informational() => {
                // All that is asked of it is whether there is one.
                let written = ResponseHeader::build_no_case(head.status, Some(0))?;
                self.written = Some(Box::new(written));
            }
            HttpTask::Body(Some(bytes), _) => self.received += bytes.len(),
            HttpTask::UpgradedBody(..) => return upgraded(),
            _ => {}
        }
        if let HttpTask::Failed(error) = task {
            return Err(error);
        }
        passing.send(task).await.map_err(|_| unwanted())
    }

    async fn write_header(&mut self, head: Box<ResponseHeader>, end: bool) -> Result<()> {
        if self.written.is_some() {
            return Ok(());
        }
        if head.status.is_informational() {
            self.tell(&head);
            return Ok(());
        }
        if let Some(receiving) = &mut self.receiving {
            receiving.head(&head);
        }
        self.written = Some(head);
        if end { self.end().await } else { Ok(()) }
    }

    fn tell(&mut self, interim: &ResponseHeader) {
        let (ahead, told) = &mut self.ahead;
        *told += 1;
        if let Some(ahead) = ahead.as_ref().filter(|_| *told <= ahead::MOST) {
            ahead.pass_on(interim);
        }
    }

    async fn write(&mut self, bytes: Bytes, end: bool) -> Result<()> {
        self.received += bytes.len();
        if let Some(receiving) = &mut self.receiving
            && !bytes.is_empty()
        {
            receiving.body(bytes, end).await.map_err(|Unwanted| unwanted())?;
        }
        if end { self.end().await } else { Ok(()) }
    }

    async fn end(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.has_ended, true) {
            return Ok(());
        }
        let Some(receiving) = self.receiving.take() else { return Ok(()) };
        receiving.end().await.map_err(|short| {
            Error::explain(ErrorType::ConnectionClosed, short.to_string()).into_up()
        })
    }

    async fn take_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        if let Some(receiving) = &mut self.receiving {
            receiving.trailers(trailers);
        }
        self.end().await
    }

    /// The body, once.
    fn take_content(&mut self) -> Option<Bytes> {
        let (content, is_taken) = &mut self.content;
        let is_new = !std::mem::replace(is_taken, true);
        (is_new && !content.is_empty()).then(|| content.clone())
    }

    /// Waits until nobody wants the answer any more.
    async fn idle(&self) -> Box<Error> {
        match (&self.receiving, &self.passing) {
            (Some(receiving), _) => {
                let Unwanted = receiving.unwanted().await;
            }
            (None, Some(passing)) => passing.closed().await,
            (None, None) => return std::future::pending().await,
        }
        unwanted()
    }
}

fn upgraded<T>() -> Result<T> {
    Error::e_explain(InternalError, "a request of our own has no upgrade")
}

fn unwanted() -> Box<Error> {
    Error::explain(ErrorType::ConnectionClosed, "nobody wants the response any more").into_down()
}

impl Drop for Session {
    fn drop(&mut self) {
        if let (Some(receiving), Some(given_back)) = (self.receiving.take(), self.given_back.take())
        {
            // If nobody takes it back, it is dropped, and its readers are cut.
            let _ = given_back.send(receiving);
        }
    }
}

#[async_trait]
impl ServerSession for Session {
    fn req_header(&self) -> &RequestHeader {
        &self.request
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        &mut self.request
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        Ok(self.take_content())
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if no_body_expected { Err(self.idle().await) } else { Ok(self.take_content()) }
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        Ok(())
    }

    fn is_body_done(&mut self) -> bool {
        self.content.1 || self.content.0.is_empty()
    }

    fn is_body_empty(&mut self) -> bool {
        self.content.0.is_empty()
    }

    async fn write_response_header(&mut self, head: Box<ResponseHeader>, end: bool) -> Result<()> {
        self.write_all(vec![HttpTask::Header(head, end)]).await.map(drop)
    }

    async fn write_response_header_ref(&mut self, head: &ResponseHeader, end: bool) -> Result<()> {
        self.write_response_header(Box::new(head.clone()), end).await
    }

    async fn write_body(&mut self, bytes: Bytes, end: bool) -> Result<()> {
        self.write_all(vec![HttpTask::Body(Some(bytes), end)]).await.map(drop)
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.write_all(vec![HttpTask::Trailer(Some(Box::new(trailers)))]).await.map(drop)
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        self.write_all(tasks).await
    }

    /// Pingora says this also where there was an error: what has not ended by itself is cut.
    async fn finish(&mut self) -> Result<()> {
        Ok(())
    }

    async fn shutdown(&mut self, _code: u32, _ctx: &str) {}

    async fn abandon(&mut self, _ctx: &str) {}

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.written.as_deref()
    }

    fn body_bytes_sent(&self) -> usize {
        self.received
    }

    fn body_bytes_read(&self) -> usize {
        0
    }

    fn enable_retry_buffering(&mut self) {}

    fn retry_buffer_truncated(&self) -> bool {
        false
    }

    /// The next endpoint gets all of it again.
    fn get_retry_buffer(&self) -> Option<Bytes> {
        let (content, is_taken) = &self.content;
        (*is_taken && !content.is_empty()).then(|| content.clone())
    }

    fn set_read_timeout(&mut self, _timeout: Option<Duration>) {}

    fn get_read_timeout(&self) -> Option<Duration> {
        None
    }

    fn set_write_timeout(&mut self, _timeout: Option<Duration>) {}

    fn get_write_timeout(&self) -> Option<Duration> {
        None
    }

    fn set_total_drain_timeout(&mut self, _timeout: Option<Duration>) {}

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        None
    }

    fn request_summary(&self) -> String {
        format!("{} {} (of our own)", self.request.method, self.request.uri)
    }

    /// It starts no inner requests.
    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        Bytes::new()
    }

    fn digest(&self) -> Option<&Digest> {
        Some(&self.digest)
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        Some(&mut self.digest)
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        None
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        None
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
