//! A bound on the bytes of bodies that are in memory at a time, over all clients of a server.
//!
//! Half-sent requests wait for the rest, answers wait for clients that are slow to read. Each is
//! bounded by itself, and so is their number, but not the product: what one careless client can
//! have a server hold would be more than it has. So the bytes are counted as they come and go. A
//! request that goes beyond the bound gets [`too_many_requests`](crate::status::too_many_requests)
//! at once, also in the middle, and so does one whose answer does. When others have ended there is
//! room again, without anybody's doing.
//!
//! A body of any size passes if there is nothing else. A stream of answers counts with the part
//! that is under way, and is refused only at its first.
//!
//! Left out: what the protocol itself holds for a call, bounded by connections and calls on each;
//! and what applies and reads have in memory while they work, bounded by the largest request and
//! answer.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};
use tonic::Status;

use crate::status;

/// See the module.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_max: usize,
    /// Publishes nothing: only its sum counts.
    bytes: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, bytes: AtomicUsize::new(0) })
    }

    /// Whether nothing more is taken in.
    pub(crate) fn is_spent(&self) -> bool {
        self.bytes_max <= self.bytes.load(Ordering::Relaxed)
    }

    fn try_take(&self, bytes: usize) -> bool {
        let taken = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| {
            let after = before.checked_add(bytes)?;
            (before == 0 || after <= self.bytes_max).then_some(after)
        });
        taken.is_ok()
    }

    fn take(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn give_back(&self, bytes: usize) {
        let before = self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        assert!(bytes <= before, "nothing is given back twice");
    }
}

/// What a request has taken; it goes back when nobody has the request any more.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Arc<Budget>,
    bytes: AtomicUsize,
}

impl Charge {
    /// Nothing so far.
    pub(crate) fn new(budget: &Arc<Budget>) -> Arc<Self> {
        Arc::new(Self { budget: budget.clone(), bytes: AtomicUsize::new(0) })
    }

    fn try_add(&self, bytes: usize) -> bool {
        let is_taken = self.budget.try_take(bytes);
        if is_taken {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        is_taken
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.give_back(*self.bytes.get_mut());
    }
}

/// The body of a request, counted as it comes.
#[derive(Debug)]
pub(crate) struct RequestBody<B> {
    pub(crate) body: B,
    pub(crate) charge: Arc<Charge>,
}

impl<B> Body for RequestBody<B>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        let length = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) | None => 0,
        };
        if length > 0 && !this.charge.try_add(length) {
            // Tonic answers with the status that it finds in here.
            return Poll::Ready(Some(Err(status::too_many_requests().into())));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer. It is asked for its next part when the client's window has room for it,
/// so until then the last one counts.
#[derive(Debug)]
pub(crate) struct AnswerBody<B> {
    body: B,
    budget: Arc<Budget>,
    state: State,
}

/// How far an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Begins,
    /// So many bytes are under way.
    Goes(usize),
    Refused,
}

impl<B> AnswerBody<B> {
    pub(crate) fn new(body: B, budget: Arc<Budget>) -> Self {
        Self { body, budget, state: State::Begins }
    }

    /// The part before is with the client, or will not be.
    fn settle(&mut self) {
        match self.state {
            State::Goes(bytes) => {
                self.budget.give_back(bytes);
                self.state = State::Goes(0);
            }
            State::Begins | State::Refused => {}
        }
    }
}

impl<B> Drop for AnswerBody<B> {
    fn drop(&mut self) {
        self.settle();
    }
}

