//! Session tickets: the whole session, encrypted, is kept by the client.
//!
//! A ticket is the name of a key (16 bytes), a salt (16), what AES-256-GCM makes of the moment and the session, and its tag (16).
//! Each ticket has a key of its own, drawn from the named one and the salt, so no nonce is ever used twice. The client-certificate
//! policy that the session was agreed on under is authenticated with it: under another, the ticket is none.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{hmac, rand};
use parking_lot::Mutex;
use rustls::server::ProducesTickets;
use switchback_conf::Code;
use switchback_conf::plan::TicketsPlan;

use super::files::{self, Flaw, Watched};
use super::verifier::ClientVerifier;

const NAME: usize = 16;
const SALT: usize = 16;
const TAG: usize = 16;
const MOMENT: usize = 8;
/// More keys made here are not kept.
const MOST_KEYS: usize = 64;

/// The keys of tickets. Several listeners may share them.
#[derive(Debug)]
pub(crate) struct KeyRing {
    /// The first encrypts, all decrypt.
    keys: ArcSwap<Vec<Arc<Key>>>,
    origin: Origin,
    lifetime: Duration,
}

#[derive(Debug)]
enum Origin {
    Files(Box<[PathBuf]>, Watched),
    /// Made here, and again after this time.
    Own {
        rotate: Duration,
        last: Mutex<Instant>,
    },
}

/// One key.
struct Key {
    name: [u8; NAME],
    secret: hmac::Key,
    /// `None` for one that was read.
    made: Option<Instant>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

impl Key {
    /// As nginx has them in files: 16 bytes of name, then 32 or 64 of secrets. `None` for any other length.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if !matches!(bytes.len(), 48 | 80) {
            return None;
        }
        let (name, secret) = bytes.split_first_chunk::<NAME>()?;
        Some(Self { name: *name, secret: hmac::Key::new(hmac::HMAC_SHA256, secret), made: None })
    }

    fn random() -> Option<Self> {
        let mut bytes = [0; 80];
        rand::fill(&mut bytes).ok()?;
        Some(Self { made: Some(Instant::now()), ..Self::from_bytes(&bytes)? })
    }

    /// What the ticket with this salt is encrypted with.
    fn of_ticket(&self, salt: &[u8]) -> Option<LessSafeKey> {
        let key = hmac::sign(&self.secret, &[b"switchback ticket 1", salt].concat());
        UnboundKey::new(&AES_256_GCM, key.as_ref()).ok().map(LessSafeKey::new)
    }

    fn seal(&self, plain: &[u8], policy: &[u8; 32]) -> Option<Vec<u8>> {
        let mut salt = [0; SALT];
        rand::fill(&mut salt).ok()?;
        let (key, nonce) = (self.of_ticket(&salt)?, Nonce::assume_unique_for_key([0; 12]));
        let mut ticket = Vec::with_capacity(NAME + SALT + plain.len() + TAG);
        ticket.extend_from_slice(&self.name);
        ticket.extend_from_slice(&salt);
        ticket.extend_from_slice(plain);
        let secret = ticket.get_mut(NAME + SALT..)?;
        let tag = key.seal_in_place_separate_tag(nonce, self.bound_to(policy), secret).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn open(&self, ticket: &[u8], policy: &[u8; 32]) -> Option<Vec<u8>> {
        let (salt, sealed) = ticket.get(NAME..)?.split_at_checked(SALT)?;
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let mut sealed = sealed.to_vec();
        let key = self.of_ticket(salt)?;
        let length = key.open_in_place(nonce, self.bound_to(policy), &mut sealed).ok()?.len();
        sealed.truncate(length);
        Some(sealed)
    }

    fn bound_to(&self, policy: &[u8; 32]) -> Aad<Vec<u8>> {
        Aad::from([&self.name[..], policy].concat())
    }
}

impl KeyRing {
    /// With keys from files.
    pub(super) fn from_files(plan: &TicketsPlan) -> Result<Self, Flaw> {
        let paths: Vec<PathBuf> = plan.keys.iter().map(|path| path.value.clone()).collect();
        let (watched, keys) = Watched::read(paths.clone(), || read_all(&paths))?;
        let origin = Origin::Files(paths.into(), watched);
        Ok(Self { keys: ArcSwap::from_pointee(keys), origin, lifetime: plan.lifetime })
    }

    /// With keys made here.
    pub(super) fn own(rotate: Duration, lifetime: Duration) -> Self {
        let keys = Key::random().map(Arc::new).into_iter().collect();
        let origin = Origin::Own { rotate, last: Mutex::new(Instant::now()) };
        Self { keys: ArcSwap::from_pointee(keys), origin, lifetime }
    }

    /// Reads keys again that have changed, or makes another when its time has come. Blocks.
    pub(super) fn look(&self) {
        match &self.origin {
            Origin::Files(paths, watched) => {
                if let Some(keys) = watched.look(|| read_all(paths)) {
                    self.keys.store(Arc::new(keys));
                }
            }
            Origin::Own { rotate, last } => {
                let mut last = last.lock();
                if last.elapsed() >= *rotate {
                    *last = Instant::now();
                    self.rotate(*rotate);
                }
            }
        }
    }

    fn rotate(&self, rotate: Duration) {
        let Some(key) = Key::random() else { return };
        let mut keys = vec![Arc::new(key)];
        let is_needed =
            |key: &&Arc<Key>| key.made.is_some_and(|made| made.elapsed() <= self.lifetime + rotate);
        keys.extend(self.keys.load().iter().filter(is_needed).take(MOST_KEYS - 1).cloned());
        self.keys.store(Arc::new(keys));
    }

