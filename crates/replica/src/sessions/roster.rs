//! Which sessions there are: by client, and by when they were used last.
//!
//! Every command looks one session up, and makes it the newest. So the sessions lie in *slots* that
//! do not move, chained from the oldest to the newest by the numbers of their neighbours, and the
//! lookup mostly costs a glance or two: *hints* say in which slots clients of such an id were last
//! seen. They may all be wrong, as other clients may share them; then the ordered map is asked. So
//! nothing that can be seen depends on how ids spread, and whatever ids somebody invents, a lookup
//! takes no longer than one in the map.
//!
//! **Invariants:** `by_client` has the slots in use, each under its client; the chain has each of
//! them once, by last use.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::digest::{number, spread};
use super::envelope::ClientId;
use super::table::Session;

/// Where a session is, until it is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Roster {
    slots: Vec<Slot>,
    /// Slots that are not in use.
    free: Vec<Place>,
    by_client: BTreeMap<ClientId, Place>,
    /// Where to look first, the latest first. As many as a power of two, and twice as many places
    /// as slots or more.
    hints: Vec<[Place; HINTS]>,
    oldest: Option<Place>,
    newest: Option<Place>,
}

/// Places that are looked at before the map is asked.
const HINTS: usize = 4;

#[derive(Debug)]
struct Slot {
    client: ClientId,
    older: Option<Place>,
    newer: Option<Place>,
    /// Shared with snapshots that are being written; none if the slot is not in use.
    session: Option<Arc<Session>>,
}

impl Roster {
    /// How many sessions there are.
    pub(super) fn len(&self) -> usize {
        self.by_client.len()
    }

    /// The sessions, by client.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ClientId, &Arc<Session>)> {
        let session = |place: Place| self.slots[place.at()].session.as_ref().expect(IN_USE);
        self.by_client.iter().map(move |(client, place)| (*client, session(*place)))
    }

    /// Where the session of a client is.
    pub(super) fn find(&mut self, client: ClientId) -> Option<Place> {
        let hint = self.hint_of(client)?;
        let is_here = |guess: &&Place| {
            let slot = self.slots.get(guess.at());
            slot.is_some_and(|slot| slot.client == client && slot.session.is_some())
        };
        if let Some(place) = self.hints[hint].iter().find(is_here) {
            return Some(*place);
        }
        let place = *self.by_client.get(&client)?;
        self.remember(hint, place);
        Some(place)
    }

    /// The session there, to be changed.
    pub(super) fn session(&mut self, place: Place) -> &mut Session {
        Arc::make_mut(self.slots[place.at()].session.as_mut().expect(IN_USE))
    }

    /// The session there was used later than all others.
    pub(super) fn touch(&mut self, place: Place) {
        if self.newest != Some(place) {
            self.unlink(place);
            self.link_newest(place);
        }
    }

    /// Adds the session of a client that has none, as the newest.
    pub(super) fn insert(&mut self, client: ClientId, session: Session) -> Place {
        let slot = Slot { client, older: None, newer: None, session: Some(Arc::new(session)) };
        let place = match self.free.pop() {
            Some(place) => {
                self.slots[place.at()] = slot;
                place
            }
            None => {
                let place = u32::try_from(self.slots.len()).expect("memory has no room for more");
                self.slots.push(slot);
                Place(place)
            }
        };
        let before = self.by_client.insert(client, place);
        assert!(before.is_none(), "a client has one session");
        self.link_newest(place);
        if HINTS * self.hints.len() < 2 * self.slots.len() {
            // They fill again as clients are looked up.
            self.hints = vec![[place; HINTS]; self.slots.len().next_power_of_two()];
        }
        let hint = self.hint_of(client).expect("there are hints");
        self.remember(hint, place);
        place
    }

    /// Removes the session that was unused for longest.
    pub(super) fn pop_oldest(&mut self) -> Option<Arc<Session>> {
        let place = self.oldest?;
        self.unlink(place);
        let slot = &mut self.slots[place.at()];
        let removed = self.by_client.remove(&slot.client);
        assert_eq!(removed, Some(place), "each stands in both");
        self.free.push(place);
        slot.session.take()
    }

    fn remember(&mut self, hint: usize, place: Place) {
        let hints = &mut self.hints[hint];
        hints.rotate_right(1);
        hints[0] = place;
    }

    fn hint_of(&self, client: ClientId) -> Option<usize> {
        let last = number(self.hints.len()).checked_sub(1)?;
        let hint = spread(client.value()) & last;
        Some(usize::try_from(hint).expect("it is below a length"))
    }

    fn unlink(&mut self, place: Place) {
        let Slot { older, newer, .. } = self.slots[place.at()];
        match older {
            Some(older) => self.slots[older.at()].newer = newer,
            None => self.oldest = newer,
        }
        match newer {
            Some(newer) => self.slots[newer.at()].older = older,
            None => self.newest = older,
        }
    }

    fn link_newest(&mut self, place: Place) {
        let older = self.newest.replace(place);
        match older {
            Some(older) => self.slots[older.at()].newer = Some(place),
            None => self.oldest = Some(place),
        }
        let slot = &mut self.slots[place.at()];
        (slot.older, slot.newer) = (older, None);
    }
}

