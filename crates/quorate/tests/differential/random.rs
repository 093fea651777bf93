//! Random requests: few keys, every field, illegal values too. The same seed gives the same
//! requests, as long as the answers are the same.

use bytes::Bytes;
use quorate_proto::etcdserverpb::compare::TargetUnion;
use quorate_proto::etcdserverpb::{
    CompactionRequest, Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
};

use super::build::{bytes, nothing, op};
use super::target::Request;

/// Few, so that requests meet each other's keys; with each other's prefixes, zeros and high bytes.
const KEYS: [&[u8]; 10] =
    [b"a", b"b", b"c", b"d", b"ab", b"a\0", b"b\xff", b"\0", b"\xff", b"\xff\xff"];
const VALUES: [&[u8]; 7] = [b"", b"1", b"2", b"10", b"\0", b"\xff\x00", b"a longer value"];
/// Transactions stand in each other this deep.
const DEPTH_MAX: usize = 3;

/// Where the servers are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) revision: i64,
    pub(crate) compacted: i64,
}

/// Makes requests.
pub(crate) struct Generator {
    state: u64,
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next request.
    pub(crate) fn request(&mut self, place: Place) -> Request {
        match self.below(100) {
            0..30 => self.range(place).into(),
            30..56 => self.put().into(),
            56..63 => self.delete_range().into(),
            63..98 => self.outer_txn(place).into(),
            _ => self.compaction(place).into(),
        }
    }

    fn range(&mut self, place: Place) -> RangeRequest {
        let (key, range_end) = self.span();
        let mut bound = || if self.chance(8) { self.revision(place) } else { 0 };
        let bounds = [bound(), bound(), bound(), bound()];
        RangeRequest {
            key,
            range_end,
            limit: if self.chance(40) { self.pick(&[1, 2, 3, 5, -1, i64::MAX]) } else { 0 },
            revision: if self.chance(35) { self.revision(place) } else { 0 },
            sort_order: self.sorting(2, 50),
            sort_target: self.sorting(4, 40),
            serializable: self.chance(20),
            keys_only: self.chance(15),
            count_only: self.chance(10),
            min_mod_revision: bounds[0],
            max_mod_revision: bounds[1],
            min_create_revision: bounds[2],
            max_create_revision: bounds[3],
        }
    }

    fn put(&mut self) -> PutRequest {
        let ignore_value = self.chance(12);
        let ignore_lease = self.chance(12);
        let brings_value = !ignore_value || self.chance(25);
        PutRequest {
            key: self.key(),
            value: if brings_value { self.value() } else { Bytes::new() },
            lease: if self.chance(5) { self.pick(&[7, -3, i64::MAX]) } else { 0 },
            prev_kv: self.chance(30),
            ignore_value,
            ignore_lease,
        }
    }

    fn delete_range(&mut self) -> DeleteRangeRequest {
        let (key, range_end) = self.span();
        DeleteRangeRequest { key, range_end, prev_kv: self.chance(50) }
    }

    fn compaction(&mut self, place: Place) -> CompactionRequest {
        let recent = place.compacted.max(place.revision - 20);
        let revision = match self.below(4) {
            0 => self.revision(place),
            _ => recent + 1,
        };
        CompactionRequest { revision, physical: self.chance(30) }
    }

    fn outer_txn(&mut self, place: Place) -> TxnRequest {
        let mut txn = self.txn(place, DEPTH_MAX);
        if self.chance(2) {
            let compare = self.compare(place);
            txn.compare = vec![compare; self.pick(&[127, 128, 129])];
        }
        txn
    }

    fn txn(&mut self, place: Place, depth: usize) -> TxnRequest {
        TxnRequest {
            compare: (0..self.below(3)).map(|_| self.compare(place)).collect(),
            success: (0..self.below(4)).map(|_| self.op(place, depth)).collect(),
            failure: (0..self.below(4)).map(|_| self.op(place, depth)).collect(),
        }
    }

    fn op(&mut self, place: Place, depth: usize) -> RequestOp {
        match self.below(100) {
            0 => nothing(),
            1..40 => op(self.range(place)),
            40..70 => op(self.put()),
            70..82 => op(self.delete_range()),
            _ if depth > 0 => op(self.txn(place, depth - 1)),
            _ => op(self.range(place)),
        }
    }

    fn compare(&mut self, place: Place) -> Compare {
        let revision = self.revision(place);
        let operand = match self.below(11) {
            0 | 1 => Some(TargetUnion::Version(self.pick(&[0, 1, 2, 3]))),
            2 | 3 => Some(TargetUnion::CreateRevision(revision)),
            4 | 5 => Some(TargetUnion::ModRevision(revision)),
            6 | 7 => Some(TargetUnion::Value(self.value())),
            8 | 9 => Some(TargetUnion::Lease(self.pick(&[0, 1]))),
            _ => None,
        };
        let target = match &operand {
            Some(TargetUnion::Version(_)) | None => 0,
            Some(TargetUnion::CreateRevision(_)) => 1,
            Some(TargetUnion::ModRevision(_)) => 2,
            Some(TargetUnion::Value(_)) => 3,
            Some(TargetUnion::Lease(_)) => 4,
        };
        Compare {
            result: self.pick(&[0, 0, 1, 1, 2, 2, 3, 3, 9]),
            target: if self.chance(10) { self.pick(&[0, 1, 2, 3, 4, 9]) } else { target },
            key: self.key(),
            range_end: if self.chance(30) { self.range_end() } else { Bytes::new() },
            target_union: operand,
        }
    }

    fn span(&mut self) -> (Bytes, Bytes) {
        let range_end = if self.chance(55) { self.range_end() } else { Bytes::new() };
        (self.key(), range_end)
    }

    /// Open, after all keys, or a key: before, at or after the first one.
    fn range_end(&mut self) -> Bytes {
        match self.below(10) {
            0..3 => bytes(b"\0"),
            3 => bytes(b"\xff\xff\xff"),
            _ => bytes(self.pick(&KEYS)),
        }
    }

    fn key(&mut self) -> Bytes {
        if self.chance(1) { Bytes::new() } else { bytes(self.pick(&KEYS)) }
    }

    fn value(&mut self) -> Bytes {
        bytes(self.pick(&VALUES))
    }

    /// One that can be read, mostly.
    fn revision(&mut self, place: Place) -> i64 {
        let Place { revision, compacted } = place;
        match self.below(20) {
            0 => self.pick(&[-1, -2, i64::MIN, 0]),
            1 => revision + 1,
            2 => self.pick(&[revision + 2, i64::MAX]),
            3 => compacted - 1,
            4 => compacted,
            _ => {
                let recent = u64::try_from(revision - compacted.max(0)).unwrap().min(30);
                revision - i64::try_from(self.below(recent + 1)).unwrap()
            }
        }
    }

    /// An order or target up to the largest, seldom one that does not exist.
    fn sorting(&mut self, largest: i32, percent: u64) -> i32 {
        if !self.chance(percent) {
            0
        } else if self.chance(1) {
            self.pick(&[largest + 1, 7, -1])
        } else {
            let count = u64::try_from(largest).unwrap() + 1;
            i32::try_from(self.below(count)).unwrap()
        }
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let at = self.below(u64::try_from(choices.len()).unwrap());
        choices[usize::try_from(at).unwrap()]
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Sebastiano Vigna's splitmix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
