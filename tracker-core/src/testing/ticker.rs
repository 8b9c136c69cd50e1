//! A lookout that looks when it is told to, for the tests of this crate alone.

use std::sync::Arc;

use crate::runtime::ticker::Ticker;

/// Not public API.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct ManualTicker(pub(crate) Arc<Ticker>);

impl ManualTicker {
    #[expect(clippy::new_without_default, reason = "there is one way to get it")]
    #[must_use]
    pub fn new() -> Self {
        Self(Ticker::by_hand())
    }

    /// Looks. Whether anything has waited.
    #[must_use]
    pub fn tick(&self) -> bool {
        self.0.tick()
    }
}
