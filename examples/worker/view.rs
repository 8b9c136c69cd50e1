//! Shows progress while the workers run: a bar on a terminal, otherwise a line every five seconds.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tokio::sync::watch;
use tokio::time::{Instant, interval_at, sleep};
use tracker_core::{StatusCounts, Summary, Tracker};

use super::{Delivery, DeliveryStatus};

/// The time over which the rate is measured.
const RATE_OVER: Duration = Duration::from_secs(5);

/// Shows the sum of all workers until all of them have ended.
pub async fn show(
    mut progress: impl Stream<Item = (usize, Summary)> + Unpin,
    workers: usize,
    deliveries: Tracker<Delivery>,
    bar: ProgressBar,
) {
    let style = ProgressStyle::with_template("{spinner} {bar:20} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let left = watch_left(deliveries);
    let mut summaries = vec![Summary::default(); workers];
    let mut seen = VecDeque::from([(Instant::now(), 0)]);
    let every = if bar.is_hidden() { Duration::from_secs(5) } else { Duration::from_millis(200) };
    let mut ticks = interval_at(Instant::now() + every, every);
    loop {
        tokio::select! {
            told = progress.next() => match told {
                Some((nth, summary)) => summaries[nth] = summary,
                None => break,
            },
            now = ticks.tick() => {
                let (sum, left) = (summaries.iter().copied().sum::<Summary>(), *left.borrow());
                seen.push_back((now, sum.attempts()));
                while seen.len() > 2 && now - seen[1].0 >= RATE_OVER {
                    seen.pop_front();
                }
                let (since, before) = seen[0];
                let rate = ratio(sum.attempts() - before, (now - since).as_secs_f64());
                let ended = sum.succeeded + sum.ignored;
                bar.set_length(ended + left.unwrap_or(0) + sum.running as u64);
                bar.set_position(ended);
                bar.set_message(line(&sum, rate, left));
                if bar.is_hidden() {
                    println!("{}", line(&sum, rate, left));
                }
                bar.tick();
            }
        }
    }
    bar.finish_and_clear();
}

fn line(sum: &Summary, rate: f64, left: Option<u64>) -> String {
    let left = left.map_or_else(|| "?".to_owned(), |left| HumanCount(left).to_string());
    let [done, failed] = [sum.succeeded, sum.failed + sum.ignored].map(HumanCount);
    format!("{done} succeeded, {failed} failed, {} running, {rate:.0}/s, {left} left", sum.running)
}

/// Returns how many tasks can be started, now or after a wait.
pub fn to_do(counts: &StatusCounts<DeliveryStatus>) -> u64 {
    [DeliveryStatus::Pending, DeliveryStatus::Failed].map(|status| counts.get(status)).iter().sum()
}

/// Counts every two seconds how many tasks are left, over all processes. A count reads the whole index of the use case:
/// count less often if your table is large.
fn watch_left(deliveries: Tracker<Delivery>) -> watch::Receiver<Option<u64>> {
    let (tell, left) = watch::channel(None);
    tokio::spawn(async move {
        while !tell.is_closed() {
            // Errors are not shown here, because the workers meet and report them too.
            if let Ok(counts) = deliveries.count_by_status().await {
                tell.send_replace(Some(to_do(&counts)));
            }
            sleep(Duration::from_secs(2)).await;
        }
    });
    left
}

/// Prints a line above the bar, if there is one.
pub fn say(bar: &ProgressBar, text: &str) {
    bar.suspend(|| eprintln!("{text}"));
}

pub fn percent(part: u64, of: u64) -> f64 {
    100.0 * ratio(part, ratio(of, 1.0))
}

#[allow(clippy::cast_precision_loss, reason = "for people to read")]
fn ratio(part: u64, of: f64) -> f64 {
    if of > 0.0 { part as f64 / of } else { 0.0 }
}
