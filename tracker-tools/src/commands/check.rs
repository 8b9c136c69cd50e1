//! `check`: compares ages and counts with limits, and says so in one line, as monitoring programs read it.

use std::time::Duration;

use super::status::of_status;
use crate::exit::{Exit, Failure};
use crate::output::line;
use crate::output::text::{escaped, span, thousands};
use crate::session::Session;

/// The limits of one severity.
pub(crate) struct Limits {
    pub(crate) ages: Vec<(String, Duration)>,
    pub(crate) counts: Vec<(String, u64)>,
}

impl Limits {
    fn is_empty(&self) -> bool {
        self.ages.is_empty() && self.counts.is_empty()
    }

    /// Returns what exceeds a limit, and what was found within the limits.
    async fn compare(&self, session: &Session) -> Result<(Vec<String>, Vec<String>), Failure> {
        let now = session.operator.now();
        let (mut exceeded, mut within) = (Vec::new(), Vec::new());
        for (status, limit) in &self.ages {
            let counts = session.operator.counts(&of_status(session, status), Some(1)).await?;
            let Some(oldest) = counts.iter().filter_map(|count| count.oldest).min() else {
                within.push(format!("no {status}"));
                continue;
            };
            let limit = chrono::TimeDelta::from_std(*limit).unwrap_or(chrono::TimeDelta::MAX);
            let age = now - oldest;
            let text = format!("oldest {status} {}", span(age));
            if age > limit { exceeded.push(format!("{text} > {}", span(limit))) } else { within.push(text) }
        }
        for (status, limit) in &self.counts {
            // No more is counted than is needed to know.
            let cap = limit.saturating_add(1);
            let counts = session.operator.counts(&of_status(session, status), Some(cap)).await?;
            let tasks: u64 = counts.iter().map(|count| count.tasks).sum();
            let least = if counts.iter().all(|count| count.is_exact) { "" } else { ">= " };
            let text = format!("{status} {least}{}", thousands(tasks));
            if tasks > *limit {
                let limit = thousands(*limit);
                // The count ends at the first task too many.
                let text = if least.is_empty() {
                    format!("{text} > {limit}")
                } else {
                    format!("{status} more than {limit}")
                };
                exceeded.push(text);
            } else {
                within.push(text);
            }
        }
        Ok((exceeded, within))
    }
}

pub(crate) async fn check(session: &Session, critical: &Limits, warning: &Limits) -> Result<Exit, Failure> {
    if critical.is_empty() && warning.is_empty() {
        return Err(Failure::usage("name a limit, such as --max ignored=0 or --max-age pending=15m"));
    }
    let (critical, mut within) = critical.compare(session).await?;
    let (warning, also_within) = warning.compare(session).await?;
    within.extend(also_within);
    let (word, exit, found) = match (critical.is_empty(), warning.is_empty()) {
        (false, _) => ("CRITICAL", Exit::CRITICAL, [critical, warning].concat()),
        (true, false) => ("WARNING", Exit::WARNING, warning),
        (true, true) => ("OK", Exit::Done, within),
    };
    line(&escaped(&format!("{word} - {}", found.join(", "))))?;
    Ok(exit)
}
