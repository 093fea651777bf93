//! Words that must not stand in the repository, and words that must not stand below the node.

use super::Finding;
use super::source::code;
use super::tree::Tree;

/// What must not stand anywhere, and what to do instead. The words are cut in two, so that this
/// file does not hold them.
const FORBIDDEN: [(&str, &str); 6] = [
    (concat!("FIX", "ME"), "mend it now, or write down what holds and why"),
    (concat!("XX", "X"), "mend it now, or write down what holds and why"),
    (concat!("to", "do!"), "write it, or return an error that says what is missing"),
    (concat!("unimpl", "emented!"), "write it, or return an error that says what is missing"),
    (concat!("#[ig", "nore"), "make the test run always, or delete it"),
    (concat!("should_", "panic"), "call catch_unwind or test the check behind the panic"),
];

/// Folders that begin the path of one person's machine.
const WORKPLACES: [&str; 4] = ["work", "home", "root", "Users"];

/// What a run that must repeat exactly cannot use, and why.
const IMPURE: [(&str, &str); 5] = [
    ("Instant::now", "take the time as an argument"),
    ("SystemTime::now", "take the time as an argument"),
    ("thread::sleep", "leave waiting to the node"),
    ("HashMap", "its order is random; use BTreeMap"),
    ("HashSet", "its order is random; use BTreeSet"),
];

/// The crates below the node.
const PURE: [&str; 6] = ["raft", "log", "replica", "store", "wire", "sim"];

/// Unfinished work, switched-off tests and paths of somebody's machine.
pub(super) fn forbidden(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| *path != "Cargo.lock") {
        for (position, line) in text.lines().enumerate() {
            for (word, mend) in FORBIDDEN {
                if has_word(line, word) {
                    let cause = format!("{word:?} must not stand here");
                    findings.push(Finding::new(path, position + 1, cause, mend));
                }
            }
            if let Some(place) = workplace(line) {
                let cause = format!("a path that exists on one machine only: {place}…");
                let mend = "write a path from the root of the repository";
                findings.push(Finding::new(path, position + 1, cause, mend));
            }
        }
    }
    findings
}

/// Clocks, sleep and random order below the node; benchmarks may take the time.
pub(super) fn impure(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_pure = |path: &str| {
        let below = |name: &str| path.starts_with(&format!("crates/{name}/"));
        PURE.iter().any(|name| below(name)) && !path.contains("/benches/")
    };
    for (path, text) in tree.ending(".rs").filter(|(path, _)| is_pure(path)) {
        for (position, line) in text.lines().enumerate() {
            for (word, mend) in IMPURE.iter().filter(|(word, _)| has_word(code(line), word)) {
                let cause = format!("{word} makes a run differ from the one before");
                findings.push(Finding::new(path, position + 1, cause, *mend));
            }
        }
    }
    findings
}

/// Whether a line has a word that is no part of a longer one.
fn has_word(line: &str, word: &str) -> bool {
    let is_inside = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let ends_open = word.ends_with(is_inside);
        let begins_open = word.starts_with(is_inside);
        !(begins_open && before.is_some_and(is_inside) || ends_open && after.is_some_and(is_inside))
    })
}

/// The beginning of an absolute path of a workplace, if the line has one.
fn workplace(line: &str) -> Option<String> {
    WORKPLACES.iter().map(|name| format!("/{name}/")).find(|place| {
        line.match_indices(place.as_str()).any(|(at, _)| {
            // What goes on from a name or a dot is no absolute path.
            let before = line[..at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || "._-/}*$".contains(c))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(check: fn(&Tree) -> Vec<Finding>, path: &str, text: &str) -> Vec<String> {
        let tree = Tree::sample([(path, text)]);
        check(&tree).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn each_forbidden_word_is_found() {
        for (word, _) in FORBIDDEN {
            let found = found(forbidden, "a.md", &format!("fine\n  {word}(x)\n"));
            assert_eq!(found.len(), 1, "{word}");
            assert!(found[0].starts_with("a.md:2: "), "{}", found[0]);
        }
    }

    #[test]
    fn parts_of_words_are_not_found() {
        let (fix, cross) = (FORBIDDEN[0].0, FORBIDDEN[1].0);
        let text = format!("MY{fix}\n{cross}L {cross}X\ntodo = \"deny\"\nignored\n");
        assert_eq!(found(forbidden, "a.rs", &text), [""; 0]);
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        for name in WORKPLACES {
            let bad = format!("see \"/{name}/me/x\"\n");
            assert_eq!(found(forbidden, "a.toml", &bad).len(), 1, "{bad}");
            let good = format!("see crates/{name}/x, ../{name}/x, /{name}s/x, http://a/{name}/\n");
            assert_eq!(found(forbidden, "a.toml", &good), [""; 0], "{good}");
        }
    }

    #[test]
    fn each_impure_word_is_found_below_the_node_only() {
        for (word, _) in IMPURE {
            let text = format!("let x = std::{word}::new();\n");
            assert_eq!(found(impure, "crates/log/src/a.rs", &text).len(), 1, "{word}");
            assert_eq!(found(impure, "crates/node/src/a.rs", &text).len(), 0, "{word}");
            assert_eq!(found(impure, "crates/log/benches/a.rs", &text).len(), 0, "{word}");
            let comment = format!("// no {word} here\n");
            assert_eq!(found(impure, "crates/log/src/a.rs", &comment).len(), 0, "{word}");
            let longer = format!("let x = My{word}s::new();\n");
            assert_eq!(found(impure, "crates/raft/src/a.rs", &longer).len(), 0, "{word}");
        }
    }
}
