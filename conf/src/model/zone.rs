//! Named caches.

use std::path::PathBuf;

use ipnet::IpNet;

use super::define::model;
use super::text::Count;
use crate::at::At;
use crate::units::{Bytes, Size};

model! {
    /// A named cache, which routes keep responses in. Reloads leave what is in it alone, whatever changes but its name and the
    /// directory of its `disk`.
    pub struct Zone: Default {
        /// How much of it is in memory: bodies, heads and keys. What is used least goes first.
        /// Bodies that arrive may take a quarter as much again: beyond that, those above 64 KiB are read from disk as they are
        /// written there, or, without `disk`, come as fast as the slowest of their clients takes them and are not stored.
        pub memory: At<Size> = Size::mib(256).into(),
        /// A directory that keeps it across restarts, and more of it than memory does. Without it, memory alone.
        pub disk: Option<At<ZoneDisk>> = None,
        /// How large a body may be that is stored. Without it, 1 GiB; with memory alone, never more than an eighth of that.
        pub max_object: Option<At<Size>> = None,
        /// How many responses are kept of one key that differ by fields of the request (`Vary`).
        pub variants: Count<1, 1000> = Count::clamped(16),
        /// Who may purge with the method PURGE. Without it, nobody: such requests are then like any other.
        pub purge: Option<At<ZonePurge>> = None,
    }
}

model! {
    /// The directory of a zone. What is damaged or foreign in it is never served; when it fails or is full, memory goes on alone.
    pub struct ZoneDisk {
        /// The directory, which is the zone's alone.
        pub path: At<PathBuf>,
        /// How many bytes of files may be in it.
        pub size: Size,
        /// How many bytes are left free on its file system.
        pub min_free: Bytes = Bytes::mib(1024),
    }
}

model! {
    /// Who may purge with the method PURGE, once the filters of the listener and the site have let it pass. Others get 403.
    pub struct ZonePurge: Default {
        /// Networks of such clients.
        pub allow: Vec<IpNet> = Vec::new(),
    }
}
