use switchback_variant::Pattern;

use super::*;

const HERE: Scope = Scope(1);

fn body(number: u64) -> BodyId {
    BodyId::numbered(number)
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn reading(resident: &Arc<Resident>, number: u64) -> Reading {
    let settings = DictionarySettings {
        pattern: Arc::new(Pattern::parse("/*").unwrap()),
        announcement: http::HeaderValue::from_static("match=\"/*\""),
        max_age: Duration::from_secs(60),
    };
    Reading {
        resident: Arc::clone(resident),
        settings: Arc::new(settings),
        at: (HERE, body(number)),
        until: later(),
        held: 0,
        becomes: None,
    }
}

fn draft(bytes: &[u8]) -> Draft {
    let mut draft = Draft::new(None);
    draft.push(bytes).unwrap();
    draft
}

fn resident(most: usize) -> Arc<Resident> {
    let resident = Arc::<Resident>::default();
    resident.dictionaries.set_limit(most);
    resident
}

#[test]
fn a_body_is_read_once_and_told_of_from_then_on() {
    let resident = resident(1 << 20);
    let next = || resident.dictionaries.next(HERE, body(1), later());
    assert_eq!((next(), next()), (Next::Read, Next::Tell));
    // It was cut: whoever has it next reads it.
    drop(reading(&resident, 1));
    assert_eq!(next(), Next::Read);
    reading(&resident, 1).keep(draft(b"old"));
    assert_eq!((next(), next()), (Next::Tell, Next::Tell));
    assert_eq!(resident.dictionaries.store.size().0, 1);
    let elsewhere = resident.dictionaries.next(Scope(2), body(1), later());
    assert_eq!(elsewhere, Next::Read, "it is another's");
}

#[test]
fn what_had_to_go_is_not_read_again_with_each_hit() {
    let resident = resident(4096);
    let next = |number| resident.dictionaries.next(HERE, body(number), later());
    assert_eq!(next(1), Next::Read);
    reading(&resident, 1).keep(draft(&[1; 400]));
    for number in 2..12 {
        next(number);
        reading(&resident, number).keep(draft(&[u8::try_from(number).unwrap(); 400]));
    }
    assert_eq!((next(1), next(11)), (Next::Nothing, Next::Tell));
    let at = (HERE, body(1));
    let long_ago = Instant::now().checked_sub(AGAIN).unwrap();
    if let Some(Known::Kept(_, since)) = resident.dictionaries.known.lock().get_mut(&at) {
        *since = long_ago;
    }
    assert_eq!(next(1), Next::Read);
}

#[test]
fn what_cannot_serve_is_left_until_there_is_more_room() {
    let resident = resident(4096);
    let next = || resident.dictionaries.next(HERE, body(1), later());
    assert_eq!(next(), Next::Read);
    reading(&resident, 1).keep(draft(&[1; 2000]));
    assert_eq!((next(), next()), (Next::Nothing, Next::Nothing));
    assert_eq!(resident.dictionaries.left.value(), 1);
    resident.dictionaries.set_limit(1 << 20);
    assert_eq!(next(), Next::Read);
}

#[test]
fn no_more_is_held_than_may_be_kept() {
    let resident = resident(1000);
    let (mut one, mut other) = (reading(&resident, 1), reading(&resident, 2));
    assert!(one.hold(600) && other.hold(400) && !other.hold(1));
    drop(other);
    assert!(one.hold(400) && !one.hold(1));
    drop(one);
    assert_eq!(resident.dictionaries.reading.load(Ordering::Relaxed), 0);
}

#[test]
fn of_few_bodies_something_is_known() {
    let resident = resident(1 << 20);
    let dictionaries = &resident.dictionaries;
    let all = MOST_KNOWN as u64;
    for number in 0..all {
        assert_eq!(dictionaries.next(HERE, body(number), later()), Next::Read);
    }
    assert_eq!(dictionaries.next(HERE, body(all), later()), Next::Nothing, "all are being read");
    reading(&resident, 0).keep(draft(b"old"));
    assert_eq!(dictionaries.next(HERE, body(all), later()), Next::Read);
    assert!(dictionaries.known.lock().len() <= MOST_KNOWN);
    let digest = Digest::of(b"x");
    for number in 0..=all {
        assert!(dictionaries.admits(body(number), &digest));
    }
    assert!(dictionaries.forms.lock().len() <= MOST_KNOWN);
}

#[test]
fn a_body_has_forms_by_few_dictionaries() {
    let dictionaries = Dictionaries::default();
    let digest = |number: usize| Digest::of(&[u8::try_from(number).unwrap()]);
    for _ in 0..2 {
        for number in 0..MOST_FORMS {
            assert!(dictionaries.admits(body(1), &digest(number)));
        }
        assert!(!dictionaries.admits(body(1), &digest(MOST_FORMS)));
    }
    assert!(dictionaries.admits(body(2), &digest(MOST_FORMS)));
}

#[test]
fn a_scope_is_one_origin_at_one_site() {
    let dictionaries = Dictionaries::default();
    let scope = dictionaries.scope("shop", "a.example", b"");
    assert_eq!(scope, dictionaries.scope("shop", "a.example", b""));
    for other in [
        dictionaries.scope("inside", "a.example", b""),
        dictionaries.scope("shop", "b.example", b""),
        dictionaries.scope("shop", "a.example", b"8443"),
        Dictionaries::default().scope("shop", "a.example", b""),
    ] {
        assert_ne!(scope, other);
    }
}
