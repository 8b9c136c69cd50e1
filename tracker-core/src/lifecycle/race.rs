//! The loop of an operation that other writers may overtake: it looks again at the task and decides anew.

use crate::error::{Error, ErrorKind};
use crate::item::head::TaskHead;

/// How many rounds an operation takes before it gives way to the other writers.
const ROUNDS: u32 = 6;

/// An operation that reads a task, decides and writes, in rounds.
pub(super) trait Race {
    type Done;
    /// What a round starts with.
    type Next: Send;

    /// Runs one round.
    fn round(
        &mut self,
        next: Self::Next,
    ) -> impl Future<Output = Result<Round<Self::Done, Self::Next>, Error>> + Send;
}

/// What one round came to.
pub(super) enum Round<D, N> {
    Done(D),
    /// Another writer was faster.
    Lost {
        /// The task as the round found it.
        found: Option<Box<TaskHead>>,
        /// What the next round starts with.
        next: N,
    },
}

/// Runs rounds until one is done. If other writers are faster each time, the error is `Contended`, with the task as it
/// was last found.
pub(super) async fn race<R: Race>(mut operation: R, first: R::Next) -> Result<R::Done, Error> {
    let (mut next, mut last) = (first, None);
    for _ in 0..ROUNDS {
        match operation.round(next).await? {
            Round::Done(done) => return Ok(done),
            Round::Lost { found, next: changed } => (next, last) = (changed, found.or(last)),
        }
    }
    Err(Error::new(ErrorKind::Contended).with_found(last.map(|found| *found)))
}
