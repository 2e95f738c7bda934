//! What a stored response is found by.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use smallvec::SmallVec;
use twox_hash::XxHash3_128;

use crate::entry::BodyId;
use crate::policy::search::NoVarySearch;

/// The identity of a stored response: a sequence of parts, each framed by its length, so that no two sequences are written alike.
///
/// Beside it goes the [`Address`] that purges by page, prefix and host look at. Where the key's own parts say it (see
/// [`KeyBuilder::new`]), nothing more is kept; other keys carry it along, and it is no part of the identity.
#[derive(Clone)]
pub struct Key(Arc<[u8]>);

/// Where a stored response came from, as the client asked for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Address<'k> {
    /// `http` or `https`.
    pub scheme: &'k [u8],
    /// In lower case.
    pub host: &'k [u8],
    /// In digits.
    pub port: &'k [u8],
    /// As forwarded, without the query.
    pub path: &'k [u8],
    /// Without its `?`.
    pub query: &'k [u8],
}

/// Writes a [`Key`], part by part; the key is its only allocation, unless it is uncommonly long.
#[derive(Clone, Debug)]
pub struct KeyBuilder<'k> {
    /// The length of the identity, which is known last; then the identity.
    written: SmallVec<[u8; INLINE]>,
    /// Where the parts do not say it.
    address: Option<Address<'k>>,
}

impl<'k> KeyBuilder<'k> {
    /// A key whose first parts say the class of its method (empty, or `QUERY`) and its address: what is stored for one address
    /// and class is one response, but for the parts that follow. The first of these, if any follow, is the path and query that are
    /// asked for in place of the address's, or empty.
    #[must_use]
    pub fn new(class: &[u8], address: Address<'_>) -> Self {
        let mut key = Self::empty(None);
        let Address { scheme, host, port, path, query } = address;
        key.part(class).part(scheme).part(host).part(port).part(path).part(query);
        key
    }

    /// The same for those to whom every difference of queries counts, whatever responses say: they share nothing with others.
    #[must_use]
    pub fn exact(class: &[u8], address: Address<'_>) -> Self {
        Self::new(&[EXACT, class].concat(), address)
    }

    /// A key of which `text` (and the parts that follow) alone is the identity: one that a template makes, or that leaves out
    /// scheme or host. `address` is kept for purging.
    #[must_use]
    pub fn template(class: &[u8], text: &[u8], address: Address<'k>) -> Self {
        let mut key = Self::empty(Some(address));
        key.part(class).part(text);
        key
    }

    fn empty(address: Option<Address<'k>>) -> Self {
        Self { written: SmallVec::from_slice(&[0; HEADER]), address }
    }

    /// Appends one part. The order of parts matters.
    pub fn part(&mut self, bytes: &[u8]) -> &mut Self {
        write_part(&mut self.written, bytes);
        self
    }

    /// The key.
    #[must_use]
    pub fn build(&self) -> Key {
        let Some(Address { scheme, host, port, path, query }) = self.address else {
            return Key(seal(SmallVec::from_slice(&self.written), self.written.len()));
        };
        let mut written: SmallVec<[u8; INLINE]> = SmallVec::from_slice(&self.written);
        for part in [scheme, host, port, path, query] {
            write_part(&mut written, part);
        }
        Key(seal(written, self.written.len()))
    }
}

