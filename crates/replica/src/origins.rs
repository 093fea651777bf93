//! What a leader has taken from each origin in its term, so that it takes nothing twice.
//!
//! Forwarded proposals may be lost, doubled or late. Within one term a leader keeps, for each
//! origin, the last sequence it took. A batch is taken only if the one sent right before it was:
//! then the proposals of an origin stand in the log in order, without gaps and without repetition.
//! The record begins anew with each term, as the chain of the sender does. An origin belongs to the
//! member that first used it in the term: nobody else may make proposals in its name.

use std::collections::BTreeMap;

use quorate_raft::{NodeId, Term};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    term: Term,
    taken: BTreeMap<u64, (NodeId, u64)>,
}

/// What to do with a batch of proposals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intake {
    /// Take it.
    New,
    /// It is in the log already.
    Double,
    /// Another member has used this origin before.
    Foreign,
    /// Something before it is missing: all after `through` must be sent again.
    Gap {
        /// The last sequence taken; 0 for none.
        through: u64,
    },
}

impl Origins {
    /// Decides about the batch of `origin` that ends at `last` and was sent by `from` after
    /// `previous` in `term`, this leader's own. The caller calls [`Self::take`] when it has taken a
    /// new one.
    pub(crate) fn examine(
        &mut self,
        term: Term,
        from: NodeId,
        origin: u64,
        previous: u64,
        last: u64,
    ) -> Intake {
        if self.term != term {
            self.term = term;
            self.taken.clear();
        }
        let (owner, through) = self.taken.get(&origin).copied().unwrap_or((from, 0));
        if owner != from {
            Intake::Foreign
        } else if last <= through {
            Intake::Double
        } else if previous == through {
            Intake::New
        } else {
            Intake::Gap { through }
        }
    }

    /// The batch that was examined last is in the log.
    pub(crate) fn take(&mut self, from: NodeId, origin: u64, last: u64) {
        let before = self.taken.insert(origin, (from, last));
        assert!(before.is_none_or(|(_, before)| before < last), "a batch was taken twice");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId::new(1);
    const B: NodeId = NodeId::new(2);

    #[test]
    fn a_batch_is_taken_once_and_in_order() {
        let mut origins = Origins::default();
        let term = Term::new(4);
        assert_eq!(origins.examine(term, A, 7, 0, 2), Intake::New);
        origins.take(A, 7, 2);
        assert_eq!(origins.examine(term, A, 7, 0, 2), Intake::Double);
        assert_eq!(origins.examine(term, A, 7, 5, 9), Intake::Gap { through: 2 });
        assert_eq!(origins.examine(term, A, 7, 2, 5), Intake::New);
        assert_eq!(origins.examine(term, A, 8, 0, 1), Intake::New, "another origin, another chain");
        assert_eq!(origins.examine(term, B, 7, 5, 6), Intake::Foreign, "it is another member's");
    }

    #[test]
    fn a_new_term_begins_a_new_chain() {
        let mut origins = Origins::default();
        assert_eq!(origins.examine(Term::new(4), A, 7, 0, 2), Intake::New);
        origins.take(A, 7, 2);
        assert_eq!(origins.examine(Term::new(5), A, 7, 0, 1), Intake::New);
        assert_eq!(origins.examine(Term::new(5), A, 7, 2, 3), Intake::Gap { through: 0 });
    }
}
