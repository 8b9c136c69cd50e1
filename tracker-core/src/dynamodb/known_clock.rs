//! The clock of this machine, compared with DynamoDB's before a tracker writes times that others judge by.

use super::context::Context;
use super::get::get;
use crate::error::Error;

impl Context {
    /// Goes on with a clock that was compared with the service's, and is right: what a wrong one writes may lock a task
    /// for years. Any answer tells; a read asks for one where none has come yet, or the clock may have been set since.
    pub(crate) async fn known_clock(&self, key: &str) -> Result<(), Error> {
        if self.service_clock.is_unheard() || self.check_clock().is_err() {
            let read = get(self, key, false, true).await;
            // An error of the service's has a date, too.
            if self.service_clock.is_unheard() {
                read?;
            }
        }
        self.check_clock()
    }
}