impl Key {
    /// The whole of it, for storing; [`Key::from_bytes`] reads it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key that was written so, or nothing where no key was written so.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
        let (identity, tail) = rest.split_at_checked(u32::from_le_bytes(*header) as usize)?;
        let (own, carried) = (count(identity)?, count(tail)?);
        let is_whole =
            if carried == 0 { own >= OWN_PARTS } else { own >= 2 && carried == ADDRESS_PARTS };
        is_whole.then(|| Self(bytes.into()))
    }

    /// A key that has one more part.
    #[must_use]
    pub fn with_part(&self, bytes: &[u8]) -> Self {
        self.with_parts(&[bytes])
    }

    /// What a form of a stored response is found by, which was made of this body: whatever that is replaced by, or a purge of its
    /// page, leaves nothing to be found. `name` is that of the form.
    #[must_use]
    pub fn of_form(&self, body: BodyId, name: &[u8]) -> Self {
        // The name comes last: the last part of a key must not be taken for a rule.
        self.with_parts(&[b"form", &body.number().to_le_bytes(), name])
    }

    fn with_parts(&self, parts: &[&[u8]]) -> Self {
        let (identity, tail) = self.split();
        let mut written: SmallVec<[u8; INLINE]> = SmallVec::from_slice(&[0; HEADER]);
        written.extend_from_slice(identity);
        parts.iter().for_each(|bytes| write_part(&mut written, bytes));
        let end = written.len();
        written.extend_from_slice(tail);
        Self(seal(written, end))
    }

    /// Where what is stored under `rule` answers a request for this; nothing where queries count as they are written: in
    /// [templates](KeyBuilder::template) and [exact](KeyBuilder::exact) keys.
    #[must_use]
    pub(crate) fn under(&self, rule: &NoVarySearch) -> Option<Self> {
        let (identity, tail) = self.split();
        let mut parts = Parts(identity);
        let class = parts.next().filter(|_| tail.is_empty())?;
        if class.starts_with(EXACT) || class.starts_with(RULED) {
            return None;
        }
        let mut written: SmallVec<[u8; INLINE]> = SmallVec::from_slice(&[0; HEADER]);
        write_part(&mut written, &[RULED, class].concat());
        for (place, part) in parts.enumerate() {
            match place + 1 {
                QUERY => write_part(&mut written, &rule.canonical(part)),
                TARGET => write_part(&mut written, &rule.canonical_target(part)),
                _ => write_part(&mut written, part),
            }
        }
        write_part(&mut written, &rule.to_bytes());
        let end = written.len();
        Some(Self(seal(written, end)))
    }

    /// Whether it is one that a rule for queries has made.
    pub(crate) fn is_ruled(&self) -> bool {
        self.parts().next().is_some_and(|class| class.starts_with(RULED))
    }

    /// The rule that has made it.
    pub(crate) fn rule(&self) -> Option<NoVarySearch> {
        self.parts().last().filter(|_| self.is_ruled()).and_then(NoVarySearch::from_bytes)
    }

    /// Whether what is stored under `stored` answers a request for this.
    #[must_use]
    pub fn is_met_by(&self, stored: &Self) -> bool {
        let meets = |rule| self.under(&rule).is_some_and(|ruled| ruled == *stored);
        self == stored || stored.rule().is_some_and(meets)
    }

    /// 128 bits that stay the same from one release to the next, of the identity alone: for logs and the disk tier.
    ///
    /// Not proof against one who looks for a collision: what is found by it is to be compared with the key.
    #[must_use]
    pub fn digest(&self) -> u128 {
        XxHash3_128::oneshot(self.split().0)
    }

    /// What purges by page, prefix and host look at.
    #[must_use]
    pub fn address(&self) -> Address<'_> {
        let (identity, tail) = self.split();
        let mut parts = if tail.is_empty() { Parts(identity) } else { Parts(tail) };
        if tail.is_empty() {
            parts.next();
        }
        let mut part = || parts.next().unwrap_or_default();
        Address { scheme: part(), host: part(), port: part(), path: part(), query: part() }
    }

    /// The parts of the identity, in order.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        Parts(self.split().0)
    }

    /// The identity, and what is carried along.
    fn split(&self) -> (&[u8], &[u8]) {
        let Some((header, rest)) = self.0.split_first_chunk::<HEADER>() else { return (&[], &[]) };
        rest.split_at_checked(u32::from_le_bytes(*header) as usize).unwrap_or((rest, &[]))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.split().0 == other.split().0
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.split().0);
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.parts().map(|part| part.escape_ascii().to_string())).finish()
    }
}

/// A shorter key is built on the stack.
const INLINE: usize = 256;

/// Bytes of the identity's length, in front.
const HEADER: usize = size_of::<u32>();

/// The parts of an [`Address`].
const ADDRESS_PARTS: usize = 5;

/// The class of the method, and the address.
const OWN_PARTS: usize = 1 + ADDRESS_PARTS;

/// The places of parts that hold a query.
const QUERY: usize = 5;
const TARGET: usize = 6;

/// What classes begin with where every difference of queries counts, and where a rule says which do.
const EXACT: &[u8] = b"=";
const RULED: &[u8] = b"?";

/// Lengths up to this are one byte; longer ones are this byte, then eight.
const LONG: u8 = u8::MAX;

