//! Stories about the core, as text: `tests/scripts/<topic>/<behaviour>.txt`.
//!
//! A script opens with a sentence that says what it shows. Then blocks: commands, a line `---`, and
//! what happened. `UPDATE_TRANSCRIPTS=1 cargo test -p quorate-raft --test transcripts` writes the
//! outputs anew; a change is to be understood before it is kept.
//!
//! In the output, `1 < ...` is what member 1 receives, `1 | ...` an event or result at it, `1 #
//! ...` its disk, `1 > 2 ...` a message it sends. Commands: see `Script::command`.

mod rig;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate_raft::{
    Append, HardState, Input, Instant, LeaseConfig, Membership, Message, NodeId, Run, Target,
    Verdict,
};

use rig::{Cluster, entry, index, node, render, term};

/// Whether writes become durable by themselves, as soon as a command is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Disks {
    Fast,
    Slow,
}

struct Script {
    cluster: Cluster,
    disks: Disks,
}

impl Script {
    fn new() -> Self {
        let mut cluster = Cluster::with_membership(&Membership::of_voters([node(1)]), 1);
        cluster.transcript = Some(Vec::new());
        Self { cluster, disks: Disks::Fast }
    }

    /// One command; its words are separated by spaces.
    fn command(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (name, words) = words.split_first().expect("a command");
        match *name {
            // cluster <voters> [learners <count>] [spares <count>] [seed <n>]: none of them started
            "cluster" => self.make_cluster(words),
            // disks fast|slow: whether writes become durable by themselves
            "disks" => {
                self.disks = if words == ["slow"] { Disks::Slow } else { Disks::Fast };
            }
            // disk <member> term <t> [vote <v>] log <term,term,...>: what it starts with
            "disk" => self.prepare(words),
            // lease <member>... or all: they use leases of 800 ms, and clocks drift by a tenth
            "lease" => self.for_each(words, |cluster, id| {
                let duration = Duration::from_millis(800);
                let lease = LeaseConfig { duration, clock_drift_max: 100 };
                cluster.member(id).config.lease = Some(lease);
            }),
            // start <member>... or start all
            "start" => self.for_each(words, |cluster, id| cluster.start(id)),
            // crash <member>...: with the loss of all that is not durable
            "crash" => self.for_each(words, |cluster, id| cluster.crash(id, 0)),
            // elect <member>: as if it timed out first, all others willing
            "elect" => {
                self.cluster.elect(number(words[0]));
            }
            // timeout <member>: time passes until its deadline
            "timeout" => self.for_each(words, Cluster::time_out),
            // wait <ms>: time passes, everything else happens at once
            "wait" => self.cluster.advance(Duration::from_millis(number(words[0]))),
            // pass <ms>: time passes, and nobody notices yet
            "pass" => {
                let duration = Duration::from_millis(number(words[0]));
                self.cluster.now = self.cluster.now.after(duration);
            }
            // tick <member>...: they look at the clock
            "tick" => self.for_each(words, |cluster, id| cluster.input(id, Input::Timeout)),
            "propose" => {
                self.cluster.propose(node(number(words[0])), number(words[1]));
            }
            // compact <member> <index>: takes a snapshot, forgets the log up to there
            "compact" => {
                let base = usize::try_from(number(words[1])).expect("small");
                self.cluster.compact(node(number(words[0])), base);
            }
            // fetch <member>: the snapshot that it was told to get
            "fetch" => self.for_each(words, |cluster, id| {
                assert!(cluster.fetch(id), "nobody has a snapshot for {id}");
            }),
            // transfer <member> [<to>]: to whoever can take over soonest, if nobody is named
            "transfer" => {
                let to = words.get(1).map(|word| node(number(word)));
                self.cluster.transfer(node(number(words[0])), to);
            }
            // change <member> voters <id,id,...> [learners <id,...>] [expected <index>]
            "change" => self.change(words),
            // members <member>...: the membership that counts there
            "members" => self.for_each(words, |cluster, id| {
                let raft = cluster.raft(id);
                let (at, text) = (raft.membership_index(), render::membership(raft.membership()));
                let pending = if raft.is_change_pending() { ", pending" } else { "" };
                cluster.say(format!("{id} | members by {at}: {text}{pending}"));
            }),
            "read" => self.for_each(words, |cluster, id| {
                cluster.read(id);
            }),
            "persist" => self.for_each(words, |cluster, id| {
                let count = cluster.members[&id].queue.len();
                cluster.persist(id, count);
            }),
            // persist-one <member>: the oldest write only
            "persist-one" => self.for_each(words, |cluster, id| {
                cluster.persist(id, 1);
            }),
            "settle" => self.cluster.settle(),
            // deliver|drop|double [<from> [<to>]] [<kind>]: of the messages under way
            "deliver" => self.deliver(words),
            "double" => self.double(words),
            "drop" => {
                let (taken, left) = self.split(words);
                self.cluster.network = left;
                assert!(!taken.is_empty(), "nothing to drop");
            }
            // reverse: the messages under way arrive in reverse order
            "reverse" => self.cluster.network.reverse(),
            "connect" | "disconnect" => {
                let (id, peer) = (node(number(words[0])), node(number(words[1])));
                let input = if *name == "connect" {
                    Input::Connected(peer)
                } else {
                    Input::Disconnected(peer)
                };
                self.cluster.input(id, input);
            }
            // cut <members> | <members>: two groups that do not reach each other; mend ends it
            "cut" => {
                let groups = words.split(|word| *word == "|");
                let groups: Vec<Vec<NodeId>> =
                    groups.map(|group| group.iter().map(|id| node(number(id))).collect()).collect();
                self.cluster.partition(&groups);
            }
            "mend" => self.cluster.cut.clear(),
            // forge <from> <to> <term> <message>: what no member has sent
            "forge" => {
                let message = forged(&words[3..]);
                let [from, to, term] = [0, 1, 2].map(|place| number(words[place]));
                self.cluster.forge(from, to, term, message);
            }
            "status" => self.status(),
            // quietly <command>: what everybody knows how it goes
            "quietly" => {
                let kept = self.cluster.transcript.take();
                self.command(&words.join(" "));
                self.cluster.transcript = kept;
            }
            unknown => panic!("unknown command {unknown}"),
        }
        if self.disks == Disks::Fast {
            for id in self.cluster.up() {
                let count = self.cluster.members[&id].queue.len();
                self.cluster.persist(id, count);
            }
        }
    }

