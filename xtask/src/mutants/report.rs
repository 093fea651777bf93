//! What is said about a hunt: a line for each mutant, a summary, a table.

use std::fmt;
use std::time::Duration;

use anyhow::bail;

use super::hunt::{Found, Share};
use super::patch::{GROUPS, Mutant};

const TABLE_BEGIN: &str = "<!-- mutants: begin -->";
const TABLE_END: &str = "<!-- mutants: end -->";

/// What came of one mutant.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) name: String,
    pub(super) verdict: Verdict,
    pub(super) building: Duration,
    pub(super) hunting: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Seen by a checker that may see it.
    Caught {
        seeds: u64,
        simulated: String,
        seed: String,
        checker: String,
    },
    /// The process died of it, which is hard to overlook.
    Died {
        how: String,
    },
    /// Seen as seldom as it should be.
    Seldom(Share),
    /// No run shows it, but the tests of a package do.
    SeenByTests {
        package: String,
    },
    /// Seen by a checker that should not see it: one of the two is not what it is taken for.
    SeenByAnother {
        checker: String,
        expected: String,
        message: String,
    },
    /// Not seen.
    Survived {
        seeds: u64,
    },
    /// Seen too seldom or too often.
    OtherShare(Share),
    Error(String),
}

impl Verdict {
    /// Of a mutant that is to be caught.
    pub(super) fn of(mutant: &Mutant, found: Found) -> Self {
        match found {
            Found::Caught { seed, seeds, simulated, checker, message: _ }
                if mutant.checkers.contains(&checker) =>
            {
                Self::Caught { seeds, simulated, seed, checker }
            }
            Found::Caught { checker, message, .. } => {
                Self::SeenByAnother { checker, expected: mutant.checkers.join(" | "), message }
            }
            Found::Survived { seeds } => Self::Survived { seeds },
            Found::Died { how } => Self::Died { how },
        }
    }

    /// Of one that the tests of a package are to see.
    pub(super) fn of_tests(package: &str, passed: bool) -> Self {
        if passed {
            Self::Survived { seeds: 0 }
        } else {
            Self::SeenByTests { package: package.to_owned() }
        }
    }

    /// Of one that is to be seen in about one seed of `seldom`: from a fifth of that to five times.
    pub(super) fn of_share(seldom: u32, share: Share) -> Self {
        let (failed, seldom) = (u128::from(share.failed), u128::from(seldom));
        let seeds = u128::from(share.seeds);
        if failed * seldom * 5 >= seeds && failed * seldom <= seeds * 5 {
            Self::Seldom(share)
        } else {
            Self::OtherShare(share)
        }
    }
}

impl Outcome {
    pub(super) fn is_good(&self) -> bool {
        match &self.verdict {
            Verdict::Caught { .. }
            | Verdict::Died { .. }
            | Verdict::Seldom(_)
            | Verdict::SeenByTests { .. } => true,
            Verdict::SeenByAnother { .. }
            | Verdict::Survived { .. }
            | Verdict::OtherShare(_)
            | Verdict::Error(_) => false,
        }
    }

    /// After how many seeds it was caught, if that is known.
    fn seeds(&self) -> Option<u64> {
        match &self.verdict {
            Verdict::Caught { seeds, .. } => Some(*seeds),
            Verdict::Died { .. }
            | Verdict::Seldom(_)
            | Verdict::SeenByTests { .. }
            | Verdict::SeenByAnother { .. }
            | Verdict::Survived { .. }
            | Verdict::OtherShare(_)
            | Verdict::Error(_) => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, verdict, building, hunting } = self;
        let word = if self.is_good() { "ok    " } else { "FAILED" };
        write!(f, "{word} {name:<34} {verdict}")?;
        let (building, hunting) = (building.as_secs_f32(), hunting.as_secs_f32());
        write!(f, " (build {building:.1} s, hunt {hunting:.1} s)")
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caught { seeds, simulated, seed, checker } => {
                write!(f, "{seeds} seeds, {simulated} simulated seconds: {checker} (seed {seed})")
            }
            Self::Died { how } => write!(f, "process died: it {how}"),
            Self::Seldom(Share { failed, seeds }) => write!(f, "{failed} of {seeds} seeds"),
            Self::SeenByTests { package } => write!(f, "seen by the tests of {package}"),
            Self::SeenByAnother { checker, expected, message } => {
                write!(f, "seen by {checker}, not by {expected}: {message}")
            }
            Self::Survived { seeds } => write!(f, "survived {seeds} seeds"),
            Self::OtherShare(Share { failed, seeds }) => {
                write!(f, "seen in {failed} of {seeds} seeds, which is not what is expected")
            }
            Self::Error(error) => write!(f, "error: {error}"),
        }
    }
}

/// How many seeds it took, in the middle and at worst.
pub(super) fn summary(results: &[Outcome]) -> String {
    let mut seeds: Vec<u64> = results.iter().filter_map(Outcome::seeds).collect();
    seeds.sort_unstable();
    let good = results.iter().filter(|result| result.is_good()).count();
    let mut text = format!("{good} of {} mutants as expected", results.len());
    if let (Some(median), Some(worst)) = (seeds.get(seeds.len() / 2), seeds.last()) {
        text += &format!("; seeds to the first failure: median {median}, worst {worst}");
        let slowest = results.iter().find(|result| result.seeds() == Some(*worst));
        text += &slowest.map(|result| format!(" ({})", result.name)).unwrap_or_default();
    }
    text + "\n"
}

