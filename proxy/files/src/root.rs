//! The directory of a route's files, kept open for a moment.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwapOption, Guard};

use crate::Symlinks;
use crate::beneath::{Refusal, Root};

/// Opening and closing it for each request cost 4 % of the processor time of a file of 100 KB.
const KEPT: Duration = Duration::from_millis(100);

/// A directory that may be reached by symbolic links, which a deployment swaps. It is opened again after 100 ms, and at once
/// when a look into it finds nothing because another stands at its path by then.
pub struct RootDirectory {
    path: PathBuf,
    open: ArcSwapOption<Opened>,
}

/// The directory as it was found.
pub(crate) struct Opened {
    pub(crate) root: Root,
    since: Instant,
}

/// A directory in hand.
pub(crate) enum InHand {
    /// Opened for this request.
    New(Arc<Opened>),
    /// Opened for another.
    Kept(Guard<Option<Arc<Opened>>>),
}

impl RootDirectory {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `None` where there is no such directory.
    pub(crate) fn open(&self, symlinks: Symlinks) -> Result<Option<InHand>, Refusal> {
        let kept = self.open.load();
        let serves =
            |opened: &Opened| opened.since.elapsed() < KEPT && opened.root.symlinks() == symlinks;
        if kept.as_deref().is_some_and(serves) {
            return Ok(Some(InHand::Kept(kept)));
        }
        let opened = self.open_anew(symlinks)?;
        self.open.store(opened.clone());
        Ok(opened.map(InHand::New))
    }

    /// The directory that stands at the path now, if it is another than `known`.
    pub(crate) fn successor(
        &self,
        known: &InHand,
        symlinks: Symlinks,
    ) -> Result<Option<InHand>, Refusal> {
        let InHand::Kept(_) = known else { return Ok(None) };
        let opened = self.open_anew(symlinks)?;
        let is_other = match (&opened, known.root()) {
            (Some(opened), Some(root)) => !opened.root.is_same(root)?,
            (opened, root) => opened.is_some() != root.is_some(),
        };
        self.open.store(opened.clone());
        Ok(opened.filter(|_| is_other).map(InHand::New))
    }

    fn open_anew(&self, symlinks: Symlinks) -> Result<Option<Arc<Opened>>, Refusal> {
        let root = Root::open(&self.path, symlinks)?;
        Ok(root.map(|root| Arc::new(Opened { root, since: Instant::now() })))
    }
}

impl InHand {
    /// The directory; what was kept is always there.
    pub(crate) fn root(&self) -> Option<&Root> {
        match self {
            Self::New(opened) => Some(&opened.root),
            Self::Kept(opened) => opened.as_ref().map(|opened| &opened.root),
        }
    }
}

impl<P: Into<PathBuf>> From<P> for RootDirectory {
    fn from(path: P) -> Self {
        Self { path: path.into(), open: ArcSwapOption::empty() }
    }
}

impl Clone for RootDirectory {
    fn clone(&self) -> Self {
        Self::from(self.path.clone())
    }
}

impl fmt::Debug for RootDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RootDirectory").field(&self.path).finish()
    }
}
