//! A replicated table whose values are on the disk, not in memory: for states that are large.
//!
//! `disk_machine ID ADDRESS…` is member ID of those at the addresses; it keeps its log in
//! `table-ID/log` and the table in `table-ID/state`. Lines on its input are `set KEY VALUE`,
//! `get KEY` and `applied`.
//!
//! The state is one file of records in the order of the commands, and an index in memory that says
//! where each key's value lies. A real one would be a database; what has to hold is the same:
//!
//! - **The applied index is part of the state**, written in one piece with what it applies: here
//!   each record carries the index of its command, and a checksum. After a crash the state is as of
//!   some index, never half of one.
//! - **Nothing is synced in `apply`.** What a crash takes from this file is still in the log, which
//!   was synced before the command was applied. A start replays the log from its beginning or from
//!   the last snapshot, and commands at or below the applied index are skipped: they are in the
//!   file already ([`Table::apply`]).
//! - **Nobody waits for a reply to a command that is skipped**: those who proposed it did so in an
//!   earlier life of the member. If somebody does wait, the state and the log are not of one
//!   cluster: one of them was deleted or exchanged. Then the member must stop, and does.
//! - **A snapshot carries the applied index too**, so that a member that restores it skips what is
//!   in it. It reads through a file handle of its own, and only the bytes that were there when it
//!   was taken; the file only grows, so applies go on beside it.
//! - **`restore` replaces the state in one step**: it writes a new file beside the old one, syncs
//!   it, and renames it. A crash leaves the one or the other.
//! - **No `digest`**: a state that is ahead of the replay of its log would not agree with members
//!   that are not.
//!
//! Left out: reclaiming the space of old values (rewrite the file as `restore` does, now and then).

#![expect(clippy::print_stdout, reason = "it talks to people")]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use quorate_node::{Command, Node, StateMachine, Wants, WriteOut};

/// Index of the command, bytes of the key, bytes of the value, checksum over these and both.
const HEAD_BYTES: usize = 8 + 4 + 4 + 4;

/// The table.
struct Table {
    path: PathBuf,
    file: File,
    /// The file's length: where the next record goes.
    end: u64,
    /// The index of the last command in the file.
    applied: u64,
    /// Where each key's value lies: its offset and length.
    places: BTreeMap<Vec<u8>, (u64, u32)>,
}

/// A record as it was read.
struct Record {
    index: u64,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Record {
    fn encode(&self) -> io::Result<Vec<u8>> {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(io::Error::other);
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.key.len() + self.value.len());
        bytes.extend(self.index.to_le_bytes());
        bytes.extend(length(&self.key)?.to_le_bytes());
        bytes.extend(length(&self.value)?.to_le_bytes());
        let checksum = self.checksum();
        bytes.extend(checksum.to_le_bytes());
        bytes.extend(&self.key);
        bytes.extend(&self.value);
        Ok(bytes)
    }

    /// FNV-1a: enough to know a torn record from a whole one.
    fn checksum(&self) -> u32 {
        let lengths = [self.key.len() as u64, self.value.len() as u64].map(u64::to_le_bytes);
        let index = self.index.to_le_bytes();
        let bytes = index.iter().chain(lengths.as_flattened()).chain(&self.key).chain(&self.value);
        bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
    }

