//! What is going to happen, in order of time, then of arrival.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Simulated time in microseconds since the run began.
pub(crate) type Time = u64;

/// A queue of events. Two events of the same time come out in the order in which they went in.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    order: BinaryHeap<Reverse<(Time, u64, usize)>>,
    events: Vec<Option<E>>,
    free: Vec<usize>,
    pushed: u64,
}

impl<E> Queue<E> {
    pub(crate) fn new() -> Self {
        Self { order: BinaryHeap::new(), events: Vec::new(), free: Vec::new(), pushed: 0 }
    }

    /// Lets `event` happen at `time`.
    pub(crate) fn push(&mut self, time: Time, event: E) {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.events[slot] = Some(event);
                slot
            }
            None => {
                self.events.push(Some(event));
                self.events.len() - 1
            }
        };
        self.order.push(Reverse((time, self.pushed, slot)));
        self.pushed += 1;
    }

    /// The next event.
    pub(crate) fn pop(&mut self) -> Option<(Time, E)> {
        let Reverse((time, _, slot)) = self.order.pop()?;
        self.free.push(slot);
        let event = self.events[slot].take().expect("a slot in the order is filled");
        Some((time, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_then_by_arrival() {
        let mut queue = Queue::new();
        for (time, event) in [(5, "c"), (1, "a"), (5, "d"), (1, "b")] {
            queue.push(time, event);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [(1, "a"), (1, "b"), (5, "c"), (5, "d")]);
        queue.push(9, "e");
        assert_eq!(queue.events.len(), 4, "slots are used again");
    }
}
