//! Fields of HTTP messages, as whoever implements an [`Exchange`](crate::Exchange) over `http`'s own map reads and changes them: with
//! neither a copy of the name nor one of what is read.

use std::borrow::Cow;
use std::sync::OnceLock;

use http::header::{Entry, HeaderMap, HeaderName, HeaderValue};

use crate::exchange::{FieldName, Refused, Value};

/// The first value of `name`.
#[must_use]
#[inline]
pub fn first<'m, 'n>(map: &'m HeaderMap, name: impl Into<FieldName<'n>>) -> Option<Value<'m>> {
    let value = map.get(named(name.into(), &mut None).ok()?)?;
    Some(Cow::Borrowed(value.as_bytes()))
}

/// How many places there are for names, of which each takes two.
const PLACES: usize = 128;
/// Longer names are read each time.
const LONGEST: usize = 64;

type Place = [OnceLock<HeaderName>; 2];

/// Names that were asked for before, each at the place that its letters give, for ever: the first that come have room. Plugins ask for the
/// same few at every request, and to read one anew takes half of the time of finding it (bench `chain`, `get_and_set`).
static KNOWN: [Place; PLACES] = [const { [const { OnceLock::new() }; 2] }; PLACES];

/// The name that `name` stands for; in `room` if it had to be read, and there is no place for it.
///
/// # Errors
///
/// [`Refused::Invalid`] for a text that is no name.
#[expect(clippy::inline_always, reason = "a twentieth of reading a header and setting one")]
#[inline(always)]
pub fn named<'n>(
    name: FieldName<'n>,
    room: &'n mut Option<HeaderName>,
) -> Result<&'n HeaderName, Refused> {
    let text = match name {
        FieldName::Made(name) => return Ok(name),
        FieldName::Text(text) => text,
    };
    let place = KNOWN.get(place(text)).ok_or(Refused::Invalid)?;
    match place[0].get() {
        Some(known) if same(known.as_str(), text) => Ok(known),
        _ => read(place, text, room),
    }
}

/// The same of a text that is not the first of its place.
#[inline(never)]
fn read<'n>(
    place: &'static Place,
    text: &str,
    room: &'n mut Option<HeaderName>,
) -> Result<&'n HeaderName, Refused> {
    let others = place.iter().filter_map(OnceLock::get);
    if let Some(known) = others.into_iter().find(|known| same(known.as_str(), text)) {
        return Ok(known);
    }
    let mut read = HeaderName::from_bytes(text.as_bytes()).map_err(|_| Refused::Invalid)?;
    if text.len() <= LONGEST {
        for free in place {
            match free.set(read) {
                Ok(()) => return free.get().ok_or(Refused::Invalid),
                Err(back) => read = back,
            }
        }
    }
    Ok(room.insert(read))
}

/// Whether `name` is what is written in lower case as `known`.
#[inline]
fn same(known: &str, name: &str) -> bool {
    known == name || known.eq_ignore_ascii_case(name)
}

/// Of names with other lengths or letters, most often another one.
#[inline]
fn place(name: &str) -> usize {
    let bytes = name.as_bytes();
    let letter = |at: usize| usize::from(bytes.get(at).map_or(0, |byte| byte | 0x20));
    let (count, middle) = (bytes.len(), bytes.len() / 2);
    (count + 5 * letter(middle) + 37 * letter(count.wrapping_sub(1))) % PLACES
}

/// Calls `visit` with each field, names in lower case; values of one name follow each other.
pub fn each(map: &HeaderMap, visit: &mut dyn FnMut(&str, &[u8])) {
    for (name, value) in map {
        visit(name.as_str(), value.as_bytes());
    }
}

/// Has `value` take the place of all values of `name`.
///
/// # Errors
///
/// [`Refused::Invalid`] for what HTTP does not allow, and for a name [that is the proxy's](is_kept).
#[inline]
pub fn set<'n>(
    map: &mut HeaderMap,
    name: impl Into<FieldName<'n>>,
    value: &[u8],
) -> Result<(), Refused> {
    let name = name.into();
    put(map, name, checked(name, value)?)
}

/// The same with a value that is one already.
///
/// # Errors
///
/// As [`set`].
#[inline]
pub fn set_value<'n>(
    map: &mut HeaderMap,
    name: impl Into<FieldName<'n>>,
    value: &HeaderValue,
) -> Result<(), Refused> {
    let name = name.into();
    if is_kept(name.as_str()) { Err(Refused::Invalid) } else { put(map, name, value.clone()) }
}

#[inline]
fn put(map: &mut HeaderMap, name: FieldName<'_>, value: HeaderValue) -> Result<(), Refused> {
    match map.try_entry(named(name, &mut None)?).map_err(|_| Refused::Full)? {
        Entry::Occupied(mut entry) => {
            entry.insert(value);
            Ok(())
        }
        Entry::Vacant(entry) => entry.try_insert(value).map(drop).map_err(|_| Refused::Full),
    }
}