    /// The next whole record; `None` at the end, or where a crash tore one.
    fn read(from: &mut dyn Read) -> io::Result<Option<Self>> {
        let mut head = [0; HEAD_BYTES];
        if !fill(from, &mut head)? {
            return Ok(None);
        }
        let (index, rest) = head.split_first_chunk().expect("the head begins with the index");
        let word = |at: usize| {
            u32::from_le_bytes(*rest[at..].first_chunk().expect("the head has three words"))
        };
        let mut bytes = Vec::new();
        let length = u64::from(word(0)) + u64::from(word(4));
        Read::take(&mut *from, length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != length {
            return Ok(None);
        }
        let key_length = usize::try_from(word(0)).map_err(io::Error::other)?;
        let value = bytes.split_off(key_length);
        let record = Self { index: u64::from_le_bytes(*index), key: bytes, value };
        Ok((record.checksum() == word(8)).then_some(record))
    }
}

/// Reads as many bytes as there is room for; false if there are fewer.
fn fill(from: &mut dyn Read, into: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(into) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

impl Table {
    /// Opens the table, or makes an empty one. What follows the last whole record is cut off: it is
    /// what a crash left of a write, and the log brings it again.
    fn open(path: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(path.parent().unwrap_or(Path::new("")))?;
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let mut table = Self { path, file, end: 0, applied: 0, places: BTreeMap::new() };
        let mut from = BufReader::new(table.file.try_clone()?);
        while let Some(record) = Record::read(&mut from)? {
            table.note(&record);
        }
        table.file.set_len(table.end)?;
        Ok(table)
    }

    /// Takes into memory what the record at the end says.
    fn note(&mut self, record: &Record) {
        let value_at = self.end + HEAD_BYTES as u64 + record.key.len() as u64;
        let value_bytes = u32::try_from(record.value.len()).expect("its length was written so");
        self.places.insert(record.key.clone(), (value_at, value_bytes));
        self.end = value_at + u64::from(value_bytes);
        self.applied = record.index;
    }

    fn append(&mut self, record: &Record) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(&record.encode()?)?;
        self.note(record);
        Ok(())
    }

    fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let Some((at, length)) = self.places.get(key) else { return Ok(None) };
        let mut value = Vec::new();
        let mut file = &self.file;
        file.seek(SeekFrom::Start(*at))?;
        file.take(u64::from(*length)).read_to_end(&mut value)?;
        Ok(Some(value))
    }
}

impl StateMachine for Table {
    /// The index at which the command was applied.
    type Reply = u64;

    fn apply(&mut self, commands: &[Command], replies: &mut Vec<u64>) {
        for command in commands {
            let index = command.index.value();
            if index <= self.applied {
                let waits = command.wants == Wants::Reply;
                assert!(!waits, "the table is ahead of the log: one of the two was exchanged");
                continue;
            }
            // A command is a key and a value, with a space between; another one sets nothing, but
            // is written all the same, since it has an index.
            let at = command.body.iter().position(|byte| *byte == b' ');
            let (key, value) =
                at.map_or((&[][..], &[][..]), |at| (&command.body[..at], &command.body[at + 1..]));
            let record = Record { index, key: key.to_vec(), value: value.to_vec() };
            // A machine that cannot write must not go on: the members would differ.
            self.append(&record).expect("the table can be written");
            if command.wants == Wants::Reply {
                replies.push(index);
            }
        }
    }

    fn snapshot(&self) -> WriteOut {
        let (path, end) = (self.path.clone(), self.end);
        // Opened now: a restore puts another file in its place.
        let file = File::open(path);
        Box::new(move |out| {
            let copied = io::copy(&mut file?.take(end), out)?;
            if copied == end { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
        })
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let path = self.path.with_extension("new");
        let mut file = BufWriter::new(File::create(&path)?);
        let length = io::copy(from, &mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        let new = Self::open(path)?;
        if new.end != length {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a record is damaged"));
        }
        fs::rename(&new.path, &self.path)?;
        *self = Self { path: self.path.clone(), ..new };
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let id = arguments.next().ok_or("usage: disk_machine ID ADDRESS…")?.parse()?;
    let dir = PathBuf::from(format!("table-{id}"));
    let table = Table::open(dir.join("state"))?;
    let replayed_from = table.applied;
    let node = Node::builder(id, dir.join("log"), table)
        .cluster("table")
        .members((1..).zip(arguments))
        .start()
        .await?;
    for line in io::stdin().lines() {
        let line = line?;
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match word {
            "set" => println!("set at {}", node.propose(rest.to_owned()).await?),
            "get" => {
                let key = rest.as_bytes().to_vec();
                match node.read(move |table| table.get(&key)).await?? {
                    Some(value) => println!("{}", String::from_utf8_lossy(&value)),
                    None => println!("(nothing)"),
                }
            }
            "applied" => println!("{replayed_from} at the start"),
            _ => println!("set KEY VALUE, get KEY, or applied"),
        }
    }
    node.stop().await;
    Ok(())
}
