//! Dictionaries made of what is stored: kept when their clients are told of them, by their hashes, in bounded room.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pingora_http::RequestHeader;
use switchback_cache::{BodyId, Meta};
use switchback_variant::{Coding, Dictionary, Digest, Draft, Scope, Store};

use super::lookup::Wanted;
use super::{Source, serve};
use crate::http::context::Context;
use crate::http::encode::versions::{self, Plain};
use crate::metrics::{Counter, sample};
use crate::snapshot::dictionaries::DictionarySettings;
use crate::snapshot::resident::Resident;

/// The dictionaries of a process, and what is known of bodies that are or have been some.
pub(crate) struct Dictionaries {
    store: Store,
    known: Mutex<HashMap<(Scope, BodyId), Known>>,
    /// With which of them forms of a body have been made.
    forms: Mutex<HashMap<BodyId, Vec<Digest>>>,
    /// Bytes of those that are being read.
    reading: AtomicUsize,
    most: AtomicUsize,
    hasher: RandomState,
    kept: Counter,
    /// Bodies that cannot serve, or that there was no room for.
    left: Counter,
}

/// What is known of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// Somebody reads it.
    Reading,
    /// It has been kept, at this moment.
    Kept(Digest, Instant),
    /// It cannot serve.
    Unfit,
}

/// What is to be done with a body that could be a dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Its client is told.
    Tell,
    /// That, and it is read.
    Read,
    Nothing,
}

/// Of how many bodies something is known.
const MOST_KNOWN: usize = 4096;
/// With how many dictionaries forms of one body are made.
const MOST_FORMS: usize = 8;
/// What had to go because others were asked for is not kept again before this.
const AGAIN: Duration = Duration::from_mins(1);
/// What is hashed at a time; then others have their turn.
const SLICE: usize = 64 * 1024;

impl Dictionaries {
    /// How many bytes they may have.
    pub(crate) fn set_limit(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
        self.store.set_limit(most);
        // What there was no room for may have some now.
        self.known.lock().retain(|_, one| *one != Known::Unfit);
    }

    /// The scope of one origin at a site.
    pub(crate) fn scope(&self, site: &str, host: &str, port: &[u8]) -> Scope {
        Scope(self.hasher.hash_one((site, host, port)))
    }

    /// The dictionary that a client names for this target.
    pub(crate) fn find(
        &self,
        scope: Scope,
        digest: &Digest,
        target: &[u8],
    ) -> Option<Arc<Dictionary>> {
        self.store.find(scope, digest, target, Instant::now())
    }

    /// Whether a form of this body may be made with that dictionary: each body has few of them.
    pub(crate) fn admits(&self, body: BodyId, dictionary: &Digest) -> bool {
        let mut forms = self.forms.lock();
        if forms.len() >= MOST_KNOWN && !forms.contains_key(&body) {
            // What is forgotten is counted anew; the room of the zone bounds it all the same.
            forms.clear();
        }
        let used = forms.entry(body).or_default();
        if used.contains(dictionary) {
            return true;
        }
        let has_room = used.len() < MOST_FORMS;
        if has_room {
            used.push(*dictionary);
        }
        has_room
    }

    /// What is to be done with a body of which its client could be told, to be kept until then.
    fn next(&self, scope: Scope, body: BodyId, until: Instant) -> Next {
        let mut known = self.known.lock();
        let at = (scope, body);
        match known.get(&at) {
            Some(Known::Reading) => return Next::Tell,
            Some(Known::Unfit) => return Next::Nothing,
            Some(Known::Kept(digest, _)) if self.store.renew(scope, digest, until) => {
                return Next::Tell;
            }
            Some(Known::Kept(_, since)) if since.elapsed() < AGAIN => return Next::Nothing,
            Some(Known::Kept(..)) => {}
            None if known.len() >= MOST_KNOWN => {
                known.retain(|_, one| *one == Known::Reading);
                if known.len() >= MOST_KNOWN {
                    return Next::Nothing;
                }
            }
            None => {}
        }
        known.insert(at, Known::Reading);
        Next::Read
    }

    /// Appends what is counted, in the Prometheus text format.
    pub(crate) fn render(&self, out: &mut String) {
        let (count, bytes) = self.store.size();
        let help = "Dictionaries that are kept to encode against.";
        sample(out, ("dictionaries", help, "gauge"), count as u64);
        let help = "Bytes of dictionaries, with what each costs beside its own.";
        sample(out, ("dictionary_bytes", help, "gauge"), bytes as u64);
        let help = "Stored responses that were kept as dictionaries.";
        sample(out, ("dictionaries_kept_total", help, "counter"), self.kept.value());
        let help = "Stored responses that could not be kept as dictionaries.";
        sample(out, ("dictionaries_left_total", help, "counter"), self.left.value());
    }
}

impl Default for Dictionaries {
    fn default() -> Self {
        Self {
            store: Store::new(0),
            known: Mutex::default(),
            forms: Mutex::default(),
            reading: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            hasher: RandomState::new(),
            kept: Counter::default(),
            left: Counter::default(),
        }
    }
}

