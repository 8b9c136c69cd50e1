//! One task from its creation to its end.

mod backoff;
mod blocking;
mod cancel;
mod cancel_running;
mod contended;
mod create;
mod create_with;
mod deadline;
mod effects;
mod execution;
mod heartbeat;
mod read;
mod redrive;
mod retention;
mod run;
mod schedule;
mod snooze;
mod start;
mod takeover;
mod text;
mod verdict;
