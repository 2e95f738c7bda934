//! The format, for any head and any bytes.

use http::HeaderMap;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::disk::directory::Birth;
use crate::disk::format::{BodyFacts, Preamble, Record};
use crate::policy::Stale;

fn fields() -> impl Strategy<Value = HeaderMap> {
    let name = "[a-z][a-z0-9-]{0,20}".prop_map(|name| HeaderName::try_from(name).unwrap());
    let value = vec(prop_oneof![Just(b'\t'), 0x20..=0x7e_u8, 0x80..=0xff_u8], 0..60);
    let value = value.prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap());
    vec((name, value), 0..12).prop_map(|lines| {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(name, value);
        }
        fields
    })
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::MAX),
        (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(secs, nanos)| Duration::new(secs, nanos)),
    ]
}

fn time() -> impl Strategy<Value = SystemTime> {
    let since = (0..1_u64 << 40, 0..1_000_000_000_u32);
    since.prop_map(|(secs, nanos)| UNIX_EPOCH + Duration::new(secs, nanos))
}

prop_compose! {
    fn freshness()(
        lifetime in duration(),
        initial_age in duration(),
        flags in any::<[bool; 3]>(),
        stale in prop_oneof![Just(Stale::Allowed), Just(Stale::AsSaid), Just(Stale::Never)],
        stale_while_revalidate in proptest::option::of(duration()),
        stale_if_error in proptest::option::of(duration()),
    ) -> Freshness {
        let [is_heuristic, always_validate, is_immutable] = flags;
        Freshness {
            lifetime,
            initial_age,
            is_heuristic,
            always_validate,
            is_immutable,
            stale,
            stale_while_revalidate,
            stale_if_error,
        }
    }
}

prop_compose! {
    fn any_meta()(
        path in "/[a-z/]{0,40}",
        status in 100..1000_u16,
        headers in fields(),
        request in time(),
        response in time(),
        freshness in freshness(),
        selected_by in fields(),
        tags in vec("\\PC{0,20}", 0..5),
        generation in any::<u64>(),
    ) -> Meta {
        Meta {
            key: key(&path),
            head: Head { status: StatusCode::from_u16(status).unwrap(), headers },
            times: Times { request, response },
            freshness,
            vary: selected_by.keys().cloned().collect(),
            selected_by,
            tags: tags.into_iter().map(Into::into).collect(),
            generation,
            body: BodyId::numbered(0),
        }
    }
}

const BIRTH: Birth = Birth(4711);

fn written(record: &Record, identity: u64) -> (Preamble, Vec<u8>) {
    let mut head = Vec::new();
    record.write(identity, &mut head).unwrap();
    let preamble = Preamble::for_record(head.len(), identity).unwrap();
    let mut bytes = Vec::new();
    preamble.write(BIRTH, &mut bytes);
    bytes.extend_from_slice(&head);
    (preamble, bytes)
}

proptest! {
    #[test]
    fn any_head_is_read_as_it_was_written(
        meta in any_meta(),
        sequence in any::<u32>(),
        identity in any::<u64>(),
        length in 0..1_u64 << 36,
        digest in any::<u64>(),
    ) {
        let meta = Meta { body: BodyId::numbered(identity), ..meta };
        let record = Record { sequence, body: BodyFacts { length, digest }, meta };
        let (preamble, bytes) = written(&record, identity);
        prop_assert_eq!(Preamble::read(&bytes, BIRTH), Ok(preamble));
        let read = preamble.first_record(&bytes).unwrap();
        prop_assert_eq!(format!("{read:?}"), format!("{record:?}"));
        // In another file, or under another identity, it is nothing.
        prop_assert!(Preamble::read(&bytes, Birth(4712)).is_err());
        prop_assert!(Record::read(&bytes[40..], identity ^ 1).is_none());
    }

    #[test]
    fn a_head_with_any_byte_changed_is_none(
        meta in any_meta(),
        at in any::<prop::sample::Index>(),
        by in 1..=255_u8,
    ) {
        let record = Record { sequence: 0, body: BodyFacts { length: 5, digest: 6 }, meta };
        let (_, mut bytes) = written(&record, 7);
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        let read = Preamble::read(&bytes, BIRTH).and_then(|preamble| preamble.first_record(&bytes));
        prop_assert!(read.is_err(), "byte {at}");
    }

    #[test]
    fn any_records_of_purges_are_no_harm(
        records in vec((0..5_u8, 0..3_u8, any::<u64>(), vec(any::<u8>(), 0..20), 0..4_u8), 0..6),
    ) {
        let write = |(kind, manner, at, what, cut): &(u8, u8, u64, Vec<u8>, u8)| {
            // Most are as they are written, with a time that there may be.
            let what = if *kind == 2 { &[7; 16][..] } else { &what[..] };
            let what = if *kind < 2 && *cut > 0 { &[][..] } else { what };
            [&[11 + what.len() as u8, 1, *kind, *manner][..], &(at >> cut).to_le_bytes(), what].concat()
        };
        crate::disk::check_purges(&records.iter().flat_map(write).collect::<Vec<_>>());
    }

    #[test]
    fn any_bytes_are_no_head_and_no_harm(bytes in vec(any::<u8>(), 0..300)) {
        prop_assert!(crate::disk::meta::read(&bytes, 0).is_none() || !bytes.is_empty());
        crate::disk::check_file_head(&bytes);
    }
}