    fn make_cluster(&mut self, words: &[&str]) {
        let option = |name| {
            let place = words.iter().position(|word| *word == name)?;
            Some(number(words[place + 1]))
        };
        let voters = number(words[0]);
        let mut membership = Membership::of_voters((1..=voters).map(node));
        let learners = option("learners").unwrap_or(0);
        membership.learners = (voters + 1..=voters + learners).map(node).collect();
        self.cluster = Cluster::with_membership(&membership, option("seed").unwrap_or(1));
        self.cluster.add_spares(option("spares").unwrap_or(0), option("seed").unwrap_or(1));
        self.cluster.transcript = Some(Vec::new());
    }

    fn change(&mut self, words: &[&str]) {
        let mut wish = Target::default();
        for pair in words[1..].chunks(2) {
            let ids = || pair[1].split(',').map(|id| node(number(id))).collect();
            match pair[0] {
                "voters" => wish.voters = ids(),
                "learners" => wish.learners = ids(),
                "expected" => wish.expected = Some(index(number(pair[1]))),
                unknown => panic!("change: {unknown}"),
            }
        }
        // Refused or not: the transcript tells.
        match self.cluster.change(node(number(words[0])), &wish) {
            Ok(_) | Err(_) => {}
        }
    }

    fn prepare(&mut self, words: &[&str]) {
        let mut hard_state = HardState::default();
        let mut terms = Vec::new();
        for pair in words[1..].chunks(2) {
            match *pair {
                ["term", value] => hard_state.term = term(number(value)),
                ["vote", value] => hard_state.vote = Some(node(number(value))),
                ["log", value] => terms = value.split(',').map(number).collect(),
                _ => panic!("disk: {pair:?}"),
            }
        }
        self.cluster.prepare(number(words[0]), hard_state, &terms);
    }

