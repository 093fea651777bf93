//! Conversions between widths and little-endian fields, each checked in one place.

/// The length of something in memory as a plain 64-bit number.
pub(crate) const fn wide(length: usize) -> u64 {
    const { assert!(usize::BITS <= u64::BITS) }
    length as u64
}

/// A length or offset that must fit into memory; one that does not was checked too late.
pub(crate) fn narrow(length: u64) -> usize {
    usize::try_from(length).expect("a length was checked against a limit that fits into memory")
}

/// A length that must fit into a 32-bit field; one that does not was checked too late.
pub(crate) fn field(length: usize) -> u32 {
    u32::try_from(length).expect("a length was checked against a limit that fits into its field")
}

/// The 32-bit field at `offset`.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_le_bytes(field)
}

/// The 64-bit field at `offset`.
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_le_bytes(field)
}

/// Writes a 32-bit field at `offset`.
pub(crate) fn put_u32(bytes: &mut [u8], offset: usize, value: u32) {
    bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
}

/// Writes a 64-bit field at `offset`.
pub(crate) fn put_u64(bytes: &mut [u8], offset: usize, value: u64) {
    bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
}