impl Place {
    fn at(self) -> usize {
        usize::try_from(self.0).expect("it is the place in a vector")
    }
}

/// What holds of a place that somebody has.
const IN_USE: &str = "a place is of a session that there is";

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, VecDeque};

    use proptest::prelude::*;
    use quorate_raft::Index;

    use super::*;

    /// Clients whose ids differ in the upper half only, or in the lower one.
    fn client(number: u8) -> ClientId {
        let number = u128::from(number);
        ClientId::new(if number.is_multiple_of(2) { number << 64 } else { number })
    }

    fn session(at: u64) -> Session {
        Session::new(Index::new(at), 0, Index::ZERO)
    }

    proptest! {
        #[test]
        fn it_is_a_map_and_a_queue(deeds in prop::collection::vec(0..60_u8, 0..400)) {
            let (mut roster, mut uses) = (Roster::default(), VecDeque::new());
            for (deed, at) in deeds.into_iter().zip(1..) {
                let known: Option<usize> = uses.iter().position(|(client, _)| *client == deed);
                match (deed, known, roster.find(client(deed))) {
                    (0..5, _, _) => {
                        let oldest = roster.pop_oldest().map(|session| session.last_used.value());
                        prop_assert_eq!(oldest, uses.pop_front().map(|(_, at)| at));
                    }
                    (5.., Some(known), Some(place)) => {
                        roster.touch(place);
                        roster.session(place).last_used = Index::new(at);
                        uses.remove(known);
                        uses.push_back((deed, at));
                    }
                    (5.., None, None) => {
                        let place = roster.insert(client(deed), session(at));
                        prop_assert_eq!(roster.find(client(deed)), Some(place));
                        uses.push_back((deed, at));
                    }
                    (5.., _, found) => panic!("{deed} is known: {known:?}, found: {found:?}"),
                }
                let expected: BTreeMap<_, _> =
                    uses.iter().map(|(deed, at)| (client(*deed), *at)).collect();
                let all = roster.iter();
                let all = all.map(|(client, session)| (client, session.last_used.value()));
                prop_assert!(all.eq(expected));
                prop_assert_eq!(roster.len(), uses.len());
            }
        }
    }

    #[test]
    fn clients_that_share_a_hint_are_told_apart() {
        let mut roster = Roster::default();
        let places: Vec<_> =
            (1..=200).map(|number| roster.insert(client(number), session(number.into()))).collect();
        // One after the other, so that each finds the hint that another has left.
        for _ in 0..2 {
            for (number, place) in (1..=200).zip(&places) {
                assert_eq!(roster.find(client(number)), Some(*place));
            }
        }
        assert_eq!(roster.find(client(201)), None);
    }
}
