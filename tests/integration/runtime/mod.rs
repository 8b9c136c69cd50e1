//! Work beside the caller: heartbeats, and futures that nobody polls.

mod ticker;

crate::test_modules![ticker];
