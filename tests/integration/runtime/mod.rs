//! Work beside the caller: heartbeats, and futures that nobody polls.

mod attack;
mod background;
