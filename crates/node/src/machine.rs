//! What a node asks of a state machine beyond what a replica does.

use quorate_replica::StateMachine;

/// A state machine that can live on the owner's thread, with replies that can leave it.
pub(crate) trait Machine: StateMachine<Reply: Send + 'static> + Send + 'static {}

impl<M: StateMachine<Reply: Send + 'static> + Send + 'static> Machine for M {}
