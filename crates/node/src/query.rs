//! Looks at the state machine: closures that run on the owner's thread, and whose results go back
//! with the other answers.
//!
//! One allocation carries the closure, its result and the way back, so that a look costs the owner
//! no more than a reply does.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use tokio::sync::oneshot;

use crate::error::Error;
use crate::replies::{Answers, ReadWaiter};

/// A look that is over, on its way back.
pub(crate) trait Finished: Send {
    /// Tells whoever waits; to be called in the clients' runtime.
    fn deliver(self: Box<Self>);

    /// Nobody waits any more.
    fn is_abandoned(&self) -> bool;
}

/// A look at an `M`.
pub(crate) trait Query<M>: Finished {
    /// Looks.
    fn run(&mut self, machine: &M);

    /// There will be nothing to look at, for this reason.
    fn fail(&mut self, error: Error);
}

/// What a look came to: a closure that panicked does so again where its caller waits.
type Looked<T> = thread::Result<Result<T, Error>>;

struct Look<F, T> {
    /// Taken as it runs.
    look: Option<F>,
    found: Option<Looked<T>>,
    waiter: oneshot::Sender<Looked<T>>,
}

/// A look, and where its result will be.
pub(crate) fn query<M, T, F>(look: F) -> (Box<dyn Query<M>>, oneshot::Receiver<Looked<T>>)
where
    T: Send + 'static,
    F: FnOnce(&M) -> T + Send + 'static,
{
    let (waiter, found) = oneshot::channel();
    (Box::new(Look { look: Some(look), found: None, waiter }), found)
}

impl<F: Send, T: Send> Finished for Look<F, T> {
    fn deliver(self: Box<Self>) {
        if let Some(found) = self.found {
            // Who no longer waits is passed over.
            self.waiter.send(found).ok();
        }
    }

    fn is_abandoned(&self) -> bool {
        self.waiter.is_closed()
    }
}

impl<M, F, T> Query<M> for Look<F, T>
where
    F: FnOnce(&M) -> T + Send,
    T: Send,
{
    fn run(&mut self, machine: &M) {
        if let Some(look) = self.look.take() {
            // The state is only looked at, so a panic leaves it whole: it is the caller's, and must
            // not end the member.
            self.found = Some(catch_unwind(AssertUnwindSafe(|| Ok(look(machine)))));
        }
    }

    fn fail(&mut self, error: Error) {
        self.found = Some(Ok(Err(error)));
    }
}

/// Somebody who waits to read.
pub(crate) enum Reader<M> {
    /// To look elsewhere, once this member's state is new enough.
    Confirm(ReadWaiter),
    /// To have the owner look.
    Look(Box<dyn Query<M>>),
}

impl<M> Reader<M> {
    /// Nobody waits any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        match self {
            Self::Confirm(waiter) => waiter.is_closed(),
            Self::Look(query) => query.is_abandoned(),
        }
    }

    /// The state is new enough.
    pub(crate) fn serve<R>(self, machine: &M, answers: &mut Answers<R>) {
        match self {
            Self::Confirm(waiter) => answers.reads.push((waiter, Ok(()))),
            // For one who has left, the state need not be looked at.
            Self::Look(query) if query.is_abandoned() => {}
            Self::Look(mut query) => {
                query.run(machine);
                answers.queries.push(query);
            }
        }
    }

    /// It will not be.
    pub(crate) fn refuse<R>(self, error: Error, answers: &mut Answers<R>) {
        match self {
            Self::Confirm(waiter) => answers.reads.push((waiter, Err(error))),
            Self::Look(mut query) => {
                query.fail(error);
                answers.queries.push(query);
            }
        }
    }
}
