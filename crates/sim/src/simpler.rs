//! What makes a schedule simpler: the steps of the search in `shrink.rs`, most promising first.
//!
//! Each step gives candidates; whether they still fail is not its business. All of them are
//! schedules that can be run, and each is smaller than what it was made of in one respect and no
//! larger in any other, so a search comes to an end.

use std::collections::BTreeSet;

use crate::fault::{Fault, What};
use crate::queue::Time;
use crate::schedule::{Rates, Schedule, Settings};

/// Fewer clients that do less.
pub(crate) const CLIENTS: &[fn(&mut Schedule)] = &[
    |schedule| schedule.settings.clients = 0,
    |schedule| schedule.settings.clients = schedule.settings.clients.min(1),
    |schedule| schedule.settings.clients = schedule.settings.clients.div_ceil(2),
    |schedule| schedule.settings.operations = 1,
    |schedule| schedule.settings.operations = schedule.settings.operations.div_ceil(2),
    |schedule| schedule.settings.outstanding = 1,
];

/// Less that happens to messages: nothing, nothing of one sort, half as much of one sort.
pub(crate) const RATES: &[fn(&mut Schedule)] = &[
    |schedule| schedule.rates = Rates::default(),
    |schedule| schedule.rates.loss = 0,
    |schedule| schedule.rates.duplicate = 0,
    |schedule| schedule.rates.replay = 0,
    |schedule| schedule.rates.damage = 0,
    |schedule| schedule.rates.delay = 0,
    |schedule| schedule.rates.loss /= 2,
    |schedule| schedule.rates.duplicate /= 2,
    |schedule| schedule.rates.replay /= 2,
    |schedule| schedule.rates.damage /= 2,
    |schedule| schedule.rates.delay /= 2,
];

/// Settings that make a run easier to follow. Limits go up: who does not meet one need not think
/// of it.
pub(crate) const SETTINGS: &[fn(&mut Schedule)] = &[
    |schedule| schedule.settings = plain(&schedule.settings),
    |schedule| schedule.settings.in_order = true,
    |schedule| schedule.settings.even = true,
    |schedule| schedule.settings.jitter = 0,
    |schedule| schedule.settings.death_is_noticed = true,
    |schedule| schedule.settings.append_entries = plain(&schedule.settings).append_entries,
    |schedule| schedule.settings.append_bytes = plain(&schedule.settings).append_bytes,
    |schedule| schedule.settings.inflight = plain(&schedule.settings).inflight,
    |schedule| schedule.settings.segment_bytes = plain(&schedule.settings).segment_bytes,
    |schedule| schedule.settings.snapshot_bytes = 0,
    |schedule| schedule.settings.trailing_bytes = 0,
    |schedule| schedule.settings.cache_bytes = plain(&schedule.settings).cache_bytes,
    |schedule| schedule.settings.proposals = plain(&schedule.settings).proposals,
    |schedule| schedule.settings.keys = plain(&schedule.settings).keys,
    |schedule| schedule.settings.value_bytes = plain(&schedule.settings).value_bytes,
];

/// The same cluster with nothing unusual about it.
fn plain(settings: &Settings) -> Settings {
    Settings {
        even: true,
        in_order: true,
        jitter: 0,
        death_is_noticed: true,
        append_entries: settings.append_entries.max(4096),
        append_bytes: settings.append_bytes.max(1 << 20),
        inflight: settings.inflight.max(16),
        segment_bytes: settings.segment_bytes.max(8 << 20),
        cache_bytes: settings.cache_bytes.max(4 << 20),
        proposals: settings.proposals.max(16 << 10),
        keys: settings.keys.min(3),
        value_bytes: settings.value_bytes.min(8),
        ..settings.clone()
    }
}

/// The faults end at `end`, which is not 0; those that would come later are gone.
pub(crate) fn until(schedule: &Schedule, end: Time) -> Schedule {
    let mut schedule = schedule.clone();
    schedule.settings.duration = end;
    schedule.faults.retain(|fault| fault.at < end);
    schedule
}

/// The faults end earlier, by a half, a quarter, an eighth.
pub(crate) fn shorter(schedule: &Schedule) -> Vec<Schedule> {
    let duration = schedule.settings.duration;
    let ends = [duration / 2, duration / 4 * 3, duration / 8 * 7];
    ends.into_iter().map(|end| until(schedule, end.max(1))).collect()
}

