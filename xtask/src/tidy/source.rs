//! Rust sources as the checks see them: which lines are code, and which belong to tests.
//!
//! It goes by lines and by the form that rustfmt gives them; it does not parse.

/// The part of a line before a comment. A `//` inside a text is taken for a comment unless it
/// follows a colon, as in a URL.
pub(super) fn code(line: &str) -> &str {
    let mut from = 0;
    while let Some(found) = line[from..].find("//") {
        let at = from + found;
        if !line[..at].ends_with(':') {
            return &line[..at];
        }
        from = at + 2;
    }
    line
}

/// Whether a file holds tests or benchmarks only.
pub(super) fn is_test_file(path: &str) -> bool {
    let folder = |name: &str| path.contains(&format!("/{name}/")) || path.starts_with(name);
    folder("tests") || folder("benches") || path.ends_with("/tests.rs")
}

/// The number of lines with code on them, without the file's module of tests.
pub(super) fn count_code(text: &str) -> usize {
    let mut lines = text.lines().peekable();
    let mut count = 0;
    while let Some(line) = lines.next() {
        let is_tests = line.starts_with("#[cfg(test)]")
            && lines.peek().is_some_and(|next| next.starts_with("mod "));
        if is_tests {
            // Tests stand last in a file, but nothing is hidden behind them.
            for line in lines.by_ref() {
                if line == "}" || line.ends_with(';') && line.starts_with("mod ") {
                    break;
                }
            }
        } else if !code(line).trim().is_empty() {
            count += 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_no_code() {
        assert_eq!(code("let x = 1; // one"), "let x = 1; ");
        assert_eq!(code("/// docs"), "");
        assert_eq!(code("let u = \"http://a\"; // u"), "let u = \"http://a\"; ");
    }

    #[test]
    fn only_code_outside_tests_counts() {
        let text = "//! docs\n\nfn a() {\n    // why\n    b();\n}\n\
                    #[cfg(test)]\nmod tests {\n    fn c() {}\n}\nfn d() {}\n";
        assert_eq!(count_code(text), 4);
        assert_eq!(count_code("#[cfg(test)]\nmod tests;\nfn a() {}\n"), 1);
    }

    #[test]
    fn tests_have_their_folders() {
        assert!(is_test_file("crates/log/tests/crash.rs"));
        assert!(is_test_file("crates/log/benches/append.rs"));
        assert!(is_test_file("crates/log/src/tests.rs"));
        assert!(!is_test_file("crates/log/src/log.rs"));
    }
}
