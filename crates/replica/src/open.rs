//! Opening a replica: the newest snapshot that is sound, then the log behind it.
//!
//! **Invariants.** What the state machine begins with is a snapshot that was read to its end, or
//! nothing. A snapshot that the log does not reach, or contradicts, is newer than what the log
//! holds, so the log goes on after it before anything else happens. A log that begins after every
//! snapshot is refused, unless one of them is damaged but still says who the members are: then the
//! state comes from another member.

use bytes::Bytes;
use quorate_log::{
    Disk, FoundSnapshot, Identity, Log, Options, Recovered, SnapshotFile, snapshots,
    sweep_snapshots,
};
use quorate_raft::{EntryId, HardState, Index, Instant, Raft, Restored};

use crate::checks::Checks;
use crate::decided::Decided;
use crate::diverged;
use crate::effects::{Note, OpenError, Setup};
use crate::job::write;
use crate::machine::{StateMachine, WriteOut};
use crate::membership::Members;
use crate::meta::Meta;
use crate::replica::{Parts, Replica};
use crate::roster::Roster;
use crate::snapshots::Snapshots;

/// The snapshot that a member begins with.
struct Beginning<D: Disk> {
    file: SnapshotFile<D>,
    meta: Meta,
    /// Whether the state machine is what it says. If not, it is damaged behind its beginning.
    is_restored: bool,
}

impl<D: Disk, M: StateMachine> Replica<D, M> {
    /// Opens the log on `disk`, creates it if there is none, and starts as a follower. `machine` is
    /// in its initial state: it is brought to that of the newest snapshot, and the log behind it is
    /// applied as it turns out to be committed. The notes say what was found.
    ///
    /// # Errors
    /// If the log belongs to somebody else, is damaged or of a newer format, the settings
    /// contradict each other, the log begins after every snapshot, or the state here was found to
    /// differ from the others'.
    pub fn open(
        setup: Setup,
        disk: D,
        mut machine: M,
        now: Instant,
    ) -> Result<(Self, Vec<Note>), OpenError> {
        diverged::check(&disk)?;
        let (mut log, mut recovered) = Log::open(disk.clone(), setup.identity, setup.log)?;
        let mut notes: Vec<Note> =
            std::mem::take(&mut recovered.notes).into_iter().map(Note::Log).collect();
        sweep_snapshots(&disk)?;
        let found = snapshots(&disk, setup.identity)?;
        let is_several = found.len() > 1;
        let beginning = begin(found, recovered.base.index, &mut machine, &mut notes);
        let point = beginning.as_ref().map_or(EntryId::ZERO, |beginning| beginning.file.point());
        if point.index < recovered.base.index {
            return Err(OpenError::Beginning { base: recovered.base });
        }
        if log.term_at(point.index) != Some(point.term) {
            go_on_after(&mut log, &mut recovered, point)?;
        }
        let (applied, meta) = match &beginning {
            Some(beginning) if beginning.is_restored => (point, Some(&beginning.meta)),
            Some(beginning) => (EntryId::ZERO, Some(&beginning.meta)),
            None => (EntryId::ZERO, None),
        };
        if applied.index < recovered.base.index {
            notes.push(Note::StateMissing { base: recovered.base });
        }
        let membership =
            meta.map_or((Index::ZERO, setup.bootstrap), |meta| meta.membership.clone());
        let decided = meta.map(|meta| meta.decided.clone()).unwrap_or_default();
        let known = memberships(recovered.base.index, &membership, &recovered.memberships)?;
        let restored = Restored {
            hard_state: recovered.hard_state,
            base: recovered.base,
            runs: recovered.runs,
            memberships: known.iter().map(|(at, known)| (*at, known.membership.clone())).collect(),
            commit: point.index,
        };
        let patience = setup.raft.election_timeout_min;
        let interval = setup.raft.heartbeat_interval;
        let checks = Checks::new(setup.checks, interval, log.last().index);
        let raft = Raft::new(setup.raft, restored, now)?;
        let newest = beginning.filter(|beginning| beginning.is_restored);
        let newest = newest.map(|beginning| beginning.file);
        let mut snapshots = Snapshots::new(disk, setup.identity, setup.snapshots, newest);
        if is_several && applied == point {
            snapshots.prune_at_start();
        }
        let parts = Parts {
            raft,
            log,
            machine,
            snapshots,
            applied,
            membership,
            roster: Roster::new(known),
            decided,
            checks,
            origin: setup.origin,
            patience,
            proposals_max: setup.proposals_max,
            proposal_bytes_max: setup.proposal_bytes_max,
        };
        Ok((Self::new(parts), notes))
    }
}

