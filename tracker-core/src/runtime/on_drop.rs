//! Something that happens if a future is dropped before it is done.

/// Calls a function when it is dropped, unless it was disarmed.
#[must_use]
pub(crate) struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> OnDrop<F> {
    pub(crate) fn new(call: F) -> Self {
        Self(Some(call))
    }

    /// Forgets the function.
    fn disarm(mut self) {
        self.0 = None;
    }
}

/// Completes a future. Calls a function if the caller drops it after its first poll and before it is done.
pub(crate) async fn or_if_dropped<R>(future: impl Future<Output = R>, call: impl FnOnce()) -> R {
    let dropped = OnDrop::new(call);
    let output = future.await;
    dropped.disarm();
    output
}

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call();
        }
    }
}