    fn for_each(&mut self, words: &[&str], action: impl Fn(&mut Cluster, NodeId)) {
        let ids: Vec<NodeId> = if words == ["all"] {
            self.cluster.members.keys().copied().collect()
        } else {
            words.iter().map(|word| node(number(word))).collect()
        };
        for id in ids {
            action(&mut self.cluster, id);
        }
    }

    /// The packets under way that fit, and the others.
    fn split(&self, words: &[&str]) -> (Vec<rig::Packet>, Vec<rig::Packet>) {
        let numbers: Vec<u64> = words.iter().filter_map(|word| word.parse().ok()).collect();
        let kind = words.iter().find(|word| word.parse::<u64>().is_err());
        let packets = self.cluster.network.iter().cloned();
        packets.partition(|packet| {
            let envelope = &packet.envelope;
            numbers.first().is_none_or(|&from| envelope.from == node(from))
                && numbers.get(1).is_none_or(|&to| envelope.to == node(to))
                && kind.is_none_or(|kind| kind_of(&envelope.message) == *kind)
        })
    }

    fn deliver(&mut self, words: &[&str]) {
        let (taken, left) = self.split(words);
        self.cluster.network = left;
        assert!(!taken.is_empty(), "nothing to deliver");
        for packet in taken {
            self.cluster.deliver(packet);
        }
    }

    fn double(&mut self, words: &[&str]) {
        let (taken, _) = self.split(words);
        self.cluster.network.extend(taken);
    }

    fn status(&mut self) {
        let ids: Vec<NodeId> = self.cluster.members.keys().copied().collect();
        for id in ids {
            let line = if self.cluster.is_up(id) {
                let status = self.cluster.raft(id).status();
                let leader = status.leader.map_or("none".to_owned(), |leader| leader.to_string());
                let terms = self.cluster.terms(id.value());
                format!(
                    "{id} | {:?} in term {}, leader {leader}, log {terms:?}, durable {}, commit {}",
                    status.role, status.term, status.durable, status.commit
                )
            } else {
                format!("{id} | is down")
            };
            self.cluster.say(line);
        }
    }

    /// What happened since the last call.
    fn take_output(&mut self) -> String {
        let lines = self.cluster.transcript.replace(Vec::new()).expect("a transcript is kept");
        if lines.is_empty() { "nothing\n".to_owned() } else { lines.join("\n") + "\n" }
    }
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or_else(|_| panic!("{word} is no number"))
}

fn kind_of(message: &Message) -> &'static str {
    match message {
        Message::Append(_) => "append",
        Message::AppendAccepted { .. } => "accepted",
        Message::AppendRejected { .. } => "rejected",
        Message::InstallSnapshot { .. } => "install-snapshot",
        Message::Heartbeat { .. } => "heartbeat",
        Message::HeartbeatReply { .. } => "heartbeat-reply",
        Message::PreVote { .. } => "pre-vote",
        Message::PreVoteReply { .. } => "pre-vote-reply",
        Message::Vote { .. } => "vote",
        Message::VoteReply { .. } => "vote-reply",
        Message::ReadIndex { .. } => "read-index",
        Message::ReadIndexReply { .. } => "read-index-reply",
        Message::TimeoutNow => "timeout-now",
        Message::HigherTerm => "higher-term",
    }
}

