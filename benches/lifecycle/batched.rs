//! Compares starts and successes that share requests with hand-written SDK code that sends single requests, and with such code
//! that shares requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use cpu_time::ProcessTime;
use tracker_core::Tracker;
use tracker_core::aws_sdk_dynamodb::Client;

use super::common::local::AnyError;
use super::common::median::median;
use super::common::requests::{Item, new_lock, number, start, success};
use super::{Arguments, Document, batched_by_hand, in_tasks};

/// One task in so many is held by another worker, in the rows with refusals.
const HELD_ONE_IN: usize = 20;

/// The costs of one task.
#[derive(Clone, Copy)]
struct Costs {
    wall: f64,
    cpu: f64,
}

/// Prints the rows of one database: for each number of tasks at a time, without and with refused starts.
pub(crate) async fn rows(
    name: &str,
    client: &Client,
    tracker: &Tracker<Document>,
    holder: &Tracker<Document>,
    arguments: &Arguments,
) -> Result<(), AnyError> {
    for held in [false, true] {
        for &concurrency in &arguments.concurrency {
            let mut rounds = Vec::new();
            for round in 0..arguments.warm_up + arguments.rounds {
                let ids = |side: &str| -> Vec<String> {
                    let prefix = format!("{side}-{held}-{concurrency}-{round}");
                    (0..arguments.tasks).map(|nth| format!("{prefix}-{nth}")).collect()
                };
                let raw = ids("by-hand");
                prepare(holder, &raw, held).await?;
                let by_hand = by_hand(client, tracker, &raw, concurrency.into(), held).await?;
                let ours = ids("batched");
                prepare(holder, &ours, held).await?;
                let batched = batched(tracker, &ours, concurrency.into(), held).await?;
                let raw_batched = ids("batched-by-hand");
                prepare(holder, &raw_batched, held).await?;
                let raw_batched = costs(
                    raw_batched.len(),
                    batched_by_hand::turn(client, tracker, &raw_batched, concurrency.into(), held),
                );
                let raw_batched = raw_batched.await?;
                if round >= arguments.warm_up {
                    rounds.push([by_hand, batched, raw_batched]);
                }
            }
            let of = |figure: &dyn Fn(&[Costs; 3]) -> f64| median(rounds.iter().map(figure).collect());
            println!(
                "{name:<15} {concurrency:>3} at a time{}: raw {:>5.0} us (CPU {:>5.0}), shared {:>5.0} us (CPU {:>5.0}), shared by \
                 hand {:>5.0} us (CPU {:>5.0}) a task   tasks/s: shared/raw {:.2}, by hand {:.2}   CPU: shared/raw {:.2}, by hand {:.2}",
                if held { ", 5 % refused" } else { "" },
                of(&|[raw, ..]| raw.wall * 1e6),
                of(&|[raw, ..]| raw.cpu * 1e6),
                of(&|[_, ours, _]| ours.wall * 1e6),
                of(&|[_, ours, _]| ours.cpu * 1e6),
                of(&|[.., by_hand]| by_hand.wall * 1e6),
                of(&|[.., by_hand]| by_hand.cpu * 1e6),
                of(&|[raw, ours, _]| raw.wall / ours.wall),
                of(&|[raw, _, by_hand]| raw.wall / by_hand.wall),
                of(&|[raw, ours, _]| ours.cpu / raw.cpu),
                of(&|[raw, _, by_hand]| by_hand.cpu / raw.cpu),
            );
        }
    }
    Ok(())
}

/// Creates the tasks of a turn. If `held`, another worker holds one in twenty.
async fn prepare(holder: &Tracker<Document>, ids: &[String], held: bool) -> Result<(), AnyError> {
    let new = |id: &String| Document { id: id.clone(), pages: 12, uri: Some("s3://bucket/key".to_owned()) };
    holder.overwrite_many(ids.iter().map(new)).await?;
    if held {
        for held in holder.start_many(ids.iter().step_by(HELD_ONE_IN)).await {
            // The lease stays until the bench deletes the table.
            std::mem::forget(held?);
        }
    }
    Ok(())
}

/// Measures a turn.
async fn costs(tasks: usize, turn: impl Future<Output = Result<(), AnyError>>) -> Result<Costs, AnyError> {
    let (begin, cpu) = (Instant::now(), ProcessTime::now());
    turn.await?;
    let tasks = f64::from(u32::try_from(tasks)?);
    Ok(Costs { wall: begin.elapsed().as_secs_f64() / tasks, cpu: cpu.elapsed().as_secs_f64() / tasks })
}

async fn by_hand(
    client: &Client,
    tracker: &Tracker<Document>,
    ids: &[String],
    concurrency: usize,
    held: bool,
) -> Result<Costs, AnyError> {
    let table = tracker.config().table.clone();
    let tasks = ids.iter().enumerate().map(|(nth, id)| {
        let (client, table, key) = (client.clone(), table.clone(), format!("bench____{id}"));
        async move {
            let me = new_lock();
            let started = start(&client, &table, &key, "bench____012____001".to_owned(), &me).await;
            if held && nth % HELD_ONE_IN == 0 {
                return if started.is_err() { Ok(()) } else { Err("a held task was started".into()) };
            }
            let pages = pages(&started?)?;
            success(&client, &table, &key, "bench____016____001".to_owned(), me, "#data.#pages = :pages")
                .expression_attribute_names("#pages", "pages")
                .expression_attribute_values(":pages", number(pages + 1))
                .send()
                .await?;
            Ok(())
        }
    });
    costs(ids.len(), in_tasks(tasks, concurrency)).await
}

/// Checks that exactly those starts were refused whose tasks are held.
pub(crate) fn check_refused(refused: usize, tasks: usize, held: bool) -> Result<(), AnyError> {
    let expected = if held { tasks.div_ceil(HELD_ONE_IN) } else { 0 };
    if refused == expected { Ok(()) } else { Err(format!("{refused} starts were refused").into()) }
}

pub(crate) fn pages(item: &Item) -> Result<u32, AnyError> {
    let data = item.get("data").and_then(|data| data.as_m().ok()).ok_or("no data")?;
    Ok(data.get("pages").and_then(|pages| pages.as_n().ok()).ok_or("no pages")?.parse()?)
}

async fn batched(
    tracker: &Tracker<Document>,
    ids: &[String],
    concurrency: usize,
    held: bool,
) -> Result<Costs, AnyError> {
    let refused = Arc::new(AtomicUsize::new(0));
    let groups = ids.chunks(concurrency).map(|ids| {
        let (tracker, ids, refused) = (tracker.clone(), ids.to_vec(), Arc::clone(&refused));
        async move {
            refused.fetch_add(lifecycles(&tracker, &ids, held).await?, Ordering::Relaxed);
            Ok(())
        }
    });
    // In a Tokio task, as on the other sides.
    let costs = costs(ids.len(), in_tasks(groups, 1)).await?;
    check_refused(refused.load(Ordering::Relaxed), ids.len(), held)?;
    Ok(costs)
}

/// Starts and ends tasks together. Returns how many starts were refused.
async fn lifecycles(tracker: &Tracker<Document>, ids: &[String], held: bool) -> Result<usize, AnyError> {
    let (mut started, mut refused) = (Vec::with_capacity(ids.len()), 0);
    for task in tracker.start_many(ids).await {
        match task {
            Ok(mut task) => {
                task.data_mut().pages += 1;
                started.push(task);
            }
            Err(error) if held && error.is_refusal() => refused += 1,
            Err(error) => return Err(error.into()),
        }
    }
    tracker.succeed_many(started).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(refused)
}
