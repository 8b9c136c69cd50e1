//! One task, from its creation to its end. Each file has the `Tracker` methods of its operation.

mod attempt;
pub(crate) mod blocking;
pub(crate) mod by_hand;
pub(crate) mod cancel;
pub(crate) mod create;
pub(crate) mod deadline;
pub(crate) mod delete;
mod effects;
pub(crate) mod ensure;
pub(crate) mod execution;
pub(crate) mod failure;
mod finish;
mod free_task;
mod grant;
mod heartbeat;
mod lease;
mod progress;
mod race;
pub(crate) mod read;
pub(crate) mod redrive;
pub(crate) mod release;
pub(crate) mod run;
pub(crate) mod run_now;
mod sent_starts;
pub(crate) mod shared_lease;
pub(crate) mod sharing;
mod start;
