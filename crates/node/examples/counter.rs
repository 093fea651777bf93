//! A replicated counter: `counter ID ADDRESS…` is member ID of those at the addresses, and keeps
//! its log in `counter-ID`. A number on its input is added, any other line asks for the value.

use std::io::{self, Read, Write};

use quorate_node::{Command, Node, StateMachine, Wants, WriteOut};

#[derive(Default)]
struct Counter {
    value: i64,
}

impl StateMachine for Counter {
    type Reply = i64;

    fn apply(&mut self, commands: &[Command], replies: &mut Vec<i64>) {
        for command in commands {
            if let Ok(number) = command.body[..].try_into() {
                self.value = self.value.wrapping_add(i64::from_be_bytes(number));
            }
            if command.wants == Wants::Reply {
                replies.push(self.value);
            }
        }
    }

    fn snapshot(&self) -> WriteOut {
        let value = self.value;
        Box::new(move |out| out.write_all(&value.to_be_bytes()))
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut value = [0; 8];
        from.read_exact(&mut value)?;
        self.value = i64::from_be_bytes(value);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let id = arguments.next().ok_or("usage: counter ID ADDRESS…")?.parse()?;
    let node = Node::builder(id, format!("counter-{id}"), Counter::default())
        .members((1..).zip(arguments))
        .start()
        .await?;
    for line in io::stdin().lines() {
        let value = match line?.parse::<i64>() {
            Ok(number) => node.propose(number.to_be_bytes().to_vec()).await?,
            Err(_) => node.read(|counter| counter.value).await?,
        };
        writeln!(io::stdout(), "{value}")?;
    }
    node.stop().await;
    Ok(())
}
