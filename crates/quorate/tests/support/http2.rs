//! As much of HTTP/2 as it takes to send what no library would (RFC 9113, RFC 7541).

use std::io::{Read, Write};
use std::net::TcpStream;

/// What a client begins with.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The beginning of a connection.
pub(crate) fn opening() -> Vec<u8> {
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes
}

/// Opens a connection, agrees to the server's settings and waits for its window: from then on a
/// call and the connection may have as much under way as the server says.
pub(crate) fn open(connection: &mut TcpStream) {
    connection.write_all(&opening()).unwrap();
    let mut is_wide = false;
    while !is_wide {
        let mut head = [0; 9];
        connection.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        connection.read_exact(&mut vec![0; usize::try_from(length).unwrap()]).unwrap();
        if (head[3], head[4]) == (SETTINGS, 0) {
            connection.write_all(&frame(SETTINGS, ACK, 0, &[])).unwrap();
        }
        is_wide = head[3] == WINDOW_UPDATE;
    }
}

/// A header field, written out.
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        number(&mut bytes, text.len());
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// A number with a prefix of seven bits.
fn number(bytes: &mut Vec<u8>, number: usize) {
    let Some(mut rest) = number.checked_sub(127) else {
        bytes.push(u8::try_from(number).unwrap());
        return;
    };
    bytes.push(127);
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).unwrap());
}

/// The head of a call, with more of it to come.
pub(crate) fn head(stream: u32, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, 0, stream, &fields(path, more))
}

/// The head of a call, complete.
pub(crate) fn whole_head(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &fields(path, &[]))
}

fn fields(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let call = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    call.iter().chain(more).flat_map(|(name, value)| field(name, value)).collect()
}

/// Reads until the other side has ended the stream or the connection; false if it does neither.
pub(crate) fn wait_for_end_of_stream(connection: &mut TcpStream, stream: u32) -> bool {
    loop {
        let mut head = [0; 9];
        if let Err(error) = connection.read_exact(&mut head) {
            return error.kind() != std::io::ErrorKind::WouldBlock;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        connection.read_exact(&mut payload).unwrap();
        let (kind, flags) = (head[3], head[4]);
        let is_this = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) == stream;
        match kind {
            HEADERS | DATA if is_this && flags & END_STREAM != 0 => return true,
            RST_STREAM if is_this => return true,
            GOAWAY => return true,
            _ => {}
        }
    }
}