    fn seal(&self, session: &[u8], policy: &[u8; 32]) -> Option<Vec<u8>> {
        let plain = [&now().to_be_bytes()[..], session].concat();
        self.keys.load().first()?.seal(&plain, policy)
    }

    fn open(&self, ticket: &[u8], policy: &[u8; 32]) -> Option<Vec<u8>> {
        let name = ticket.get(..NAME)?;
        let keys = self.keys.load();
        // More than one key may have a name.
        let mut named = keys.iter().filter(|key| key.name == name);
        let mut plain = named.find_map(|key| key.open(ticket, policy))?;
        let moment = u64::from_be_bytes(*plain.first_chunk::<MOMENT>()?);
        // A machine whose clock is a little ahead has made it in the future.
        if now().saturating_sub(moment) > self.lifetime.as_secs() {
            return None;
        }
        plain.drain(..MOMENT);
        Some(plain)
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn read_all(paths: &[PathBuf]) -> Result<Vec<Arc<Key>>, Flaw> {
    paths.iter().map(|path| read_key(path).map(Arc::new)).collect()
}

fn read_key(path: &Path) -> Result<Key, Flaw> {
    let flaw = |reason: String| {
        let message = format!("ticket key `{}`: {reason}", path.display());
        Flaw::new(Code::TicketKeys, message, "`openssl rand 80 > ticket.key` makes one")
    };
    let bytes = files::read(path).map_err(flaw)?;
    Key::from_bytes(&bytes)
        .ok_or_else(|| flaw(format!("it has {} bytes, not 48 or 80", bytes.len())))
}

/// Makes and reads the tickets of one listener.
#[derive(Debug)]
pub(super) struct Ticketer {
    pub(super) ring: Arc<KeyRing>,
    /// Whose policy tickets are bound to.
    pub(super) client: Option<Arc<ClientVerifier>>,
}

impl Ticketer {
    fn policy(&self) -> [u8; 32] {
        self.client.as_ref().map(|client| client.policy_in_force()).unwrap_or_default()
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(self.ring.lifetime.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.ring.seal(plain, &self.policy())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.ring.open(cipher, &self.policy())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: [u8; 32] = [0; 32];

    fn ring() -> KeyRing {
        KeyRing::own(Duration::from_secs(3600), Duration::from_secs(3600))
    }

    #[test]
    fn a_ticket_is_good_under_its_policy_alone() {
        let ring = ring();
        let ticket = ring.seal(b"session", &POLICY).unwrap();
        assert_eq!(ring.open(&ticket, &POLICY).as_deref(), Some(&b"session"[..]));
        assert_eq!(ring.open(&ticket, &[1; 32]), None);
        assert_ne!(ring.seal(b"session", &POLICY).unwrap(), ticket);
    }

    #[test]
    fn a_key_that_was_rotated_decrypts_on_and_another_encrypts() {
        let ring = ring();
        let ticket = ring.seal(b"session", &POLICY).unwrap();
        ring.rotate(Duration::from_secs(3600));
        assert!(ring.open(&ticket, &POLICY).is_some());
        assert_ne!(ring.seal(b"session", &POLICY).unwrap()[..NAME], ticket[..NAME]);
        for _ in 0..100 {
            ring.rotate(Duration::from_secs(3600));
        }
        assert!(ring.open(&ticket, &POLICY).is_none());
        assert_eq!(ring.keys.load().len(), MOST_KEYS);
    }

    #[test]
    fn a_ticket_that_is_too_old_is_none() {
        let ring = ring();
        let plain = [&(now() - 3700).to_be_bytes()[..], b"session"].concat();
        let ticket = ring.keys.load()[0].seal(&plain, &POLICY).unwrap();
        assert!(ring.keys.load()[0].open(&ticket, &POLICY).is_some());
        assert_eq!(ring.open(&ticket, &POLICY), None);
    }

    #[test]
    fn keys_made_here_are_rotated_in_time() {
        let ring = KeyRing::own(Duration::ZERO, Duration::from_secs(60));
        ring.look();
        assert_eq!(ring.keys.load().len(), 2);
    }

    proptest! {
        #[test]
        fn a_key_file_has_48_or_80_bytes(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(Key::from_bytes(&bytes).is_some(), matches!(bytes.len(), 48 | 80));
        }

        #[test]
        fn two_that_read_the_same_key_read_each_others_tickets(
            bytes in prop_oneof![prop::collection::vec(any::<u8>(), 48), prop::collection::vec(any::<u8>(), 80)],
            session in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let (one, other) = (Key::from_bytes(&bytes).unwrap(), Key::from_bytes(&bytes).unwrap());
            let ticket = one.seal(&session, &POLICY).unwrap();
            prop_assert_eq!(other.open(&ticket, &POLICY), Some(session));
        }

        #[test]
        fn a_ticket_with_any_byte_changed_is_none(at in 0usize..100, by in 1u8..) {
            let ring = ring();
            let mut ticket = ring.seal(&[7; 60], &POLICY).unwrap();
            let at = at % ticket.len();
            ticket[at] ^= by;
            prop_assert_eq!(ring.open(&ticket, &POLICY), None);
            ticket.truncate(at);
            prop_assert_eq!(ring.open(&ticket, &POLICY), None);
        }
    }
}
