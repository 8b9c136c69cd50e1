//! The thread that calls observers for the background thread, so that a slow observer delays no heartbeat.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long the thread waits for another event before it ends.
const LINGER: Duration = Duration::from_secs(1);

type Call = Box<dyn FnOnce() + Send>;

/// The thread while it runs.
struct Running {
    /// A forked process has no such thread.
    process: u32,
    inbox: Sender<Call>,
    /// How many calls have not returned yet.
    left: usize,
}

static RUNNING: Mutex<Option<Running>> = Mutex::new(None);

fn running() -> MutexGuard<'static, Option<Running>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes calls on the thread, in their order.
pub(crate) fn deliver(call: impl FnOnce() + Send + 'static) {
    let mut running = running();
    let process = std::process::id();
    if running.as_ref().is_none_or(|running| running.process != process) {
        let (inbox, outbox) = mpsc::channel();
        let thread = thread::Builder::new().name("tracker-events".to_owned());
        // If the system cannot start the thread, the event is lost. The work goes on.
        if thread.spawn(move || run(&outbox)).is_err() {
            return;
        }
        *running = Some(Running { process, inbox, left: 0 });
    }
    if let Some(running) = &mut *running {
        running.left += 1;
        // The thread ends only while nobody holds the lock.
        let _ = running.inbox.send(Box::new(call));
    }
}

/// Returns whether all calls have returned.
pub(crate) fn are_delivered() -> bool {
    running().as_ref().is_none_or(|running| running.left == 0)
}

fn run(outbox: &Receiver<Call>) {
    loop {
        match outbox.recv_timeout(LINGER) {
            Ok(call) => {
                // The panic hook has reported the panic, and the other calls must be made.
                if let Err(panic) = catch_unwind(AssertUnwindSafe(call)) {
                    // Dropping the payload could panic again.
                    std::mem::forget(panic);
                }
                if let Some(running) = &mut *running() {
                    running.left = running.left.saturating_sub(1);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                let mut running = running();
                if running.as_ref().is_none_or(|running| running.left == 0) {
                    *running = None;
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_made_after_one_that_panics() {
        let (done, was_done) = mpsc::channel();
        deliver(|| std::panic::resume_unwind(Box::new("on purpose")));
        deliver(move || done.send(()).unwrap());
        was_done.recv_timeout(Duration::from_mins(1)).unwrap();
    }

    #[test]
    fn calls_are_made_in_order_on_another_thread() {
        let (done, was_done) = mpsc::channel();
        for nth in 0..100 {
            let done = done.clone();
            deliver(move || done.send((nth, thread::current().id())).unwrap());
        }
        drop(done);
        let calls: Vec<_> = was_done.iter().collect();
        assert_eq!(calls.iter().map(|call| call.0).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
        assert!(calls.iter().all(|call| call.1 == calls[0].1 && call.1 != thread::current().id()));
    }
}
