//! Looking at what lies beyond the end of a log.

use crate::disk::Disk;
use crate::error::OpenError;
use crate::format::{RecordKind, SEGMENT_HEADER_BYTES, SegmentHeader, segment_name};
use crate::open::io_error;
use crate::options::Identity;
use crate::recover::{Recovery, open};
use crate::scan::{Window, for_each_header};

/// What lies beyond the end.
#[derive(Default)]
pub(crate) struct Beyond {
    /// Something says that the end was not the end: more was durable.
    pub(crate) is_proof: bool,
    /// There are records of the latest opening.
    pub(crate) has_records: bool,
}

impl Recovery {
    /// Looks at everything beyond the tail for sound headers, and for proof that the tail was
    /// durable once.
    pub(crate) fn look_beyond<D: Disk>(
        &self,
        disk: &D,
        identity: Identity,
        segments: &[u32],
    ) -> Result<Beyond, OpenError> {
        let mut beyond = Beyond::default();
        for &number in segments.iter().filter(|&&number| number >= self.tail.segment()) {
            let name = segment_name(number);
            let file = open(disk, number)?;
            let mut window = Window::new(&file);
            let is_tail = number == self.tail.segment();
            if !is_tail {
                let bytes = window.bytes(0, SEGMENT_HEADER_BYTES).map_err(io_error(disk, &name))?;
                if let Ok(header) = SegmentHeader::decode(bytes, number)
                    && header.identity == identity
                {
                    beyond.is_proof |= header.synced > self.tail;
                    beyond.has_records |= header.incarnation >= self.incarnation;
                }
            }
            let start = if is_tail { self.tail.offset() } else { 0 };
            for_each_header(&mut window, number, start, |header| {
                beyond.is_proof |= header.synced > self.tail;
                let is_marker = header.kind == RecordKind::Marker;
                beyond.has_records |= !is_marker && header.incarnation >= self.incarnation;
                !beyond.is_proof
            })
            .map_err(io_error(disk, &name))?;
            if beyond.is_proof {
                break;
            }
        }
        Ok(beyond)
    }
}
