//! Bytes that make no sense, at the client port and at the peer port: the connection ends, and the
//! member goes on serving.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use quorate_client::{PutOptions, RangeOptions};

use crate::support::cluster::Cluster;
use crate::support::http2::{self, PREFACE};
use crate::support::process::PATIENCE;

/// A client that is slower than this is none: what a member waits for the beginning of a request,
/// and some time for a busy machine.
const BEGIN_MAX: Duration = Duration::from_secs(25);

/// Has a member with both its ports do something to, and sees that it serves afterwards.
fn survives(attack: impl Fn(u16)) {
    let mut cluster = Cluster::start(1);
    let member = &cluster.members[0];
    for port in [member.client_port, member.peer_port] {
        attack(port);
        serves(&cluster);
    }
    assert!(cluster.members[0].stop().success());
}

/// A write and a read go through.
fn serves(cluster: &Cluster) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = cluster.members[0].client(PATIENCE);
        client.put("after", "all", PutOptions::new()).await.expect("it serves");
        let answer = client.get("after", RangeOptions::new()).await.expect("it serves");
        assert_eq!(answer.kvs[0].value, "all");
    });
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(BEGIN_MAX)).unwrap();
    stream
}

/// Sends bytes, and returns what comes back until the connection ends.
fn exchange(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(port);
    // The other side may end it before everything is sent.
    let sent = stream.write_all(bytes);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) => assert_ne!(error.kind(), ErrorKind::WouldBlock, "still open; sent: {sent:?}"),
    }
    answer
}

#[test]
fn noise() {
    survives(|port| {
        for seed in 1..20_u32 {
            let mut state = seed;
            let noise = std::iter::repeat_with(|| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            });
            let mut noise: Vec<u8> = noise.take(65_536).collect();
            // Enough line ends that what reads lines does not wait for one.
            noise.extend(b"\r\n\r\n");
            exchange(port, &noise);
        }
    });
}

#[test]
fn http1_to_a_wrong_path() {
    let cluster = Cluster::start(1);
    let request = b"GET /no/such/path HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = exchange(cluster.members[0].client_port, request);
    assert!(answer.starts_with(b"HTTP/1.1 404 "), "{}", String::from_utf8_lossy(&answer));
    exchange(cluster.members[0].peer_port, request);
    serves(&cluster);
}

#[test]
fn a_preface_and_then_noise() {
    survives(|port| {
        let mut bytes = PREFACE.to_vec();
        bytes.extend([0xff; 4096]);
        exchange(port, &bytes);
        // A sound beginning, and a frame that is longer than any may be.
        let mut bytes = http2::opening();
        bytes.extend([0xff, 0xff, 0xff, 0x0, 0x0, 0, 0, 0, 1]);
        bytes.extend([0; 4096]);
        exchange(port, &bytes);
    });
}

#[test]
fn a_head_without_end() {
    survives(|port| {
        let mut bytes = b"GET / HTTP/1.1\r\nhost: x\r\nlong: ".to_vec();
        bytes.extend(vec![b'a'; 4 * 1024 * 1024]);
        exchange(port, &bytes);
        let mut bytes = http2::opening();
        bytes.extend(http2::head(1, "/etcdserverpb.KV/Put", &[("long", &"a".repeat(15_000))]));
        for _ in 0..200 {
            // More of the same, never the last.
            bytes.extend(http2::frame(
                http2::CONTINUATION,
                0,
                1,
                &http2::field("more", &"a".repeat(15_000)),
            ));
        }
        exchange(port, &bytes);
    });
}

#[test]
fn a_message_of_four_gigabytes() {
    for path in ["/etcdserverpb.KV/Put", "/quorate.peer.v1.Raft/AppendEntries"] {
        ends_the_call(path, &[0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]);
    }
}

#[test]
fn a_message_that_is_none() {
    for path in ["/etcdserverpb.KV/Put", "/etcdserverpb.KV/Txn", "/etcdserverpb.KV/Range"] {
        ends_the_call(path, &[0, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff]);
    }
    // Said to be compressed, which was never agreed on.
    ends_the_call("/etcdserverpb.KV/Put", &[1, 0, 0, 0, 4, 1, 2, 3, 4]);
}