/// Restores the newest snapshot that is sound. If none is that the log reaches back to, the newest
/// of those that say at least who the members are.
fn begin<D: Disk, M: StateMachine>(
    found: Vec<FoundSnapshot<D>>,
    base: Index,
    machine: &mut M,
    notes: &mut Vec<Note>,
) -> Option<Beginning<D>> {
    let mut damaged = None;
    for FoundSnapshot { name, point, file } in found {
        if point.index < base {
            break;
        }
        let file = match file {
            Ok(file) => file,
            Err(error) => {
                notes.push(Note::SnapshotUnusable { error: error.to_string() });
                continue;
            }
        };
        let Some(meta) = Meta::decode(file.meta()).filter(|meta| meta.membership.0 <= point.index)
        else {
            let error = format!("{name} says nothing of the members that this version knows");
            notes.push(Note::SnapshotUnusable { error });
            continue;
        };
        let restored = machine.restore(&mut file.reader());
        match restored {
            Ok(()) => return Some(Beginning { file, meta, is_restored: true }),
            Err(error) => {
                notes.push(Note::SnapshotUnusable { error: error.to_string() });
                damaged = damaged.or(Some(Beginning { file, meta, is_restored: false }));
            }
        }
    }
    damaged
}

/// The log does not have the last entry of a snapshot, or has another in its place. It was stopped
/// between the two: the snapshot is what counts.
fn go_on_after<D: Disk>(
    log: &mut Log<D>,
    recovered: &mut Recovered,
    point: EntryId,
) -> Result<(), OpenError> {
    if recovered.hard_state.term < point.term {
        // No vote of a later term than the durable one was ever told.
        recovered.hard_state = HardState { term: point.term, vote: None };
        log.append(Some(recovered.hard_state), []);
    }
    log.reset(point);
    if let Some(job) = log.begin_sync() {
        let synced = job.run().map_err(|failure| OpenError::of_sync(&failure))?;
        log.finish_sync(synced);
    }
    log.compact(point.index);
    recovered.base = point;
    recovered.runs.clear();
    recovered.memberships.clear();
    Ok(())
}

/// The memberships that the core begins with: the one of the snapshot, as far back as the log goes,
/// since nothing before it can be undone, and those of the log.
fn memberships(
    base: Index,
    (index, members): &(Index, Members),
    entries: &[(Index, Bytes)],
) -> Result<Vec<(Index, Members)>, OpenError> {
    let mut memberships = vec![((*index).min(base), members.clone())];
    for (index, body) in entries.iter().filter(|(index, _)| base < *index) {
        let members = Members::decode(body).ok_or(OpenError::Membership { index: *index })?;
        memberships.push((*index, members));
    }
    Ok(memberships)
}

/// Makes a member's directory that begins with a snapshot: the first of a new cluster, or one of
/// several that all begin with the same. `body` writes the state.
///
/// # Errors
/// If the directory is not empty, or the disk fails.
pub fn bootstrap<D: Disk>(
    disk: &D,
    identity: Identity,
    options: Options,
    members: Members,
    point: EntryId,
    body: WriteOut,
) -> Result<(), OpenError> {
    let (mut log, recovered) = Log::open(disk.clone(), identity, options)?;
    if !recovered.created {
        return Err(OpenError::NotEmpty { path: disk.path_of("") });
    }
    let meta = Meta { membership: (Index::ZERO, members), decided: Decided::default() };
    write(disk, identity, point, &meta.encode(), body)?;
    let mut recovered = recovered;
    go_on_after(&mut log, &mut recovered, point)?;
    log.close().map_err(OpenError::Close)
}
