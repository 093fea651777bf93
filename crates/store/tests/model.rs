//! Random commands against a model too simple to be wrong: a list of maps, one for each revision.
//!
//! The model shares nothing with the store but the messages. It follows the published semantics of
//! etcd v3, a map copied at every change.

#![expect(clippy::unwrap_used, reason = "the helpers of a test are a test too")]

mod model {
    pub(crate) mod naive;
    pub(crate) mod requests;
}

use bytes::Bytes;
use model::naive::Model;
use model::requests::{Step, steps};
use proptest::prelude::*;
use quorate_proto::etcdserverpb::{CompactionRequest, PutRequest, RangeRequest, RangeResponse};
use quorate_store::{Command, Error, Store, View, Wants, is_read_only};

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        failure_persistence: None,
        ..Default::default()
    })]

    /// Whatever is applied and read, in whatever order, with views held and dropped: each answer is
    /// the model's.
    #[test]
    fn every_answer_is_the_models(steps in steps()) {
        let mut store = Store::new();
        let mut follower = Store::new();
        let reader = store.reader();
        let mut model = Model::new();
        let mut views: Vec<(View, Model)> = Vec::new();
        for step in steps {
            match step {
                Step::Apply(command) => {
                    let bytes = command.encode();
                    let reply = store.apply(&bytes, Wants::Reply);
                    prop_assert_eq!(reply, Some(model.apply(&command)), "{:?}", command);
                    prop_assert_eq!(follower.apply(&bytes, Wants::Nothing), None);
                    prop_assert_eq!(store.state_hash(), follower.state_hash());
                    prop_assert_eq!(store.status().keys, model.keys());
                }
                Step::Range(request) => {
                    prop_assert_eq!(reader.range(&request), model.range(&request), "{:?}", request);
                    for (view, model) in &views {
                        prop_assert_eq!(view.range(&request), model.range(&request));
                    }
                }
                Step::Txn(request) => {
                    if is_read_only(&request) {
                        let expected = model.clone().txn(&request);
                        prop_assert_eq!(reader.txn(&request), expected, "{:?}", request);
                        for (view, model) in &views {
                            prop_assert_eq!(view.txn(&request), model.clone().txn(&request));
                        }
                    } else {
                        prop_assert!(reader.txn(&request).is_err());
                    }
                }
                Step::Hold => views.push((reader.view(), model.clone())),
                Step::Drop(at) if at < views.len() => drop(views.remove(at)),
                Step::Drop(_) => {}
            }
        }
        for (view, model) in views {
            check_all_history(|request| view.range(request), &model)?;
        }
        check_all_history(|request| reader.range(request), &model)?;
        check_removal(&mut store, &mut model)?;
    }

    /// No bytes make the store panic, or a reply where nothing waits, and equal bytes do equal
    /// things.
    #[test]
    fn arbitrary_bytes_are_applied_alike(commands in prop::collection::vec(
        (0_u8..6, prop::collection::vec(any::<u8>(), 0..40)), 1..20,
    )) {
        let (mut one, mut other) = (Store::new(), Store::new());
        for (tag, mut body) in commands {
            body.insert(0, tag);
            let bytes = Bytes::from(body);
            let reply = one.apply(&bytes, Wants::Reply);
            prop_assert!(reply.is_some());
            prop_assert_eq!(reply, other.apply(&bytes, Wants::Reply));
            prop_assert_eq!(one.state_hash(), other.state_hash());
            prop_assert_eq!(one.status(), other.status());
        }
    }

    /// Bytes that are nearly a command, too.
    #[test]
    fn damaged_commands_are_applied_alike(
        steps in steps(),
        place in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let (mut one, mut other) = (Store::new(), Store::new());
        for step in steps {
            let Step::Apply(command) = step else { continue };
            let mut bytes = command.encode().to_vec();
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
            let bytes = Bytes::from(bytes);
            prop_assert_eq!(one.apply(&bytes, Wants::Reply), other.apply(&bytes, Wants::Reply));
            prop_assert_eq!(one.state_hash(), other.state_hash());
        }
    }
}

/// Everything, at every revision around those that can be read.
fn check_all_history(
    range: impl Fn(&RangeRequest) -> Result<RangeResponse, Error>,
    model: &Model,
) -> Result<(), TestCaseError> {
    for revision in model.compacted() - 1..=model.revision() + 1 {
        let everything = Bytes::from_static(b"\0");
        let (key, range_end) = (everything.clone(), everything);
        let request = RangeRequest { key, range_end, revision, ..Default::default() };
        prop_assert_eq!(range(&request), model.range(&request));
    }
    Ok(())
}

/// After a compaction at the current revision, with no view left, only what lives remains.
fn check_removal(store: &mut Store, model: &mut Model) -> Result<(), TestCaseError> {
    // Tombstones at the compacted revision would stay, so the last change is a put.
    let put = Command::Put(PutRequest { key: "end".into(), ..Default::default() });
    let revision = model.revision() + 1;
    let compact = Command::Compact(CompactionRequest { revision, physical: true });
    for command in [put, compact] {
        let reply = store.apply(&command.encode(), Wants::Reply);
        prop_assert_eq!(reply, Some(model.apply(&command)));
    }
    let status = store.status();
    prop_assert_eq!((status.versions, status.keys), (model.keys(), model.keys()));
    prop_assert_eq!(status.bytes, status.bytes_live);
    Ok(())
}