/// A call with these bytes as its message is answered with an error.
fn ends_the_call(path: &str, message: &[u8]) {
    survives(|port| {
        let mut stream = connect(port);
        let mut bytes = http2::opening();
        bytes.extend(http2::whole_head(1, path));
        bytes.extend(http2::frame(http2::DATA, http2::END_STREAM, 1, message));
        stream.write_all(&bytes).unwrap();
        assert!(http2::wait_for_end_of_stream(&mut stream, 1), "{path} is not answered");
    });
}

/// Requests that are never sent to their end do not fill the memory: beyond a bound for all of them
/// together the next is refused while it comes, and when their clients are gone there is room.
#[test]
fn requests_that_are_sent_by_half() {
    let mut cluster = Cluster::new(1);
    let flags = ["--max-request-bytes=1000", "--max-range-bytes=1048576"];
    cluster.members[0].flags = flags.map(str::to_owned).to_vec();
    cluster.start_all();
    let port = cluster.members[0].client_port;
    for round in 0..2 {
        // What a connection and a call may have under way is below what the server's windows are.
        let mut connections: Vec<_> = (0..12).map(|_| connect(port)).collect();
        for connection in &mut connections {
            http2::open(connection);
            for stream in [1, 3, 5, 7, 9, 11, 13] {
                connection.write_all(&half_a_put(stream)).unwrap();
            }
        }
        // The first of these may find room that one of the others, still to be read, will lack.
        let mut last = connect(port);
        last.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        http2::open(&mut last);
        let mut is_refused = |stream: u32| {
            last.write_all(&half_a_put(stream)).unwrap();
            http2::wait_for_end_of_stream(&mut last, stream)
        };
        assert!(
            [1, 3, 5, 7, 9].into_iter().any(&mut is_refused),
            "round {round}: all are let wait"
        );
        // What is small finds the room that the refused one left.
        serves(&cluster);
    }
    assert!(cluster.members[0].stop().success());
}

/// The beginning of a call, and nearly all of its message, of half a megabyte.
fn half_a_put(stream: u32) -> Vec<u8> {
    let mut bytes = http2::whole_head(stream, "/etcdserverpb.KV/Put");
    let mut message = vec![0];
    message.extend(500_000_u32.to_be_bytes());
    message.resize(499_000, b'x');
    for part in message.chunks(16_000) {
        bytes.extend(http2::frame(http2::DATA, 0, stream, part));
    }
    bytes
}

/// Clients that send nothing, or so little that it never becomes a request, do not stay for ever:
/// there is room for a bounded number of connections.
#[test]
fn clients_that_never_come_to_the_point() {
    let cluster = Cluster::start(1);
    let port = cluster.members[0].client_port;
    let slow = |bytes: Vec<u8>| {
        thread::spawn(move || {
            let mut stream = connect(port);
            stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            let begun = Instant::now();
            let mut bytes = bytes.into_iter();
            while begun.elapsed() < BEGIN_MAX {
                if let Some(byte) = bytes.next()
                    && stream.write_all(&[byte]).is_err()
                {
                    return true;
                }
                match stream.read(&mut [0; 64]) {
                    Ok(0) => return true,
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => return true,
                }
            }
            false
        })
    };
    let cases = [
        ("an HTTP/1 head", slow(b"GET /version HTTP/1.1\r\nhost: aaaaaaaaaaaaaaaaaaa".to_vec())),
        ("nothing at all", slow(Vec::new())),
        ("a third of a preface", slow(PREFACE[..8].to_vec())),
    ];
    let ends = cases.map(|(name, case)| (name, case.join().unwrap()));
    serves(&cluster);
    let open: Vec<_> = ends.iter().filter(|(_, ended)| !ended).map(|(name, _)| name).collect();
    assert!(open.is_empty(), "still open after {BEGIN_MAX:?}: those that send {open:?}");
}
