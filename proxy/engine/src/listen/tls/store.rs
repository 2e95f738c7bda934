//! What of TLS outlives a snapshot.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use switchback_conf::Diagnostic;
use switchback_conf::plan::{CertificatePlan, TicketsPlan};

use super::files::Flaw;
use super::identity::{Identity, Source};
use super::tickets::KeyRing;

/// Certificates by where they come from, and the keys of tickets that were made here.
#[derive(Debug, Default)]
pub(crate) struct Store {
    identities: Mutex<HashMap<Source, Arc<Identity>>>,
    key_rings: Mutex<HashMap<(Duration, Duration), Arc<KeyRing>>>,
}

impl Store {
    /// The certificate of `source` as it is now, new or known already.
    pub(super) fn identity(&self, source: Source) -> Result<Arc<Identity>, Flaw> {
        let known = self.identities.lock().get(&source).cloned();
        if let Some(identity) = known {
            identity.refresh()?;
            return Ok(identity);
        }
        let identity = Arc::new(Identity::new(source.clone())?);
        self.identities.lock().insert(source, Arc::clone(&identity));
        Ok(identity)
    }

    /// Several of them, without those that cannot be used.
    pub(super) fn identities(
        &self,
        plans: &[CertificatePlan],
        found: &mut Vec<Diagnostic>,
    ) -> Vec<Arc<Identity>> {
        let mut identities = Vec::with_capacity(plans.len());
        for plan in plans {
            match self.identity(Source::from(plan)) {
                Ok(identity) => identities.push(identity),
                Err(flaw) => found.push(flaw.at(&plan.at)),
            }
        }
        identities
    }

    /// The keys of tickets: from files, or made here and shared by all listeners that say the same of them.
    pub(super) fn key_ring(&self, plan: &TicketsPlan) -> Result<Arc<KeyRing>, Flaw> {
        if !plan.keys.is_empty() {
            return KeyRing::from_files(plan).map(Arc::new);
        }
        let (rotate, lifetime) = (plan.rotate, plan.lifetime);
        let mut rings = self.key_rings.lock();
        let ring = rings
            .entry((rotate, lifetime))
            .or_insert_with(|| Arc::new(KeyRing::own(rotate, lifetime)));
        Ok(Arc::clone(ring))
    }

    /// Reads again the certificates whose files have changed, each once however many listeners show it, and makes ticket keys
    /// whose time has come. Blocks.
    pub(crate) fn look(&self) {
        let in_use: Vec<_> = self.identities.lock().values().cloned().collect();
        // One is in the table, one here; without a third nobody shows it any more.
        for identity in in_use.iter().filter(|identity| Arc::strong_count(identity) > 2) {
            identity.look();
        }
        let rings: Vec<_> = self.key_rings.lock().values().cloned().collect();
        rings.iter().for_each(|ring| ring.look());
    }

    /// Lets go of what no snapshot refers to any more.
    pub(crate) fn forget_unused(&self) {
        self.identities.lock().retain(|_, identity| Arc::strong_count(identity) > 1);
        self.key_rings.lock().retain(|_, ring| Arc::strong_count(ring) > 1);
    }
}
