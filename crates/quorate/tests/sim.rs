//! `quorate sim`, as somebody uses it who looks for bugs.

#![expect(clippy::unwrap_used, reason = "the helpers of a test are a test too")]

#[cfg(test)]
mod support;

use std::fs;
use std::path::Path;

use quorate_sim::{Failure, Fault, Profile, Schedule, What, record};
use support::process::{Outcome, quorate, run, run_command};
use tempfile::TempDir;

/// Runs a command that must succeed and complain of nothing; returns what it prints.
#[track_caller]
fn prints(arguments: &[&str]) -> String {
    let outcome = run(arguments);
    assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""), "{arguments:?}: {outcome:?}");
    outcome.stdout
}

/// What stands behind a name in a summary.
#[track_caller]
fn value<'a>(text: &'a str, name: &str) -> &'a str {
    let values: Vec<_> =
        text.lines().filter_map(|line| line.trim_start().strip_prefix(name)).collect();
    assert_eq!(values.len(), 1, "{name} in:\n{text}");
    values[0].trim()
}

fn write(directory: &TempDir, schedule: &Schedule) -> String {
    let path = directory.path().join("schedule.toml");
    fs::write(&path, schedule.to_text()).unwrap();
    path.display().to_string()
}

/// A run that is bound to fail: members forget everything and come back as if they had not.
fn forgetful() -> (Schedule, Failure) {
    let fails = |seed| {
        let mut schedule = Schedule::draw(&Profile::Calm, seed, Some(4_000_000));
        schedule.settings.wiped_return = true;
        let wipe = |member| Fault { at: 3_000_000, what: What::Wipe { member } };
        schedule.faults = [1, 2, 3].map(wipe).to_vec();
        let (schedule, outcome) = record(&schedule);
        outcome.failure.map(|failure| (schedule, failure))
    };
    (1..).find_map(fails).expect("there is no end of them")
}

#[test]
fn a_campaign_is_summed_up_and_does_not_depend_on_its_jobs() {
    let campaign = ["sim", "run", "--seeds", "3", "--first", "5", "--seconds", "1"];
    let with = |more: &[&str]| prints(&[&campaign, more].concat());
    let one = with(&["--jobs", "1"]);
    assert!(one.starts_with("3 seeds of profile standard, from 5 on: none failed\n"), "{one}");
    assert!(value(&one, "simulated").contains(" s on 1 job: "), "{one}");
    assert!(value(&one, "hash").ends_with(" of all runs"), "{one}");
    assert!(one.contains("\nwarning: never met"), "{one}");
    for other in [with(&["--jobs", "3"]), with(&["--twice", "--keep-going"])] {
        for name in ["hash", "events", "operations", "situations"] {
            assert_eq!(value(&one, name), value(&other, name));
        }
    }
    let calm = prints(&["sim", "run", "--seeds", "2", "--seconds", "1", "--profile", "calm"]);
    assert!(!calm.contains("warning") && calm.contains("\nnever met:\n"), "{calm}");
}

#[test]
fn json_is_one_object() {
    let text = prints(&["sim", "run", "--seeds", "2", "--seconds", "1", "--json"]);
    assert_eq!(text.lines().count(), 1, "{text}");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&json["profile"], &json["seeds"]), (&"standard".into(), &2.into()));
    assert_eq!((&json["seconds"], &json["failed"]), (&1.into(), &0.into()));
    assert_eq!(json["failures"], serde_json::json!([]));
    assert_eq!(json["hash"].as_str().map(str::len), Some(16));
    let situations = json["situations"].as_object().unwrap();
    assert!(situations["a leader was elected"].as_u64() > Some(0), "{text}");
}

