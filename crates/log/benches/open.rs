//! Opening a log of 500 MB whose files are in the page cache: what recovery itself costs.
//!
//! `cargo bench -p quorate-log --bench open`; the files lie in the directory for temporary files.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::path::Path;
use std::time::{Duration, Instant};

use quorate_log::{Block, BlockBuilder, EntryKind, Identity, Log, Options, RealDisk};
use quorate_raft::{Index, Term};

const IDENTITY: Identity = Identity { cluster: 1, member: 1 };

/// The payload of the log.
const LOG_BYTES: usize = 500_000_000;

/// What is written by one job.
const JOB_BYTES: usize = 8 << 20;

/// How often each log is opened.
const ROUNDS: usize = 7;

fn main() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    println!("{:>7} {:>9}   {:>7} {:>7} {:>7}", "entries", "bytes", "best ms", "mean ms", "MB/s");
    for (count, body_bytes) in [(1, 256), (64, 256), (1024, 256), (1, 512 << 10)] {
        let path = directory.path().join("log");
        fill(&path, &batch(count, body_bytes));
        let times: Vec<_> = (0..ROUNDS).map(|_| open(&path)).collect();
        let best = times.iter().min().expect("some rounds");
        let mean = times.iter().sum::<Duration>() / u32::try_from(ROUNDS).expect("few");
        let megabytes = f64::from(u32::try_from(LOG_BYTES).expect("few")) / 1e6;
        println!(
            "{count:>7} {body_bytes:>9}   {:>7} {:>7} {:>7.0}",
            best.as_millis(),
            mean.as_millis(),
            megabytes / best.as_secs_f64(),
        );
        std::fs::remove_dir_all(&path).expect("a sound disk");
    }
}

/// Writes the log, of copies of one block.
fn fill(path: &Path, block: &Block) {
    let disk = RealDisk::at(path).expect("a directory");
    let (mut log, _) = Log::open(disk, IDENTITY, Options::default()).expect("a new log");
    let (mut written, mut waiting) = (0, 0);
    while written < LOG_BYTES {
        log.append(None, &[block.clone().at(log.last().index.next(), Term::new(1))]);
        written += block.bytes().len();
        waiting += block.bytes().len();
        if waiting >= JOB_BYTES || written >= LOG_BYTES {
            let job = log.begin_sync().expect("something waits");
            let synced = job.run().expect("a sound disk");
            log.finish_sync(synced);
            waiting = 0;
        }
    }
    log.close().expect("a sound disk");
}

fn open(path: &Path) -> Duration {
    let disk = RealDisk::at(path).expect("a directory");
    let start = Instant::now();
    let (log, recovered) = Log::open(disk, IDENTITY, Options::default()).expect("a sound log");
    let took = start.elapsed();
    assert!(recovered.notes.is_empty(), "it was closed in order");
    log.close().expect("a sound disk");
    took
}

fn batch(count: u64, body_bytes: usize) -> Block {
    let mut builder = BlockBuilder::new();
    for sequence in 0..count {
        builder.push(EntryKind::Command, 1, sequence, &vec![7; body_bytes]);
    }
    builder.finish(Index::new(1), Term::new(1))
}