/// `accepted 5`, `rejected 5 3@2`, `install-snapshot 5@2`, `heartbeat 5 1`, `heartbeat-reply 1`,
/// `heartbeat-reply 1 sent 700 support 880` (milliseconds), `pre-vote 5@2`,
/// `pre-vote-granted 3`, `vote 5@2`, `vote-by-transfer 5@2`, `vote-granted`, `timeout-now`,
/// `higher-term`, `append 3@1 2x2,1x3 commit 4` (after 3@1, two entries of term 2 and one of term
/// 3).
fn forged(words: &[&str]) -> Message {
    let position = |word: &str| {
        let (at, of) = word.split_once('@').expect("index@term");
        entry(number(at), number(of))
    };
    match *words {
        ["accepted", matched] => Message::AppendAccepted { matched: index(number(matched)) },
        ["rejected", refused, hint] => {
            Message::AppendRejected { refused: index(number(refused)), hint: position(hint) }
        }
        ["install-snapshot", last] => Message::InstallSnapshot { last: position(last) },
        ["heartbeat", commit, round] => {
            let (commit, round) = (index(number(commit)), number(round));
            Message::Heartbeat { commit, round, sent_at: Instant::default() }
        }
        ["heartbeat-reply", round] => heartbeat_reply(round, "0", "0"),
        ["heartbeat-reply", round, "sent", sent_at, "support", support] => {
            heartbeat_reply(round, sent_at, support)
        }
        ["pre-vote", last] => Message::PreVote { last: position(last) },
        ["pre-vote-granted", asked] => {
            let asked = term(number(asked));
            Message::PreVoteReply { asked, granted: Verdict::Granted }
        }
        ["vote", last] => Message::Vote { last: position(last), by_transfer: false },
        ["vote-by-transfer", last] => Message::Vote { last: position(last), by_transfer: true },
        ["timeout-now"] => Message::TimeoutNow,
        ["vote-granted"] => Message::VoteReply { granted: Verdict::Granted },
        ["higher-term"] => Message::HigherTerm,
        ["append", previous, runs, "commit", commit] => {
            let runs = runs.split(',').filter(|run| !run.is_empty() && *run != "-").map(|run| {
                let (count, of) = run.split_once('x').expect("<count>x<term>");
                Run { term: term(number(of)), count: number(count) }
            });
            Message::Append(Append {
                previous: position(previous),
                runs: runs.collect(),
                memberships: Vec::new(),
                commit: index(number(commit)),
            })
        }
        _ => panic!("no such message: {words:?}"),
    }
}

fn heartbeat_reply(round: &str, sent_at: &str, support: &str) -> Message {
    let [sent_at, support] = [sent_at, support].map(|ms| Duration::from_millis(number(ms)));
    Message::HeartbeatReply { round: number(round), sent_at: Instant::new(sent_at), support }
}

/// The script with its outputs made anew.
fn play(text: &str) -> String {
    let mut script = Script::new();
    let mut result = String::new();
    for block in text.split("\n\n") {
        let block = block.trim();
        if block.is_empty() {
            continue;
        }
        if !result.is_empty() {
            result.push('\n');
        }
        if block.lines().all(|line| line.starts_with('#')) {
            result += &format!("{block}\n");
            continue;
        }
        for line in block.lines().take_while(|line| *line != "---") {
            result += &format!("{line}\n");
            if !line.starts_with('#') {
                script.command(line);
            }
        }
        result += &format!("---\n{}", script.take_output());
    }
    result
}

fn scripts(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for file in fs::read_dir(folder).expect("the folder of scripts") {
        let path = file.expect("a file").path();
        if path.is_dir() {
            found.extend(scripts(&path));
        } else if path.extension().is_some_and(|extension| extension == "txt") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn every_story_goes_as_it_is_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let is_update = std::env::var_os("UPDATE_TRANSCRIPTS").is_some();
    let mut differing = Vec::new();
    let all = scripts(&folder);
    assert!(30 <= all.len(), "only {} scripts were found", all.len());
    for path in all {
        let expected = fs::read_to_string(&path).expect("a script");
        assert!(expected.starts_with("# "), "{} opens with its story", path.display());
        let actual = std::panic::catch_unwind(|| play(&expected));
        let Ok(actual) = actual else { panic!("{} cannot be played", path.display()) };
        if is_update {
            fs::write(&path, &actual).expect("scripts can be written");
        } else if actual != expected {
            let line = actual.lines().zip(expected.lines()).position(|(a, b)| a != b);
            let line = line.unwrap_or_else(|| actual.lines().count().min(expected.lines().count()));
            differing.push(format!(
                "{}:{}\n  told:     {}\n  happened: {}",
                path.display(),
                line + 1,
                expected.lines().nth(line).unwrap_or("(the end)"),
                actual.lines().nth(line).unwrap_or("(the end)"),
            ));
        }
    }
    assert!(differing.is_empty(), "stories went otherwise:\n{}", differing.join("\n"));
}
