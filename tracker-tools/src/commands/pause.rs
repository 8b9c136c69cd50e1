//! `pause` and `resume`: stop the claims of a step for a while.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::status::pause_line;
use crate::exit::{Exit, Failure};
use crate::output::line;
use crate::session::Session;

pub(crate) async fn pause(
    session: &Session,
    name: Option<&str>,
    duration: Option<Duration>,
    until: Option<DateTime<Utc>>,
) -> Result<Exit, Failure> {
    let step = session.step(name)?;
    let now = session.operator.now();
    let until = match (until, duration) {
        (Some(until), _) => until,
        (None, duration) => {
            let duration = TimeDelta::from_std(duration.unwrap_or_default()).unwrap_or(TimeDelta::MAX);
            now.checked_add_signed(duration).ok_or_else(|| Failure::usage("that is too long"))?
        }
    };
    if until <= now {
        return Err(Failure::usage("the pause would have ended already; --for 1h is a pause of an hour"));
    }
    let before = session.operator.pauses().await?;
    let pause = session.operator.pause(&step, until).await?;
    if let Some(before) = before.iter().find(|before| before.step == pause.step) {
        anstream::eprintln!("in place of this pause: {}", pause_line(before, now));
    }
    if session.output.is_table() {
        line(&pause_line(&pause, now))?;
    } else {
        session.output.document(&pause)?;
    }
    anstream::eprintln!(
        "workers see the pause with their next look; what runs goes on, and Python workers do not know it"
    );
    Ok(Exit::Done)
}

pub(crate) async fn resume(session: &Session, name: Option<&str>) -> Result<Exit, Failure> {
    let step = session.step(name)?;
    if session.operator.resume(&step).await? {
        anstream::eprintln!("{step} goes on");
        return Ok(Exit::Done);
    }
    anstream::eprintln!("{step} is not paused");
    Ok(Exit::NothingFound)
}
