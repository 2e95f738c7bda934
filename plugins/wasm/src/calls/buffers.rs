//! Bodies and configurations.

use bytes::{Bytes, BytesMut};
use switchback_plugin::{Hook, Refused};

use crate::call::{self, Answered, Call, Out, Span};
use crate::host::Host;
use crate::status::{BufferKind, Failed, Status};

/// A piece of a body that a module makes longer than that is refused.
const MAX_PIECE: usize = 64 << 20;

pub(super) fn read(call: &mut Call<'_>, buffer: u32, from: u32, most: u32, out: Out) -> Answered {
    let kind = BufferKind::of(buffer)?;
    if from.checked_add(most).is_none() && most != u32::MAX {
        return Err(Status::BadArgument.into());
    }
    call.give(out, |_, host, into| {
        let (from, most) = (from as usize, most as usize);
        with(host, kind, |bytes| {
            let rest = bytes.get(from..).ok_or(Status::BadArgument)?;
            into.extend_from_slice(rest.get(..most).unwrap_or(rest));
            Ok(())
        })?
    })
}

/// As 0.1.0 has it: of the virtual machine while that starts, of the plugin otherwise.
pub(super) fn configuration(call: &mut Call<'_>, out: Out) -> Answered {
    call.give(out, |_, host, into| {
        let settings = &host.plan.settings;
        let configuration =
            if host.is_starting { &settings.vm_configuration } else { &settings.configuration };
        into.extend_from_slice(configuration);
        Ok(())
    })
}

pub(super) fn length(call: &mut Call<'_>, buffer: u32, length: u32, unused: u32) -> Answered {
    let kind = BufferKind::of(buffer)?;
    call.check(length)?;
    call.check(unused)?;
    let bytes = with(call.host(), kind, <[u8]>::len)?;
    call.write_number(length, u32::try_from(bytes).unwrap_or(u32::MAX))?;
    call.write_number(unused, 0)?;
    Ok(())
}

pub(super) fn write(call: &mut Call<'_>, buffer: u32, place: Span, value: Span) -> Answered {
    let kind = BufferKind::of(buffer)?;
    let (memory, host) = call.split();
    let value = call::bytes(memory, value)?;
    if !matches!(kind, BufferKind::RequestBody | BufferKind::ResponseBody) {
        return Err(Status::BadArgument.into());
    }
    host.refused = Some(Refused::NotNow);
    let changed = with(host, kind, |piece| splice(piece, place, value))??;
    if let (Some(Hook::RequestBody | Hook::ResponseBody), Some(exchange)) =
        (host.hook(), host.exchange())
    {
        let done = exchange.set_piece(changed.clone()).map_err(Failed::from);
        host.noted(done)?;
    }
    host.piece = Some(changed);
    Ok(())
}

/// `piece` with `value` in the place of the bytes at `place`; behind its end, that is where it ends.
fn splice(piece: &[u8], Span(from, length): Span, value: &[u8]) -> Result<Bytes, Status> {
    let (before, rest) = piece.split_at_checked(from as usize).unwrap_or((piece, &[]));
    let after = rest.get(length as usize..).unwrap_or(&[]);
    if before.len() + value.len() + after.len() > MAX_PIECE {
        return Err(Status::InternalFailure);
    }
    let mut changed = BytesMut::with_capacity(before.len() + value.len() + after.len());
    for part in [before, value, after] {
        changed.extend_from_slice(part);
    }
    Ok(changed.freeze())
}

/// What `read` makes of the bytes that are meant.
fn with<T>(host: &mut Host, kind: BufferKind, read: impl FnOnce(&[u8]) -> T) -> Result<T, Status> {
    match kind {
        BufferKind::RequestBody | BufferKind::ResponseBody => {
            let is_at_hand = match host.hook() {
                Some(Hook::RequestBody) => kind == BufferKind::RequestBody,
                Some(Hook::ResponseBody) => kind == BufferKind::ResponseBody,
                // All of it, for a module that has the head wait for it.
                Some(Hook::Request) => kind == BufferKind::RequestBody && host.piece.is_some(),
                _ => false,
            };
            if !is_at_hand {
                return Err(Status::NotFound);
            }
            match host.piece.clone() {
                Some(piece) => Ok(read(&piece)),
                None => {
                    host.exchange().map(|exchange| read(exchange.piece())).ok_or(Status::NotFound)
                }
            }
        }
        BufferKind::CallBody => {
            host.response.as_ref().map(|response| read(&response.body)).ok_or(Status::NotFound)
        }
        BufferKind::VmConfiguration => Ok(read(&host.plan.settings.vm_configuration)),
        BufferKind::PluginConfiguration => Ok(read(&host.plan.settings.configuration)),
        BufferKind::Absent => Err(Status::NotFound),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_put_before_behind_and_instead() {
        let cases = [
            ((0, 0), "+abc"),
            ((3, 0), "abc+"),
            ((u32::MAX, u32::MAX), "abc+"),
            ((0, u32::MAX), "+"),
            ((1, 1), "a+c"),
            ((1, 0), "a+bc"),
            ((1, 99), "a+"),
        ];
        for ((from, length), expected) in cases {
            let changed = splice(b"abc", Span(from, length), b"+").unwrap();
            assert_eq!(changed, expected.as_bytes(), "{from} {length}");
        }
        let large = vec![0; MAX_PIECE];
        assert_eq!(splice(b"a", Span(1, 0), &large), Err(Status::InternalFailure));
    }
}
