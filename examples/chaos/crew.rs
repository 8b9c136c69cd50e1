//! Who processes the tasks: workers of this process, or processes of their own.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedRwLockWriteGuard;
use tokio::task::JoinSet;
use tracker_core::Error;

use super::fleet::Chaos;
use super::processes::Processes;
use super::worker;

/// How long an attempt may take at most.
const PATIENCE: Duration = Duration::from_mins(2);

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug)]
pub enum Crew {
    Here {
        workers: JoinSet<Result<(), Error>>,
        /// Held while the workers pause.
        gate: Option<OwnedRwLockWriteGuard<()>>,
    },
    Processes(Processes),
}

impl Crew {
    /// Starts the workers of this process.
    pub fn here(chaos: &Arc<Chaos>) -> Self {
        Self::Here { workers: worker::start(chaos), gate: None }
    }

    /// Lets the workers work.
    pub fn begin(&mut self, chaos: &Chaos) -> Result<(), AnyError> {
        chaos.begin_bad_day()?;
        match self {
            Self::Here { gate, .. } => {
                drop(gate.take());
                Ok(())
            }
            Self::Processes(processes) => processes.start(),
        }
    }

    /// Lets things go wrong, without end. Returns the error of a worker that has failed.
    pub async fn disturb(&mut self, chaos: &Chaos) -> Result<Infallible, AnyError> {
        match self {
            Self::Here { workers, .. } => tokio::select! {
                ended = workers.join_next() => match ended {
                    Some(Ok(Err(error))) => Err(error.into()),
                    Some(Err(panicked)) => Err(panicked.into()),
                    Some(Ok(Ok(()))) | None => Err("a worker has ended too early".into()),
                },
                () = chaos.kill_connections() => Err("connections die without end".into()),
            },
            Self::Processes(processes) => processes.disturb(chaos.plan).await,
        }
    }

    /// Waits until no worker works, and nothing that it has sent is under way. Its journal is complete then.
    pub async fn pause(&mut self, chaos: &Chaos) -> Result<(), AnyError> {
        match self {
            Self::Here { gate, .. } => {
                if gate.is_none() {
                    let closed = tokio::time::timeout(PATIENCE, chaos.close_gate()).await;
                    let hang = |_| {
                        let workers: Vec<_> = chaos.workers().iter().cloned().collect();
                        let unended = chaos.journal.unended();
                        format!(
                            "after two minutes these have not come to an end: {}{unended}",
                            workers.join(", ")
                        )
                    };
                    *gate = Some(closed.map_err(hang)?);
                }
            }
            Self::Processes(processes) => {
                processes.end().await?;
                processes.collect(&chaos.journal)?;
            }
        }
        chaos.settle().await;
        chaos.end_bad_day()
    }

    /// Returns what happened to the processes in this round, for its line.
    pub fn disturbances(&mut self) -> String {
        match self {
            Self::Here { .. } => String::new(),
            Self::Processes(processes) => processes.disturbances(),
        }
    }
    /// Ends all workers.
    pub async fn end(self) {
        if let Self::Here { mut workers, .. } = self {
            workers.shutdown().await;
        }
    }
}
