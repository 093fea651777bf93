//! A mutant: a patch with a header that says which rule it breaks and who should notice.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};

/// The checkers that a header may name; those of the simulator.
const CHECKERS: [&str; 12] = [
    "election safety",
    "log matching",
    "leader completeness",
    "state machine safety",
    "durability",
    "monotonicity",
    "one vote",
    "disk equals memory",
    "linearizability",
    "at most once",
    "liveness",
    "assertion",
];

/// The groups, in the order of tables.
pub(super) const GROUPS: [&str; 10] = [
    "election",
    "replication",
    "membership",
    "storage",
    "snapshot",
    "replica",
    "session",
    "read",
    "store",
    "canary",
];

/// A planted bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mutant {
    /// The name of its file, without the ending.
    pub(super) name: String,
    /// The rule that it breaks.
    pub(super) rule: String,
    /// Who may rightly see it.
    pub(super) checkers: Vec<String>,
    /// One of [`GROUPS`].
    pub(super) group: String,
    /// The simulator's profile that shows it.
    pub(super) profile: String,
    pub(super) expectation: Expectation,
    /// The patch, header and all: what is before the first file is not looked at.
    pub(super) text: String,
    /// The files that it changes, by their paths from the root.
    pub(super) files: Vec<String>,
}

/// What is expected of the simulator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expectation {
    /// To see it.
    Caught,
    /// To see it in about one seed of so many.
    OneSeedIn(u32),
    /// Nothing: the tests of a package see it.
    Tests(String),
}

impl Mutant {
    /// Its file, by its path from the root.
    pub(super) fn file(&self) -> String {
        format!("mutants/{}.patch", self.name)
    }
}

/// All mutants by name, and an error for each file that is none.
pub(super) fn load(folder: &Path) -> anyhow::Result<(Vec<Mutant>, Vec<anyhow::Error>)> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            paths.push(path);
        }
    }
    paths.sort();
    let (mut mutants, mut errors) = (Vec::new(), Vec::new());
    for path in paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).context("it cannot be read");
        match text.and_then(|text| parse(&name, &text)) {
            Ok(mutant) => mutants.push(mutant),
            Err(error) => errors.push(error.context(format!(
                "the header of mutants/{name}.patch cannot be read; mutants/README.md says how \
                 one is written"
            ))),
        }
    }
    Ok((mutants, errors))
}

/// Takes a file's text apart.
pub(super) fn parse(name: &str, text: &str) -> anyhow::Result<Mutant> {
    let lines: Vec<&str> =
        text.lines().take_while(|line| !line.starts_with("--- ") && !is_git(line)).collect();
    let mut fields: Vec<(&str, &str)> = Vec::new();
    for line in lines.iter().filter(|line| !line.trim().is_empty()) {
        let (key, value) = line
            .split_once(':')
            .map(|(key, value)| (key.trim(), value.trim()))
            .filter(|(_, value)| !value.is_empty())
            .ok_or_else(|| anyhow!("the line {line:?} is not a key, a colon and a value"))?;
        if !["rule", "checker", "group", "profile", "expect"].contains(&key) {
            bail!("there is no field {key:?}");
        }
        if fields.iter().any(|&(known, _)| known == key) {
            bail!("the field {key:?} comes twice");
        }
        fields.push((key, value));
    }
    let field = |key: &str| fields.iter().find(|&&(known, _)| known == key).map(|&(_, v)| v);
    let needed =
        |key: &str| field(key).map(str::to_owned).ok_or_else(|| anyhow!("{key:?} is missing"));
    let checkers: Vec<String> =
        needed("checker")?.split('|').map(|checker| checker.trim().to_owned()).collect();
    if let Some(unknown) = checkers.iter().find(|checker| !CHECKERS.contains(&&***checker)) {
        bail!("there is no checker {unknown:?}; they are {}", CHECKERS.join(", "));
    }
    let group = needed("group")?;
    if !GROUPS.contains(&&*group) {
        bail!("there is no group {group:?}; they are {}", GROUPS.join(", "));
    }
    Ok(Mutant {
        name: name.to_owned(),
        rule: needed("rule")?,
        checkers,
        group,
        profile: field("profile").unwrap_or("standard").to_owned(),
        expectation: field("expect").map_or(Ok(Expectation::Caught), Expectation::parse)?,
        text: text.to_owned(),
        files: files(text)?,
    })
}

