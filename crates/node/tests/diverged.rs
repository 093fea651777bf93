//! A member whose state differs from the others' stops, tells whoever waits, and does not start
//! again; the others go on.

use std::io::{self, Read};
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use quorate_node::{
    Command, Error, Halted, Node, NodeBuilder, OpenError, StartError, StateMachine, Wants, WriteOut,
};
use tokio::time::timeout;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Counts bytes; one that is wrong counts one more.
#[derive(Debug)]
struct Bytecount {
    count: u64,
    is_wrong: bool,
}

impl StateMachine for Bytecount {
    type Reply = u64;

    fn apply(&mut self, commands: &[Command], replies: &mut Vec<u64>) {
        for command in commands {
            self.count += command.body.len() as u64 + u64::from(self.is_wrong);
            if command.wants == Wants::Reply {
                replies.push(self.count);
            }
        }
    }

    fn snapshot(&self) -> WriteOut {
        let count = self.count;
        Box::new(move |out| out.write_all(&count.to_be_bytes()))
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut count = [0; 8];
        from.read_exact(&mut count)?;
        self.count = u64::from_be_bytes(count);
        Ok(())
    }

    fn digest(&self) -> u64 {
        self.count + 1
    }
}

fn member(dir: &Path, id: u64, addresses: &[String]) -> NodeBuilder<Bytecount> {
    let machine = Bytecount { count: 0, is_wrong: id == 3 };
    Node::builder(id, dir.join(id.to_string()), machine).members((1..).zip(addresses.to_vec()))
}

/// Half of what brings a comparison.
async fn propose(node: &Node<Bytecount>) -> Result<u64, Error> {
    timeout(PATIENCE, node.propose(vec![7; 600 << 10])).await.expect("in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_whose_state_differs_stops_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let listeners: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let addresses: Vec<_> =
        listeners.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect();
    let mut nodes = Vec::new();
    for (id, listener) in (1..).zip(listeners) {
        nodes.push(member(dir.path(), id, &addresses).listener(listener).start().await.unwrap());
    }
    let wrong = nodes.remove(2);
    assert_eq!(wrong.halted(), None);
    let client = wrong.clone();
    let waiting = tokio::spawn(async move {
        loop {
            if let Err(error) = propose(&client).await {
                return error;
            }
        }
    });
    let Halted::Failed(reason) = timeout(PATIENCE, wrong.stopped()).await.expect("in time") else {
        panic!("nobody asked it to stop");
    };
    assert!(reason.contains("differs from that of a majority"), "{reason}");
    assert!(reason.contains("add a new member in its place"), "{reason}");
    assert_eq!(wrong.halted(), Some(Halted::Failed(reason)));
    let told = timeout(PATIENCE, waiting).await.expect("who waits is told");
    assert_eq!(told.expect("it ends"), Error::Stopped);
    let stale = timeout(PATIENCE, wrong.stale_read(|machine| machine.count)).await;
    assert_eq!(stale.expect("in time"), Err(Error::Stopped), "not even as it is here");
    drop(wrong);

    for node in &nodes {
        propose(node).await.expect("the others go on");
        assert_eq!(node.halted(), None);
    }
    let again = member(dir.path(), 3, &addresses).listen("127.0.0.1:0").start().await;
    let refused = again.expect_err("it is still wrong");
    assert!(matches!(refused, StartError::Open(OpenError::Diverged { .. })), "{refused}");
}
