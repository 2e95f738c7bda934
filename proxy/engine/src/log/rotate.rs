//! Putting a log file aside: `file` becomes `file.1`, `file.1` becomes `file.2`, and the oldest goes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use switchback_conf::plan::RotatePlan;

/// When a writer puts its file aside; changed while it runs.
#[derive(Debug, Default)]
pub(super) struct Rotation {
    /// 0 is never.
    size: AtomicU64,
    keep: AtomicU32,
}

impl Rotation {
    pub(super) fn set(&self, plan: Option<RotatePlan>) {
        self.keep.store(plan.map_or(0, |plan| plan.keep), Ordering::Relaxed);
        self.size.store(plan.map_or(0, |plan| plan.size), Ordering::Release);
    }

    pub(super) fn plan(&self) -> Option<RotatePlan> {
        let size = self.size.load(Ordering::Acquire);
        (size != 0).then(|| RotatePlan { size, keep: self.keep.load(Ordering::Relaxed) })
    }
}

/// Puts the file at `path` aside, and keeps `keep` old ones.
pub(super) fn put_aside(path: &Path, keep: u32) -> io::Result<()> {
    for (from, to) in moves(path, keep) {
        match std::fs::rename(from, to) {
            // There need not be so many old ones yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
    }
    Ok(())
}

/// What is renamed to what, in order: the oldest first.
fn moves(path: &Path, keep: u32) -> impl Iterator<Item = (PathBuf, PathBuf)> {
    let name = move |number: u32| {
        let mut name = path.as_os_str().to_owned();
        if number > 0 {
            name.push(format!(".{number}"));
        }
        PathBuf::from(name)
    };
    (0..keep).rev().map(move |number| (name(number), name(number + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_moved_first() {
        let moved: Vec<_> = moves(Path::new("/l/a.log"), 3)
            .map(|(from, to)| format!("{} {}", from.display(), to.display()))
            .collect();
        assert_eq!(
            moved,
            ["/l/a.log.2 /l/a.log.3", "/l/a.log.1 /l/a.log.2", "/l/a.log /l/a.log.1"]
        );
    }

    #[test]
    fn so_many_files_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for number in 0..5 {
            std::fs::write(&path, number.to_string()).unwrap();
            put_aside(&path, 2).unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).ok();
        assert_eq!((read("log.1").as_deref(), read("log.2").as_deref()), (Some("4"), Some("3")));
        assert_eq!((read("log.3"), read("log")), (None, None));
    }
}