#[test]
fn a_seed_is_the_same_run_however_it_is_run() {
    let directory = tempfile::tempdir().unwrap();
    let seed = ["sim", "run", "--seed", "0x11", "--seconds", "1"];
    let bare = prints(&seed);
    assert!(bare.starts_with("seed 17 of profile standard passed\n"), "{bare}");
    assert!(!bare.contains("never met"), "{bare}");
    let hash = value(&bare, "hash").strip_suffix(" of the run").unwrap();
    let events: usize = value(&bare, "events").parse().unwrap();

    let trace = directory.path().join("trace.txt").display().to_string();
    let traced = prints(&[&seed[..], &["--trace", &trace]].concat());
    assert_eq!(value(&traced, "hash"), value(&bare, "hash"));
    assert_eq!(fs::read_to_string(&trace).unwrap().lines().count(), events);

    let Outcome { code, stdout, stderr } = run(&[&seed[..], &["--trace", "-"]].concat());
    assert_eq!((code, stdout), (Some(0), fs::read_to_string(&trace).unwrap()));
    assert_eq!(value(&stderr, "hash"), value(&bare, "hash"));

    let schedule = Schedule::draw(&Profile::Standard, 17, Some(1_000_000));
    let played = prints(&["sim", "play", &write(&directory, &schedule)]);
    assert!(played.starts_with("passed: "), "{played}");
    assert_eq!(value(&played, "hash"), hash);
}

#[test]
fn a_schedule_that_fails_is_played_and_recognised() {
    let directory = tempfile::tempdir().unwrap();
    let (schedule, failure) = forgetful();
    let file = write(&directory, &schedule);
    let Outcome { code, stdout, stderr } = run(&["sim", "play", &file]);
    assert_eq!((code, &*stderr), (Some(1), ""), "{stdout}");
    assert!(stdout.starts_with(&format!("failed: {}, after 3.", failure.checker)), "{stdout}");
    assert!(stdout.contains(&failure.message), "{stdout}");
    assert!(stdout.contains("\nthe run is the same as the recorded one\n"), "{stdout}");

    // With a trace, whose last event is the one that failed.
    let trace = directory.path().join("trace.txt").display().to_string();
    let traced = run(&["sim", "play", &file, "--trace", &trace]);
    assert_eq!((traced.code, traced.stdout), (Some(1), stdout));
    let lines = fs::read_to_string(&trace).unwrap();
    let last = lines.lines().next_back().unwrap();
    assert!(last.contains(&format!(" FAILED {}: ", failure.checker)), "{last}");

    // Mended: the same schedule passes, and that is no error.
    let mended = Schedule { faults: Vec::new(), ..schedule };
    let stdout = prints(&["sim", "play", &write(&directory, &mended)]);
    assert!(stdout.starts_with("passed: "), "{stdout}");
    assert!(stdout.contains("\nnote: the run is not the recorded one: they part"), "{stdout}");
    assert!(
        stdout.contains(&format!("\nthe recorded one failed: {}", failure.checker)),
        "{stdout}"
    );
}

