//! The model: every revision is a whole map.

use std::collections::BTreeMap;

use bytes::Bytes;
use quorate_proto::etcdserverpb::compare::TargetUnion;
use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::response_op::Response;
use quorate_proto::etcdserverpb::{
    CompactionRequest, CompactionResponse, Compare, DeleteRangeRequest, DeleteRangeResponse,
    PutRequest, PutResponse, RangeRequest, RangeResponse, RequestOp, ResponseHeader, ResponseOp,
    TxnRequest, TxnResponse,
};
use quorate_proto::mvccpb::KeyValue;
use quorate_store::{Command, Error, Reply};

type Map = BTreeMap<Bytes, KeyValue>;

/// All that ever was.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// The map at revision 1, at revision 2 and so on.
    history: Vec<Map>,
    compacted: i64,
}

/// The map that a command works on.
struct Work<'m> {
    model: &'m Model,
    map: Map,
    changed: bool,
}

impl Model {
    pub(crate) fn new() -> Self {
        Self { history: vec![Map::new()], compacted: -1 }
    }

    pub(crate) fn revision(&self) -> i64 {
        self.history.len().try_into().unwrap()
    }

    pub(crate) fn compacted(&self) -> i64 {
        self.compacted
    }

    pub(crate) fn keys(&self) -> i64 {
        self.current().len().try_into().unwrap()
    }

    pub(crate) fn apply(&mut self, command: &Command) -> Reply {
        match command {
            Command::Put(request) => Reply::Put(self.put(request)),
            Command::DeleteRange(request) => {
                let mut work = self.work();
                let response = work.delete(request);
                let (map, changed) = (work.map, work.changed);
                self.finish(map, changed);
                Reply::DeleteRange(Ok(response))
            }
            Command::Txn(request) => Reply::Txn(self.txn(request)),
            Command::Compact(request) => Reply::Compact(self.compact(request)),
        }
    }

    pub(crate) fn range(&self, request: &RangeRequest) -> Result<RangeResponse, Error> {
        self.work().range(request)
    }

    pub(crate) fn txn(&mut self, request: &TxnRequest) -> Result<TxnResponse, Error> {
        let mut path = Vec::new();
        self.find_path(request, &mut path);
        self.check_path(request, &mut path.iter(), Self::check_put)?;
        self.check_path(request, &mut path.iter(), Self::check_range)?;
        let mut work = self.work();
        let mut response = work.txn(request, &mut path.iter());
        response.header = head(work.revision());
        let (map, changed) = (work.map, work.changed);
        self.finish(map, changed);
        Ok(response)
    }

    fn put(&mut self, request: &PutRequest) -> Result<PutResponse, Error> {
        if request.lease != 0 {
            return Err(Error::LeaseNotFound);
        }
        let keeps = request.ignore_value || request.ignore_lease;
        if keeps && !self.current().contains_key(&request.key) {
            return Err(Error::KeyNotFound);
        }
        let mut work = self.work();
        let response = work.put(request);
        let map = work.map;
        self.finish(map, true);
        Ok(response)
    }

    fn compact(&mut self, request: &CompactionRequest) -> Result<CompactionResponse, Error> {
        if request.revision <= self.compacted {
            Err(Error::Compacted)
        } else if request.revision > self.revision() {
            Err(Error::FutureRevision)
        } else {
            self.compacted = request.revision;
            Ok(CompactionResponse { header: head(self.revision()) })
        }
    }

    fn current(&self) -> &Map {
        self.history.last().unwrap()
    }

