//! Members of a cluster in one process: what a program that embeds them relies on.

use std::io::{self, Read};
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use quorate_node::{
    COMMAND_BYTES_MAX, Command, ConfigError, Error, Halted, HandOverError, Node, NodeBuilder,
    NodeId, RoleName, StartError, StateMachine, TransferError, Wants, WriteOut,
};
use tempfile::TempDir;
use tokio::time::timeout;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Joins the commands into a text; the word `panic` makes it panic.
#[derive(Default)]
struct Text(String);

impl StateMachine for Text {
    type Reply = usize;

    fn apply(&mut self, commands: &[Command], replies: &mut Vec<usize>) {
        for command in commands {
            assert!(command.body != "panic", "it was told to");
            self.0.push_str(&String::from_utf8_lossy(&command.body));
            if command.wants == Wants::Reply {
                replies.push(self.0.len());
            }
        }
    }

    fn snapshot(&self) -> WriteOut {
        let text = self.0.clone();
        Box::new(move |out| out.write_all(text.as_bytes()))
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut text = String::new();
        from.read_to_string(&mut text)?;
        self.0 = text;
        Ok(())
    }
}

/// Addresses that nobody else has, with their listeners.
fn listeners(count: usize) -> Vec<(String, TcpListener)> {
    let listeners = (0..count).map(|_| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        (listener.local_addr().expect("it is bound").to_string(), listener)
    });
    listeners.collect()
}

fn directory(dir: &TempDir, id: u64) -> std::path::PathBuf {
    dir.path().join(id.to_string())
}

fn single(dir: &Path, address: &str) -> NodeBuilder<Text> {
    Node::builder(1, dir, Text::default()).members([(1, address)])
}

async fn cluster(dir: &TempDir) -> Vec<Node<Text>> {
    let listeners = listeners(3);
    let addresses: Vec<_> = listeners.iter().map(|(address, _)| address.clone()).collect();
    let mut nodes = Vec::new();
    for (id, (_, listener)) in (1..).zip(listeners) {
        let node = Node::builder(id, directory(dir, id), Text::default())
            .members((1..).zip(addresses.clone()))
            .listener(listener)
            .start()
            .await;
        nodes.push(node.expect("it starts"));
    }
    nodes
}

async fn text(node: &Node<Text>) -> String {
    timeout(PATIENCE, node.read(|text| text.0.clone())).await.expect("in time").expect("it reads")
}

