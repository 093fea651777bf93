//! Links between the documents.

use super::Finding;
use super::tree::Tree;

/// Relative links in Markdown that lead nowhere. Those to other sites and inside a page are left
/// alone.
pub(super) fn broken(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.ending(".md") {
        let mut fenced = false;
        for (position, line) in text.lines().enumerate() {
            let fence = line.trim_start();
            if fence.starts_with("```") || fence.starts_with("~~~") {
                fenced = !fenced;
            }
            if fenced {
                continue;
            }
            for target in targets(line) {
                let file = target.split(['#', '?']).next().unwrap_or_default();
                let is_good = file.is_empty()
                    || file.contains("://")
                    || file.starts_with("mailto:")
                    || resolve(path, file).is_some_and(|file| tree.has(&file));
                if !is_good {
                    let cause = format!("the link {target} leads nowhere");
                    let mend = "write the path from this file's folder to a file of the repository";
                    findings.push(Finding::new(path, position + 1, cause, mend));
                }
            }
        }
    }
    findings
}

/// The targets of a line's links: `[text](target)` and `[name]: target`; not those in code.
fn targets(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    // Code stands between backquotes: in every second part.
    for (position, part) in line.split('`').enumerate() {
        let begins = if position == 0 && part.starts_with('[') { part.find("]: ") } else { None };
        if let Some(at) = begins {
            found.extend(part[at + 3..].split_whitespace().next());
        }
        if position % 2 == 0 {
            for (at, _) in part.match_indices("](") {
                let rest = &part[at + 2..];
                let target = rest.split(')').next().unwrap_or_default();
                // A title may follow the target.
                found.extend(target.split_whitespace().next());
            }
        }
    }
    found
}

/// The path from the root of what a file calls `target`; `None` if that is outside.
fn resolve(file: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    if target.starts_with('/') {
        return None;
    }
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let tree = Tree::sample([("docs/a.md", text), ("docs/b.md", ""), ("src/c.rs", "")]);
        broken(&tree).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn good_links_are_left_alone() {
        let text = "[b](b.md) and [part](b.md#x) and [`c`](../src/c.rs \"title\")\n\
                    [src](../src/), [root](..), [web](https://a.b/c), [here](#top)\n\
                    [m](mailto:a@b)\n[ref]: ../src/c.rs\n`[code](nowhere.md)`\n\
                    ```\n[code](nowhere.md)\n```\n";
        assert_eq!(found(text), [""; 0]);
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        for bad in ["[x](c.md)", "[x](../../b.md)", "[x](/b.md)", "[x]: c.md", "[`x`](c.md#y)"] {
            let found = found(&format!("\n{bad}\n"));
            assert_eq!(found.len(), 1, "{bad}: {found:?}");
            assert!(found[0].starts_with("docs/a.md:2: the link"), "{}", found[0]);
        }
    }
}
