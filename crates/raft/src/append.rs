//! AppendEntries as a follower receives it (§5.3).
//!
//! The rules that keep logs equal: the entry before the new ones must be here with the same term,
//! for a message without entries too; entries that are here already are left alone, so that a late
//! or doubled message never cuts the log; what is acknowledged or committed is what *this* message
//! verified, never merely what this log happens to hold.

use crate::common::Core;
use crate::config::NUMBER_MAX;
use crate::event::{Event, Misbehaviour};
use crate::follower::Follower;
use crate::message::{Append, Message};
use crate::types::{EntryId, Index, Term};

impl Follower {
    /// Entries from the leader followed, in valid form.
    pub(crate) fn on_append(&mut self, core: &mut Core, append: &Append) {
        let (previous, base) = (append.previous, core.trail.base());
        // What is up to the base is committed, so the leader's is the same.
        if base.index <= previous.index && core.trail.term_at(previous.index) != Some(previous.term)
        {
            self.refuse(core, previous);
            return;
        }
        let last = append.last();
        if let Some(first) = core.trail.first_missing(previous.index, &append.runs) {
            let verified = self.following.as_ref().map_or(Index::ZERO, |f| f.verified);
            // Proof of lost safety: a leader has every committed entry (§5.4), and never changes
            // its own log. To go on would destroy more.
            assert!(
                core.commit < first,
                "the leader of term {} contradicts the committed entry {first}",
                core.term()
            );
            assert!(
                verified < first,
                "the leader of term {} contradicts its own entry {first}",
                core.term()
            );
            let own_last = core.trail.last();
            if first <= own_last.index {
                core.emit(Event::Truncated { first, last: own_last });
            }
            core.splice(append, first);
        }
        assert!(last <= core.trail.last_index(), "all entries of the message are here now");
        core.commit_to(append.commit.min(last));
        self.acknowledge(core, last);
    }

    /// The entry before the new ones is not here.
    fn refuse(&self, core: &mut Core, previous: EntryId) {
        // Proof of lost safety, as above.
        assert!(
            core.commit < previous.index,
            "the leader of term {} contradicts the committed entry {}",
            core.term(),
            previous.index
        );
        let hint = core.trail.last_at_or_below(previous.index, previous.term);
        let hint = hint.expect("the leader's terms do not fall below that of a committed entry");
        assert!(hint != previous, "a refused entry is not its own hint");
        core.emit(Event::AppendRefused { previous, hint });
        let leader = self.leader().expect("an append comes from the leader followed");
        core.send(leader, Message::AppendRejected { refused: previous.index, hint });
    }
}

/// Whether an append of a leader of `term` has a possible form.
pub(crate) fn check(term: Term, append: &Append) -> Result<(), Misbehaviour> {
    check_entry(term, append.previous)?;
    check_number(append.commit.value())?;
    let mut last = append.previous;
    for run in &append.runs {
        if run.count == 0 {
            return Err(Misbehaviour::RunEmpty);
        }
        if run.term < last.term || run.term == Term::ZERO {
            return Err(Misbehaviour::TermsFall);
        }
        let Some(index) = last.index.value().checked_add(run.count) else {
            return Err(Misbehaviour::NumberTooLarge);
        };
        last = EntryId::new(run.term, Index::new(index));
        check_entry(term, last)?;
    }
    let mut earlier = append.previous.index;
    for (index, membership) in &append.memberships {
        if *index <= earlier || last.index < *index || !membership.is_valid() {
            return Err(Misbehaviour::MembershipInvalid);
        }
        earlier = *index;
    }
    Ok(())
}

/// Whether an entry can be in the log of a member of `term`.
pub(crate) fn check_entry(term: Term, entry: EntryId) -> Result<(), Misbehaviour> {
    check_number(entry.index.value())?;
    if term < entry.term {
        return Err(Misbehaviour::TermAboveSender);
    }
    if (entry.index == Index::ZERO) != (entry.term == Term::ZERO) {
        return Err(Misbehaviour::PositionImpossible);
    }
    Ok(())
}

/// Whether a number is in the range that any run of any length stays in.
pub(crate) const fn check_number(number: u64) -> Result<(), Misbehaviour> {
    if NUMBER_MAX < number { Err(Misbehaviour::NumberTooLarge) } else { Ok(()) }
}
