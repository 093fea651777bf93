//! What is in a directory, to see whether something has changed it, and copies of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every file in a directory with its content.
pub(crate) fn content(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(content(&path));
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

/// Whether two contents are the same; tells which file differs, not its megabytes.
pub(crate) fn difference(
    before: &BTreeMap<PathBuf, Vec<u8>>,
    after: &BTreeMap<PathBuf, Vec<u8>>,
) -> Option<String> {
    let names = before.keys().chain(after.keys());
    names
        .into_iter()
        .find(|name| before.get(*name) != after.get(*name))
        .map(|name| name.display().to_string())
}

/// The segment of the log that was begun last, of those that hold a record.
pub(crate) fn newest_segment(directory: &Path) -> PathBuf {
    let is_written = |path: &PathBuf| {
        let name = path.extension().is_some_and(|extension| extension == "seg");
        name && fs::read(path).unwrap().starts_with(b"quorlg\r\n")
    };
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(is_written).max().expect("there is a segment")
}
