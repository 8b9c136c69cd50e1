//! `export`: prints all that is stored of tasks as JSON lines.

use std::io::{self, IsTerminal as _};

use futures_util::StreamExt as _;
use indicatif::ProgressBar;
use tracker_core::TaskFilter;

use crate::exit::{Exit, Failure};
use crate::interrupt::on_interrupt;
use crate::output::record;
use crate::output::text::escaped;
use crate::session::Session;

pub(crate) async fn export(session: &Session, filter: &TaskFilter) -> Result<Exit, Failure> {
    let stop = on_interrupt();
    let mut tasks = std::pin::pin!(session.operator.details(filter)?);
    let shows = io::stderr().is_terminal() && !io::stdout().is_terminal();
    let bar = if shows { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    let (mut exported, mut failed) = (0_u64, 0_u64);
    loop {
        let task = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            task = tasks.next() => task,
        };
        match task {
            None => break,
            Some(Ok(task)) => {
                exported += 1;
                record(&task)?;
            }
            Some(Err(error)) if matches!(error.kind(), tracker_core::ErrorKind::Decode { .. }) => {
                failed += 1;
                bar.suspend(|| anstream::eprintln!("tracker: {}", escaped(&crate::exit::error_line(&error))));
            }
            Some(Err(error)) => return Err(error.into()),
        }
        bar.set_message(format!("{exported} tasks"));
        bar.tick();
    }
    bar.finish_and_clear();
    anstream::eprintln!("{exported} tasks, {failed} that cannot be read");
    if stop.is_cancelled() {
        return Ok(Exit::Interrupted);
    }
    Ok(match (exported, failed) {
        (0, 0) => Exit::NothingFound,
        (_, 0) => Exit::Done,
        _ => Exit::SomeFailed,
    })
}
