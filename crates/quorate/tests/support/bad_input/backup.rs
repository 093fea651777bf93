//! Backups that are none, are damaged, or would replace something: one line, and nothing changed.

use std::fs;
use std::path::Path;

use prost::Message;
use quorate_proto::etcdserverpb::kv_client::KvClient;
use quorate_proto::etcdserverpb::{PutRequest, RangeRequest, RangeResponse};
use tonic::Code;
use tonic::transport::Endpoint;

use crate::support::cluster::Cluster;
use crate::support::process::{Outcome, quorate, run_command};

fn run(arguments: &[&str]) -> Outcome {
    run_command(&mut quorate(arguments))
}

/// Fails with one line that has all of `texts`.
#[track_caller]
fn is_refused(arguments: &[&str], texts: &[&str]) {
    let Outcome { code, stdout, stderr } = run(arguments);
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.starts_with("Error: ") && stderr.lines().count() == 1, "{stderr}");
    for text in texts {
        assert!(stderr.contains(text), "{text}: {stderr}");
    }
}

fn names(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        names.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_backup_is_whole_or_refused() {
    let cluster = tokio::task::spawn_blocking(|| Cluster::start(1)).await.unwrap();
    cluster.leader().await;
    let url = cluster.members[0].client_url();
    let mut kv =
        KvClient::new(Endpoint::from_shared(url.clone()).unwrap().connect().await.unwrap());
    for number in 0..100 {
        let (key, value) = (format!("key {number}").into(), vec![7; 1_000].into());
        kv.put(PutRequest { key, value, ..PutRequest::default() }).await.unwrap();
    }
    let endpoint = url.trim_start_matches("http://");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("backup");
    let path = file.to_str().unwrap();
    let save = ["snapshot", "save", path, "--endpoints", endpoint];
    let Outcome { code, stdout, stderr } = run(&save);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.starts_with(&format!("Snapshot saved at {path}\n")), "{stdout}");
    assert_eq!(names(directory.path()), ["backup"]);
    let sound = fs::read(&file).unwrap();
    let status = run(&["snapshot", "status", path]).stdout;
    assert!(status.contains(", 101, 100, "), "revision and keys: {status}");
    let table = run(&["snapshot", "status", path, "-w", "table"]).stdout;
    assert!(table.contains("| TOTAL KEYS |"), "{table}");

    is_refused(&save, &["is there already", "--force"]);
    let missing = directory.path().join("no/such/place");
    is_refused(
        &["snapshot", "save", missing.to_str().unwrap(), "--endpoints", endpoint],
        &["cannot be written", "check the path"],
    );
    let nobody = ["snapshot", "save", path, "--force", "--endpoints", "127.0.0.1:1"];
    is_refused(&nobody, &["no endpoint could be connected to"]);
    assert_eq!(fs::read(&file).unwrap(), sound, "what was there stays");
    assert_eq!(names(directory.path()), ["backup"]);
    assert_eq!(run(&[&save[..], &["--force"]].concat()).code, Some(0));

    let is_refused_as = |bytes: &[u8], text: &str| {
        fs::write(&file, bytes).unwrap();
        is_refused(&["snapshot", "status", path], &[path, text, "; "]);
        assert_eq!(fs::read(&file).unwrap(), bytes);
    };
    is_refused_as(&sound[..sound.len() - 512], "is cut off");
    is_refused_as(b"something else", "is no backup");
    let mut damaged = sound.clone();
    damaged[70_000] ^= 1;
    is_refused_as(&damaged, "is damaged at offset ");
    is_refused(&["snapshot", "status", "/nowhere"], &["/nowhere cannot be read"]);
}

/// A read of more than an answer may have is refused at once, and says how to go on.
#[tokio::test]
async fn an_answer_that_is_too_large_is_refused() {
    let cluster = tokio::task::spawn_blocking(|| Cluster::start(1)).await.unwrap();
    cluster.leader().await;
    let endpoint = Endpoint::from_shared(cluster.members[0].client_url()).unwrap();
    let kv = KvClient::new(endpoint.connect().await.unwrap());
    let mut kv = kv.max_decoding_message_size(1 << 30);
    for number in 0..67 {
        let (key, value) = (format!("{number:02}").into(), vec![7; 1 << 20].into());
        kv.put(PutRequest { key, value, ..PutRequest::default() }).await.unwrap();
    }
    let all = RangeRequest { key: "0".into(), range_end: "9".into(), ..RangeRequest::default() };
    let status = kv.range(all.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let text = status.message();
    assert!(text.contains("more than 67108864 bytes") && text.contains("with a limit"), "{text}");
    let read: RangeResponse =
        kv.range(RangeRequest { limit: 63, ..all }).await.unwrap().into_inner();
    assert!(read.more && read.encoded_len() > 63 << 20);
}
