//! Compares this machine's clock with DynamoDB's before a tracker writes times by which other workers judge its lease.

use super::context::Context;
use super::get::get;
use crate::error::Error;

/// How many reads compare the clock at most.
const READS: u32 = 3;

impl Context {
    /// Fails with `ClockOff` if the clock is known to be off, because a wrong clock could lock a task for years.
    ///
    /// If no response has come yet, or if the clock was off and may have been set since, this sends a read first: its
    /// response tells how far the clock is off.
    pub(crate) async fn known_clock(&self, key: &str) -> Result<(), Error> {
        // If one date was wrong, the next ones show that the clock is right.
        for _ in 0..READS {
            if !self.service_clock.awaits_first_response() && self.check_clock().is_ok() {
                return Ok(());
            }
            let read = get(self, key, false, true).await;
            // A refusal by DynamoDB has a date as well, so only a read without any response ends this.
            if self.service_clock.awaits_first_response() {
                read?;
            }
            if self.service_clock.was_off_at_last() {
                break;
            }
        }
        self.check_clock()
    }
}
