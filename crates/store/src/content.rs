//! A hash of what can be read of a store.
//!
//! Unlike the running hash of all that was applied it can be asked for at any revision that can be
//! read, and says nothing of what was compacted. Operators compare it between members at the same
//! revision: equal numbers with equal compacted revisions mean equal content.
//!
//! Of each key, in the order of keys, it takes in the versions that are needed to read at the
//! revisions from the compacted one to the one asked for. Which of the others a member has removed
//! already does not matter.

use std::ops::ControlFlow;

use crate::Error;
use crate::hash::StateHash;
use crate::leaf::{Historian, Place};
use crate::record::Version;
use crate::shared::Moment;

/// The hash of what can be read at revisions up to `revision`, 0 or less for the current one.
pub(crate) fn hash(moment: &Moment<'_>, revision: i64) -> Result<u32, Error> {
    let revision = moment.status.revision_to_read(revision)?;
    let mut content = Content { hash: StateHash::new(), key: Vec::new() };
    content.hash.compact(moment.status.compacted);
    let mut next = Some(Place::default());
    while let Some(place) = next {
        next = moment.walk_until(&place, revision, &mut content);
    }
    let hash = content.hash.value();
    let (high, low) = ((hash >> 32) & LOW, hash & LOW);
    Ok(u32::try_from(high ^ low).expect("32 bits are left"))
}

/// What was seen so far.
struct Content {
    hash: StateHash,
    /// The key at hand.
    key: Vec<u8>,
}

impl Historian for Content {
    fn key(&mut self, key: &[u8], _versions: usize) {
        self.key.clear();
        self.key.extend_from_slice(key);
    }

    fn version(&mut self, version: &Version) -> ControlFlow<()> {
        let facts = version.facts();
        let place = (version.revision(), facts.sub);
        if version.is_tombstone() {
            self.hash.remove(place, &self.key);
        } else {
            self.hash.set(place, &self.key, version.value(&facts), facts.lease);
            self.hash.life(facts.create_revision, facts.version);
        }
        ControlFlow::Continue(())
    }
}

const LOW: u64 = 0xffff_ffff;
