//! The look of files: width, tabs, trailing blanks, length.

use super::Finding;
use super::source::{count_code, is_test_file};
use super::tree::Tree;

/// As in rustfmt.toml, which leaves comments and texts alone.
const COLUMNS_MAX: usize = 100;
/// From here on a file is named, so that somebody thinks of cutting it.
const CODE_LINES_NOTED: usize = 400;
/// From here on a file needs a reason.
const CODE_LINES_MAX: usize = 700;
/// How the reason is written.
const REASON: &str = "// tidy: long file: ";

/// Files by hand, in which blanks have no meaning.
const CLEAN: [&str; 8] = [".rs", ".toml", ".md", ".proto", ".py", ".yml", ".yaml", ".ci/run"];

/// Lines too wide, tabs and trailing blanks.
pub(super) fn lines(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let clean = tree.files().filter(|(path, _)| CLEAN.iter().any(|end| path.ends_with(end)));
    for (path, text) in clean {
        for (position, line) in text.lines().enumerate() {
            let mut find = |cause: String, mend: &str| {
                findings.push(Finding::new(path, position + 1, cause, mend));
            };
            let columns = line.chars().count();
            if path.ends_with(".rs") && columns > COLUMNS_MAX {
                find(format!("{columns} columns"), "break the line before column 101");
            }
            if line.contains('\t') {
                find("a tab".to_owned(), "write blanks");
            }
            if line.ends_with([' ', '\t', '\r']) {
                find("a trailing blank".to_owned(), "delete it");
            }
        }
    }
    findings
}

/// Files that are too long and do not say why.
pub(super) fn long_files(tree: &Tree) -> Vec<Finding> {
    long(tree, CODE_LINES_MAX)
        .filter(|(_, text, _)| !has_reason(text))
        .map(|(path, _, count)| {
            let cause = format!("{count} lines of code");
            let mend = format!("cut it, or say why not in a line: {REASON}…");
            Finding::new(path, 0, cause, mend)
        })
        .collect()
}

/// Files that are long; no failure.
pub(super) fn notes(tree: &Tree) -> Vec<String> {
    long(tree, CODE_LINES_NOTED)
        .map(|(path, _, count)| format!("{path} has {count} lines of code"))
        .collect()
}

fn long(tree: &Tree, from: usize) -> impl Iterator<Item = (&str, &str, usize)> {
    tree.ending(".rs")
        .filter(|(path, _)| !is_test_file(path))
        .map(|(path, text)| (path, text, count_code(text)))
        .filter(move |(_, _, count)| *count > from)
}

fn has_reason(text: &str) -> bool {
    text.lines().any(|line| line.strip_prefix(REASON).is_some_and(|reason| !reason.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        lines(&Tree::sample([(path, text)])).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn wide_lines_tabs_and_trailing_blanks_are_found() {
        let wide = "ä".repeat(COLUMNS_MAX);
        assert_eq!(found("a.rs", &wide), [""; 0]);
        assert_eq!(found("a.rs", &format!("\n{wide}b\n")).len(), 1);
        assert_eq!(found("a.md", &format!("{wide}b\n")), [""; 0]);
        assert_eq!(found("a.rs", "a\tb\n"), ["a.rs:1: a tab; write blanks"]);
        assert_eq!(found("a.md", "a\nb \n"), ["a.md:2: a trailing blank; delete it"]);
        assert_eq!(found("scripts/a.txt", "a \n"), [""; 0]);
    }

    #[test]
    fn long_files_need_a_reason() {
        let code = |count: usize| "a();\n".repeat(count);
        let check = |path, text: &str| {
            let tree = Tree::sample([(path, text)]);
            (notes(&tree).len(), long_files(&tree).len())
        };
        assert_eq!(check("src/a.rs", &code(400)), (0, 0));
        assert_eq!(check("src/a.rs", &code(401)), (1, 0));
        assert_eq!(check("src/a.rs", &code(700)), (1, 0));
        assert_eq!(check("src/a.rs", &code(701)), (1, 1));
        assert_eq!(check("x/tests/a.rs", &code(701)), (0, 0));
        let reason = format!("{REASON}a table\n{}", code(701));
        assert_eq!(check("src/a.rs", &reason), (1, 0));
        let silent = format!("{REASON}\n{}", code(701));
        assert_eq!(check("src/a.rs", &silent), (1, 1));
    }
}