impl<B: Body<Data = Bytes, Error = Status> + Unpin> Body for AnswerBody<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.state == State::Refused {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        this.settle();
        let length = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) | None => 0,
        };
        if length == 0 {
            return Poll::Ready(frame);
        }
        match this.state {
            State::Begins if !this.budget.try_take(length) => {
                this.state = State::Refused;
                let mut trailers = HeaderMap::new();
                let told = status::too_many_requests().add_header(&mut trailers);
                Poll::Ready(Some(told.map(|()| Frame::trailers(trailers))))
            }
            State::Begins => {
                this.state = State::Goes(length);
                Poll::Ready(frame)
            }
            State::Goes(_) => {
                this.budget.take(length);
                this.state = State::Goes(length);
                Poll::Ready(frame)
            }
            State::Refused => unreachable!("looked at above"),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.state == State::Refused || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // What will be refused has another length.
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::Waker;

    use super::*;

    /// A body of these parts.
    struct Parts(VecDeque<&'static [u8]>);

    impl Parts {
        fn new(parts: &[&'static [u8]]) -> Self {
            Self(parts.iter().copied().collect())
        }
    }

    impl Body for Parts {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            let next = self.0.pop_front();
            Poll::Ready(next.map(|part| Ok(Frame::data(Bytes::from_static(part)))))
        }
    }

    /// The next part, or the code that stands in its place.
    fn next<B: Body<Data = Bytes> + Unpin>(body: &mut B) -> Option<Result<Bytes, i32>>
    where
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(frame) = Pin::new(body).poll_frame(&mut context) else {
            panic!("the parts are there")
        };
        let frame = match frame? {
            Ok(frame) => frame,
            Err(error) => return Some(Err(Status::from_error(error.into()).code().into())),
        };
        Some(frame.into_data().map_err(|frame| {
            let trailers = frame.into_trailers().expect("it is one or the other");
            Status::from_header_map(&trailers).expect("there is a status").code().into()
        }))
    }

    fn request(budget: &Arc<Budget>, parts: &[&'static [u8]]) -> RequestBody<Parts> {
        RequestBody { body: Parts::new(parts), charge: Charge::new(budget) }
    }

    const EXHAUSTED: i32 = 8;

    #[test]
    fn half_sent_requests_are_counted_together_until_they_end() {
        let budget = Budget::new(10);
        let mut one = request(&budget, &[b"123", b"456"]);
        let mut other = request(&budget, &[b"1234", b"5678"]);
        assert!(next(&mut one).is_some_and(|part| part.is_ok()));
        assert!(next(&mut other).is_some_and(|part| part.is_ok()));
        assert!(next(&mut one).is_some_and(|part| part.is_ok()));
        assert!(budget.is_spent());
        assert_eq!(next(&mut other), Some(Err(EXHAUSTED)));
        // The call of it goes on without its body.
        let call = one.charge.clone();
        drop((one, other));
        assert_eq!(budget.bytes.load(Ordering::Relaxed), 6);
        drop(call);
        assert_eq!(budget.bytes.load(Ordering::Relaxed), 0);
        assert!(next(&mut request(&budget, &[b"1234"])).is_some_and(|part| part.is_ok()));
    }

    #[test]
    fn answers_that_nobody_reads_leave_no_room_for_others() {
        let budget = Budget::new(10);
        let answer = || AnswerBody::new(Parts::new(&[b"12345678"]), budget.clone());
        let (mut unread, mut refused) = (answer(), answer());
        assert!(next(&mut unread).is_some_and(|part| part.is_ok()));
        assert_eq!(next(&mut refused), Some(Err(EXHAUSTED)));
        assert!(refused.is_end_stream() && next(&mut refused).is_none());
        assert_eq!(next(&mut unread), None, "it was read to the end");
        assert!(next(&mut answer()).is_some_and(|part| part.is_ok()));
        assert_eq!(
            budget.bytes.load(Ordering::Relaxed),
            0,
            "an answer that is gone counts nothing"
        );
    }

    #[test]
    fn one_body_passes_whatever_its_size_and_a_stream_goes_on() {
        let budget = Budget::new(2);
        let mut stream = AnswerBody::new(Parts::new(&[b"1234", b"5678"]), budget.clone());
        assert!(next(&mut stream).is_some_and(|part| part.is_ok()));
        assert!(budget.is_spent());
        assert!(next(&mut stream).is_some_and(|part| part.is_ok()));
        assert_eq!(budget.bytes.load(Ordering::Relaxed), 4, "the part under way");
    }
}
