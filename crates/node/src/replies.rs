//! Answers on their way back to those who wait, in batches.
//!
//! Waking a task of another thread's runtime costs a system call. So the owner does not complete
//! the waiting requests itself: it hands all answers of a round over in one piece, with one
//! wake-up, and a task in the clients' runtime completes them there.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, oneshot};

use crate::error::Error;
use crate::query::Finished;

/// Somebody waits for the reply to a command.
pub(crate) type ReplyWaiter<R> = oneshot::Sender<Result<R, Error>>;

/// Somebody waits to read.
pub(crate) type ReadWaiter = oneshot::Sender<Result<(), Error>>;

/// Answers with those who wait for them.
pub(crate) struct Answers<R> {
    pub(crate) replies: Vec<(ReplyWaiter<R>, Result<R, Error>)>,
    pub(crate) reads: Vec<(ReadWaiter, Result<(), Error>)>,
    pub(crate) queries: Vec<Box<dyn Finished>>,
    /// The owner has ended: no more will come.
    pub(crate) is_last: bool,
}

impl<R> Default for Answers<R> {
    fn default() -> Self {
        Self { replies: Vec::new(), reads: Vec::new(), queries: Vec::new(), is_last: false }
    }
}

impl<R> Answers<R> {
    pub(crate) fn is_empty(&self) -> bool {
        self.replies.is_empty() && self.reads.is_empty() && self.queries.is_empty() && !self.is_last
    }

    /// Completes all; who no longer waits is passed over.
    pub(crate) fn complete(&mut self) {
        for (waiter, reply) in self.replies.drain(..) {
            waiter.send(reply).ok();
        }
        for (waiter, answer) in self.reads.drain(..) {
            waiter.send(answer).ok();
        }
        for query in self.queries.drain(..) {
            query.deliver();
        }
    }
}

/// The queue from the owner to the clients' runtime.
pub(crate) struct Outbox<R> {
    answers: Mutex<Answers<R>>,
    wake: Notify,
}

impl<R: Send + 'static> Outbox<R> {
    /// Makes the queue, and the task that completes requests in the current runtime.
    pub(crate) fn start() -> Arc<Self> {
        let outbox = Arc::new(Self { answers: Mutex::default(), wake: Notify::new() });
        tokio::spawn(outbox.clone().complete_all());
        outbox
    }

    async fn complete_all(self: Arc<Self>) {
        let mut answers = Answers::default();
        while !answers.is_last {
            self.wake.notified().await;
            let mut queue = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut *queue, &mut answers);
            drop(queue);
            answers.complete();
        }
    }

    /// Hands over a round of answers, and leaves `round` empty.
    pub(crate) fn hand_over(&self, round: &mut Answers<R>) {
        if round.is_empty() {
            return;
        }
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.is_empty() {
            std::mem::swap(&mut *answers, round);
        } else {
            answers.replies.append(&mut round.replies);
            answers.reads.append(&mut round.reads);
            answers.queries.append(&mut round.queries);
            answers.is_last |= round.is_last;
        }
        drop(answers);
        self.wake.notify_one();
    }
}
