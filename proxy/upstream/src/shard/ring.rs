//! nginx's `hash KEY consistent`, which is that of Cache::Memcached::Fast: 160 points on a ring for each unit of weight.

use super::{Around, Owner, Shard};

/// Points in order, and whose each is.
#[derive(Clone, Debug)]
pub(super) struct Ring {
    points: Box<[u32]>,
    owners: Box<[Owner]>,
}

/// Some ten megabytes of points.
pub(super) const MOST_WEIGHT: u64 = 10_000;
const POINTS: u64 = 160;

impl Ring {
    pub(super) fn new(shards: &[Shard]) -> Self {
        let mut ring: Vec<(u32, Owner)> = Vec::new();
        for (owner, shard) in (0..).zip(shards) {
            ring.extend(points(&shard.name, shard.weight).map(|point| (point, owner)));
        }
        // Of shards at one point the first has it, as in nginx.
        ring.sort_unstable();
        ring.dedup_by_key(|(point, _)| *point);
        let (points, owners): (Vec<u32>, Vec<Owner>) = ring.into_iter().unzip();
        Self { points: points.into(), owners: owners.into() }
    }

    /// Whose the points are.
    pub(super) fn owners(&self) -> &[Owner] {
        &self.owners
    }

    pub(super) fn shard(&self, key: &[u8]) -> Option<u32> {
        self.walk(key).next()
    }

    pub(super) fn walk(&self, key: &[u8]) -> Around<'_> {
        let hash = crc32fast::hash(key);
        Around::new(&self.owners, self.points.partition_point(|point| *point < hash))
    }
}

/// The points of a server: the hash of its host, a zero byte, its port, and the point before this one.
fn points(server: &str, weight: u32) -> impl Iterator<Item = u32> {
    let (host, port) = host_and_port(server);
    let mut base = crc32fast::Hasher::new();
    base.update(host.as_bytes());
    base.update(&[0]);
    base.update(port.as_bytes());
    let mut point = 0_u32;
    (0..u64::from(weight) * POINTS).map(move |_| {
        let mut hasher = base.clone();
        hasher.update(&point.to_le_bytes());
        point = hasher.finalize();
        point
    })
}

/// As nginx takes a server apart for this: digits behind the last colon are its port, `unix:` is no part of it.
fn host_and_port(server: &str) -> (&str, &str) {
    if let Some((scheme, path)) = server.split_at_checked(5)
        && scheme.eq_ignore_ascii_case("unix:")
    {
        return (path, "");
    }
    match server.rsplit_once(':') {
        Some((host, port))
            if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            (host, port)
        }
        _ => (server, ""),
    }
}
