//! Group commit on a real disk, against the same bytes written and synced by hand.
//!
//! `cargo bench -p quorate-log`; the files lie in the directory for temporary files, so set
//! `TMPDIR` to measure another disk.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time and writes files")]
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use quorate_log::{Block, BlockBuilder, EntryKind, Identity, Log, Options, RealDisk};
use quorate_raft::{HardState, Index, NodeId, Term};

/// The body of an entry.
const BODY_BYTES: usize = 256;
/// How often each batch is written.
const ROUNDS: u64 = 400;

fn main() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    println!("{:>7} {:>9}   {:^31}   {:^23}", "", "", "log", "by hand");
    println!(
        "{:>7} {:>9}   {:>8} {:>8} {:>13}   {:>11} {:>11} {:>6}",
        "entries", "bytes", "p50 us", "p99 us", "entries/s", "mean us", "zeroed us", "ratio"
    );
    for count in [1_u32, 8, 64, 256, 1024, 4096] {
        let path = directory.path().join(format!("log-{count}"));
        let (block_bytes, log) = measure_log(&path, count);
        let plain = measure_hand(&path.with_extension("plain"), block_bytes, 0);
        let zeroed = measure_hand(&path.with_extension("zeroed"), block_bytes, 64 << 20);
        let per_second = f64::from(count) / mean(&log).as_secs_f64();
        println!(
            "{count:>7} {block_bytes:>9}   {:>8} {:>8} {per_second:>13.0}   {:>11} {:>11} {:>6.2}",
            log[log.len() / 2].as_micros(),
            log[log.len() * 99 / 100].as_micros(),
            mean(&plain).as_micros(),
            mean(&zeroed).as_micros(),
            mean(&log).as_secs_f64() / mean(&plain).as_secs_f64(),
        );
    }
    measure_opening(directory.path());
}

/// How long each group commit of `count` entries takes, ascending.
fn measure_log(path: &Path, count: u32) -> (usize, Vec<Duration>) {
    let disk = RealDisk::at(path).expect("a directory");
    let identity = Identity { cluster: 1, member: 1 };
    let (mut log, _) = Log::open(disk, identity, Options::default()).expect("a new log");
    let block = batch(count);
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let block = block.clone().at(log.last().index.next(), Term::new(1));
        let start = Instant::now();
        log.append(None, &[block]);
        let job = log.begin_sync().expect("something waits");
        let synced = job.run().expect("a sound disk");
        log.finish_sync(synced);
        times.push(start.elapsed());
    }
    log.close().expect("a sound disk");
    times.sort();
    (block.bytes().len(), times)
}

/// How long it takes to append as many bytes to a file and sync it, ascending.
fn measure_hand(path: &Path, length: usize, zeros: usize) -> Vec<Duration> {
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(true).write(true).open(path).expect("a file");
    file.write_all_at(&vec![0; zeros], 0).expect("a sound disk");
    file.sync_all().expect("a sound disk");
    let bytes = vec![7; length];
    let mut offset = 0;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        file.write_all_at(&bytes, offset).expect("a sound disk");
        file.sync_data().expect("a sound disk");
        times.push(start.elapsed());
        offset += u64::try_from(length).expect("a small number");
    }
    drop(file);
    std::fs::remove_file(path).expect("a sound disk");
    times.sort();
    times
}

fn measure_opening(path: &Path) {
    let identity = Identity { cluster: 1, member: 1 };
    let path = path.join("opening");
    for what in ["create", "open", "open 256 MiB"] {
        if what == "open 256 MiB" {
            let disk = RealDisk::at(&path).expect("a directory");
            let (mut log, _) = Log::open(disk, identity, Options::default()).expect("a log");
            let vote = Some(NodeId::new(1));
            log.append(Some(HardState { term: Term::new(1), vote }), &[]);
            for _ in 0..1024 {
                let block = batch(947).at(log.last().index.next(), Term::new(1));
                log.append(None, &[block]);
                let job = log.begin_sync().expect("something waits");
                let synced = job.run().expect("a sound disk");
                log.finish_sync(synced);
            }
        }
        let start = Instant::now();
        let disk = RealDisk::at(&path).expect("a directory");
        let (log, _) = Log::open(disk, identity, Options::default()).expect("a log");
        println!("{what}: {} us", start.elapsed().as_micros());
        drop(log);
    }
}

fn batch(count: u32) -> Block {
    let mut builder = BlockBuilder::new();
    for sequence in 0..u64::from(count) {
        builder.push(EntryKind::Command, 1, sequence, &[7; BODY_BYTES]);
    }
    builder.finish(Index::new(1), Term::new(1))
}

fn mean(times: &[Duration]) -> Duration {
    let sum: Duration = times.iter().sum();
    sum / u32::try_from(times.len()).expect("few rounds")
}
