//! Random commands, with a restore in the middle.

use bytes::Bytes;
use proptest::prelude::*;
use quorate_store::{Command, Store, View, Wants};

use super::bytes::{bytes, everything, history, restore, restored, state};
use crate::requests::{Step, steps};

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..Default::default()
    })]

    /// A store that is restored from another goes on as that one does, whatever it was before, and
    /// whatever either has removed of its old versions. Views of what it was stay as they are.
    #[test]
    fn a_restored_store_goes_on_as_the_other(
        before in steps(),
        first in steps(),
        second in steps(),
    ) {
        let (mut original, mut views) = (Store::new(), Vec::new());
        // It applies the same commands, but nobody holds back what it removes.
        let mut tidy = Store::new();
        for step in first {
            if let Step::Apply(command) = &step {
                tidy.apply(&command.encode(), Wants::Nothing);
            }
            do_step(&mut original, &mut views, step);
        }
        let (mut copy, mut old_views) = (Store::new(), Vec::new());
        for step in before {
            do_step(&mut copy, &mut old_views, step);
        }
        let reader = copy.reader();
        let old: Vec<_> = old_views.iter().map(everything_of).collect();

        let snapshot = bytes(&original);
        prop_assert_eq!(&bytes(&tidy), &snapshot);
        restore(&mut copy, &snapshot).unwrap();
        prop_assert_eq!(state(&copy), state(&original));
        prop_assert_eq!(&bytes(&copy), &snapshot);
        prop_assert_eq!(reader.status(), copy.status());
        let still: Vec<_> = old_views.iter().map(everything_of).collect();
        prop_assert_eq!(still, old);

        for step in second {
            if let Step::Apply(command) = &step {
                let bytes = command.encode();
                tidy.apply(&bytes, Wants::Nothing);
                let reply = copy.apply(&bytes, Wants::Reply);
                prop_assert_eq!(reply, original.apply(&bytes, Wants::Reply), "{:?}", command);
                prop_assert_eq!(copy.state_hash(), original.state_hash());
            } else {
                let answer = do_step(&mut original, &mut views, step.clone());
                prop_assert_eq!(do_step(&mut copy, &mut old_views, step), answer);
            }
        }
        prop_assert_eq!(state(&copy), state(&original));
        prop_assert_eq!(&bytes(&copy), &bytes(&original));
        prop_assert_eq!(&bytes(&tidy), &bytes(&original));

        // Without views, and with everything removed that can be, they have the same numbers too.
        drop((views, old_views));
        let everywhere = [&mut original, &mut copy, &mut tidy];
        let [first, second, third] = everywhere.map(|store| {
            // Removes nothing, but gives time to remove what was compacted.
            for _ in 0..1_000 {
                store.apply(&Bytes::new(), Wants::Nothing);
            }
            store.status()
        });
        prop_assert_eq!(first, second);
        prop_assert_eq!(first, third);
        prop_assert_eq!(restored(&bytes(&original)).unwrap().status(), first);
    }
}

/// Does one step, and tells what came of it in words that can be compared.
fn do_step(store: &mut Store, views: &mut Vec<View>, step: Step) -> String {
    match step {
        Step::Apply(command) => apply(store, &command),
        Step::Range(request) => format!("{:?}", store.reader().range(&request)),
        Step::Txn(request) => format!("{:?}", store.reader().txn(&request)),
        Step::Hold => {
            views.push(store.reader().view());
            String::new()
        }
        Step::Drop(at) => {
            if at < views.len() {
                views.remove(at);
            }
            String::new()
        }
    }
}

fn apply(store: &mut Store, command: &Command) -> String {
    format!("{:?}", store.apply(&command.encode(), Wants::Reply))
}

fn everything_of(view: &View) -> String {
    let now = view.range(&everything(0));
    format!("{now:?} {:?}", history(view.status(), |request| view.range(request)))
}
