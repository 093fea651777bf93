//! What happened, as a number that two runs hardly share, and as lines for people.
//!
//! The number is always made; the lines only when somebody asks, so they cost nothing in a
//! campaign. One line is one event: the time in seconds, the event's number, who, what, and what
//! became of it.

use std::fmt::{Arguments, Write};
use std::io;

use crate::queue::Time;
use crate::random::mix;

/// Gathers the trace of a run.
pub(crate) struct Trace {
    hash: u64,
    events: u64,
    /// The hash after every so many events.
    recorded: Vec<u64>,
    every: u64,
    lines: Option<Box<dyn io::Write>>,
    line: String,
    error: Option<io::Error>,
}

impl Trace {
    /// A trace that writes its lines to `lines`, if there is somewhere to write, and remembers its
    /// hash after every `every` events, if that is not 0.
    pub(crate) fn new(lines: Option<Box<dyn io::Write>>, every: u64) -> Self {
        Self {
            hash: 0x9ae1_6a3b_2f90_404f,
            events: 0,
            recorded: Vec::new(),
            every,
            lines,
            line: String::new(),
            error: None,
        }
    }

    /// Something happens.
    pub(crate) fn begin(&mut self, now: Time, who: &str, what: Arguments<'_>) {
        self.events += 1;
        self.add(now);
        if self.lines.is_some() {
            let (seconds, micros) = (now / 1_000_000, now % 1_000_000);
            self.line.clear();
            let line = format_args!("{seconds:>5}.{micros:06} {:>8} {who:<4} {what}", self.events);
            self.line.write_fmt(line).expect("a string takes everything");
        }
    }

    /// What became of it.
    pub(crate) fn say(&mut self, what: Arguments<'_>) {
        if self.lines.is_some() {
            self.line.write_fmt(what).expect("a string takes everything");
        }
    }

    /// A number that belongs to it.
    pub(crate) fn add(&mut self, number: u64) {
        self.hash = (self.hash.rotate_left(29) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    /// It is over.
    pub(crate) fn end(&mut self) {
        if self.every > 0 && self.events.is_multiple_of(self.every) {
            self.recorded.push(mix(self.hash));
        }
        if let Some(lines) = &mut self.lines {
            self.line.push('\n');
            if let Err(error) = lines.write_all(self.line.as_bytes()) {
                self.error = Some(error);
                self.lines = None;
            }
        }
    }

    /// Whether lines are wanted.
    pub(crate) fn is_spoken(&self) -> bool {
        self.lines.is_some()
    }

    /// The events so far.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// The hash of all so far.
    pub(crate) fn hash(&self) -> u64 {
        mix(self.hash)
    }

    /// What was remembered of the hash.
    pub(crate) fn recorded(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.recorded)
    }

    /// Writes out what waits; the error if lines were lost.
    pub(crate) fn finish(&mut self) -> Option<io::Error> {
        if let Some(lines) = &mut self.lines
            && let Err(error) = lines.flush()
        {
            self.error = Some(error);
        }
        self.error.take()
    }
}

impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trace")
            .field("events", &self.events)
            .field("hash", &self.hash())
            .finish_non_exhaustive()
    }
}
