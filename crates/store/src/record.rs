//! One version of a key.
//!
//! A version is a stamp beside one buffer that has the rest: a few small numbers, the key and the
//! value. One allocation holds a version, and an answer holds it too (by count, without a copy).
//!
//! The buffer: five numbers in seven-bit groups, low first (length of the key, sub-revision,
//! revisions since the creation, version, lease), then the key, then the value. This is a form in
//! memory, not a format of a file.

use bytes::Bytes;
use quorate_proto::mvccpb::KeyValue;

/// What a key was from a revision on: set, or removed.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    /// Twice the revision that made it, plus one for a tombstone; so that reading at a revision and
    /// counting keys need not look into the record.
    stamp: i64,
    /// The rest.
    record: Bytes,
}

/// The numbers of a version and where its bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The revision of the last creation of the key.
    pub(crate) create_revision: i64,
    /// Changes since then; 1 is the first.
    pub(crate) version: i64,
    /// The lease it is attached to; 0 for none.
    pub(crate) lease: i64,
    /// Its place among the changes of its revision, from 0.
    pub(crate) sub: i64,
    /// Where the key starts.
    key_at: usize,
    /// Where the value starts.
    value_at: usize,
}

/// What a put makes of a key; the key's bytes and the revision come with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    pub(crate) create_revision: i64,
    pub(crate) version: i64,
    pub(crate) lease: i64,
    pub(crate) value: &'a [u8],
}

impl Version {
    /// The version that a put at `revision` makes.
    pub(crate) fn set(revision: i64, sub: i64, key: &[u8], fields: Fields<'_>) -> Self {
        let age = revision - fields.create_revision;
        let numbers = [sub, age, fields.version, fields.lease];
        Self { stamp: revision * 2, record: record(key, numbers, fields.value) }
    }

    /// The version that a removal at `revision` makes.
    pub(crate) fn tombstone(revision: i64, sub: i64, key: &[u8]) -> Self {
        Self { stamp: revision * 2 + 1, record: record(key, [sub, 0, 0, 0], &[]) }
    }

    /// The revision that made it.
    pub(crate) fn revision(&self) -> i64 {
        self.stamp >> 1
    }

    /// Whether it says that the key is gone.
    pub(crate) fn is_tombstone(&self) -> bool {
        self.stamp & 1 == 1
    }

    /// The bytes it takes.
    pub(crate) fn bytes(&self) -> i64 {
        let bytes = self.record.len() + size_of::<Self>();
        i64::try_from(bytes).expect("memory has fewer bytes than that")
    }

    /// Reads the numbers.
    pub(crate) fn facts(&self) -> Facts {
        let mut at = 0;
        let mut next = || take_number(&self.record, &mut at);
        let key_length = next();
        let (sub, age, version, lease) = (next(), next(), next(), next());
        let key_length = usize::try_from(key_length).expect("it was a length");
        Facts {
            create_revision: self.revision() - age,
            version,
            lease,
            sub,
            key_at: at,
            value_at: at + key_length,
        }
    }

    /// The key, sharing the version's memory.
    pub(crate) fn key(&self) -> Bytes {
        let facts = self.facts();
        self.record.slice(facts.key_at..facts.value_at)
    }

    /// The value.
    pub(crate) fn value(&self, facts: &Facts) -> &[u8] {
        &self.record[facts.value_at..]
    }

    /// The value, sharing the version's memory.
    pub(crate) fn value_shared(&self, facts: &Facts) -> Bytes {
        self.record.slice(facts.value_at..)
    }

    /// The pair as clients see it, sharing the version's memory.
    pub(crate) fn key_value(&self, facts: &Facts) -> KeyValue {
        KeyValue { value: self.value_shared(facts), ..self.key_only(facts) }
    }

    /// The pair as clients see it, but for the value.
    pub(crate) fn key_only(&self, facts: &Facts) -> KeyValue {
        KeyValue {
            key: self.record.slice(facts.key_at..facts.value_at),
            create_revision: facts.create_revision,
            mod_revision: self.revision(),
            version: facts.version,
            value: Bytes::new(),
            lease: facts.lease,
        }
    }
}

/// Lays a record out, in memory of exactly its size.
fn record(key: &[u8], numbers: [i64; 4], value: &[u8]) -> Bytes {
    let mut head = [0; NUMBER_BYTES_MAX * 5];
    let mut head_length = 0;
    let key_length = i64::try_from(key.len()).expect("memory has fewer bytes than that");
    put_number(&mut head, &mut head_length, key_length);
    for number in numbers {
        put_number(&mut head, &mut head_length, number);
    }
    let mut bytes = Vec::with_capacity(head_length + key.len() + value.len());
    bytes.extend_from_slice(&head[..head_length]);
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(value);
    Bytes::from(bytes)
}

/// Writes a number at `at` and moves on.
fn put_number(bytes: &mut [u8], at: &mut usize, number: i64) {
    let mut rest = number.cast_unsigned();
    while rest >= 0x80 {
        bytes[*at] = rest.to_le_bytes()[0] | 0x80;
        *at += 1;
        rest >>= 7;
    }
    bytes[*at] = rest.to_le_bytes()[0];
    *at += 1;
}

/// Reads what [`put_number`] wrote.
#[inline]
fn take_number(bytes: &[u8], at: &mut usize) -> i64 {
    let mut number = 0_u64;
    let mut shift = 0;
    loop {
        let byte = bytes[*at];
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return number.cast_signed();
        }
        shift += 7;
    }
}

/// Sixty-four bits in groups of seven.
const NUMBER_BYTES_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_gives_back_what_it_was_made_of() {
        for lease in [0, 1, i64::MAX, i64::MIN, -1] {
            let fields = Fields { create_revision: 300, version: 1 << 40, lease, value: b"value" };
            let version = Version::set(1 << 50, 129, b"key", fields);
            let facts = version.facts();
            assert_eq!(version.revision(), 1 << 50);
            assert!(!version.is_tombstone());
            assert_eq!(facts.sub, 129);
            assert_eq!(version.key(), "key");
            assert_eq!(version.value(&facts), b"value");
            let expected = KeyValue {
                key: "key".into(),
                create_revision: 300,
                mod_revision: 1 << 50,
                version: 1 << 40,
                value: "value".into(),
                lease,
            };
            assert_eq!(version.key_value(&facts), expected);
            assert_eq!(version.key_only(&facts), KeyValue { value: Bytes::new(), ..expected });
        }
    }

    #[test]
    fn a_tombstone_has_its_key_and_its_place() {
        let version = Version::tombstone(9, 3, b"key");
        assert!(version.is_tombstone());
        assert_eq!((version.revision(), version.facts().sub), (9, 3));
        assert_eq!(version.key(), "key");
    }

    #[test]
    fn an_answer_shares_the_memory_of_the_version() {
        let fields = Fields { create_revision: 2, version: 1, lease: 0, value: &[7; 100] };
        let version = Version::set(2, 0, b"key", fields);
        let pair = version.key_value(&version.facts());
        assert!(version.record.as_ptr_range().contains(&pair.value.as_ptr()));
    }
}
