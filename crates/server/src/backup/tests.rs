//! Backups that are whole, damaged, and none; and what is made of them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use quorate_log::Identity;
use quorate_proto::etcdserverpb::{Member, PutRequest};
use quorate_raft::{EntryId, Index, Membership, NodeId, Term};
use quorate_replica::{StateMachine, WriteOut};
use quorate_store::{Command, Store, Wants};
use tempfile::TempDir;

use super::{About, Backup, BackupError, RestoreError, RestoreOptions, restore, write};
use crate::identity::Cluster;
use crate::machine::{Attributes, Machine};

const CLUSTER: u64 = 0xc1;

fn store(puts: usize) -> Store {
    let mut store = Store::new();
    for number in 0..puts {
        let key = format!("{:05}", number % 1_000).into();
        let put = PutRequest { key, value: vec![7; 100].into(), ..PutRequest::default() };
        store.apply(&Command::Put(put).encode(), Wants::Nothing);
    }
    store
}

fn about() -> About {
    let member = Member { id: 1, name: "n1".into(), ..Member::default() };
    let point = EntryId::new(Term::new(3), Index::new(40));
    About { cluster: CLUSTER, member: 1, members: vec![member], point }
}

fn bytes(store: &Store) -> Vec<u8> {
    write(&store.snapshot(), about(), Vec::new()).unwrap()
}

/// A directory with a file in it.
fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("backup");
    fs::write(&path, bytes).unwrap();
    (directory, path)
}

fn load(bytes: &[u8]) -> Result<Backup, BackupError> {
    let (_directory, path) = file(bytes);
    let loaded = Backup::load(&path);
    if let Err(error) = &loaded {
        let text = error.to_string();
        assert!(text.starts_with(path.to_str().unwrap()) && text.contains("; "), "{text}");
        assert!(!text.contains('\n'), "{text}");
    }
    loaded
}

#[test]
fn a_backup_comes_back_with_all_that_it_says() {
    for puts in [0, 1, 5_000] {
        let store = store(puts);
        let bytes = bytes(&store);
        assert_eq!(bytes.len() % 512, 32, "etcd's clients see by it that there is a checksum");
        let backup = load(&bytes).unwrap();
        assert_eq!(backup.store.state_hash(), store.state_hash());
        assert_eq!(backup.store.status(), store.status());
        let About { cluster, member, members, point } = about();
        assert_eq!((backup.cluster, backup.member, backup.point), (cluster, member, point));
        assert_eq!(backup.members, members);
        assert_eq!(backup.bytes, u64::try_from(bytes.len()).unwrap());
        assert!(backup.written_by.starts_with("quorate "), "{}", backup.written_by);
    }
}

#[test]
fn every_damaged_byte_is_noticed() {
    let sound = bytes(&store(3));
    for at in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x10;
        let error = load(&bytes).unwrap_err();
        let is_right = match &error {
            BackupError::Other { .. } => at < 8,
            BackupError::Cut { .. } => (sound.len() - 40..sound.len() - 32).contains(&at),
            // Between the snapshot file and its length only the sum at the end notices.
            BackupError::Damaged { offset, .. } => {
                let sum = sound.len() - 32;
                [at, sum].iter().any(|at| *offset <= u64::try_from(*at).unwrap())
            }
            BackupError::Read { .. }
            | BackupError::Etcd { .. }
            | BackupError::Newer { .. }
            | BackupError::Content { .. } => false,
        };
        assert!(is_right, "byte {at}: {error}");
    }
}

#[test]
fn a_file_that_is_cut_off_or_goes_on_is_refused() {
    let sound = bytes(&store(3));
    for length in 8..sound.len() {
        let error = load(&sound[..length]).unwrap_err();
        assert!(matches!(error, BackupError::Cut { .. }), "{length} bytes: {error}");
    }
    for more in [1, 480, 512, 1024] {
        let bytes = [&sound[..], &vec![0; more]].concat();
        let error = load(&bytes).unwrap_err();
        assert!(matches!(error, BackupError::Cut { .. }), "{more} more: {error}");
    }
    // Whole sectors out of the middle: the length is one that a backup can have.
    let large = bytes(&store(2_000));
    let holed = [&large[..1024], &large[1024 + 512..]].concat();
    assert!(matches!(load(&holed).unwrap_err(), BackupError::Cut { .. }));
}

#[test]
fn what_is_no_backup_is_told_so() {
    for bytes in [&b""[..], b"quorsn", b"a text\n"] {
        assert!(matches!(load(bytes).unwrap_err(), BackupError::Other { .. }));
    }
    let mut etcd = vec![0; 4096];
    etcd[16..20].copy_from_slice(&0xed0c_daed_u32.to_le_bytes());
    assert!(matches!(load(&etcd).unwrap_err(), BackupError::Etcd { .. }));
    let missing = Backup::load(Path::new("/nowhere/backup")).unwrap_err();
    assert!(matches!(missing, BackupError::Read { .. }), "{missing}");
    let directory = tempfile::tempdir().unwrap();
    let error = Backup::load(directory.path()).unwrap_err();
    assert!(matches!(error, BackupError::Read { .. }), "{error}");
}

