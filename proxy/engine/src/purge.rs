//! What no client should see any more of what is stored, as an operator, a client or another node says it.

use std::fmt;
use std::sync::Arc;

/// What is to be purged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge {
    /// What.
    pub target: PurgeTarget,
    /// In which zones, by name; in all of them where there is none.
    pub zones: Vec<Box<str>>,
    /// Whether it stays there as stale: to be validated before it is used, but good enough where that fails.
    pub soft: bool,
}

/// What is to be purged, wherever it is stored.
///
/// A URL is `https://shop.example/a?b`, or `shop.example/a?b` for both `http` and `https`. Its path counts in its normal form.
/// What a route leaves out of its keys counts for nothing here either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PurgeTarget {
    /// These pages, with all their variants.
    Urls(Vec<Box<str>>),
    /// Every page whose URL, up to its query, begins so.
    Prefix(Box<str>),
    /// Every page of this host.
    Host(Box<str>),
    /// Everything with one of these tags (`Surrogate-Key`, `Cache-Tag`, `xkey`).
    Tags(Vec<Box<str>>),
    /// Everything of a group (RFC 9875).
    Group {
        /// Whose group it is: `https://shop.example`.
        origin: Box<str>,
        /// Its name.
        group: Box<str>,
    },
    /// Everything.
    All,
}

/// What came of a purge: it holds for all that was asked for before, whether it is stored, is being received, or neither.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// The zones that were told.
    pub zones: Vec<Box<str>>,
}

/// Why nothing was purged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PurgeError {
    /// No `[zones.NAME]` is in force.
    #[error("there are no zones")]
    NoZones,
    /// No zone has that name.
    #[error("there is no zone `{0}`")]
    UnknownZone(Box<str>),
    /// It does not say what.
    #[error("`{0}` is no URL to purge; write it as https://shop.example/path or shop.example/path")]
    BadUrl(Box<str>),
    /// It names nothing.
    #[error("nothing is named that could be purged")]
    Nothing,
    /// It holds, but may be undone when the process starts again.
    #[error("purged, but not for good: the disk of zone `{zone}` did not keep it: {reason}")]
    Unrecorded {
        /// Which zone.
        zone: Box<str>,
        /// What the system says.
        reason: Box<str>,
    },
}

/// Tells other nodes what was purged on this one.
///
/// It hears of every purge that an operator or a client asked for here, after it was done, on whatever thread that was: it must be
/// quick, and typically hands the purge to a channel. What it hears from others it does not hear of: give those to
/// [`Engine::purge`](crate::Engine::purge) with [`Heard::Elsewhere`]. What unsafe methods invalidate by themselves is not told.
pub trait PurgeRelay: Send + Sync + 'static {
    /// This was purged here.
    fn purged(&self, purge: &Purge);
}

/// Whom to tell.
pub(crate) struct Relay(pub(crate) Arc<dyn PurgeRelay>);

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Relay")
    }
}

/// Who asked for a purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Somebody on this node: others are told.
    Here,
    /// Another node.
    Elsewhere,
}

/// What a zone holds, for whoever operates it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoneStatus {
    /// Its name.
    pub name: Box<str>,
    /// Responses in memory.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many there may be.
    pub limit: u64,
    /// Requests answered from what was stored, fresh or stale.
    pub hits: u64,
    /// Those for which nothing was stored.
    pub misses: u64,
    /// Keys that made room for others.
    pub evictions: u64,
    /// Purges.
    pub purges: u64,
}

/// Some of what a zone has in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPage {
    /// The responses, by the hash of their key.
    pub entries: Vec<StoredKey>,
    /// What to go on after, where there may be more.
    pub next: Option<u128>,
}

/// A stored response, as far as a list tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// `$upstream_cache_key_hash`.
    pub hash: u128,
    /// Where it came from, as far as its key tells.
    pub url: String,
    /// Its status.
    pub status: u16,
    /// Bytes of its body.
    pub length: u64,
    /// Its tags.
    pub tags: Vec<Box<str>>,
    /// Whether it was purged softly.
    pub purged: bool,
}

impl fmt::Display for Purge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            PurgeTarget::Urls(urls) => write!(f, "{}", urls.join(" "))?,
            PurgeTarget::Prefix(prefix) => write!(f, "everything below {prefix}")?,
            PurgeTarget::Host(host) => write!(f, "everything of {host}")?,
            PurgeTarget::Tags(tags) => write!(f, "everything tagged {}", tags.join(" "))?,
            PurgeTarget::Group { origin, group } => write!(f, "group {group} of {origin}")?,
            PurgeTarget::All => f.write_str("everything")?,
        }
        if self.soft { f.write_str(", softly") } else { Ok(()) }
    }
}
