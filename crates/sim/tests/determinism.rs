//! A run is its schedule, and nothing else: the same again from the same schedule, from its text,
//! on another thread, and when its lines are written.
//!
//! Debug and release builds must agree too. No test can hold one against the other, and recorded
//! hashes would be others after every change of the code, so it is done by hand, with equal output:
//!
//! ```text
//! hunt="-p quorate-sim --example hunt -- --profile standard --seeds 20 --seconds 20 --verbose"
//! diff <(cargo run $hunt) <(cargo run --profile mutants $hunt)
//! ```

use std::io;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::thread;

use quorate_sim::{
    Fault, Outcome, Profile, Schedule, ScheduleError, What, parted, record, run, run_traced,
};

const SECOND: u64 = 1_000_000;

/// After how many events each a hash is kept here.
const EVERY: u64 = 100;

/// Some schedules of many profiles.
fn schedules() -> impl Iterator<Item = Schedule> {
    let profiles =
        ["calm", "standard", "mixed", "storm", "crash", "replay", "disk-full", "clock-drift"];
    profiles.into_iter().zip(1..).flat_map(|(name, number)| {
        let profile = Profile::from_str(name).expect("a profile");
        [number, 0x8000_0000_0000_0000 + number]
            .map(|seed| Schedule::draw(&profile, seed, Some(3 * SECOND)))
    })
}

/// All that can be told apart in an outcome.
fn told(outcome: &Outcome) -> impl PartialEq + std::fmt::Debug + use<> {
    let Outcome { failure, hash, events, simulated, operations, marks, trace_error, hashes } =
        outcome;
    assert!(trace_error.is_none(), "{trace_error:?}");
    (failure.clone(), *hash, *events, *simulated, *operations, marks.clone(), hashes.clone())
}

#[test]
fn the_same_schedule_gives_the_same_run() {
    for schedule in schedules() {
        let first = run_traced(&schedule, None, EVERY);
        let name = format!("{}, seed {}", schedule.profile, schedule.seed);
        assert!(first.events > EVERY && !first.hashes.is_empty(), "{name}: nothing happened");
        let again = run_traced(&schedule, None, EVERY);
        assert_eq!(told(&first), told(&again), "{name}, again");
        let elsewhere = {
            let schedule = schedule.clone();
            thread::spawn(move || told(&run_traced(&schedule, None, EVERY)))
        };
        assert_eq!(told(&first), elsewhere.join().expect("it runs"), "{name}, another thread");
    }
}

#[test]
fn a_schedule_is_drawn_from_its_seed_alone() {
    let (first, second): (Vec<_>, Vec<_>) = (schedules().collect(), schedules().collect());
    assert_eq!(first, second);
    let hashes: Vec<u64> = first.iter().map(|schedule| run(schedule).hash).collect();
    for (place, hash) in hashes.iter().enumerate() {
        assert!(!hashes[..place].contains(hash), "two schedules, one run: {:?}", first[place]);
    }
}

#[test]
fn a_schedule_survives_being_written_and_read() {
    for schedule in schedules() {
        let text = schedule.to_text();
        let read = Schedule::parse(&text).expect("what was written can be read");
        assert_eq!(schedule, read);
        assert_eq!(text, read.to_text());
        assert_eq!(
            told(&run_traced(&schedule, None, EVERY)),
            told(&run_traced(&read, None, EVERY))
        );
    }
}

/// Lines that can be looked at afterwards.
#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics with it").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn to_write_the_lines_of_a_run_changes_nothing() {
    for schedule in schedules() {
        let silent = run_traced(&schedule, None, EVERY);
        let lines = Lines::default();
        let spoken = run_traced(&schedule, Some(Box::new(lines.clone())), EVERY);
        assert_eq!(told(&silent), told(&spoken), "{} {}", schedule.profile, schedule.seed);
        let written = lines.0.lock().expect("nobody panicked with it");
        let count = written.split_inclusive(|byte| *byte == b'\n').count();
        assert_eq!(u64::try_from(count), Ok(spoken.events), "a line for each event");
    }
}

#[test]
fn a_recording_recognises_its_run_and_no_other() {
    let schedule = Schedule::draw(&Profile::Standard, 5, Some(3 * SECOND));
    let (recorded, outcome) = record(&schedule);
    let recording = recorded.recording.clone().expect("it was recorded");
    assert_eq!(recording.events, outcome.events);
    let read = Schedule::parse(&recorded.to_text()).expect("it can be read");
    assert_eq!(read, recorded);
    let again = run_traced(&read, None, recording.every);
    assert_eq!(parted(&recording, &again.hashes, again.events), None);

    // Another run from its middle on.
    let mut other = schedule.clone();
    let half = outcome.simulated / 2;
    other.faults.retain(|fault| fault.at < half);
    other.faults.push(Fault { at: half, what: What::Reset { from: 1, to: 2 } });
    let other = run_traced(&other, None, recording.every);
    let (from, to) = parted(&recording, &other.hashes, other.events).expect("it is another");
    let middle = again.hashes.iter().zip(&other.hashes).position(|(one, other)| one != other);
    let middle = u64::try_from(middle.expect("it parts somewhere")).expect("small");
    assert_eq!((from, to), (middle * recording.every + 1, (middle + 1) * recording.every));
    assert!(from > 1, "the first half is the same");
}