/// The table of all mutants, by group.
pub(super) fn table(mutants: &[Mutant], results: &[Outcome]) -> String {
    let mut text = String::from(
        "| group | rule that the mutant breaks | seen by | seeds |\n|---|---|---|---:|\n",
    );
    for group in GROUPS {
        let of_group = |pair: &(&Mutant, &Outcome)| pair.0.group == group;
        for (mutant, result) in mutants.iter().zip(results).filter(of_group) {
            let (checker, seeds) = match &result.verdict {
                Verdict::Caught { checker, seeds, .. } => (checker.clone(), seeds.to_string()),
                Verdict::Died { .. } => ("process died".to_owned(), "1".to_owned()),
                Verdict::SeenByTests { package } => {
                    (format!("the tests of `{package}`"), "-".to_owned())
                }
                Verdict::Seldom(Share { failed, seeds }) => {
                    (mutant.checkers.join(", "), format!("{failed} of {seeds}"))
                }
                Verdict::SeenByAnother { .. }
                | Verdict::Survived { .. }
                | Verdict::OtherShare(_)
                | Verdict::Error(_) => ("nobody".to_owned(), "-".to_owned()),
            };
            let profile = match &*mutant.profile {
                "standard" => String::new(),
                other => format!(" ({other})"),
            };
            let rule = mutant.rule.replace('|', "\\|");
            text += &format!("| {group} | {rule} | {checker} | {seeds}{profile} |\n");
        }
    }
    text
}

/// The text with the table between the marker lines.
pub(super) fn with_table(text: &str, table: &str) -> anyhow::Result<String> {
    let place = |marker: &str| {
        let mut offset = 0;
        text.split_inclusive('\n').find_map(|line| {
            let at = offset;
            offset += line.len();
            (line.trim_end() == marker).then_some((at, offset))
        })
    };
    match (place(TABLE_BEGIN), place(TABLE_END)) {
        (Some((_, begin)), Some((end, _))) if begin <= end => {
            Ok(format!("{}{table}{}", &text[..begin], &text[end..]))
        }
        _ => bail!("it needs the line {TABLE_BEGIN} and, further down, the line {TABLE_END}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutants::patch;

    fn mutant(name: &str, group: &str) -> Mutant {
        let text = format!(
            "rule: of {name}\nchecker: liveness | one vote\ngroup: {group}\n\n\
             --- a/x.rs\n+++ b/x.rs\n"
        );
        patch::parse(name, &text).expect("a header")
    }

    fn seen_by(checker: &str) -> Found {
        Found::Caught {
            seed: "9".to_owned(),
            seeds: 4,
            simulated: "240".to_owned(),
            checker: checker.to_owned(),
            message: "it went wrong".to_owned(),
        }
    }

    fn result(name: &str, verdict: Verdict) -> Outcome {
        let (building, hunting) = (Duration::from_secs(2), Duration::from_secs(3));
        Outcome { name: name.to_owned(), verdict, building, hunting }
    }

    fn caught(seeds: u64) -> Verdict {
        let (simulated, seed, checker) = ("60".to_owned(), "1".to_owned(), "liveness".to_owned());
        Verdict::Caught { seeds, simulated, seed, checker }
    }

    #[test]
    fn only_a_checker_of_the_header_may_see_it() {
        let mutant = mutant("a", "read");
        let good = result("a", Verdict::of(&mutant, seen_by("one vote")));
        assert!(good.is_good());
        assert!(good.to_string().contains("4 seeds, 240 simulated seconds: one vote (seed 9)"));
        let other = result("a", Verdict::of(&mutant, seen_by("durability")));
        assert!(!other.is_good());
        assert!(other.to_string().contains("seen by durability, not by liveness | one vote"));
        assert!(!result("a", Verdict::of(&mutant, Found::Survived { seeds: 7 })).is_good());
        let died = Found::Died { how: "overflowed".to_owned() };
        assert!(result("a", Verdict::of(&mutant, died)).is_good());
    }

    #[test]
    fn the_canary_dies_in_about_one_seed_of_a_hundred() {
        let is_good = |failed| {
            let share = Share { failed, seeds: 1000 };
            result("canary", Verdict::of_share(100, share)).is_good()
        };
        let shares = [0, 1, 2, 10, 50, 51, 1000].map(is_good);
        assert_eq!(shares, [false, false, true, true, true, false, false]);
    }

    #[test]
    fn the_summary_has_the_median_and_the_worst() {
        let results = [
            result("a", caught(1)),
            result("b", caught(30)),
            result("c", caught(2)),
            result("d", Verdict::Survived { seeds: 200 }),
        ];
        let expected = "3 of 4 mutants as expected; seeds to the first failure: median 2, worst 30 \
                        (b)\n";
        assert_eq!(summary(&results), expected);
        assert_eq!(summary(&[]), "0 of 0 mutants as expected\n");
    }

    #[test]
    fn the_table_stands_between_its_marks_by_group() {
        let mutants = [mutant("a", "store"), mutant("b", "election")];
        let results = [result("a", caught(3)), result("b", caught(1))];
        let text = "# Doc\n<!-- mutants: begin -->\nold\n<!-- mutants: end -->\nend\n";
        let expected = "# Doc\n<!-- mutants: begin -->\n\
                        | group | rule that the mutant breaks | seen by | seeds |\n\
                        |---|---|---|---:|\n\
                        | election | of b | liveness | 1 |\n\
                        | store | of a | liveness | 3 |\n\
                        <!-- mutants: end -->\nend\n";
        assert_eq!(with_table(text, &table(&mutants, &results)).ok().as_deref(), Some(expected));
        let swapped = "<!-- mutants: end -->\n<!-- mutants: begin -->\n";
        for bad in ["# Doc\n", "<!-- mutants: begin -->\n", swapped] {
            assert!(with_table(bad, "").is_err(), "{bad}");
        }
    }
}