#[test]
fn a_later_format_is_told_from_damage() {
    let mut bytes = bytes(&store(3));
    bytes[12] = 9;
    let crc = crc32c::crc32c(&bytes[12..128]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    let error = load(&bytes).unwrap_err();
    assert!(matches!(error, BackupError::Newer { version: 9, .. }), "{error}");
}

fn options(directory: &TempDir, token: &str) -> RestoreOptions {
    RestoreOptions {
        name: "n1".into(),
        cluster: Cluster::parse("n1=http://a:1,n2=http://b:1", token).unwrap(),
        data_dir: directory.path().join("data"),
        revision_bump: RestoreOptions::REVISION_BUMP,
    }
}

/// Writes the state into a file, as a replica would into one of its own.
fn bootstrap(path: PathBuf) -> impl FnOnce(WriteOut) -> io::Result<()> {
    move |body| {
        let mut bytes = Vec::new();
        body(&mut bytes)?;
        fs::write(path, bytes)
    }
}

#[test]
fn a_restored_store_goes_on_at_a_later_revision_in_another_cluster() {
    let (directory, path) = file(&bytes(&store(1_500)));
    let mut digests = Vec::new();
    for name in ["n1", "n2"] {
        let mut options = options(&directory, "new");
        options.name = name.into();
        options.data_dir = directory.path().join(name);
        let seat = options.cluster.seat(name).unwrap().id;
        let staging = directory.path().join(format!("{name}.restoring"));
        let status =
            restore(Backup::load(&path).unwrap(), &options, |_, identity, members, body| {
                assert_eq!(identity, Identity { cluster: options.cluster.id, member: seat });
                let ids = options.cluster.seats.iter().map(|seat| NodeId::new(seat.id));
                assert_eq!(members, Membership::of_voters(ids));
                assert!(!options.data_dir.exists(), "it gets its name when it is complete");
                bootstrap(staging.join("state"))(body)
            });
        let status = status.unwrap();
        assert_eq!((status.revision, status.keys), (1_000_001_501, 1_000));
        assert_eq!(status.compacted, status.revision);
        assert!(!staging.exists());
        let mut machine = Machine::new(Store::new(), Attributes::default());
        let body = fs::read(options.data_dir.join("state")).unwrap();
        machine.restore(&mut &body[..]).unwrap();
        digests.push(machine.digest());
    }
    assert_eq!(digests[0], digests[1], "members are restored alike");
}

#[test]
fn the_history_stays_if_that_is_asked_for() {
    let (directory, path) = file(&bytes(&store(1_500)));
    let options = RestoreOptions { revision_bump: 0, ..options(&directory, "new") };
    let status = restore(Backup::load(&path).unwrap(), &options, |_, _, _, _| Ok(())).unwrap();
    assert_eq!((status.revision, status.compacted, status.versions), (1_501, -1, 1_500));
}

#[test]
fn what_cannot_be_restored_changes_nothing() {
    let (directory, path) = file(&bytes(&store(3)));
    let refused = |options: &RestoreOptions| {
        let before = fs::read_dir(directory.path()).unwrap().count();
        let backup = Backup::load(&path).unwrap();
        let error = restore(backup, options, |_, _, _, _| panic!("it is refused")).unwrap_err();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), before);
        error
    };
    let nameless = RestoreOptions { name: "n3".into(), ..options(&directory, "new") };
    assert!(matches!(refused(&nameless), RestoreError::Nameless { .. }));
    let mut same = options(&directory, "old");
    same.cluster.id = CLUSTER;
    let error = refused(&same);
    assert!(error.to_string().contains("give another --initial-cluster-token"), "{error}");
    for revision_bump in [-1, i64::MAX] {
        let error = refused(&RestoreOptions { revision_bump, ..options(&directory, "new") });
        assert!(error.to_string().contains("--bump-revision: revision 4 cannot"), "{error}");
    }
    let taken = options(&directory, "new");
    fs::create_dir(&taken.data_dir).unwrap();
    fs::write(taken.data_dir.join("log"), "precious").unwrap();
    assert!(matches!(refused(&taken), RestoreError::Taken { .. }));
    assert_eq!(fs::read(taken.data_dir.join("log")).unwrap(), b"precious");
}

#[test]
fn a_disk_that_fails_leaves_nothing_behind_and_may_be_tried_again() {
    let (directory, path) = file(&bytes(&store(3)));
    let options = options(&directory, "new");
    // What an attempt that was killed left.
    fs::create_dir(directory.path().join("data.restoring")).unwrap();
    let full = |_: &_, _, _, _| Err(io::ErrorKind::StorageFull.into());
    let error = restore(Backup::load(&path).unwrap(), &options, full).unwrap_err();
    assert!(matches!(error, RestoreError::Write { .. }), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "only the backup");
    // An empty directory is as good as none.
    fs::create_dir(&options.data_dir).unwrap();
    restore(Backup::load(&path).unwrap(), &options, |_, _, _, _| Ok(())).unwrap();
    assert!(options.data_dir.is_dir());
}
