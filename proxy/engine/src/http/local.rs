//! Answers made here, written by the front door itself: plain requests over HTTP/1 for which nobody else is asked never see
//! Pingora, and files go from the page cache to the socket without passing through this process.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode, Version, header};
use pingora_core::protocols::http::date::get_cached_date;
use pingora_http::RequestHeader;
use rustix::net::SendFlags;
use switchback_files::Part;
use tokio::io::AsyncWriteExt;

use super::answer::{self, Answer, Body, Made};
use super::answer_head::{self, AnswerHead};
use super::bandwidth::Pace;
use super::context::{Context, Sent};
use super::fault::{Fault, Kind};
use super::pieces::{self, Pieces};
use super::{access, concurrency, errors, fail, finish, receive, reply, route, upgrade};
use crate::listen::head::has_token;
use crate::listen::stream::ClientStream;

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// It may carry another request.
    Open,
    /// This answer was its last.
    Close,
}

/// Receives and routes the request, and makes its answer, or what is answered instead, if that can be done without asking an
/// upstream.
pub(crate) fn make(head: &mut RequestHeader, context: &mut Context) -> Result<Made, Fault> {
    let mut made = receive::receive(head, context)
        .and_then(|()| route::route(head, context))
        .and_then(|()| access::judge(head, context))
        .and_then(|()| concurrency::enter(head, context))
        .and_then(|()| answer::make(head, context));
    // Each turn leads the request elsewhere, which may happen ten times.
    while let Err(fault) = &made
        && let Some(replacement) = errors::of_fault(fault, context)
    {
        fail::log(fault, context);
        made = errors::enter(replacement, head, context).and_then(|()| answer::make(head, context));
    }
    made
}

/// Sends what was made, or the page of what went wrong, and closes the books on the request.
pub(crate) async fn send(
    client: &mut ClientStream,
    request: &RequestHeader,
    made: Result<Answer, Fault>,
    context: &mut Context,
    last: bool,
) -> After {
    let (mut answer, mut fault) = match made.and_then(|answer| ruled(answer, request, context)) {
        Ok(answer) => (answer, None),
        Err(fault) => match page(&fault, request, context) {
            Some(page) => (page, Some(fault)),
            None => return After::Close,
        },
    };
    let after = if last || !keeps_alive(request) || closes(fault.as_ref()) {
        After::Close
    } else {
        After::Open
    };
    let silent = request.method == Method::HEAD;
    let (status, head) = written(&mut answer.head, after);
    context.sent = Sent { status: Some(status), body: 0, head: head.len() as u64 };
    let patience = context.connection.listener.plan.timeouts.write;
    let pace = context.route().and_then(|route| route.bandwidth).map(Pace::new);
    let mut writer = Writer { client, patience, pace, sent: 0 };
    let written = writer.answer(head, answer.body, silent).await;
    context.sent.body = writer.sent;
    if let Err(error) = &written {
        fault = Some(broken(error));
    }
    context.fault = fault;
    finish::record(request, answer.head.headers(), context);
    if written.is_ok() { after } else { After::Close }
}

/// The answer as the rules of its route change it.
fn ruled(answer: Answer, request: &RequestHeader, context: &mut Context) -> Result<Answer, Fault> {
    if is_as_it_stands(context) {
        return Ok(answer);
    }
    let mut head = answer.head.whole()?;
    errors::stamp(&mut head, context)?;
    match reply::own(&mut head, request, context) {
        Ok(()) => Ok(Answer { head: head.into(), body: answer.body }),
        Err(error) => Err(context.fault.take().unwrap_or_else(|| Fault::internal(error))),
    }
}

/// Whether nobody changes the answer's head or looks at it.
fn is_as_it_stands(context: &Context) -> bool {
    context.stand_in.is_none()
        && !context.snapshot.asks_for_sent_headers
        && context.route().is_none_or(|route| route.response_headers.is_empty())
}

/// The page of a fault. Rules that would break it too are left out: the client is told something.
fn page(fault: &Fault, request: &RequestHeader, context: &mut Context) -> Option<Answer> {
    fail::log(fault, context);
    // A plain page has the status of its own fault.
    context.stand_in = None;
    let mut page = answer::fault(fault, context).ok()?;
    let _ = reply::own(&mut page.head, request, context);
    Some(page.into())
}

/// Where a request cannot be understood, the next one cannot be either.
fn closes(fault: Option<&Fault>) -> bool {
    fault.is_some_and(|fault| fault.kind() == Kind::BadRequest)
}

fn broken(error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Fault::ours(Kind::Internal, error.to_string()),
        _ => Fault::client(Kind::ClientClosed, error.to_string()),
    }
}

/// Whether the client would send another request (RFC 9112, 9.3).
fn keeps_alive(request: &RequestHeader) -> bool {
    let says = |token: &[u8]| {
        let lines = request.headers.get_all(header::CONNECTION);
        lines.iter().any(|line| has_token(line.as_bytes(), token))
    };
    if request.version == Version::HTTP_11 { !says(b"close") } else { says(b"keep-alive") }
}