impl fmt::Debug for Dictionaries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dictionaries").field("size", &self.store.size()).finish_non_exhaustive()
    }
}

/// Has the answer tell that it may serve as a dictionary, where that is so, and what answers it kept for that.
pub(super) fn offer(
    source: &Source,
    wanted: &Wanted,
    request: &RequestHeader,
    context: &mut Context,
) {
    let encoding = context.encoding.as_deref();
    let Some(versions) = encoding.and_then(|encoding| encoding.versions.as_deref()) else { return };
    let Some((scope, (meta, length))) = versions.scope.zip(source.stored()) else { return };
    let largest = context.resident.dictionaries.store.largest() as u64;
    if wanted.slice.is_some()
        || request.method != http::Method::GET
        || length.is_some_and(|length| length > largest)
        || !versions::may_serve(meta)
    {
        return;
    }
    let until = Instant::now() + versions.settings.max_age;
    let is_told = match context.resident.dictionaries.next(scope, meta.body, until) {
        Next::Nothing => false,
        Next::Tell => true,
        Next::Read => read(source, meta, (scope, until), (&versions.settings, context)),
    };
    if let Some(versions) = context.encoding.as_mut().and_then(|own| own.versions.as_mut()) {
        versions.is_told = is_told;
    }
}

/// Begins to read what is to be a dictionary; whether it may become one.
fn read(
    source: &Source,
    meta: &Meta,
    (scope, until): (Scope, Instant),
    (settings, context): (&Arc<DictionarySettings>, &Context),
) -> bool {
    let mut reading = Reading {
        resident: Arc::clone(&context.resident),
        settings: Arc::clone(settings),
        at: (scope, meta.body),
        until,
        held: 0,
        becomes: None,
    };
    let coding = Coding::of(&meta.head.headers).filter(|coding| !coding.needs_dictionary());
    let Some(coding) = coding else {
        // Nobody here knows what a client makes of it.
        reading.becomes = Some(Known::Unfit);
        return false;
    };
    let length = source.stored().and_then(|(_, length)| length);
    let length = length.filter(|_| coding == Coding::Identity);
    let Some(body) = Plain::of(serve::body(source.beside()), coding, &context.resident) else {
        return false;
    };
    tokio::spawn(reading.run(body, length));
    true
}

/// One body that is read. What ends before its end leaves nothing.
struct Reading {
    resident: Arc<Resident>,
    settings: Arc<DictionarySettings>,
    at: (Scope, BodyId),
    until: Instant,
    /// Bytes, of those that may be held together.
    held: usize,
    /// What is known in the end; nothing where it may be tried again.
    becomes: Option<Known>,
}

impl Reading {
    async fn run(mut self, body: Plain, length: Option<u64>) {
        match self.draft(body, length).await {
            Ok(Some(draft)) => self.keep(draft),
            Ok(None) => {}
            // It was cut. The next one who has it tells.
            Err(_) => self.resident.dictionaries.left.add(),
        }
    }

    /// All of it, hashed; nothing where there is no room for it.
    async fn draft(&mut self, mut body: Plain, length: Option<u64>) -> io::Result<Option<Draft>> {
        let mut draft = Draft::new(length);
        while let Some(piece) = body.next().await? {
            for slice in piece.chunks(SLICE) {
                if !self.hold(slice.len()) {
                    return Ok(None);
                }
                if draft.push(slice).is_err() {
                    self.becomes = Some(Known::Unfit);
                    return Ok(None);
                }
                tokio::task::yield_now().await;
            }
        }
        Ok(Some(draft))
    }

    /// Whether there is room for so many bytes more.
    fn hold(&mut self, bytes: usize) -> bool {
        let dictionaries = &self.resident.dictionaries;
        self.held += bytes;
        let held = dictionaries.reading.fetch_add(bytes, Ordering::Relaxed) + bytes;
        held <= dictionaries.most.load(Ordering::Relaxed)
    }

    fn keep(&mut self, draft: Draft) {
        let Dictionaries { store, kept, .. } = &self.resident.dictionaries;
        let (scope, _) = self.at;
        let made = draft.finish();
        let made =
            made.and_then(|made| store.keep_made(scope, &self.settings.pattern, made, self.until));
        self.becomes = Some(match made {
            Ok(made) => {
                kept.add();
                Known::Kept(*made.digest(), Instant::now())
            }
            Err(_) => Known::Unfit,
        });
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let dictionaries = &self.resident.dictionaries;
        dictionaries.reading.fetch_sub(self.held, Ordering::Relaxed);
        if self.becomes == Some(Known::Unfit) {
            dictionaries.left.add();
        }
        let mut known = dictionaries.known.lock();
        match self.becomes {
            Some(becomes) => known.insert(self.at, becomes),
            None => known.remove(&self.at),
        };
    }
}
