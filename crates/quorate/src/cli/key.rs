//! Keys and values on the command line: any bytes, not only UTF-8.

use std::ffi::OsString;

use bytes::Bytes;

/// The bytes of an argument, exactly as they were given.
pub(super) fn bytes(argument: OsString) -> Bytes {
    argument.into_encoded_bytes().into()
}
