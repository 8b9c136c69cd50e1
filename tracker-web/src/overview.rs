//! What the overview of a use case shows, and how it is read within its budget.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::try_join;
use serde::Serialize;
use tracker_core::{Error, Operator, Pause, Role, StatusCount, StuckTask, TaskFilter, TaskSummary};

/// How many tasks of a status are counted: about 19 read units for a full count.
const CAP: u64 = 1000;
/// How many tasks are counted that were ignored within the last day.
const TODAY: u64 = 100;
/// How many ended tasks are read for the rate and the turnaround: about 10 read units.
const ENDED: usize = 500;
/// How many of the oldest tasks in progress are looked at for an expired lease.
pub(crate) const OLDEST: usize = 20;
/// The minutes of a sparkline.
pub(crate) const MINUTES: usize = 60;

/// What the overview shows of a use case.
#[derive(Debug, Serialize)]
pub(crate) struct Overview {
    pub(crate) counts: Vec<StatusCount>,
    pub(crate) ended: BTreeMap<String, Ended>,
    pub(crate) attention: Attention,
}

/// The tasks of a step that ended within the last hour, and were not started since.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Ended {
    /// Tasks that ended, minute by minute, the latest last. `None` if the minute was not read.
    pub(crate) per_minute: Vec<Option<u32>>,
    /// Whether there were more than were read.
    pub(crate) is_partial: bool,
    /// The turnaround of tasks that succeeded, from their creation, in seconds: that of the half, and of 95 in 100.
    pub(crate) p50: Option<f64>,
    pub(crate) p95: Option<f64>,
}

/// What needs attention.
#[derive(Debug, Serialize)]
pub(crate) struct Attention {
    /// Tasks with an expired lease, among the oldest in progress.
    pub(crate) expired: Vec<StuckTask>,
    /// Tasks that were ignored within the last day.
    pub(crate) ignored_today: u64,
    pub(crate) ignored_is_exact: bool,
    pub(crate) pauses: Vec<Pause>,
    /// How the description differs from that of the table.
    pub(crate) drift: Vec<String>,
    /// How this machine's clock is off.
    pub(crate) clock: Option<String>,
}

impl Attention {
    pub(crate) fn is_empty(&self) -> bool {
        let Self { expired, ignored_today, pauses, drift, clock, .. } = self;
        expired.is_empty() && *ignored_today == 0 && pauses.is_empty() && drift.is_empty() && clock.is_none()
    }
}

/// Reads what the overview shows.
pub(crate) async fn overview(operator: &Operator) -> Result<Overview, Error> {
    let now = operator.now();
    let everything = TaskFilter::new();
    let hour = TaskFilter::new().status("succeeded").status("ignored").newest_first();
    let hour = hour.since(now - TimeDelta::minutes(i64::try_from(MINUTES).unwrap_or(60)));
    let today = TaskFilter::new().status("ignored").since(now - TimeDelta::days(1));
    let (counts, ended, oldest, ignored, pauses) = try_join!(
        operator.counts(&everything, Some(CAP)),
        operator.list(&hour, ENDED, None),
        operator.stuck(None, std::time::Duration::ZERO, OLDEST),
        operator.counts(&today, Some(TODAY)),
        operator.pauses(),
    )?;
    let is_whole = ended.next.is_none();
    let mut steps: BTreeMap<String, Vec<TaskSummary>> = BTreeMap::new();
    let first = ended.tasks.last().and_then(|task| task.update_time).filter(|_| !is_whole);
    for task in ended.tasks {
        steps.entry(task.step.clone()).or_default().push(task);
    }
    let mut ended = BTreeMap::new();
    for count in &counts {
        if !ended.contains_key(&count.step) {
            let tasks = steps.remove(&count.step).unwrap_or_default();
            ended.insert(count.step.clone(), of_hour(&tasks, first, now));
        }
    }
    Ok(Overview {
        counts,
        ended,
        attention: Attention {
            expired: oldest.into_iter().filter(|task| task.lease_expired).collect(),
            ignored_today: ignored.iter().map(|count| count.tasks).sum(),
            ignored_is_exact: ignored.iter().all(|count| count.is_exact),
            pauses,
            drift: operator.why_read_only().to_vec(),
            clock: operator.check_clock().err().map(|error| error.to_string()),
        },
    })
}

/// Sums up tasks that ended within the last hour. Those before `first` were not read.
fn of_hour(tasks: &[TaskSummary], first: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Ended {
    let minutes_ago =
        |time: DateTime<Utc>| usize::try_from((now - time).num_minutes().max(0)).unwrap_or(MINUTES);
    // If all that was read ended within this minute, there are at least as many.
    let read = first.map_or(MINUTES, minutes_ago).clamp(1, MINUTES);
    let mut per_minute = vec![None; MINUTES - read];
    per_minute.resize(MINUTES, Some(0));
    let mut turnarounds = Vec::new();
    for task in tasks {
        let Some(ended) = task.update_time else { continue };
        let place = MINUTES.checked_sub(minutes_ago(ended) + 1);
        if let Some(Some(minute)) = place.and_then(|place| per_minute.get_mut(place)) {
            *minute += 1;
        }
        if let Some(created) = task.create_time.filter(|_| task.role == Role::Succeeded) {
            turnarounds.push((ended - created).as_seconds_f64());
        }
    }
    turnarounds.sort_by(f64::total_cmp);
    let is_partial = first.is_some();
    Ended { per_minute, is_partial, p50: quantile(&turnarounds, 50), p95: quantile(&turnarounds, 95) }
}

/// Returns the value that so many of 100 sorted values do not exceed.
fn quantile(sorted: &[f64], hundredths: usize) -> Option<f64> {
    let nth = (sorted.len() * hundredths).div_ceil(100).checked_sub(1)?;
    sorted.get(nth).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((quantile(&values, 50), quantile(&values, 95)), (Some(50.0), Some(95.0)));
        assert_eq!((quantile(&[7.0], 50), quantile(&[7.0], 95)), (Some(7.0), Some(7.0)));
        assert_eq!(quantile(&[], 50), None);
    }

    #[test]
    fn minutes_that_were_not_read_are_not_zero() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        let ended = of_hour(&[], Some(now - TimeDelta::minutes(5)), now);
        assert_eq!(ended.per_minute.iter().filter(|minute| minute.is_none()).count(), 55);
        assert_eq!(ended.per_minute[59], Some(0));
        let busy = of_hour(&[], Some(now), now);
        assert_eq!((busy.is_partial, busy.per_minute[59], busy.per_minute[58]), (true, Some(0), None));
        assert_eq!(of_hour(&[], None, now).per_minute, vec![Some(0); 60]);
    }
}