impl Expectation {
    fn parse(text: &str) -> anyhow::Result<Self> {
        if let Some(package) = text.strip_prefix("tests of ") {
            return Ok(Self::Tests(package.to_owned()));
        }
        let number = text.strip_prefix("one seed in ").and_then(|number| number.parse().ok());
        match number {
            Some(number) if number > 0 => Ok(Self::OneSeedIn(number)),
            Some(_) | None => {
                bail!("{text:?} is no expectation; write: one seed in 100, or: tests of PACKAGE")
            }
        }
    }
}

fn is_git(line: &str) -> bool {
    line.starts_with("diff --git ")
}

/// The files that a patch changes.
fn files(text: &str) -> anyhow::Result<Vec<String>> {
    let files: Vec<String> =
        text.lines().filter_map(|line| line.strip_prefix("+++ b/")).map(str::to_owned).collect();
    if files.is_empty() {
        bail!("it has no line that begins with +++ b/, so it changes no file");
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
rule: a vote is durable before its reply leaves (§5.2)
checker: one vote | election safety
group: election

--- a/crates/raft/src/vote.rs
+++ b/crates/raft/src/vote.rs
@@ -1,1 +1,1 @@
-rule: this is the patch
+rule: not the header
";

    #[test]
    fn a_header_is_taken_apart() {
        let mutant = parse("vote-not-durable", GOOD).expect("it is good");
        assert_eq!(mutant.rule, "a vote is durable before its reply leaves (§5.2)");
        assert_eq!(mutant.checkers, ["one vote", "election safety"]);
        assert_eq!(mutant.group, "election");
        assert_eq!(mutant.profile, "standard");
        assert_eq!(mutant.expectation, Expectation::Caught);
        assert_eq!(mutant.files, ["crates/raft/src/vote.rs"]);
        assert_eq!(mutant.file(), "mutants/vote-not-durable.patch");
    }

    #[test]
    fn profile_and_expectation_may_be_given() {
        let text = format!("profile: mixed\nexpect: one seed in 100\n{GOOD}");
        let mutant = parse("a", &text).expect("it is good");
        assert_eq!(mutant.profile, "mixed");
        assert_eq!(mutant.expectation, Expectation::OneSeedIn(100));
    }

    #[test]
    fn bad_headers_are_refused() {
        let without = |key: &str| -> String {
            GOOD.lines().filter(|line| !line.starts_with(key)).map(|l| format!("{l}\n")).collect()
        };
        for bad in [
            without("rule: a"),
            without("checker"),
            without("group"),
            without("+++"),
            GOOD.replace("one vote", "two votes"),
            GOOD.replace("group: election", "group: elections"),
            format!("colour: red\n{GOOD}"),
            format!("profile:\n{GOOD}"),
            format!("group: read\n{GOOD}"),
            format!("expect: seldom\n{GOOD}"),
            format!("expect: one seed in 0\n{GOOD}"),
            format!("no field\n{GOOD}"),
        ] {
            assert!(parse("a", &bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_mutants_of_this_repository_can_be_read() {
        let (mutants, errors) = load(&crate::root().join("mutants")).expect("the folder is there");
        assert_eq!(errors.iter().map(|error| format!("{error:#}")).collect::<String>(), "");
        let expecting = |is: fn(&Expectation) -> bool| {
            mutants.iter().filter(|mutant| is(&mutant.expectation)).count()
        };
        assert_eq!(expecting(|what| matches!(what, Expectation::OneSeedIn(_))), 1, "one canary");
        // What the simulator sees is not handed to tests one by one.
        let simulated = expecting(|what| matches!(what, Expectation::Caught));
        assert!(simulated > 85, "{simulated} mutants that the simulator sees");
    }
}
