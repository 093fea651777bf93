//! The threads that work on snapshot files: one writes this member's own, which takes long, the
//! other does the rest, so that nobody who is sent a snapshot waits for one that is being written.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use quorate_log::RealDisk;
use quorate_replica::SnapshotJob;

use crate::inbox::{Event, Inbox};
use crate::machine::Machine;

/// The way to the snapshot files. The replica gives out one job of each kind at a time, so the
/// queues need no bound.
#[derive(Debug)]
pub(crate) struct Shelf {
    long: Sender<SnapshotJob<RealDisk>>,
    short: Sender<SnapshotJob<RealDisk>>,
    is_ending: Arc<AtomicBool>,
    /// How many jobs are out.
    out: u32,
}

impl Shelf {
    /// Starts the threads; they end when the shelf is dropped.
    pub(crate) fn start<M: Machine>(inbox: &Arc<Inbox<M>>) -> io::Result<Self> {
        let (long, long_queue) = channel();
        let (short, short_queue) = channel();
        work("quorate-snapshot", long_queue, inbox.clone())?;
        work("quorate-shelf", short_queue, inbox.clone())?;
        Ok(Self { long, short, is_ending: Arc::default(), out: 0 })
    }

    /// Gives them a job; the inbox hears when it is done. Once it has ended, it does none.
    pub(crate) fn give(&mut self, mut job: SnapshotJob<RealDisk>) {
        if self.is_ending.load(Ordering::Relaxed) {
            return;
        }
        if let SnapshotJob::Write { body, .. } = &mut job {
            let whole = std::mem::replace(body, Box::new(|_| Ok(())));
            let is_ending = self.is_ending.clone();
            *body = Box::new(move |out| whole(&mut Interruptible { out, is_ending: &is_ending }));
        }
        let queue = if job.is_long() { &self.long } else { &self.short };
        // It fails only when the thread is gone, which takes the process with it.
        if queue.send(job).is_ok() {
            self.out += 1;
        }
    }

    /// A job is done.
    pub(crate) fn on_done(&mut self) {
        self.out -= 1;
    }

    /// Whether nothing is being done.
    pub(crate) fn is_idle(&self) -> bool {
        self.out == 0
    }

    /// A snapshot that is being written is given up, and no further job is done.
    pub(crate) fn end(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
    }
}

fn work<M: Machine>(
    name: &str,
    queue: Receiver<SnapshotJob<RealDisk>>,
    inbox: Arc<Inbox<M>>,
) -> io::Result<()> {
    thread::Builder::new().name(name.into()).spawn(move || {
        while let Ok(job) = queue.recv() {
            inbox.push(Event::SnapshotDone(Box::new(job.run())));
        }
    })?;
    Ok(())
}

/// A writer that fails once the member is to stop.
struct Interruptible<'a> {
    out: &'a mut dyn Write,
    is_ending: &'a AtomicBool,
}

impl Write for Interruptible<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_ending.load(Ordering::Relaxed) {
            let reason = "the member is to stop";
            return Err(io::Error::other(reason));
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
