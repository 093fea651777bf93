//! Where the records of a log segment are, read independently of the program.

/// What each record begins with.
pub(crate) const MAGIC: [u8; 4] = *b"qRe\xc1";

/// The length of a segment's header, and of a record's.
const SEGMENT_HEADER: usize = 128;
/// See [`SEGMENT_HEADER`].
pub(crate) const HEADER: usize = 64;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Opened,
    HardState,
    Block,
    Marker,
}

/// Where a record is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) offset: usize,
    bytes: usize,
}

/// The records of a segment, up to the end of what was written.
pub(crate) fn read(segment: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    let mut offset = SEGMENT_HEADER;
    while let Some(header) = segment.get(offset..offset + HEADER)
        && header.starts_with(&MAGIC)
    {
        let kind = match header[8] {
            1 => Kind::Opened,
            2 => Kind::HardState,
            3 => Kind::Block,
            4 => Kind::Marker,
            other => panic!("a record of kind {other} at {offset}"),
        };
        let body = u32::from_le_bytes(header[36..40].try_into().unwrap());
        let bytes = (HEADER + usize::try_from(body).unwrap()).next_multiple_of(8);
        records.push(Record { kind, offset, bytes });
        if kind == Kind::Marker {
            break;
        }
        offset += bytes;
    }
    records
}

/// Where the next record would be written: in the place of the marker, if there is one.
pub(crate) fn tail(segment: &[u8]) -> usize {
    let records = read(segment);
    let last = records.last().expect("a segment has records");
    if last.kind == Kind::Marker { last.offset } else { last.offset + last.bytes }
}
