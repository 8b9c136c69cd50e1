//! Workers that drain a table together with Python's.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tracker_core::{ErrorKind, Execution, Tracker};

use super::types::Job;
use crate::support::ExtractStatus;

/// The time limit of the race, on a slow machine.
const TIMEOUT: Duration = Duration::from_mins(15);

type Journal = Arc<Mutex<Vec<Value>>>;

/// Works until all tasks have succeeded or are ignored. Returns a journal: who held which task, from when to when, and
/// how the attempt ended.
pub async fn race(tracker: &Tracker<Job>, workers: usize, tasks: usize) -> Value {
    let journal = Journal::default();
    let running: Vec<_> = (0..workers)
        .map(|nth| {
            let worker = work(tracker.clone(), format!("rust-{nth}"), nth, tasks, Arc::clone(&journal));
            tokio::spawn(tokio::time::timeout(TIMEOUT, worker))
        })
        .collect();
    for worker in running {
        worker.await.expect("a worker that does not panic").expect("an end of the race");
    }
    let journal = std::mem::take(&mut *journal.lock().expect("a journal"));
    journal.into()
}

async fn work(tracker: Tracker<Job>, name: String, nth: usize, tasks: usize, journal: Journal) {
    loop {
        let rows = tracker.query_for_unfinished().limit(40).all().await.expect("rows");
        if rows.is_empty() {
            let counts = tracker.count_by_status().await.expect("counts");
            let done = counts.get(ExtractStatus::Succeeded) + counts.get(ExtractStatus::Ignored);
            if done == tasks as u64 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // Each worker begins at another row, so that most do not collide, and goes through all, so that some do.
        for turn in 0..rows.len().min(10) {
            let id = rows[(turn + nth * 5) % rows.len()].task_id();
            attempt(&tracker, &name, id, &journal).await;
        }
    }
}

async fn attempt(tracker: &Tracker<Job>, name: &str, id: &str, journal: &Journal) {
    let mut begin = 0.0;
    let mut end = 0.0;
    let body = async |task: &mut Execution<Job>| {
        begin = now();
        tokio::time::sleep(Duration::from_millis(5)).await;
        let fails = match task.task_id().split_once('-').map(|(kind, _)| kind) {
            Some("bad") => true,
            Some("shaky") => task.failed_attempts() == 0,
            _ => false,
        };
        let pages = task.data().pages.unwrap_or(0);
        task.data_mut().pages = Some(pages + 1);
        task.data_mut().text = Some(name.to_owned());
        end = now();
        if fails { Err(format!("{name} could not").into()) } else { Ok(()) }
    };
    let result = tracker.run(id, body).await;
    let outcome = match &result {
        Ok(()) => "succeeded",
        Err(error) if matches!(error.kind(), ErrorKind::BodyFailed { .. }) => "failed",
        Err(error) if error.is_refusal() || *error.kind() == ErrorKind::Contended => return,
        Err(_) => "unsure",
    };
    let said = result.err().map(|error| format!("{:?}", error.kind()));
    let line =
        json!({ "worker": name, "id": id, "begin": begin, "end": end, "outcome": outcome, "said": said });
    journal.lock().expect("a journal").push(line);
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs_f64()
}
