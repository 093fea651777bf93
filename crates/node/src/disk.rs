//! The thread that writes and syncs, so that a slow disk never stops the owner.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use quorate_log::{RealDisk, SyncFailure, SyncJob, Synced};

use crate::inbox::{Event, Inbox};
use crate::machine::Machine;

/// The pause before a write that found the disk full is tried again: there is no event for it.
const FULL_PAUSE: Duration = Duration::from_millis(250);

/// The way to the disk. There is one job at a time, so the queue needs no bound.
#[derive(Debug)]
pub(crate) struct Disk {
    jobs: Sender<SyncJob<RealDisk>>,
    is_ending: Arc<AtomicBool>,
}

impl Disk {
    /// Starts the thread; it ends when the disk is dropped.
    pub(crate) fn start<M: Machine>(inbox: Arc<Inbox<M>>) -> std::io::Result<Self> {
        let (jobs, queue) = channel::<SyncJob<RealDisk>>();
        let is_ending = Arc::new(AtomicBool::new(false));
        let ending = is_ending.clone();
        thread::Builder::new().name("quorate-disk".into()).spawn(move || {
            while let Ok(job) = queue.recv() {
                inbox.push(Event::Synced(run(job, &ending)));
            }
        })?;
        Ok(Self { jobs, is_ending })
    }

    /// Gives it a job; the inbox hears when it is done.
    pub(crate) fn give(&self, job: SyncJob<RealDisk>) {
        // It fails only when the thread is gone, which takes the process with it.
        drop(self.jobs.send(job));
    }

    /// Lets a job that waits for space give up: the member is to stop.
    pub(crate) fn end(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
    }
}

/// Runs a job, again and again while the disk is full: nothing was acknowledged, and space may
/// come.
fn run(
    mut job: SyncJob<RealDisk>,
    is_ending: &AtomicBool,
) -> Result<Synced<RealDisk>, SyncFailure<RealDisk>> {
    let mut said = false;
    loop {
        match job.run() {
            Ok(synced) => {
                if said {
                    tracing::info!("the disk has space again");
                }
                return Ok(synced);
            }
            Err(full @ SyncFailure::Full { .. }) if is_ending.load(Ordering::Relaxed) => {
                return Err(full);
            }
            Err(SyncFailure::Full { job: again, file, error }) => {
                if !said {
                    tracing::error!(file, %error, "the disk is full: writes wait for space");
                    said = true;
                }
                thread::sleep(FULL_PAUSE);
                job = *again;
            }
            Err(failed @ SyncFailure::Failed { .. }) => return Err(failed),
        }
    }
}