fn write_part(written: &mut SmallVec<[u8; INLINE]>, bytes: &[u8]) {
    match u8::try_from(bytes.len()) {
        Ok(length) if length < LONG => written.push(length),
        _ => {
            written.push(LONG);
            written.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        }
    }
    written.extend_from_slice(bytes);
}

/// Notes where the identity ends.
fn seal(mut written: SmallVec<[u8; INLINE]>, end: usize) -> Arc<[u8]> {
    let length = u32::try_from(end - HEADER).unwrap_or(u32::MAX);
    if let Some(header) = written.first_chunk_mut::<HEADER>() {
        *header = length.to_le_bytes();
    }
    Arc::from(&*written)
}

/// How many parts, if these bytes are parts and nothing else, written as [`write_part`] writes them.
fn count(bytes: &[u8]) -> Option<usize> {
    let mut parts = Parts(bytes);
    let mut again = SmallVec::new();
    let mut parts_seen = 0;
    for part in parts.by_ref() {
        write_part(&mut again, part);
        parts_seen += 1;
    }
    (*again == *bytes).then_some(parts_seen)
}

/// What is left to read of framed parts.
struct Parts<'k>(&'k [u8]);

impl<'k> Iterator for Parts<'k> {
    type Item = &'k [u8];

    fn next(&mut self) -> Option<&'k [u8]> {
        let (&length, mut rest) = self.0.split_first()?;
        let length = if length == LONG {
            let (long, after) = rest.split_first_chunk::<8>()?;
            rest = after;
            usize::try_from(u64::from_le_bytes(*long)).ok()?
        } else {
            usize::from(length)
        };
        let (part, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};
    use proptest::{prop_assert, prop_assert_eq};

    use super::{Address, Key, KeyBuilder};
    use crate::entry::BodyId;
    use crate::policy::search::NoVarySearch;

