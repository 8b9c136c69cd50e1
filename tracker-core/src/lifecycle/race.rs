//! The loop of an operation that other writers may overtake: each round decides by the task as it is then.

use crate::error::{Error, ErrorKind};
use crate::item::head::TaskHead;

/// The number of rounds after which an operation fails as `Contended`.
const ROUNDS: u32 = 6;

/// An operation that looks at a task, decides and writes, in rounds.
pub(super) trait Race {
    /// The result of the operation.
    type Done;
    /// The input of a round.
    type Next: Send;

    /// Runs one round.
    fn round(
        &mut self,
        next: Self::Next,
    ) -> impl Future<Output = Result<Round<Self::Done, Self::Next>, Error>> + Send;
}

/// The result of one round.
pub(super) enum Round<D, N> {
    /// The operation is done.
    Done(D),
    /// The write was not applied, and the next round decides anew. Mostly another writer was faster.
    Lost {
        /// The task as the round found it.
        found: Option<Box<TaskHead>>,
        /// The input of the next round.
        next: N,
    },
}

/// Runs rounds until the operation is done. If all rounds are lost, the error is `Contended`, with the task
/// as the last round that saw one found it.
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
