//! The copy of the sources that is patched, in `target/mutants/tree`.
//!
//! A file is written only if it differs, and what is written gets a new time: so cargo builds again
//! what has changed, and nothing else.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use super::patch::Mutant;

/// The copy.
#[derive(Debug)]
pub(super) struct SourceCopy {
    root: PathBuf,
}

/// A patch that is in the copy. Dropping it puts the files back as they were.
#[derive(Debug)]
pub(super) struct Patched {
    originals: Vec<(PathBuf, Vec<u8>)>,
}

impl SourceCopy {
    /// Makes the copy equal to the sources in `root`.
    pub(super) fn make(root: &Path) -> anyhow::Result<Self> {
        let copy = Self { root: root.join("target/mutants/tree") };
        let files = sources(root)?;
        for file in &files {
            copy.update(root, file)?;
        }
        for file in walk(&copy.root, &[])? {
            if !files.contains(&file) {
                std::fs::remove_file(copy.root.join(&file))?;
            }
        }
        Ok(copy)
    }

    /// Where it is.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    fn update(&self, root: &Path, file: &Path) -> anyhow::Result<()> {
        let Ok(bytes) = std::fs::read(root.join(file)) else {
            // Deleted and not yet committed, or a link to a folder.
            return Ok(());
        };
        let target = self.root.join(file);
        if std::fs::read(&target).ok().as_ref() == Some(&bytes) {
            return Ok(());
        }
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&target, bytes).with_context(|| format!("cannot write {}", target.display()))
    }

    /// Patches the copy.
    pub(super) fn apply(&self, mutant: &Mutant) -> anyhow::Result<Patched> {
        let advice =
            || format!("{} does not apply; adapt it to the sources, or delete it", mutant.file());
        let mut originals = Vec::new();
        for file in &mutant.files {
            let path = self.root.join(file);
            let bytes = std::fs::read(&path).with_context(advice)?;
            originals.push((path, bytes));
        }
        self.git_apply(&mutant.text).with_context(advice)?;
        let patched = Patched { originals };
        for (path, original) in &patched.originals {
            if std::fs::read(path)? == *original {
                bail!("{} changes nothing in {}", mutant.file(), path.display());
            }
        }
        Ok(patched)
    }

    fn git_apply(&self, text: &str) -> anyhow::Result<()> {
        let mut child = Command::new("git")
            .args(["apply", "--whitespace=nowarn", "-"])
            .current_dir(&self.root)
            // In the repository around it, git would take the paths for those of the repository.
            .env("GIT_CEILING_DIRECTORIES", self.root.parent().unwrap_or(&self.root))
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("git cannot be started; it applies the patches")?;
        if let Some(mut input) = child.stdin.take() {
            // If git ends early, its status says why.
            drop(input.write_all(text.as_bytes()));
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; "));
        }
        Ok(())
    }
}

impl Drop for Patched {
    fn drop(&mut self) {
        for (path, bytes) in &self.originals {
            // The next run compares every file, so nothing is lost if this fails.
            drop(std::fs::write(path, bytes));
        }
    }
}

/// The files that git tracks or would track; without git, all but what is built.
fn sources(root: &Path) -> anyhow::Result<BTreeSet<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output();
    let files = match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout)
            .split_terminator('\0')
            .map(PathBuf::from)
            .collect(),
        Ok(_) | Err(_) => walk(root, &["target", ".git"])?,
    };
    if !files.contains(Path::new("Cargo.toml")) {
        bail!("{} holds no Cargo.toml; run this inside the project's checkout", root.display());
    }
    Ok(files)
}

/// All files below `root`, but for those in the folders named.
fn walk(root: &Path, without: &[&str]) -> anyhow::Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(root.join(&folder)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        for entry in entries {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if !entry.file_type()?.is_dir() {
                files.insert(path);
            } else if !without.iter().any(|name| path == Path::new(name)) {
                folders.push(path);
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutants::patch;

    const PATCH: &str = "\
rule: one is one
checker: assertion
group: read

--- a/src/a.rs
+++ b/src/a.rs
@@ -1,3 +1,3 @@
 fn one() -> u32 {
-    1
+    2
 }
";

    /// A tree in the target folder, which git does not look at.
    fn tree(name: &str) -> SourceCopy {
        let root = crate::root().join("target/mutants/tests").join(name).join("tree");
        std::fs::create_dir_all(root.join("src")).expect("the folder can be made");
        std::fs::write(root.join("src/a.rs"), "fn one() -> u32 {\n    1\n}\n").expect("written");
        SourceCopy { root }
    }

    #[test]
    fn a_patch_goes_in_and_out() {
        let copy = tree("in-and-out");
        let text = || std::fs::read_to_string(copy.root.join("src/a.rs")).expect("it is there");
        let before = text();
        let patched = copy.apply(&patch::parse("a", PATCH).expect("good")).expect("it applies");
        assert!(text().contains('2'));
        drop(patched);
        assert_eq!(text(), before);
    }

    #[test]
    fn a_patch_that_does_not_fit_changes_nothing_and_is_named() {
        let copy = tree("no-fit");
        let other = PATCH.replace("-    1", "-    3");
        let error = copy.apply(&patch::parse("other", &other).expect("good")).expect_err("no fit");
        assert!(
            format!("{error:#}").starts_with("mutants/other.patch does not apply"),
            "{error:#}"
        );
        let missing = PATCH.replace("src/a.rs", "src/b.rs");
        assert!(copy.apply(&patch::parse("b", &missing).expect("good")).is_err());
        let text = std::fs::read_to_string(copy.root.join("src/a.rs")).expect("it is there");
        assert!(text.contains('1'));
    }
}
