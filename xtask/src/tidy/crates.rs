//! The crates: who may depend on whom, where asynchronous code may live, and that every outside
//! crate has a reason.

use super::Finding;
use super::manifest::{Dependency, Role, dependencies, entries};
use super::tree::Tree;

/// Which of our crates a crate may depend on, below it; `*` is any. Tests may use more.
const ARROWS: [(&str, &[&str]); 11] = [
    ("raft", &[]),
    ("log", &["raft"]),
    ("replica", &["raft", "log"]),
    ("store", &["proto"]),
    ("proto", &[]),
    ("wire", &["raft", "log", "replica", "proto"]),
    ("node", &["raft", "log", "replica", "wire", "proto"]),
    ("server", &["raft", "log", "replica", "node", "store", "proto"]),
    ("client", &["proto"]),
    ("sim", &["raft", "log", "replica", "wire", "store", "proto"]),
    ("quorate", &["*"]),
];

/// The crates that may know tokio and what stands on it.
const ASYNCHRONOUS: [&str; 4] = ["node", "server", "client", "quorate"];
/// What only they may know; also what begins with one of these and a dash.
const RUNTIMES: [&str; 5] = ["tokio", "tonic", "hyper", "axum", "tower"];
/// Where this table stands, for messages.
const HERE: &str = "xtask/src/tidy/crates.rs";

/// A crate of ours: its folder's name, its manifest's path and text.
struct Crate<'a> {
    name: &'a str,
    path: &'a str,
    text: &'a str,
}

/// The crates under `crates/`.
fn crates(tree: &Tree) -> impl Iterator<Item = Crate<'_>> {
    tree.ending("/Cargo.toml").filter_map(|(path, text)| {
        let name = path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")?;
        (!name.contains('/')).then_some(Crate { name, path, text })
    })
}

impl<'a> Crate<'a> {
    fn dependencies(&self, roles: &'static [Role]) -> impl Iterator<Item = Dependency<'a>> {
        let all = dependencies(self.text).into_iter();
        all.filter(|dependency| roles.contains(&dependency.role))
    }

    fn finding(&self, line: usize, cause: String, mend: impl Into<String>) -> Finding {
        Finding::new(self.path, line, cause, mend)
    }
}

/// Dependencies between our crates go down only.
pub(super) fn arrows(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in crates(tree) {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == member.name) else {
            let cause = format!("{} is a crate without arrows", member.name);
            findings.push(member.finding(0, cause, format!("say in {HERE} what it may use")));
            continue;
        };
        for dependency in member.dependencies(&[Role::Normal, Role::Build]) {
            let Some(ours) = dependency.name.strip_prefix("quorate-") else { continue };
            if !allowed.contains(&"*") && !allowed.contains(&ours) {
                let cause = format!("{} must not depend on {}", member.name, dependency.name);
                let mend = "move the code to the crate that may, or pass it in as a value or trait";
                findings.push(member.finding(dependency.line, cause, mend));
            }
        }
    }
    findings
}

/// Asynchronous code lives in the node and above; `proto` may offer it as a feature, which nobody
/// below the node switches on.
pub(super) fn asynchronous(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in crates(tree).filter(|member| !ASYNCHRONOUS.contains(&member.name)) {
        for dependency in member.dependencies(&[Role::Normal, Role::Dev]) {
            let name = dependency.name;
            let is_runtime = RUNTIMES.iter().any(|runtime| {
                name.strip_prefix(runtime)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            });
            if is_runtime && !(member.name == "proto" && dependency.is_optional) {
                let cause = format!("{} must not know {name}", member.name);
                let mend = "move what needs it to node, server or client";
                findings.push(member.finding(dependency.line, cause, mend));
            }
            if name == "quorate-proto" && dependency.value.contains("\"grpc\"") {
                let cause = format!("{} must not switch on proto's feature grpc", member.name);
                let mend = "use the messages only; services live in node, server and client";
                findings.push(member.finding(dependency.line, cause, mend));
            }
        }
    }
    findings
}

/// Every outside crate stands in the workspace's list, with a reason.
pub(super) fn reasons(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let list: Vec<_> = tree.text("Cargo.toml").map(entries).unwrap_or_default();
    let list = || list.iter().filter(|entry| entry.section == "workspace.dependencies");
    for entry in list() {
        let is_ours = entry.key.starts_with("quorate-");
        if !is_ours && !entry.comment.chars().any(char::is_alphabetic) {
            let cause = format!("{} has no reason", entry.key);
            let mend = "write what we need it for behind it, after a #";
            findings.push(Finding::new("Cargo.toml", entry.line, cause, mend));
        }
    }
    for (path, text) in tree.ending("/Cargo.toml") {
        for dependency in dependencies(text) {
            let name = dependency.name;
            if !dependency.is_workspace {
                let cause = format!("{name} does not come from the workspace");
                let mend =
                    format!("list it in the root's Cargo.toml, and write {name}.workspace = true");
                findings.push(Finding::new(path, dependency.line, cause, mend));
            } else if !list().any(|entry| entry.key.split('.').next() == Some(name)) {
                let cause = format!("{name} is not in the workspace's list");
                let mend = "add it to [workspace.dependencies] with a reason";
                findings.push(Finding::new(path, dependency.line, cause, mend));
            }
        }
    }
    findings
}