    fn address<'k>(parts: &'k [Vec<u8>]) -> Address<'k> {
        let part = |at: usize| parts.get(at).map_or(&b""[..], Vec::as_slice);
        Address { scheme: part(0), host: part(1), port: part(2), path: part(3), query: part(4) }
    }

    fn key(parts: &[Vec<u8>]) -> Key {
        let mut builder = KeyBuilder::new(b"", address(parts));
        for part in parts.iter().skip(5) {
            builder.part(part);
        }
        builder.build()
    }

    proptest! {
        #[test]
        fn other_parts_make_another_key(
            one in vec(vec(0..3_u8, 0..4), 5..9),
            other in vec(vec(0..3_u8, 0..4), 5..9),
        ) {
            prop_assert_eq!(key(&one) == key(&other), one == other);
            prop_assert_eq!(key(&one).digest() == key(&other).digest(), one == other);
        }

        #[test]
        fn parts_are_read_as_they_were_written(parts in vec(vec(any::<u8>(), 0..600), 5..9)) {
            let key = key(&parts);
            prop_assert_eq!(key.parts().skip(1).collect::<Vec<_>>(), parts.iter().collect::<Vec<_>>());
            prop_assert_eq!(key.address(), address(&parts));
            prop_assert_eq!(Key::from_bytes(key.as_bytes()).map(|again| again == key), Some(true));
        }

        #[test]
        fn a_template_alone_makes_the_identity(
            text in vec(any::<u8>(), 0..300),
            other in vec(any::<u8>(), 0..300),
            parts in vec(vec(any::<u8>(), 0..20), 5),
        ) {
            let here = KeyBuilder::template(b"", &text, address(&parts)).build();
            let there = KeyBuilder::template(b"", &text, Address::default()).build();
            prop_assert!(here == there && here.digest() == there.digest());
            prop_assert_eq!(HashSet::from([here.clone(), there]).len(), 1);
            prop_assert_eq!(here == KeyBuilder::template(b"", &other, address(&parts)).build(), text == other);
            prop_assert_eq!(here.address(), address(&parts));
            prop_assert_eq!(Key::from_bytes(here.as_bytes()).map(|again| again.address() == here.address()), Some(true));
            prop_assert!(here != key(&parts));
        }

        #[test]
        fn bytes_that_are_no_key_are_told(bytes in vec(any::<u8>(), 0..80)) {
            if let Some(key) = Key::from_bytes(&bytes) {
                prop_assert_eq!(key.as_bytes(), &bytes[..]);
                prop_assert!(key.parts().count() >= 2);
            }
        }
    }

    fn rule(text: &'static str) -> NoVarySearch {
        let name = http::HeaderName::from_static("no-vary-search");
        let value = http::HeaderValue::from_static(text);
        let headers = std::iter::once((name, value)).collect();
        NoVarySearch::of(&headers, &crate::policy::Rules::default())
    }

    fn with(class: &[u8], query: &[u8], parts: &[&[u8]]) -> Key {
        let address = Address { path: b"/", query, ..Address::default() };
        let mut key = KeyBuilder::new(class, address);
        for part in parts {
            key.part(part);
        }
        key.build()
    }

    #[test]
    fn under_a_rule_keys_are_alike_whose_queries_mean_the_same() {
        let rule = rule("params=(\"u\")");
        let here = with(b"", b"a=1&u=2", &[b"/p?a=1&u=2", b"b?u=1"]).under(&rule).unwrap();
        assert_eq!(with(b"", b"a=1", &[b"/p?a=1", b"b?u=1"]).under(&rule), Some(here.clone()));
        assert_eq!(here.address().query, b"a=1");
        let [none, ignored] = [&b"/p"[..], b"/p?u=1"].map(|target| with(b"", b"", &[target]));
        assert_eq!(none.under(&rule), ignored.under(&rule));
        assert_eq!(here.rule(), Some(rule.clone()));
        assert!(here.is_ruled() && here.under(&rule).is_none());
        assert_eq!(Key::from_bytes(here.as_bytes()), Some(here.clone()));
        for other in [
            with(b"", b"a=2&u=2", &[b"/p?a=1&u=2", b"b?u=1"]),
            with(b"", b"a=1&u=2", &[b"/p?a=2&u=2", b"b?u=1"]),
            with(b"", b"a=1&u=2", &[b"/q?a=1&u=2", b"b?u=1"]),
            with(b"", b"a=1&u=2", &[b"/p", b"b?u=1"]),
            with(b"", b"a=1&u=2", &[b"/p?a=1&u=2", b"b?u=2"]),
            with(b"", b"a=1&u=2", &[b"/p?a=1&u=2", b"b?u=1", b""]),
            with(b"QUERY", b"a=1&u=2", &[b"/p?a=1&u=2", b"b?u=1"]),
        ] {
            assert_ne!(other.under(&rule).unwrap(), here, "{other:?}");
        }
    }

    #[test]
    fn a_form_is_found_by_what_it_was_made_of_and_its_name_alone() {
        let (one, other) = (BodyId::numbered(1), BodyId::numbered(2));
        let page = with(b"", b"a=1&u=2", &[]);
        let form = page.of_form(one, b"br");
        assert_eq!(form, page.of_form(one, b"br"));
        assert_eq!(form.address(), page.address());
        for differs in [page.of_form(other, b"br"), page.of_form(one, b"gzip"), page.clone()] {
            assert_ne!(form, differs);
        }
        // The name is taken for no rule.
        let ruled = page.under(&rule("params=(\"u\")")).unwrap();
        for name in [&b"br"[..], b"zstd", b"gzip", b"id"] {
            let form = ruled.of_form(one, name);
            assert!(form.is_ruled() && form.rule().is_none());
        }
    }

    #[test]
    fn no_rule_bears_on_templates_and_exact_keys() {
        let address = Address { path: b"/", query: b"u=2", ..Address::default() };
        let exact = KeyBuilder::exact(b"", address).build();
        let template = KeyBuilder::template(b"", b"/?u=2", address).build();
        for key in [exact.clone(), template] {
            assert_eq!(key.under(&rule("params")), None);
            assert_eq!((key.is_ruled(), key.rule()), (false, None));
        }
        assert_ne!(exact, KeyBuilder::new(b"", address).build());
        assert_eq!(exact.address(), address);
    }

    #[test]
    fn a_cut_key_is_no_key() {
        let whole = key(&vec![b"part".to_vec(); 6]);
        for end in 0..whole.as_bytes().len() {
            assert_eq!(Key::from_bytes(&whole.as_bytes()[..end]), None, "{end}");
        }
    }

    #[test]
    fn the_digest_of_a_key_stays_the_same() {
        let address =
            Address { scheme: b"https", host: b"a.test", port: b"443", path: b"/x", query: b"" };
        let digest = KeyBuilder::new(b"", address).build().digest();
        assert_eq!(format!("{digest:032x}"), "7efe9e06db08db23e7eadeb6b0f0e7ba");
    }
}