    fn work(&self) -> Work<'_> {
        Work { model: self, map: self.current().clone(), changed: false }
    }

    fn finish(&mut self, map: Map, changed: bool) {
        if changed {
            self.history.push(map);
        }
    }

    /// Which way each transaction goes, in the order in which they are met.
    fn find_path(&self, request: &TxnRequest, path: &mut Vec<bool>) {
        let holds = request.compare.iter().all(|compare| self.holds(compare));
        path.push(holds);
        for op in branch(request, holds) {
            if let Some(Request::RequestTxn(inner)) = &op.request {
                self.find_path(inner, path);
            }
        }
    }

    /// Checks all operations on the path, inner transactions' too.
    fn check_path<'p>(
        &self,
        request: &TxnRequest,
        path: &mut impl Iterator<Item = &'p bool>,
        check: fn(&Self, &Request) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for op in branch(request, *path.next().unwrap()) {
            match &op.request {
                Some(Request::RequestTxn(inner)) => self.check_path(inner, path, check)?,
                Some(request) => check(self, request)?,
                None => {}
            }
        }
        Ok(())
    }

    fn check_put(&self, request: &Request) -> Result<(), Error> {
        let Request::RequestPut(put) = request else { return Ok(()) };
        let keeps = put.ignore_value || put.ignore_lease;
        if keeps && !self.current().contains_key(&put.key) {
            return Err(Error::KeyNotFound);
        }
        if put.lease != 0 {
            return Err(Error::LeaseNotFound);
        }
        Ok(())
    }

    fn check_range(&self, request: &Request) -> Result<(), Error> {
        let Request::RequestRange(range) = request else { return Ok(()) };
        if !(0..3).contains(&range.sort_order) || !(0..5).contains(&range.sort_target) {
            return Err(Error::InvalidSortOption);
        }
        if range.revision != 0 && range.revision < self.compacted {
            return Err(Error::Compacted);
        }
        if range.revision > self.revision() {
            return Err(Error::FutureRevision);
        }
        Ok(())
    }

    fn holds(&self, compare: &Compare) -> bool {
        let pairs = select(self.current(), &compare.key, &compare.range_end);
        if pairs.is_empty() {
            return compare.target != 3 && relation(compare, &KeyValue::default());
        }
        pairs.iter().all(|pair| relation(compare, pair))
    }
}

impl Work<'_> {
    fn revision(&self) -> i64 {
        self.model.revision() + i64::from(self.changed)
    }

    fn put(&mut self, request: &PutRequest) -> PutResponse {
        self.changed = true;
        let revision = self.revision();
        let old = self.map.get(&request.key).cloned();
        let mut pair = KeyValue {
            key: request.key.clone(),
            create_revision: revision,
            mod_revision: revision,
            version: 1,
            value: request.value.clone(),
            lease: request.lease,
        };
        if let Some(old) = &old {
            pair.create_revision = old.create_revision;
            pair.version = old.version + 1;
            if request.ignore_value {
                pair.value = old.value.clone();
            }
            if request.ignore_lease {
                pair.lease = old.lease;
            }
        }
        self.map.insert(request.key.clone(), pair);
        PutResponse { header: head(revision), prev_kv: old.filter(|_| request.prev_kv) }
    }

    fn delete(&mut self, request: &DeleteRangeRequest) -> DeleteRangeResponse {
        let pairs = select(&self.map, &request.key, &request.range_end);
        for pair in &pairs {
            self.map.remove(&pair.key);
            self.changed = true;
        }
        DeleteRangeResponse {
            header: head(self.revision()),
            deleted: pairs.len().try_into().unwrap(),
            prev_kvs: if request.prev_kv { pairs } else { Vec::new() },
        }
    }

    fn range(&self, request: &RangeRequest) -> Result<RangeResponse, Error> {
        if !(0..3).contains(&request.sort_order) || !(0..5).contains(&request.sort_target) {
            return Err(Error::InvalidSortOption);
        }
        if request.revision > self.revision() {
            return Err(Error::FutureRevision);
        }
        let revision = if request.revision > 0 { request.revision } else { self.revision() };
        if revision < self.model.compacted {
            return Err(Error::Compacted);
        }
        let at = usize::try_from(revision).unwrap() - 1;
        let map = if revision == self.revision() { &self.map } else { &self.model.history[at] };
        let mut pairs = select(map, &request.key, &request.range_end);
        let mut response = RangeResponse {
            header: head(self.revision()),
            count: pairs.len().try_into().unwrap(),
            ..Default::default()
        };
        if request.count_only {
            return Ok(response);
        }
        let bounds = [
            (request.max_mod_revision, request.min_mod_revision),
            (request.max_create_revision, request.min_create_revision),
        ];
        let limit = usize::try_from(request.limit).unwrap_or(0);
        if limit > 0 && request.sort_order == 0 && bounds == [(0, 0), (0, 0)] {
            pairs.truncate(limit + 1);
        }
        pairs.retain(|pair| {
            let values = [pair.mod_revision, pair.create_revision];
            values.iter().zip(bounds).all(|(&value, (max, min))| {
                (max == 0 || value <= max) && (min == 0 || value >= min)
            })
        });
        let numbers = |pair: &KeyValue| match request.sort_target {
            1 => pair.version,
            2 => pair.create_revision,
            3 => pair.mod_revision,
            _ => 0,
        };
        let by_value = request.sort_target == 4;
        let value = |pair: &KeyValue| if by_value { pair.value.clone() } else { Bytes::new() };
        if request.sort_order == 2 {
            if request.sort_target == 0 {
                pairs.reverse();
            } else {
                pairs.sort_by_key(|pair| std::cmp::Reverse((numbers(pair), value(pair))));
            }
        } else {
            pairs.sort_by_key(|pair| (numbers(pair), value(pair)));
        }
        if limit > 0 && pairs.len() > limit {
            response.more = true;
            pairs.truncate(limit);
        }
        if request.keys_only {
            pairs.iter_mut().for_each(|pair| pair.value = Bytes::new());
        }
        response.kvs = pairs;
        Ok(response)
    }

    fn txn<'p>(
        &mut self,
        request: &TxnRequest,
        path: &mut impl Iterator<Item = &'p bool>,
    ) -> TxnResponse {
        let succeeded = *path.next().unwrap();
        let mut responses = Vec::new();
        for op in branch(request, succeeded) {
            let response = match &op.request {
                Some(Request::RequestRange(range)) => {
                    Some(Response::ResponseRange(self.range(range).unwrap()))
                }
                Some(Request::RequestPut(put)) => Some(Response::ResponsePut(self.put(put))),
                Some(Request::RequestDeleteRange(delete)) => {
                    Some(Response::ResponseDeleteRange(self.delete(delete)))
                }
                Some(Request::RequestTxn(inner)) => {
                    Some(Response::ResponseTxn(self.txn(inner, path)))
                }
                None => None,
            };
            responses.push(ResponseOp { response });
        }
        TxnResponse { header: Some(ResponseHeader::default()), succeeded, responses }
    }
}