fn text() -> String {
    Schedule::draw(&Profile::Storm, 3, Some(SECOND)).to_text()
}

/// The text of a schedule with one thing in it replaced.
fn with(before: &str, after: &str) -> String {
    let text = text();
    assert!(text.contains(before), "{before} is not in {text}");
    text.replacen(before, after, 1)
}

#[test]
fn a_schedule_of_another_version_is_refused() {
    for found in [0, 1, -1, i64::MAX] {
        // Whatever else such a file holds.
        for text in [with("version = 3", &format!("version = {found}")), format!("version={found}")]
        {
            assert_eq!(Schedule::parse(&text), Err(ScheduleError::Version { found }));
        }
    }
}

#[test]
fn a_damaged_schedule_is_refused() {
    let whole = text();
    let line = |name: &str| {
        let line = whole.lines().find(|line| line.starts_with(name)).expect("a line");
        format!("{line}\n")
    };
    let damaged = [
        String::new(),
        "version = 3".to_owned(),
        "no schedule".to_owned(),
        "{\"version\": 2}".to_owned(),
        with("version = 3", "version = \"2\""),
        with("version = 3", "version = 3\nversion = 3"),
        with("seed = \"0x", "seed = \""),
        with("seed = \"0x3\"", "seed = \"0x10000000000000000\""),
        with("seed = \"0x3\"", "seed = 3"),
        with("members = 5", "members = -5"),
        with("members = 5", "members = 5.0"),
        with("members = 5", "members = 5\nbranches = 5"),
        with(&line("latency"), ""),
        with(&line("loss"), "loss = 4294967296\n"),
        with("kind = \"", "kind = \"un"),
        with("[[faults]]", "[[faults]"),
        with("[[faults]]\n", "[[faults]]\nwhen = 3\n"),
    ];
    for text in damaged {
        let error = Schedule::parse(&text).expect_err(&text);
        assert!(matches!(error, ScheduleError::Damaged(_)), "{error}\n{text}");
        let message = error.to_string();
        assert!(message.starts_with("the schedule is damaged: "), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
    // Cut off anywhere but behind the last setting, or in its number.
    for end in (0..whole.len()).step_by(37) {
        if let Ok(read) = Schedule::parse(&whole[..end]) {
            let is_of_number = |c: char| c.is_ascii_digit() || c == '\n';
            let rest = whole[end..].trim_start_matches(is_of_number);
            assert!(rest.starts_with("[[faults]]"), "{read:?}");
        }
    }
}

#[test]
fn what_cannot_be_run_is_refused() {
    fn refused(change: impl Fn(&mut Schedule)) -> String {
        let mut schedule = Schedule::draw(&Profile::Calm, 3, Some(SECOND));
        change(&mut schedule);
        match Schedule::parse(&schedule.to_text()) {
            Err(ScheduleError::Impossible(what)) => what,
            other => panic!("{other:?}"),
        }
    }
    assert!(refused(|s| s.settings.members = 0).starts_with("settings.members is 0"));
    assert!(refused(|s| s.settings.members = 8).starts_with("settings.members is 8"));
    assert!(refused(|s| s.settings.clients = 1000).starts_with("settings.clients is 1000"));
    assert!(refused(|s| s.settings.keys = 1).starts_with("settings.keys is 1"));
    assert!(refused(|s| s.settings.duration = 0).starts_with("settings.duration is 0"));
    assert!(refused(|s| s.settings.operations = 0).starts_with("settings.operations is 0"));
    assert!(refused(|s| s.settings.outstanding = 0).starts_with("settings.outstanding is 0"));
    assert!(refused(|s| s.settings.value_bytes = 7).starts_with("settings.value_bytes is 7"));
    let late = refused(|s| s.settings.heartbeat = s.settings.election_timeout);
    assert!(late.starts_with("settings.heartbeat is"), "{late}");
    assert!(refused(|s| s.rates.replay = 1_000_001).starts_with("a rate is 1000001"));
    for member in [0, 6] {
        let all = [
            What::Crash { member, steps: 0, down: 1, salt: 0 },
            What::Restart { member, down: 1 },
            What::Pause { member, lasting: 1 },
            What::Wipe { member },
            What::Cut { links: vec![(1, 2), (member, 2)], lasting: 1 },
            What::Cut { links: vec![(1, 2), (2, member)], lasting: 1 },
            What::Clog { from: member, to: 1, lasting: 1 },
            What::Clog { from: 1, to: member, lasting: 1 },
            What::Reset { from: member, to: 1 },
            What::Reset { from: 1, to: member },
            What::Rot { member, salt: 0 },
            What::Unreadable { member, salt: 0 },
            What::Misdirect { member, salt: 0 },
            What::LostWrite { member, salt: 0 },
            What::SyncError { member, salt: 0 },
            What::DiskFull { member, left: 0, lasting: 1 },
            What::SlowDisk { member, factor: 0, lasting: 1 },
            What::ClockJump { member, by: 1 },
            What::ClockRate { member, rate: 0, lasting: 1 },
        ];
        for what in all {
            let said = refused(|s| s.faults.push(Fault { at: 77, what: what.clone() }));
            assert_eq!(said, format!("the fault at 77 names member {member} of 5"), "{what:?}");
        }
    }
}