/// Without one half of the faults, or one quarter.
pub(crate) fn without_some_faults(schedule: &Schedule) -> Vec<Schedule> {
    let length = schedule.faults.len();
    let parts = [(0, 2), (1, 2), (0, 4), (1, 4), (2, 4), (3, 4)];
    let without = |(part, parts): (usize, usize)| {
        let mut fewer = schedule.clone();
        fewer.faults.drain(length * part / parts..length * (part + 1) / parts);
        fewer
    };
    parts.into_iter().map(without).collect()
}

/// Three members, or five, without those that the fewest faults name. Even numbers and fewer than
/// three fail in ways of their own.
pub(crate) fn without_members(schedule: &Schedule) -> Vec<Schedule> {
    let members = schedule.settings.members;
    let mut order: Vec<usize> = (1..=members).collect();
    order.sort_by_key(|member| {
        let faults = schedule.faults.iter().filter(|fault| fault.what.names().contains(member));
        (faults.count(), usize::MAX - member)
    });
    let sizes = [3, 5].into_iter().filter(|size| *size < members);
    let smaller = sizes.map(|size| {
        let mut gone = order[..members - size].to_vec();
        gone.sort_unstable();
        let mut smaller = schedule.clone();
        // The last first: the names of the others stay theirs.
        gone.into_iter().rev().for_each(|member| remove(&mut smaller, member));
        smaller
    });
    smaller.collect()
}

/// Takes a member out, with the faults that name it; the members behind it move up.
fn remove(schedule: &mut Schedule, gone: usize) {
    schedule.settings.members -= 1;
    for fault in &mut schedule.faults {
        if let What::Cut { links, .. } = &mut fault.what {
            links.retain(|(from, to)| *from != gone && *to != gone);
        }
    }
    schedule.faults.retain(|fault| {
        if let What::Cut { links, .. } = &fault.what {
            return !links.is_empty();
        }
        !fault.what.names().contains(&gone)
    });
    let move_up = |member: &mut usize| *member -= usize::from(*member > gone);
    for fault in &mut schedule.faults {
        fault.what.for_each_name(move_up);
    }
}

/// A fault, and all behind it, come sooner after what is before.
pub(crate) fn sooner(schedule: &Schedule, number: usize) -> Vec<Schedule> {
    let before = number.checked_sub(1).map_or(0, |before| schedule.faults[before].at);
    let gap = schedule.faults[number].at - before;
    if gap < schedule.settings.election_timeout / 2 {
        return Vec::new();
    }
    let by = |cut: Time| {
        let mut sooner = schedule.clone();
        for fault in &mut sooner.faults[number..] {
            fault.at -= cut;
        }
        sooner.settings.duration = sooner.settings.duration.saturating_sub(cut).max(1);
        sooner
    };
    vec![by(gap), by(gap / 8 * 7), by(gap / 2)]
}

/// A fault does less: with half of its links, or for half the time.
pub(crate) fn weaker(schedule: &Schedule, number: usize) -> Vec<Schedule> {
    let fault = &schedule.faults[number];
    let mut weaker: Vec<What> = Vec::new();
    if let What::Cut { links, lasting } = &fault.what
        && links.len() > 1
    {
        let (some, others) = links.split_at(links.len() / 2);
        for links in [some, others] {
            weaker.push(What::Cut { links: links.to_vec(), lasting: *lasting });
        }
    }
    let mut shorter = fault.what.clone();
    if let Some(time) = shorter.time_mut()
        && *time > schedule.settings.election_timeout / 2
    {
        *time /= 2;
        weaker.push(shorter);
    }
    let with = |what| {
        let mut candidate = schedule.clone();
        candidate.faults[number] = Fault { at: fault.at, what };
        candidate
    };
    weaker.into_iter().map(with).collect()
}

