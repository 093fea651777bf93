//! Reads as much of a `Cargo.toml` as the checks need, with line numbers and comments.
//!
//! Cargo itself has found the file good before this program runs, so what is not understood here
//! is skipped.

/// `key = value` inside a `[section]`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) section: &'a str,
    /// With its dots, such as `bytes.workspace`.
    pub(super) key: &'a str,
    /// Without the comment.
    pub(super) value: &'a str,
    /// What stands behind `#` on the same line; empty if nothing does.
    pub(super) comment: &'a str,
    /// Counted from 1.
    pub(super) line: usize,
}

/// All entries that stand on one line.
pub(super) fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut section = "";
    let mut found = Vec::new();
    for (position, line) in text.lines().enumerate() {
        let (code, comment) = split_comment(line);
        let code = code.trim();
        if let Some(name) = code.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim_matches(['[', ']']).trim();
        } else if let Some((key, value)) = code.split_once('=') {
            let (key, value) = (key.trim().trim_matches('"'), value.trim());
            found.push(Entry { section, key, value, comment, line: position + 1 });
        }
    }
    found
}

/// Splits at the first `#` that is not inside a text.
fn split_comment(line: &str) -> (&str, &str) {
    let mut quoted = false;
    for (at, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '#' if !quoted => return (&line[..at], line[at + 1..].trim()),
            _ => {}
        }
    }
    (line, "")
}

/// In which list a dependency stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Normal,
    Build,
    Dev,
}

/// A dependency of a crate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dependency<'a> {
    pub(super) name: &'a str,
    pub(super) role: Role,
    /// All that is said of it.
    pub(super) value: &'a str,
    /// Its version and source are the workspace's.
    pub(super) is_workspace: bool,
    pub(super) is_optional: bool,
    pub(super) line: usize,
}

/// The dependencies of a crate, those for one platform included.
pub(super) fn dependencies(text: &str) -> Vec<Dependency<'_>> {
    let mut found: Vec<Dependency<'_>> = Vec::new();
    for entry in entries(text) {
        let (list, table) = match entry.section.rsplit_once("dependencies.") {
            // `[dependencies.name]`: the entries below belong to it.
            Some((before, name)) => (format!("{before}dependencies"), Some(name)),
            None => (entry.section.to_owned(), None),
        };
        let Some(role) = role(&list) else { continue };
        let (name, detail) = match table {
            Some(name) => (name.trim_matches('"'), Some(entry.key)),
            None => match entry.key.split_once('.') {
                Some((name, detail)) => (name, Some(detail)),
                None => (entry.key, None),
            },
        };
        let compact: String = entry.value.split_whitespace().collect();
        let says = |what: &str| match detail {
            Some(detail) => detail == what && compact == "true",
            None => compact.contains(&format!("{what}=true")),
        };
        let dependency = Dependency {
            name,
            role,
            value: entry.value,
            is_workspace: says("workspace"),
            is_optional: says("optional"),
            line: entry.line,
        };
        match found.iter_mut().find(|known| known.name == name && known.role == role) {
            Some(known) => {
                known.is_workspace |= dependency.is_workspace;
                known.is_optional |= dependency.is_optional;
            }
            None => found.push(dependency),
        }
    }
    found
}

fn role(section: &str) -> Option<Role> {
    if section.ends_with("dev-dependencies") {
        Some(Role::Dev)
    } else if section.ends_with("build-dependencies") {
        Some(Role::Build)
    } else if section == "dependencies" || section.ends_with(".dependencies") {
        Some(Role::Normal)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_lines_are_kept() {
        let text = "[a]\nx = \"#1\" # why\n# alone\n[[b.c]]\ny.z = true\n";
        let entry =
            |section, key, value, comment, line| Entry { section, key, value, comment, line };
        let expected = [entry("a", "x", "\"#1\"", "why", 2), entry("b.c", "y.z", "true", "", 5)];
        assert_eq!(entries(text), expected);
    }

    #[test]
    fn all_ways_to_write_a_dependency_are_understood() {
        let text = "\
            [dependencies]\n\
            a.workspace = true\n\
            b = { workspace = true, optional = true }\n\
            c = \"1\"\n\
            [dependencies.d]\n\
            workspace = true\n\
            optional = true\n\
            [target.'cfg(unix)'.dev-dependencies]\n\
            e.workspace = true\n\
            [build-dependencies]\n\
            f = { version = \"1\" }\n\
            [package]\n\
            name = \"x\"\n";
        let found = dependencies(text);
        let brief: Vec<_> =
            found.iter().map(|d| (d.name, d.role, d.is_workspace, d.is_optional)).collect();
        assert_eq!(
            brief,
            [
                ("a", Role::Normal, true, false),
                ("b", Role::Normal, true, true),
                ("c", Role::Normal, false, false),
                ("d", Role::Normal, true, true),
                ("e", Role::Dev, true, false),
                ("f", Role::Build, false, false),
            ]
        );
        assert_eq!(found[0].line, 2);
    }
}
