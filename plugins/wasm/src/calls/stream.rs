//! How a request goes on: answers, pauses and their ends, contexts.

use http::{HeaderName, HeaderValue};
use switchback_plugin::Answer;

use crate::call::{self, Answered, Call, Span};
use crate::pairs;
use crate::status::Status;

/// The longest body of an answer.
const MAX_BODY: u32 = 16 << 20;

/// What a module answers with.
pub(super) struct Response {
    pub(super) status: u32,
    pub(super) body: Span,
    pub(super) headers: Span,
}

pub(super) fn respond(call: &mut Call<'_>, response: &Response, details: Span) -> Answered {
    let (memory, host) = call.split();
    call::bytes(memory, details)?;
    let body = call::bytes(memory, response.body)?;
    let list = call::bytes(memory, response.headers)?;
    let headers = pairs::decode(list).map_err(|_| Status::ParseFailure)?;
    let status = u16::try_from(response.status).map_err(|_| Status::BadArgument)?;
    if !(200..600).contains(&status) || response.body.1 > MAX_BODY {
        return Err(Status::BadArgument.into());
    }
    let mut answer = Answer::new(status).with_body(body.to_vec());
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name).map_err(|_| Status::BadArgument)?;
        let value = HeaderValue::from_bytes(value).map_err(|_| Status::BadArgument)?;
        answer.headers.try_append(name, value).map_err(|_| Status::BadArgument)?;
    }
    let context = host.context().ok_or(Status::BadArgument)?;
    context.answer = Some(Box::new(answer));
    context.wake();
    Ok(())
}

/// As `proxy_stream_type_t`.
#[derive(Clone, Copy)]
enum Stream {
    Request = 0,
    Response = 1,
    /// Connections without HTTP: there are none here.
    Other,
}

fn stream(number: u32) -> Result<Stream, Status> {
    match number {
        0 => Ok(Stream::Request),
        1 => Ok(Stream::Response),
        2 | 3 => Ok(Stream::Other),
        _ => Err(Status::BadArgument),
    }
}

pub(super) fn go_on(call: &mut Call<'_>, number: u32) -> Answered {
    let stream = stream(number)?;
    let context = call.host().context().ok_or(Status::BadArgument)?;
    let Some(goes_on) = context.goes_on.get_mut(stream as usize) else {
        return Err(Status::Unimplemented.into());
    };
    *goes_on = true;
    context.wake();
    Ok(())
}

pub(super) fn close(call: &mut Call<'_>, number: u32) -> Answered {
    if matches!(stream(number)?, Stream::Other) {
        return Err(Status::Unimplemented.into());
    }
    let context = call.host().context().ok_or(Status::BadArgument)?;
    context.is_closed = true;
    context.wake();
    Ok(())
}

pub(super) fn set_context(call: &mut Call<'_>, context: u32) -> Answered {
    let host = call.host();
    if !host.contexts.contains_key(&context) {
        return Err(Status::BadArgument.into());
    }
    host.current = context;
    Ok(())
}

pub(super) fn done(call: &mut Call<'_>) -> Answered {
    let host = call.host();
    let id = host.current;
    let context = host.context().filter(|context| context.lingers).ok_or(Status::NotFound)?;
    context.lingers = false;
    host.done.push(id);
    Ok(())
}
