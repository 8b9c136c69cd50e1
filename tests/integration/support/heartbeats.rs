//! An observer that tells of heartbeats.

use tokio::sync::mpsc::{self, UnboundedReceiver};
use tracker_core::{Event, EventKind};

/// The id of a task whose lease was renewed, and the name of the thread that called the observer.
pub type Renewed = (String, Option<String>);

/// An observer, and a channel that receives each renewal of a lease.
pub fn heartbeat_channel() -> (impl Fn(&Event<'_>) + Send + Sync, UnboundedReceiver<Renewed>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let observer = move |event: &Event<'_>| {
        if event.kind == EventKind::Heartbeat {
            let thread = std::thread::current().name().map(str::to_owned);
            let _ = sender.send((event.task_id.to_owned(), thread));
        }
    };
    (observer, receiver)
}
