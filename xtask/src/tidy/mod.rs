//! `cargo xtask tidy`: what neither the compiler nor clippy checks.
//!
//! Every check works on a [`Tree`] in memory and is tested on small ones, the good and the bad. A
//! finding names the place, the cause and the mend.

mod crates;
mod layout;
mod links;
mod manifest;
mod source;
mod tree;
mod words;

use std::fmt;
use std::path::Path;

use anyhow::bail;

use crate::say;
use tree::Tree;

/// Something to mend.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    file: String,
    line: usize,
    cause: String,
    mend: String,
}

impl Finding {
    /// At a line, counted from 1; 0 means the file as a whole.
    fn new(file: &str, line: usize, cause: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, cause: cause.into(), mend: mend.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, cause, mend } = self;
        write!(f, "{file}:{}: {cause}; {mend}", line.max(&1))
    }
}

/// Runs all checks on the repository.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let tree = Tree::load(root)?;
    for note in layout::notes(&tree) {
        say(&format!("note: {note}\n"))?;
    }
    let findings = check(&tree);
    for finding in &findings {
        say(&format!("{finding}\n"))?;
    }
    match findings.len() {
        0 => say(&format!("tidy: {} files are in order\n", tree.len())),
        1 => bail!("tidy: 1 thing to mend"),
        count => bail!("tidy: {count} things to mend"),
    }
}

/// All findings, in the order of the files.
fn check(tree: &Tree) -> Vec<Finding> {
    let checks = [
        crates::arrows,
        crates::asynchronous,
        crates::reasons,
        crates::bare_core,
        crates::lints,
        words::forbidden,
        words::impure,
        layout::lines,
        layout::long_files,
        links::broken,
    ];
    let mut findings: Vec<Finding> = checks.iter().flat_map(|check| check(tree)).collect();
    findings.sort();
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_names_place_cause_and_mend() {
        let finding = Finding::new("a/b.rs", 7, "it is wrong", "write it right");
        assert_eq!(finding.to_string(), "a/b.rs:7: it is wrong; write it right");
    }

    #[test]
    fn all_checks_are_run() {
        let tree = Tree::sample([
            ("Cargo.toml", "[workspace.dependencies]\nanyhow = \"1\"\n"),
            ("crates/raft/Cargo.toml", "[dependencies]\nquorate-log.workspace = true\n"),
            ("crates/raft/src/lib.rs", "fn f() { std::thread::sleep(d) } \n"),
            ("README.md", "[gone](gone.md)\n"),
        ]);
        let text: String = check(&tree).iter().map(|finding| format!("{finding}\n")).collect();
        for part in [
            "Cargo.toml:2: anyhow has no reason",
            "raft must not depend on quorate-log",
            "raft has a dependency",
            "lints",
            "trailing blank",
            "thread::sleep",
            "gone.md",
        ] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
    }
}
