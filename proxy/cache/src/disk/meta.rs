//! How [`Meta`] is written in a file.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};

use crate::entry::{BodyId, Head, Meta, Times};
use crate::key::Key;
use crate::policy::{Freshness, Stale};

/// Takes `meta` apart completely, so that a field which is added to it is not forgotten here.
pub(super) fn write(meta: &Meta, out: &mut Vec<u8>) {
    // The body's number is that of its file.
    let Meta { key, head, times, freshness, vary, selected_by, tags, generation, body: _ } = meta;
    put_bytes(out, key.as_bytes());
    let Head { status, headers } = head;
    put_u32(out, u32::from(status.as_u16()));
    put_fields(out, headers);
    let Times { request, response } = times;
    put_time(out, *request);
    put_time(out, *response);
    put_freshness(out, freshness);
    put_u32(out, length(vary.len()));
    vary.iter().for_each(|name| put_bytes(out, name.as_str().as_bytes()));
    put_fields(out, selected_by);
    put_u32(out, length(tags.len()));
    tags.iter().for_each(|tag| put_bytes(out, tag.as_bytes()));
    put_u64(out, *generation);
}

/// Of a file with this identity; `None` for what [`write`] does not write.
pub(super) fn read(bytes: &[u8], identity: u64) -> Option<Meta> {
    let mut from = Cursor(bytes);
    let key = Key::from_bytes(from.bytes()?)?;
    let status = StatusCode::from_u16(u16::try_from(from.u32()?).ok()?).ok()?;
    let headers = from.fields()?;
    let times = Times { request: from.time()?, response: from.time()? };
    let freshness = from.freshness()?;
    let vary = from.list(|from| HeaderName::from_bytes(from.bytes()?).ok())?;
    let selected_by = from.fields()?;
    let tags = from.list(|from| Some(std::str::from_utf8(from.bytes()?).ok()?.into()))?;
    let generation = from.u64()?;
    let head = Head { status, headers };
    let body = BodyId::numbered(identity);
    let meta = Meta { key, head, times, freshness, vary, selected_by, tags, generation, body };
    from.0.is_empty().then_some(meta)
}

fn put_freshness(out: &mut Vec<u8>, freshness: &Freshness) {
    let Freshness {
        lifetime,
        initial_age,
        is_heuristic,
        always_validate,
        is_immutable,
        stale,
        stale_while_revalidate,
        stale_if_error,
    } = freshness;
    let flags = [*is_heuristic, *always_validate, *is_immutable];
    put_u32(out, flags.iter().fold(0, |all, flag| all << 1 | u32::from(*flag)));
    put_u32(out, number_of(*stale));
    put_duration(out, *lifetime);
    put_duration(out, *initial_age);
    for duration in [stale_while_revalidate, stale_if_error] {
        put_u32(out, u32::from(duration.is_some()));
        put_duration(out, duration.unwrap_or_default());
    }
}

fn number_of(stale: Stale) -> u32 {
    match stale {
        Stale::Allowed => 0,
        Stale::AsSaid => 1,
        Stale::Never => 2,
    }
}

fn stale_of(number: u32) -> Option<Stale> {
    [Stale::Allowed, Stale::AsSaid, Stale::Never].into_iter().find(|s| number_of(*s) == number)
}

fn put_fields(out: &mut Vec<u8>, fields: &HeaderMap) {
    put_u32(out, length(fields.len()));
    for (name, value) in fields {
        put_bytes(out, name.as_str().as_bytes());
        put_bytes(out, value.as_bytes());
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, length(bytes.len()));
    out.extend_from_slice(bytes);
}

/// What lies before 1970 is written as that: nothing is received then.
fn put_time(out: &mut Vec<u8>, time: SystemTime) {
    put_duration(out, time.duration_since(UNIX_EPOCH).unwrap_or_default());
}

fn put_duration(out: &mut Vec<u8>, duration: Duration) {
    put_u64(out, duration.as_secs());
    put_u32(out, duration.subsec_nanos());
}

fn put_u32(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

/// A head is bounded long before this saturates, and what does not read back is not stored.
fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// What is left to read.
struct Cursor<'b>(&'b [u8]);

impl<'b> Cursor<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn bytes(&mut self) -> Option<&'b [u8]> {
        let count = self.u32()?;
        self.take(usize::try_from(count).ok()?)
    }

    fn duration(&mut self) -> Option<Duration> {
        let (seconds, nanos) = (self.u64()?, self.u32()?);
        (nanos < 1_000_000_000).then(|| Duration::new(seconds, nanos))
    }

    fn optional_duration(&mut self) -> Option<Option<Duration>> {
        let is_some = self.u32().filter(|flag| *flag < 2)? == 1;
        let duration = self.duration()?;
        Some(is_some.then_some(duration))
    }

    fn time(&mut self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(self.duration()?)
    }

    fn freshness(&mut self) -> Option<Freshness> {
        let flags = self.u32().filter(|flags| *flags < 8)?;
        Some(Freshness {
            is_heuristic: flags & 4 != 0,
            always_validate: flags & 2 != 0,
            is_immutable: flags & 1 != 0,
            stale: stale_of(self.u32()?)?,
            lifetime: self.duration()?,
            initial_age: self.duration()?,
            stale_while_revalidate: self.optional_duration()?,
            stale_if_error: self.optional_duration()?,
        })
    }

    fn fields(&mut self) -> Option<HeaderMap> {
        let mut fields = HeaderMap::new();
        for _ in 0..self.u32()? {
            let name = HeaderName::from_bytes(self.bytes()?).ok()?;
            let value = HeaderValue::from_bytes(self.bytes()?).ok()?;
            fields.try_append(name, value).ok()?;
        }
        Some(fields)
    }

    /// Grows as its items are read: a count that lies costs nothing.
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Box<[T]>> {
        let count = self.u32()?;
        (0..count).map(|_| item(self)).collect()
    }
}
