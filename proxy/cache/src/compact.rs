//! What a stored response takes, and taking no more.
//!
//! Fields come from a connection's buffer and hold all of it; a stored head gets a buffer of its own, of the right size.

use bytes::{Bytes, BytesMut};
use http::header::{Entry as Field, HeaderMap, HeaderName, HeaderValue};

use crate::entry::{Body, Entry, Meta};

/// The same with fields that own what they show.
pub(crate) fn compact(mut meta: Meta) -> Meta {
    meta.head.headers = compact_fields(&meta.head.headers);
    meta.selected_by = compact_fields(&meta.selected_by);
    meta
}

/// The bytes that `entry` takes in memory: what it shows, and what maps, counts and allocations need beside it.
pub(crate) fn weight(entry: &Entry) -> u64 {
    let meta = &entry.meta;
    let vary = meta.vary.iter().map(|name| size_of_val(name) + name_weight(name)).sum::<usize>();
    let tags = meta.tags.iter().map(|tag| size_of_val(tag) + ALLOCATION + tag.len()).sum::<usize>();
    let fields = fields_weight(&meta.head.headers) + fields_weight(&meta.selected_by);
    // Written out once, as it is sent, when it is first hit.
    let fields = fields + written_weight(&meta.head.headers);
    let fixed = size_of::<Entry>() + 2 * ALLOCATION;
    (fixed + key_weight(meta) + vary + tags + fields + body_weight(&entry.body)) as u64
}

fn key_weight(meta: &Meta) -> usize {
    ALLOCATION + size_of::<[usize; 2]>() + meta.key.as_bytes().len()
}

fn body_weight(body: &Body) -> usize {
    match body {
        Body::Memory(pieces) => pieces.iter().map(|piece| PIECE + piece.len()).sum(),
        Body::Disk(_) => 0,
    }
}

/// As much as a map of just these fields takes: it grows by doubling, and a quarter of its places stays free.
fn fields_weight(fields: &HeaderMap) -> usize {
    if fields.is_empty() {
        return 0;
    }
    let places = (fields.keys_len() * 4 / 3 + 1).next_power_of_two();
    let more = (fields.len() - fields.keys_len()) * EXTRA_FIELD;
    let names = fields.keys().map(name_weight).sum::<usize>();
    let values = fields.values().map(HeaderValue::len).sum::<usize>();
    places * PLACE + (places - places / 4) * FIELD + more + names + values + PIECE
}

fn written_weight(fields: &HeaderMap) -> usize {
    ALLOCATION
        + fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>()
}

fn name_weight(name: &HeaderName) -> usize {
    // Those that `http` knows take nothing; whether it does is not to be seen, so that all are counted.
    name.as_str().len()
}

fn compact_fields(fields: &HeaderMap) -> HeaderMap {
    let mut values = BytesMut::with_capacity(fields.values().map(HeaderValue::len).sum());
    fields.values().for_each(|value| values.extend_from_slice(value.as_bytes()));
    let mut values = values.freeze();
    let mut compacted = HeaderMap::with_capacity(fields.keys_len());
    for (name, value) in fields {
        let bytes = values.split_to(value.len());
        let Some(value) = owned(bytes, value) else { continue };
        match compacted.entry(name.clone()) {
            Field::Occupied(mut field) => field.append(value),
            Field::Vacant(field) => {
                field.insert(value);
            }
        }
    }
    compacted
}

fn owned(bytes: Bytes, value: &HeaderValue) -> Option<HeaderValue> {
    let mut owned = HeaderValue::from_maybe_shared(bytes).ok()?;
    owned.set_sensitive(value.is_sensitive());
    Some(owned)
}

/// What an allocator adds to a piece of memory, on average.
const ALLOCATION: usize = 16;

/// `Bytes`, what it is counted by, and its allocation.
const PIECE: usize = size_of::<Bytes>() + 24 + 2 * ALLOCATION;

/// A field in `http`'s map: its name, its value, its hash, and where more values are.
const FIELD: usize = size_of::<HeaderName>() + size_of::<HeaderValue>() + 32;

/// The second and further values of a field.
const EXTRA_FIELD: usize = size_of::<HeaderValue>() + 32;

/// A place in its table.
const PLACE: usize = 4;

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue};

    use super::{compact_fields, weight};
    use crate::testing::{entry, key};

    #[test]
    fn fields_keep_their_order_and_values_and_let_their_buffer_go() {
        let buffer = Bytes::from(vec![b'v'; 100_000]);
        let watched = buffer.clone();
        let mut fields = HeaderMap::new();
        for (name, length) in [("a", 3), ("b", 0), ("a", 5), ("set-cookie", 7)] {
            fields.append(name, HeaderValue::from_maybe_shared(buffer.slice(..length)).unwrap());
        }
        fields.get_mut("b").unwrap().set_sensitive(true);
        drop(buffer);

        let compacted = compact_fields(&fields);
        let listed = |fields: &HeaderMap| format!("{:?}", fields.iter().collect::<Vec<_>>());
        assert_eq!(listed(&compacted), listed(&fields));
        assert!(compacted["b"].is_sensitive());
        drop(fields);
        assert!(watched.is_unique(), "the large buffer is still held");
    }

    #[test]
    fn everything_counts() {
        let plain = entry(&key("/"), b"12345");
        let base = weight(&plain);
        assert!(base > 5 + plain.meta.key.as_bytes().len() as u64);

        let mut more = plain.clone();
        more.meta.head.headers.insert("x-long", HeaderValue::from_bytes(&[b'x'; 1000]).unwrap());
        // Once as a field, and once as it is written.
        assert!(weight(&more) >= base + 2 * 1006);

        let mut more = plain.clone();
        more.meta.tags = [Box::from("t".repeat(500))].into();
        assert!(weight(&more) >= base + 500);

        let longer = entry(&key(&format!("/{}", "p".repeat(700))), b"12345");
        assert!(weight(&longer) >= base + 700);
        assert!(weight(&entry(&key("/"), &[0; 10_005])) >= base + 10_000);
        assert!(plain.meta.times.response <= SystemTime::UNIX_EPOCH + Duration::from_hours(1));
    }
}
