//! Members come and go while a cluster serves, in one process.

use std::io::{self, Read};
use std::net::TcpListener;
use std::time::Duration;

use quorate_node::{
    ChangeErrorKind, Command, Halted, MemberInfo, Node, NodeBuilder, Standing, StateMachine,
    Timing, Wants, WriteOut,
};
use tempfile::TempDir;
use tokio::time::timeout;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Joins the commands into a text.
#[derive(Default)]
struct Text(String);

impl StateMachine for Text {
    type Reply = usize;

    fn apply(&mut self, commands: &[Command], replies: &mut Vec<usize>) {
        for command in commands {
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

/// An address that nobody else has, with its listener.
fn listener() -> (String, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    (listener.local_addr().expect("it is bound").to_string(), listener)
}

fn builder(dir: &TempDir, id: u64) -> NodeBuilder<Text> {
    let timing = Timing {
        heartbeat_interval: Duration::from_millis(50),
        election_timeout: Duration::from_millis(500),
    };
    Node::builder(id, dir.path().join(id.to_string()), Text::default()).timing(timing)
}

async fn cluster(dir: &TempDir) -> (Vec<Node<Text>>, Vec<String>) {
    let (addresses, listeners): (Vec<_>, Vec<_>) = (0..3).map(|_| listener()).unzip();
    let mut nodes = Vec::new();
    for (id, listener) in (1..).zip(listeners) {
        let node = builder(dir, id).members((1..).zip(addresses.clone())).listener(listener);
        nodes.push(node.start().await.expect("it starts"));
    }
    (nodes, addresses)
}

/// A member that the cluster knows starts with nothing.
async fn join(
    dir: &TempDir,
    id: u64,
    (address, listener): (String, TcpListener),
    contacts: &[String],
) -> Node<Text> {
    let node = builder(dir, id).members([(id, address)]).join(contacts).listener(listener);
    node.start().await.expect("it joins")
}

async fn propose(node: &Node<Text>, command: &'static str) -> usize {
    timeout(PATIENCE, node.propose(command)).await.expect("in time").expect("it is taken")
}

async fn text(node: &Node<Text>) -> String {
    timeout(PATIENCE, node.read(|text| text.0.clone())).await.expect("in time").expect("it reads")
}

/// Promotes a learner as soon as it has caught up.
async fn promote(node: &Node<Text>, id: u64) {
    let promoted = async {
        loop {
            match node.promote(id).await {
                Ok(()) => return,
                Err(error) if error.kind == ChangeErrorKind::NotReady => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    };
    timeout(PATIENCE, promoted).await.expect("it catches up");
}

async fn ids(node: &Node<Text>) -> Vec<u64> {
    let members = node.members().await.expect("it runs");
    members.iter().map(|member| member.id.value()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_members_are_replaced_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (mut nodes, mut addresses) = cluster(&dir).await;
    let mut expected = String::new();
    for id in 4..=6 {
        propose(&nodes[0], "a").await;
        let (address, listener) = listener();
        timeout(PATIENCE, nodes[1].add_learner(id, &address)).await.unwrap().unwrap();
        let node = join(&dir, id, (address.clone(), listener), &addresses).await;
        promote(&nodes[2], id).await;
        let old = nodes.remove(0);
        addresses.remove(0);
        timeout(PATIENCE, node.remove(id - 3)).await.unwrap().unwrap();
        let halted = timeout(PATIENCE, old.stopped()).await.expect("it learns of it");
        assert_eq!(halted, Halted::Removed);
        nodes.push(node);
        addresses.push(address);
        propose(&nodes[0], "b").await;
        expected.push_str("ab");
    }
    for node in &nodes {
        assert_eq!(text(node).await, expected);
        assert_eq!(ids(node).await, [4, 5, 6]);
        assert_eq!(node.status().standing, Standing::Voter);
    }
    let urls: Vec<_> = addresses.iter().map(|address| vec![format!("http://{address}")]).collect();
    let known = nodes[0].members().await.unwrap();
    assert_eq!(known.into_iter().map(|MemberInfo { urls, .. }| urls).collect::<Vec<_>>(), urls);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_joined_starts_again_without_asking_anybody() {
    let dir = tempfile::tempdir().unwrap();
    let (nodes, addresses) = cluster(&dir).await;
    let (address, listener) = listener();
    nodes[0].add_learner(9, &address).await.unwrap();
    let node = join(&dir, 9, (address.clone(), listener), &addresses).await;
    propose(&nodes[0], "a").await;
    assert_eq!(text(&node).await, "a");
    assert_eq!(node.status().standing, Standing::Learner);
    node.stop().await;
    propose(&nodes[0], "b").await;
    let again = builder(&dir, 9).members([(9, address)]).join(["127.0.0.1:1"]);
    let node = again.start().await.expect("it knows all it needs");
    assert_eq!(text(&node).await, "ab");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_was_away_when_it_was_removed_is_told_and_stops() {
    let dir = tempfile::tempdir().unwrap();
    let (nodes, addresses) = cluster(&dir).await;
    propose(&nodes[0], "a").await;
    nodes[2].stop().await;
    timeout(PATIENCE, nodes[0].remove(3)).await.unwrap().unwrap();
    assert_eq!(ids(&nodes[0]).await, [1, 2]);
    let back = builder(&dir, 3).members((1..).zip(addresses.clone()));
    let back = back.start().await.expect("it starts");
    let halted = timeout(PATIENCE, back.stopped()).await.expect("it is told");
    assert_eq!(halted, Halted::Removed);
    propose(&nodes[1], "b").await;
    let refused = nodes[0].add_learner(3, &addresses[2]).await.unwrap_err();
    assert_eq!(refused.kind, ChangeErrorKind::WasRemoved, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_at_any_member() {
    let dir = tempfile::tempdir().unwrap();
    let (nodes, addresses) = cluster(&dir).await;
    propose(&nodes[0], "a").await;
    for node in &nodes {
        let kind = |result: Result<(), quorate_node::ChangeError>| result.unwrap_err().kind;
        assert_eq!(kind(node.add_learner(1, "h:1").await), ChangeErrorKind::Exists);
        let taken = node.add_learner(7, &addresses[0]).await;
        assert_eq!(kind(taken), ChangeErrorKind::AddressTaken);
        assert_eq!(kind(node.add_learner(7, "h").await), ChangeErrorKind::Invalid);
        assert_eq!(kind(node.remove(7).await), ChangeErrorKind::NotFound);
        assert_eq!(kind(node.promote(1).await), ChangeErrorKind::NotALearner);
        assert_eq!(kind(node.update(7, "h:1").await), ChangeErrorKind::NotFound);
    }
    let (address, _listener) = listener();
    nodes[0].add_learner(7, &address).await.unwrap();
    let refused = nodes[1].promote(7).await.unwrap_err();
    assert_eq!(refused.kind, ChangeErrorKind::NotReady, "{refused}");
    assert_eq!(ids(&nodes[2]).await, [1, 2, 3, 7]);
}