/// Whether a majority keeps what was synced. A schedule that takes it away proves nothing, and a
/// search must not come to one.
pub(crate) fn is_survivable(schedule: &Schedule) -> bool {
    // Who comes back was not lost, as the healing sees it.
    let is_back = schedule.settings.wiped_return;
    let takes = |what: &What| what.is_damage() || (matches!(what, What::Wipe { .. }) && !is_back);
    let faults = schedule.faults.iter().filter(|fault| takes(&fault.what));
    let victims: BTreeSet<usize> = faults.flat_map(|fault| fault.what.names()).collect();
    victims.len() <= (schedule.settings.members - 1) / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    fn with(faults: impl IntoIterator<Item = What>) -> Schedule {
        let mut schedule = Schedule::draw(&Profile::Calm, 1, None);
        let at = |(number, what): (Time, _)| Fault { at: 1_000_000 * (1 + number), what };
        schedule.faults = (0..).zip(faults).map(at).collect();
        schedule
    }

    #[test]
    fn a_removed_member_is_named_no_more_and_those_behind_it_move_up() {
        let links = vec![(1, 2), (2, 3), (3, 5), (5, 1)];
        let mut schedule = with([
            What::Wipe { member: 2 },
            What::Wipe { member: 5 },
            What::Cut { links, lasting: 7 },
            What::Cut { links: vec![(2, 4)], lasting: 7 },
            What::Reset { from: 3, to: 2 },
            What::Reset { from: 3, to: 1 },
            What::CrashAll { down: 1, salt: 1 },
        ]);
        remove(&mut schedule, 2);
        assert_eq!(schedule.settings.members, 4);
        let left: Vec<_> = schedule.faults.into_iter().map(|fault| fault.what).collect();
        assert_eq!(
            left,
            [
                What::Wipe { member: 4 },
                What::Cut { links: vec![(2, 4), (4, 1)], lasting: 7 },
                What::Reset { from: 2, to: 1 },
                What::CrashAll { down: 1, salt: 1 },
            ]
        );
    }

    #[test]
    fn the_members_that_the_fewest_faults_name_go_first() {
        let schedule = with([1, 3, 5, 5, 1].map(|member| What::Pause { member, lasting: 1 }));
        let smaller = without_members(&schedule);
        assert_eq!(smaller.len(), 1);
        let members: Vec<_> =
            smaller[0].faults.iter().flat_map(|fault| fault.what.names()).collect();
        assert_eq!((smaller[0].settings.members, members), (3, vec![1, 2, 3, 3, 1]));
        assert_eq!(without_members(&smaller[0]), []);
    }

    #[test]
    fn no_majority_loses_its_disks() {
        let wiped = |members: &[usize]| with(members.iter().map(|m| What::Wipe { member: *m }));
        assert!(is_survivable(&wiped(&[1, 2, 1])));
        assert!(!is_survivable(&wiped(&[1, 2, 3])));
        let mut back = wiped(&[1, 2, 3]);
        back.settings.wiped_return = true;
        assert!(is_survivable(&back));
        let mut fewer = wiped(&[1, 2]);
        remove(&mut fewer, 5);
        remove(&mut fewer, 4);
        assert!(!is_survivable(&fewer));
    }

    #[test]
    fn what_comes_sooner_keeps_its_order() {
        let schedule = with([1, 2, 3].map(|member| What::Wipe { member }));
        for number in 0..3 {
            for sooner in sooner(&schedule, number) {
                assert!(sooner.faults.is_sorted_by_key(|fault| fault.at));
                assert!(sooner.settings.duration < schedule.settings.duration);
                assert_eq!(sooner.faults[..number], schedule.faults[..number]);
            }
        }
    }

    #[test]
    fn every_step_gives_what_can_be_run_and_ends() {
        for seed in 1..5 {
            let first = Schedule::draw(&Profile::Storm, seed, Some(10_000_000));
            for change in [CLIENTS, RATES, SETTINGS].concat() {
                let mut schedule = first.clone();
                let mut times = 0;
                loop {
                    let before = schedule.clone();
                    change(&mut schedule);
                    assert_eq!(Schedule::parse(&schedule.to_text()).as_ref(), Ok(&schedule));
                    if schedule == before {
                        break;
                    }
                    times += 1;
                    assert!(times < 40, "it does not end");
                }
            }
            let all = [without_members(&first), shorter(&first)].concat();
            let each = (0..first.faults.len())
                .flat_map(|number| [sooner(&first, number), weaker(&first, number)].concat());
            for schedule in all.into_iter().chain(each) {
                assert_ne!(schedule, first);
                assert_eq!(Schedule::parse(&schedule.to_text()), Ok(schedule));
            }
        }
    }
}