/// Adds one value to those of `name`.
///
/// # Errors
///
/// As [`set`].
pub fn append<'n>(
    map: &mut HeaderMap,
    name: impl Into<FieldName<'n>>,
    value: &[u8],
) -> Result<(), Refused> {
    let name = name.into();
    let value = checked(name, value)?;
    map.try_append(named(name, &mut None)?, value).map(drop).map_err(|_| Refused::Full)
}

/// Removes all values of `name`.
///
/// # Errors
///
/// [`Refused::Invalid`] for a name [that is the proxy's](is_kept).
pub fn remove<'n>(map: &mut HeaderMap, name: impl Into<FieldName<'n>>) -> Result<(), Refused> {
    let name = name.into();
    if is_kept(name.as_str()) {
        return Err(Refused::Invalid);
    }
    map.remove(named(name, &mut None)?);
    Ok(())
}

/// Whether a field says how the message is sent, which is the proxy's to say: no plugin may change it.
#[must_use]
#[inline]
pub fn is_kept(name: &str) -> bool {
    // By length first: most names have none of these.
    let kept: &[&str] = match name.len() {
        2 => &["te"],
        7 => &["trailer", "upgrade"],
        10 => &["connection", "keep-alive"],
        14 => &["content-length"],
        16 => &["proxy-connection"],
        17 => &["transfer-encoding"],
        _ => return false,
    };
    kept.iter().any(|kept| name.eq_ignore_ascii_case(kept))
}

#[expect(clippy::inline_always, reason = "as for `named`")]
#[inline(always)]
fn checked(name: FieldName<'_>, value: &[u8]) -> Result<HeaderValue, Refused> {
    if is_kept(name.as_str()) {
        return Err(Refused::Invalid);
    }
    HeaderValue::from_bytes(value).map_err(|_| Refused::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(map: &HeaderMap, name: &str) -> Vec<String> {
        map.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn setting_takes_the_place_of_all_values_whatever_the_case() {
        let mut map = HeaderMap::new();
        append(&mut map, "X-Tenant", b"a").unwrap();
        append(&mut map, "x-tenant", b"b").unwrap();
        assert_eq!(values(&map, "x-tenant"), ["a", "b"]);
        set(&mut map, "X-TENANT", b"c").unwrap();
        assert_eq!(values(&map, "x-tenant"), ["c"]);
        assert_eq!(first(&map, "X-Tenant").as_deref(), Some(&b"c"[..]));
        remove(&mut map, "x-tenanT").unwrap();
        assert!(map.is_empty());
    }

    #[test]
    fn a_name_that_was_made_is_the_name_that_it_was_made_of() {
        let (host, tenant) = (http::header::HOST, HeaderName::from_static("x-tenant"));
        let mut map = HeaderMap::new();
        set(&mut map, "Host", b"a").unwrap();
        set_value(&mut map, &tenant, &HeaderValue::from_static("b")).unwrap();
        append(&mut map, "X-Tenant", b"c").unwrap();
        assert_eq!(first(&map, &host).as_deref(), Some(&b"a"[..]));
        assert_eq!(values(&map, "x-tenant"), ["b", "c"]);
        let kept = HeaderValue::from_static("1");
        assert_eq!(set_value(&mut map, &http::header::TE, &kept), Err(Refused::Invalid));
        remove(&mut map, &tenant).unwrap();
        assert_eq!(first(&map, "x-tenant"), None);
    }

    #[test]
    fn names_that_there_is_no_place_for_are_names_all_the_same() {
        let short = (0..1000).map(|number| format!("X-Many-{number}"));
        let long = (0..3).map(|number| format!("x-{}-{number}", "long".repeat(LONGEST)));
        for name in short.chain(long) {
            let mut map = HeaderMap::new();
            for value in [&b"1"[..], b"2"] {
                set(&mut map, &name, value).unwrap();
                assert_eq!(first(&map, &*name.to_lowercase()).as_deref(), Some(value), "{name}");
            }
            append(&mut map, &name, b"3").unwrap();
            assert_eq!(values(&map, &name), ["2", "3"]);
            remove(&mut map, &name).unwrap();
            assert!(map.is_empty(), "{name}");
        }
    }

    #[test]
    fn what_http_does_not_allow_is_refused() {
        let mut map = HeaderMap::new();
        assert_eq!(set(&mut map, "", b"a"), Err(Refused::Invalid));
        assert_eq!(set(&mut map, "a b", b"a"), Err(Refused::Invalid));
        assert_eq!(set(&mut map, "a", b"a\r\nb: c"), Err(Refused::Invalid));
        assert_eq!(append(&mut map, "a\n", b"a"), Err(Refused::Invalid));
        assert!(map.is_empty());
    }

    #[test]
    fn framing_is_the_proxys() {
        let mut map = HeaderMap::new();
        for name in ["Content-Length", "transfer-encoding", "CONNECTION", "te", "upgrade"] {
            assert_eq!(set(&mut map, name, b"1"), Err(Refused::Invalid), "{name}");
            assert_eq!(append(&mut map, name, b"1"), Err(Refused::Invalid), "{name}");
            assert_eq!(remove(&mut map, name), Err(Refused::Invalid), "{name}");
        }
    }
}