fn branch(request: &TxnRequest, succeeded: bool) -> &[RequestOp] {
    if succeeded { &request.success } else { &request.failure }
}

fn select(map: &Map, key: &Bytes, range_end: &Bytes) -> Vec<KeyValue> {
    map.values()
        .filter(|pair| match &range_end[..] {
            b"" => pair.key == key,
            b"\0" => pair.key >= key,
            _ => pair.key >= key && pair.key < range_end,
        })
        .cloned()
        .collect()
}

fn relation(compare: &Compare, pair: &KeyValue) -> bool {
    let union = &compare.target_union;
    let number = |own: i64, given: Option<i64>| own.cmp(&given.unwrap_or(0));
    let ordering = match (compare.target, union) {
        (0, Some(TargetUnion::Version(given))) => number(pair.version, Some(*given)),
        (0, _) => number(pair.version, None),
        (1, Some(TargetUnion::CreateRevision(given))) => number(pair.create_revision, Some(*given)),
        (1, _) => number(pair.create_revision, None),
        (2, Some(TargetUnion::ModRevision(given))) => number(pair.mod_revision, Some(*given)),
        (2, _) => number(pair.mod_revision, None),
        (3, Some(TargetUnion::Value(given))) => pair.value.cmp(given),
        (3, _) => pair.value.cmp(&Bytes::new()),
        (4, Some(TargetUnion::Lease(given))) => number(pair.lease, Some(*given)),
        (4, _) => number(pair.lease, None),
        (_, _) => std::cmp::Ordering::Equal,
    };
    match compare.result {
        0 => ordering.is_eq(),
        1 => ordering.is_gt(),
        2 => ordering.is_lt(),
        3 => ordering.is_ne(),
        _ => true,
    }
}

fn head(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader { revision, ..Default::default() })
}