async fn propose(node: &Node<Text>, command: &'static str) -> Result<usize, Error> {
    timeout(PATIENCE, node.propose(command)).await.expect("in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn any_member_takes_commands_and_all_read_what_was_answered() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = cluster(&dir).await;
    for (node, (command, length)) in nodes.iter().zip([("ab", 2), ("c", 3), ("def", 6)]) {
        assert_eq!(propose(node, command).await, Ok(length));
    }
    for node in &nodes {
        assert_eq!(text(node).await, "abcdef");
    }
    let ids: Vec<_> = nodes[0].membership().await.unwrap().members().collect();
    assert_eq!(ids, [1, 2, 3].map(NodeId::new));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leadership_goes_where_it_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = cluster(&dir).await;
    propose(&nodes[0], "a").await.unwrap();
    let leader = nodes.iter().find(|node| node.status().role == RoleName::Leader).unwrap();
    let old = leader.status().leader.unwrap();
    let to = NodeId::new(old.value() % 3 + 1);
    assert_eq!(timeout(PATIENCE, leader.transfer_leadership(Some(to))).await.unwrap(), Ok(to));
    assert_eq!(leader.status().leader, Some(to));
    let refused = leader.transfer_leadership(None).await;
    let leader = Some(to);
    assert_eq!(refused, Err(HandOverError::Refused(TransferError::NotLeader { leader })));
    assert_eq!(text(&nodes[0]).await, "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (address, listener) = listeners(1).remove(0);
    let node = single(dir.path(), &address).listener(listener).start().await.unwrap();
    assert_eq!(propose(&node, "kept").await, Ok(4));
    assert_eq!(node.stop().await, Halted::Asked);
    assert_eq!(propose(&node, "late").await, Err(Error::Stopped));
    assert_eq!(node.read(|_| ()).await, Err(Error::Stopped));
    assert_eq!(node.stale_read(|_| ()).await, Err(Error::Stopped));
    assert_eq!(node.membership().await, Err(Error::Stopped));

    // Its address may be another one by now.
    let (address, listener) = listeners(1).remove(0);
    let node = single(dir.path(), &address).listener(listener).start().await.unwrap();
    assert_eq!(text(&node).await, "kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_read_needs_no_leader() {
    let dir = tempfile::tempdir().unwrap();
    let (address, listener) = listeners(1).remove(0);
    // Two members, of which the other is never there.
    let node = Node::builder(1, dir.path(), Text::default())
        .members([(1, address.as_str()), (2, "127.0.0.1:1")])
        .listener(listener)
        .start()
        .await
        .unwrap();
    let stale = timeout(PATIENCE, node.stale_read(|text| text.0.clone())).await;
    assert_eq!(stale.expect("in time"), Ok(String::new()));
    assert_eq!(node.status().leader, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_panics_is_its_callers() {
    let dir = tempfile::tempdir().unwrap();
    let (address, listener) = listeners(1).remove(0);
    let node = single(dir.path(), &address).listener(listener).start().await.unwrap();
    let reader = node.clone();
    let read = tokio::spawn(async move { reader.read(|_| -> () { panic!("my own") }).await });
    let error = read.await.expect_err("the task panicked");
    assert_eq!(error.into_panic().downcast_ref::<&str>(), Some(&"my own"));
    assert_eq!(propose(&node, "on").await, Ok(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_panics_stops_the_member_and_nobody_waits_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let (address, listener) = listeners(1).remove(0);
    let node = single(dir.path(), &address).listener(listener).start().await.unwrap();
    assert_eq!(propose(&node, "panic").await, Err(Error::Stopped));
    let Halted::Failed(reason) = timeout(PATIENCE, node.stopped()).await.unwrap() else {
        panic!("nobody asked it to stop");
    };
    assert!(reason.contains("panicked"), "{reason}");
    assert_eq!(propose(&node, "late").await, Err(Error::Stopped));
    assert_eq!(timeout(PATIENCE, node.read(|_| ())).await.unwrap(), Err(Error::Stopped));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_fits_into_no_message_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (address, listener) = listeners(1).remove(0);
    let node = single(dir.path(), &address).listener(listener).start().await.unwrap();
    let bytes = COMMAND_BYTES_MAX + 1;
    assert_eq!(node.propose(vec![0; bytes]).await, Err(Error::TooLarge { bytes }));
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_work_leave_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (address, listener) = listeners(1).remove(0);

    let stranger = Node::builder(2, &data, Text::default()).members([(1, address.as_str())]);
    let error = stranger.start().await.unwrap_err();
    assert!(matches!(error, StartError::Config(ConfigError::NotAMember { .. })), "{error}");

    let error = single(&data, "nowhere").start().await.unwrap_err();
    assert!(matches!(error, StartError::Config(ConfigError::Address { .. })), "{error}");

    let error = single(&data, &address).start().await.unwrap_err();
    assert!(matches!(&error, StartError::Listen { .. }), "{error}");
    assert!(error.to_string().starts_with(&format!("{address} cannot be listened at")), "{error}");
    drop(listener);
    assert!(!data.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_another_member_or_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut listeners = listeners(3);
    let members = || [(1, "127.0.0.1:1"), (2, "127.0.0.1:2")];
    let mut builder = |id: u64| {
        let listener = listeners.pop().unwrap().1;
        let builder = Node::builder(id, dir.path(), Text::default());
        builder.members(members()).listener(listener)
    };
    let node = builder(1).start().await.unwrap();
    let in_use = builder(1).start().await.unwrap_err();
    assert!(matches!(in_use, StartError::Open(_) | StartError::DataDir { .. }), "{in_use}");
    node.stop().await;
    let other = builder(2).start().await.unwrap_err();
    assert!(matches!(other, StartError::Open(_)), "{other}");
}