/// Refused with status 2 and one line that has all of `texts`.
#[track_caller]
fn is_unusable(arguments: &[&str], texts: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let outcome = run_command(quorate(arguments).current_dir(directory.path()));
    let Outcome { code, stdout, stderr } = &outcome;
    assert_eq!((*code, &**stdout), (Some(2), ""), "{arguments:?}: {outcome:?}");
    let first = stderr.lines().next().unwrap_or_default();
    for text in texts {
        assert!(first.contains(text), "'{text}' is missing: {arguments:?}: {stderr}");
    }
    // What clap refuses ends with a hint; what we refuse is said in one line.
    let is_usage = first.starts_with("error: ") && stderr.contains("try '--help'");
    assert!(is_usage || stderr.lines().count() == 1, "{arguments:?}: {stderr}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "{arguments:?}");
}

#[test]
fn wrong_usage_is_explained_with_status_2() {
    let with = |more: &[&str], texts: &[&str]| {
        is_unusable(&[&["sim", "run"], more].concat(), texts);
    };
    with(&["--profile", "none"], &["there is no profile \"none\"", "standard, mixed", "crash-all"]);
    for seed in ["x", "-3", "18446744073709551616", "0xg", ""] {
        with(
            &["--seed", seed],
            &["'--seed <S>'", "a seed is a number from 0 to 18446744073709551615"],
        );
    }
    with(&["--first", "1.5"], &["'1.5' for '--first <S>': a seed is a number"]);
    for option in [&["--seeds", "7"][..], &["--first", "1"], &["--jobs", "1"], &["--keep-going"]] {
        let more = [&["--seed", "1"], option].concat();
        with(&more, &["'--seed <S>' cannot be used with", option[0]]);
    }
    with(&["--seeds", "0"], &["'0' for '--seeds <N>'"]);
    with(&["--jobs", "0"], &["'0' for '--jobs <J>'"]);
    with(&["--seconds", "0"], &["'0' for '--seconds <T>': 0 is not in 1..=360000"]);
    with(&["--seconds", "99999999999"], &["--seconds <T>"]);
    with(&["--seed", "1", "--twice", "--trace", "t"], &["'--twice' cannot be used with '--trace"]);
    with(&["--trace", "t"], &["required arguments were not provided"]);
    is_unusable(&["sim", "play"], &["required arguments were not provided"]);
    is_unusable(&["sim", "rum"], &["unrecognized subcommand 'rum'"]);
}

#[test]
fn places_that_cannot_be_written_are_named_with_status_2() {
    let here = tempfile::tempdir().unwrap();
    let file = here.path().join("file");
    fs::write(&file, "precious").unwrap();
    let below = file.join("below").display().to_string();
    let with = |option, place| ["sim", "run", "--seed", "1", "--seconds", "1", option, place];
    is_unusable(&with("--trace", &below), &[&below, "cannot be written: Not a directory"]);
    is_unusable(&with("--output", &below), &["--output", &below, "Not a directory"]);
    if Path::new("/dev/full").exists() {
        let outcome = run_command(&mut quorate(&with("--trace", "/dev/full")));
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        let said = "Error: the trace cannot be written: No space left on device (os error 28)\n";
        assert_eq!(outcome.stderr, said);
    }
    assert_eq!(fs::read(&file).unwrap(), b"precious");
}

#[test]
fn schedules_that_cannot_be_run_are_refused_with_status_2() {
    let directory = tempfile::tempdir().unwrap();
    let play = |text: &[u8], texts: &[&str]| {
        let path = directory.path().join("schedule.toml");
        fs::write(&path, text).unwrap();
        let path = path.display().to_string();
        is_unusable(&["sim", "play", &path], &[&["Error: ", &*path], texts].concat());
    };
    let sound = Schedule::draw(&Profile::Standard, 1, Some(1_000_000)).to_text();
    let edited = |from: &str, to: &str| {
        assert_eq!(sound.matches(from).count(), 1, "{from} in:\n{sound}");
        sound.replace(from, to).into_bytes()
    };
    play(&edited("version = 3\n", "version = 99\n"), &["is of version 99", "draw it anew"]);
    play(b"version = 99\nwhatever = 1\n", &["is of version 99"]);
    play(&edited("version = 3\n", ""), &["the schedule is damaged", "missing field `version`"]);
    play(b"", &["the schedule is damaged"]);
    play(&sound.as_bytes()[..sound.len() / 3], &["the schedule is damaged"]);
    play(&edited("[rates]", "[rats]"), &["the schedule is damaged", "unknown field `rats`"]);
    play(&edited("seed = \"0x1\"", "seed = 1"), &["the schedule is damaged"]);
    play(&edited("members = 5", "members = 50"), &["settings.members is 50; it may be 1 to 7"]);
    play(b"\xff\xfe", &["cannot be read"]);
    let missing = directory.path().join("missing.toml").display().to_string();
    is_unusable(&["sim", "play", &missing], &[&missing, "cannot be read: No such file"]);
    let folder = directory.path().display().to_string();
    is_unusable(&["sim", "play", &folder], &[&folder, "cannot be read: Is a directory"]);
}

#[test]
fn profiles_kinds_and_checkers_are_shown() {
    let text = prints(&["sim", "profiles"]);
    for part in ["\n  storm ", "\n  crash-all ", "all members crash at once", "linearizability"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
}