/// The core depends on nothing; its tests may.
pub(super) fn bare_core(tree: &Tree) -> Vec<Finding> {
    let core = crates(tree).filter(|member| member.name == "raft");
    core.flat_map(|member| {
        let used: Vec<_> = member.dependencies(&[Role::Normal, Role::Build]).collect();
        let finding = |dependency: &Dependency<'_>| {
            let cause = format!("raft has a dependency: {}", dependency.name);
            member.finding(dependency.line, cause, "write what little it gives by hand")
        };
        used.iter().map(finding).collect::<Vec<_>>()
    })
    .collect()
}

/// Every crate has the workspace's lints switched on.
pub(super) fn lints(tree: &Tree) -> Vec<Finding> {
    tree.ending("/Cargo.toml")
        .filter(|(_, text)| {
            !entries(text).iter().any(|entry| {
                let name = (entry.section, entry.key);
                (name == ("lints", "workspace") || name == ("", "lints.workspace"))
                    && entry.value == "true"
            })
        })
        .map(|(path, _)| {
            let mend = "add the lines: [lints] and workspace = true";
            Finding::new(path, 0, "the workspace's lints are not switched on", mend)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(check: fn(&Tree) -> Vec<Finding>, path: &str, text: &str) -> Vec<String> {
        let root = "[workspace.dependencies]\nbytes = \"1\" # payloads\ntokio = \"1\" # runtime\n";
        let tree = Tree::sample([("Cargo.toml", root), (path, text)]);
        check(&tree).iter().map(Finding::to_string).collect()
    }

    fn is_good(check: fn(&Tree) -> Vec<Finding>, path: &str, text: &str) {
        assert_eq!(found(check, path, text), [""; 0], "{path}");
    }

    fn is_bad(check: fn(&Tree) -> Vec<Finding>, path: &str, text: &str, part: &str) {
        let found = found(check, path, text);
        assert_eq!(found.len(), 1, "{path}: {found:?}");
        assert!(found[0].contains(part), "{part} is not in {}", found[0]);
    }

    #[test]
    fn arrows_go_down() {
        let raft = "[dependencies]\nquorate-raft.workspace = true\n";
        is_good(arrows, "crates/log/Cargo.toml", raft);
        is_good(arrows, "crates/quorate/Cargo.toml", raft);
        is_good(arrows, "crates/proto/Cargo.toml", "[dev-dependencies]\nquorate-raft = {}\n");
        is_bad(arrows, "crates/proto/Cargo.toml", raft, "Cargo.toml:2: proto must not depend on");
        let node = "[dependencies.quorate-node]\nworkspace = true\n";
        is_bad(
            arrows,
            "crates/replica/Cargo.toml",
            node,
            "replica must not depend on quorate-node",
        );
        is_bad(arrows, "crates/new/Cargo.toml", "", "new is a crate without arrows");
    }

    #[test]
    fn asynchronous_code_stays_above() {
        let tokio = "[dependencies]\ntokio.workspace = true\n";
        is_good(asynchronous, "crates/node/Cargo.toml", tokio);
        is_bad(asynchronous, "crates/store/Cargo.toml", tokio, "store must not know tokio");
        is_bad(asynchronous, "crates/proto/Cargo.toml", tokio, "proto must not know tokio");
        let util = "[dev-dependencies]\nhyper-util.workspace = true\n";
        is_bad(asynchronous, "crates/log/Cargo.toml", util, "log must not know hyper-util");
        let optional = "[dependencies]\ntonic = { workspace = true, optional = true }\n";
        is_good(asynchronous, "crates/proto/Cargo.toml", optional);
        is_bad(asynchronous, "crates/sim/Cargo.toml", optional, "sim must not know tonic");
        let grpc = "[dependencies]\nquorate-proto = { workspace = true, features = [\"grpc\"] }\n";
        is_good(asynchronous, "crates/client/Cargo.toml", grpc);
        is_bad(asynchronous, "crates/store/Cargo.toml", grpc, "feature grpc");
    }

    #[test]
    fn outside_crates_have_reasons() {
        let path = "crates/log/Cargo.toml";
        is_good(reasons, path, "[dependencies]\nbytes.workspace = true\n");
        let own = "[dev-dependencies]\nbytes = \"1\"\n";
        is_bad(reasons, path, own, "bytes does not come from the workspace");
        let unknown = "[dependencies]\nrand.workspace = true\n";
        is_bad(reasons, "xtask/Cargo.toml", unknown, "rand is not in the workspace's list");
        let silent = "[workspace.dependencies]\nquorate-raft = { path = \"x\" }\nrand = \"1\" #\n";
        let tree = Tree::sample([("Cargo.toml", silent)]);
        let found = reasons(&tree);
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().starts_with("Cargo.toml:3: rand has no reason"));
    }

    #[test]
    fn the_core_is_bare() {
        let path = "crates/raft/Cargo.toml";
        is_good(bare_core, path, "[dependencies]\n[dev-dependencies]\nproptest = {}\n");
        let bytes = "[dependencies]\nbytes.workspace = true\n";
        is_bad(bare_core, path, bytes, "raft has a dependency: bytes");
        is_good(bare_core, "crates/log/Cargo.toml", bytes);
    }

    #[test]
    fn lints_are_on() {
        is_good(lints, "crates/raft/Cargo.toml", "[lints]\nworkspace = true\n");
        is_bad(lints, "crates/raft/Cargo.toml", "[package]\nworkspace = true\n", "not switched on");
        is_bad(lints, "xtask/Cargo.toml", "[lints]\nworkspace = false\n", "not switched on");
    }
}