/// Status and bytes of a head, with what every answer over HTTP/1 says of itself and of the connection.
fn written(head: &mut AnswerHead, after: After) -> (StatusCode, Vec<u8>) {
    let connection = if after == After::Open { "keep-alive" } else { "close" };
    let head = match head {
        AnswerHead::Whole(head) => head,
        AnswerHead::Plain(status, fields) => {
            return (*status, answer_head::wire(*status, fields, connection));
        }
    };
    // Both values are valid.
    let _ = head.insert_header(header::DATE, get_cached_date());
    let _ = head.insert_header(header::CONNECTION, connection);
    (head.status, upgrade::wire(head))
}

/// Writes one answer, no slower than the client's patience.
struct Writer<'c> {
    client: &'c mut ClientStream,
    patience: Duration,
    /// Of the body.
    pace: Option<Pace>,
    /// Bytes of the body that are out.
    sent: u64,
}

/// A body up to this size goes out with its head.
const TOGETHER: usize = 16 * 1024;
/// What the kernel is asked to send at a time, some 70 microseconds; then others have their turn. Thousands of new downloads
/// at once would keep them waiting else, each for as much as a socket takes.
const CHUNK: u64 = 256 * 1024;

impl Writer<'_> {
    async fn answer(&mut self, mut head: Vec<u8>, body: Body, silent: bool) -> io::Result<()> {
        if silent || body.is_empty() {
            return self.write(&head).await;
        }
        match body {
            Body::Whole(bytes) if bytes.len() <= TOGETHER && self.pace.is_none() => {
                head.extend_from_slice(&bytes);
                self.write(&head).await?;
                self.sent = bytes.len() as u64;
                Ok(())
            }
            Body::Whole(bytes) => {
                self.write(&head).await?;
                self.body(&bytes).await
            }
            Body::File(file, parts) if self.client.is_bare() => {
                self.file(&head, &file, parts).await
            }
            Body::File(file, parts) => {
                self.write(&head).await?;
                let mut pieces = Pieces::new(file, parts);
                while let Some(piece) = pieces.next().await? {
                    self.body(&piece).await?;
                }
                Ok(())
            }
        }
    }

    /// Head and parts by the kernel alone: the head waits for the first bytes of the file to share a segment with them.
    async fn file(&mut self, head: &[u8], file: &Arc<File>, parts: Vec<Part>) -> io::Result<()> {
        self.more(head).await?;
        for part in parts {
            match part {
                Part::Bytes(bytes) => self.body(&bytes).await?,
                Part::Range(range) => self.range(file, range).await?,
            }
        }
        Ok(())
    }

    async fn range(&mut self, file: &Arc<File>, mut range: Range<u64>) -> io::Result<()> {
        while !range.is_empty() {
            let most = self.turn().await.unwrap_or(CHUNK);
            let chunk = range.start..range.end.min(range.start + most);
            pieces::into_memory(file, &chunk).await?;
            let wanted = usize::try_from(chunk.end - chunk.start).unwrap_or(usize::MAX);
            let mut offset = chunk.start;
            let sending = self.client.when_writable(|socket| {
                rustix::fs::sendfile(socket, file, Some(&mut offset), wanted).map_err(Into::into)
            });
            let sent = within(self.patience, sending).await?;
            if sent == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the file has become shorter",
                ));
            }
            range.start += sent as u64;
            self.count(sent);
            if sent as u64 == CHUNK {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// Writes with word that more follows at once.
    async fn more(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let sending = self.client.when_writable(|socket| {
                rustix::net::send(socket, bytes, SendFlags::MORE | SendFlags::NOSIGNAL)
                    .map_err(Into::into)
            });
            let sent = within(self.patience, sending).await?;
            bytes = bytes.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    async fn body(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let most = self.turn().await.unwrap_or(u64::MAX);
            let length = bytes.len().min(usize::try_from(most).unwrap_or(usize::MAX));
            let (piece, rest) = bytes.split_at(length);
            self.write(piece).await?;
            self.count(length);
            bytes = rest;
        }
        Ok(())
    }

    /// Waits until the next piece may leave, and tells how long it may be; `None` is as long as it likes.
    async fn turn(&self) -> Option<u64> {
        let pace = self.pace.as_ref()?;
        let owed = pace.owed();
        if !owed.is_zero() {
            tokio::time::sleep(owed).await;
        }
        Some(pace.piece() as u64)
    }

    fn count(&mut self, length: usize) {
        self.sent += length as u64;
        if let Some(pace) = &mut self.pace {
            pace.count(length);
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let writing = async {
            self.client.write_all(bytes).await?;
            self.client.flush().await
        };
        within(self.patience, writing).await
    }
}

async fn within<T>(patience: Duration, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let done = tokio::time::timeout(patience, step).await;
    done.unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing"))
    })
}
