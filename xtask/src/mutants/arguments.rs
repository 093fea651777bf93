//! What the command was asked for.

use anyhow::{Context, bail};

use super::patch::Mutant;

pub(crate) const USAGE: &str = "\
Usage: cargo xtask mutants [NAME]… [--seeds N] [--part I/K] [--list] [--table FILE]

  NAME         only these mutants: files of mutants/, without their ending
  --seeds N    give up on a mutant after so many seeds (200)
  --part I/K   only every K-th mutant, from the I-th on
  --list       name them and their rules, and hunt none
  --table FILE when all are caught, write which checker saw which, and after how many seeds,
               between the lines <!-- mutants: begin --> and <!-- mutants: end --> of FILE
";

/// How many seeds a mutant may survive.
const SEEDS: u64 = 200;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) names: Vec<String>,
    pub(super) seeds: u64,
    pub(super) part: Option<Part>,
    pub(super) list: bool,
    pub(super) table: Option<String>,
}

/// Every `of`-th, from the `first`-th on, which counts from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    first: usize,
    of: usize,
}

impl Arguments {
    pub(super) fn parse(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut parsed =
            Self { names: Vec::new(), seeds: SEEDS, part: None, list: false, table: None };
        let mut rest = arguments.iter().copied();
        while let Some(argument) = rest.next() {
            let (option, joined) = match argument.split_once('=') {
                Some((option, value)) if option.starts_with("--") => (option, Some(value)),
                Some(_) | None => (argument, None),
            };
            let mut value = || {
                let value = joined.or_else(|| rest.next());
                value.with_context(|| format!("{option} needs a value\n\n{USAGE}"))
            };
            match option {
                "--seeds" => parsed.seeds = number(value()?, option)?,
                "--part" => parsed.part = Some(Part::parse(value()?)?),
                "--table" => parsed.table = Some(value()?.to_owned()),
                "--list" if joined.is_none() => parsed.list = true,
                _ if option.starts_with('-') => bail!("{argument} is no option\n\n{USAGE}"),
                _ => parsed.names.push(argument.trim_end_matches(".patch").to_owned()),
            }
        }
        let is_partial = parsed.part.is_some() || !parsed.names.is_empty();
        if parsed.table.is_some() && (is_partial || parsed.list) {
            bail!("--table is for all mutants; leave out the names, --part and --list");
        }
        Ok(parsed)
    }
}

impl Part {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let parsed = text.split_once('/').and_then(|(first, of)| {
            Some(Self { first: first.parse().ok()?, of: of.parse().ok()? })
        });
        match parsed {
            Some(part) if 0 < part.first && part.first <= part.of => Ok(part),
            Some(_) | None => bail!("--part {text} is none; write I/K with I from 1 to K"),
        }
    }
}

fn number(text: &str, option: &str) -> anyhow::Result<u64> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        Ok(_) | Err(_) => bail!("{option} {text} is no number from 1 on"),
    }
}

/// The mutants asked for, in their order.
pub(super) fn select(all: Vec<Mutant>, arguments: &Arguments) -> anyhow::Result<Vec<Mutant>> {
    for name in &arguments.names {
        if all.iter().all(|mutant| mutant.name != *name) {
            bail!("there is no mutant {name}; cargo xtask mutants --list names them");
        }
    }
    let is_named =
        |mutant: &Mutant| arguments.names.is_empty() || arguments.names.contains(&mutant.name);
    let named = all.into_iter().filter(is_named);
    let Part { first, of } = arguments.part.unwrap_or(Part { first: 1, of: 1 });
    Ok(named.skip(first - 1).step_by(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutants::patch;

    fn mutants(names: &[&str]) -> Vec<Mutant> {
        let header = "rule: a\nchecker: liveness\ngroup: read\n\n\
                      --- a/x.rs\n+++ b/x.rs\n";
        names.iter().map(|name| patch::parse(name, header).expect("a header")).collect()
    }

    fn selected(arguments: &[&str]) -> Vec<String> {
        let all = mutants(&["a", "b", "c", "d", "e"]);
        let arguments = Arguments::parse(arguments).expect("good arguments");
        let chosen = select(all, &arguments).expect("known names");
        chosen.into_iter().map(|mutant| mutant.name).collect()
    }

    #[test]
    fn everything_is_asked_for_by_default() {
        assert_eq!(selected(&[]), ["a", "b", "c", "d", "e"]);
        assert_eq!(Arguments::parse(&[]).map(|arguments| arguments.seeds).ok(), Some(SEEDS));
    }

    #[test]
    fn names_and_parts_narrow_it() {
        assert_eq!(selected(&["d", "b.patch"]), ["b", "d"]);
        assert_eq!(selected(&["--part", "1/2"]), ["a", "c", "e"]);
        assert_eq!(selected(&["--part=2/2"]), ["b", "d"]);
        let parts = (1..=3).flat_map(|first| selected(&["--part", &format!("{first}/3")]));
        let mut all: Vec<String> = parts.collect();
        all.sort();
        assert_eq!(all, ["a", "b", "c", "d", "e"], "the parts together are all, each once");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for bad in [
            &["--seeds"][..],
            &["--seeds", "0"],
            &["--seeds", "many"],
            &["--part", "0/3"],
            &["--part", "4/3"],
            &["--part", "3"],
            &["--fast"],
            &["--list=yes"],
            &["--table", "a.md", "name"],
            &["--table", "a.md", "--part", "1/3"],
        ] {
            assert!(Arguments::parse(bad).is_err(), "{bad:?}");
        }
        let unknown = Arguments::parse(&["z"]).expect("good arguments");
        assert!(select(mutants(&["a"]), &unknown).is_err());
    }
}
