//! Workers in processes of their own, which are killed, stopped and started again.

use std::convert::Infallible;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tracker_core::Layout;

use super::common;
use super::fleet::Chaos;
use super::job::Plan;
use super::journal::Journal;
use super::worker::{VANISHED, Worker};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// The variable that makes this program one worker process. It holds the configuration, as JSON.
const VARIABLE: &str = "TRACKER_CHAOS_WORKER";
/// How often the coordinator looks after its processes.
const TICK: Duration = Duration::from_millis(50);
/// How long a process may take to end.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Config {
    url: String,
    table: String,
    plan: Plan,
    slot: u32,
    life: u32,
    journal: PathBuf,
}

/// The processes. Dropping this kills those that are left.
#[derive(Debug)]
pub struct Processes {
    config: Config,
    folder: PathBuf,
    slots: Vec<Slot>,
    /// The number of the next kill or stop, which the seed decides about.
    nth: u64,
    round: Disturbances,
}

/// The place of one process. Each life of it is another process.
#[derive(Debug)]
struct Slot {
    journal: PathBuf,
    life: u32,
    child: Option<Child>,
    /// When the process goes on that is stopped.
    stopped_until: Option<Instant>,
}

/// What happened to the processes in a round.
#[derive(Debug, Default)]
struct Disturbances {
    started: u32,
    killed: u32,
    stopped: u32,
    /// Those that a task has killed.
    vanished: u32,
}

impl Processes {
    /// Starts nothing yet.
    pub fn new(url: &str, table: &str, plan: Plan, count: u32) -> Result<Self, AnyError> {
        if !cfg!(unix) {
            return Err("--processes needs a Unix, whose signals stop a process and let it go on".into());
        }
        let folder = std::env::temp_dir().join(table);
        std::fs::create_dir_all(&folder)?;
        let slot = |nth| Slot {
            journal: folder.join(format!("journal-{nth}")),
            life: 0,
            child: None,
            stopped_until: None,
        };
        let slots = (0..count).map(slot).collect();
        let (url, table) = (url.to_owned(), table.to_owned());
        let config = Config { url, table, plan, slot: 0, life: 0, journal: PathBuf::new() };
        Ok(Self { config, folder, slots, nth: 0, round: Disturbances::default() })
    }

    /// Starts each process that does not run.
    pub fn start(&mut self) -> Result<(), AnyError> {
        for nth in 0..self.slots.len() {
            self.start_slot(nth)?;
        }
        Ok(())
    }

    fn start_slot(&mut self, nth: usize) -> Result<(), AnyError> {
        let slot = &mut self.slots[nth];
        if slot.child.is_some() {
            return Ok(());
        }
        slot.life += 1;
        let (journal, life) = (slot.journal.clone(), slot.life);
        let config = Config { slot: u32::try_from(nth)?, life, journal, ..self.config.clone() };
        let mut command = Command::new(std::env::current_exe()?);
        command.env(VARIABLE, serde_json::to_string(&config)?).stdin(Stdio::piped()).stdout(Stdio::null());
        // Ctrl-C is for the coordinator. The system ends a stopped process of another group when the coordinator is gone.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        slot.child = Some(command.spawn()?);
        self.round.started += 1;
        Ok(())
    }

    /// Kills, stops and starts processes, without end. Returns an error if a process fails.
    pub async fn disturb(&mut self, plan: Plan) -> Result<Infallible, AnyError> {
        let mut next = Instant::now();
        loop {
            tokio::time::sleep(TICK).await;
            self.reap()?;
            self.go_on(Instant::now())?;
            self.start()?;
            if Instant::now() < next {
                continue;
            }
            self.nth += 1;
            let draw = |what: &str, limit| plan.draw(("disturb", self.nth, what), limit);
            next = Instant::now() + Duration::from_millis(draw("pause", 600));
            let nth = usize::try_from(draw("slot", self.slots.len() as u64))?;
            // Longer than the longest lease, the skew, and the difference of two clocks.
            let stop = Duration::from_millis(2700 + draw("length", 3000));
            if draw("how", 2) == 0 {
                self.kill(nth)?;
            } else if self.slots.iter().filter(|slot| slot.stopped_until.is_some()).count() * 2
                < self.slots.len()
            {
                self.stop(nth, stop)?;
            }
        }
    }

    /// Forgets the processes that have ended.
    fn reap(&mut self) -> Result<(), AnyError> {
        for (nth, slot) in self.slots.iter_mut().enumerate() {
            let Some(status) = slot.child.as_mut().map(Child::try_wait).transpose()?.flatten() else {
                continue;
            };
            (slot.child, slot.stopped_until) = (None, None);
            if status.code() != Some(VANISHED) {
                return Err(format!("process {nth}.{} has ended with {status}", slot.life).into());
            }
            self.round.vanished += 1;
        }
        Ok(())
    }

    /// Lets processes go on that were stopped long enough.
    fn go_on(&mut self, now: Instant) -> Result<(), AnyError> {
        for slot in &mut self.slots {
            if slot.stopped_until.is_some_and(|until| until <= now) {
                slot.stopped_until = None;
                signal(slot.child.as_ref(), "CONT")?;
            }
        }
        Ok(())
    }

    /// Kills a process with SIGKILL, whatever it is doing.
    fn kill(&mut self, nth: usize) -> Result<(), AnyError> {
        let slot = &mut self.slots[nth];
        if let Some(mut child) = slot.child.take() {
            child.kill()?;
            let status = child.wait()?;
            slot.stopped_until = None;
            // It may have ended by itself just before, and only its task may end it.
            if status.code().is_some_and(|code| code != VANISHED) {
                return Err(format!("a worker process has ended with {status}").into());
            }
            let vanished = u32::from(status.code() == Some(VANISHED));
            self.round.vanished += vanished;
            self.round.killed += 1 - vanished;
        }
        Ok(())
    }

    /// Stops a process with SIGSTOP. It does not notice, except by its clock.
    fn stop(&mut self, nth: usize, time: Duration) -> Result<(), AnyError> {
        let slot = &mut self.slots[nth];
        if slot.stopped_until.is_none() && slot.child.is_some() {
            signal(slot.child.as_ref(), "STOP")?;
            slot.stopped_until = Some(Instant::now() + time);
            self.round.stopped += 1;
        }
        Ok(())
    }

    /// Lets all processes end by themselves, and waits for them.
    pub async fn end(&mut self) -> Result<(), AnyError> {
        for slot in &mut self.slots {
            if slot.stopped_until.take().is_some() {
                signal(slot.child.as_ref(), "CONT")?;
            }
            // A process ends when its input is closed.
            drop(slot.child.as_mut().and_then(|child| child.stdin.take()));
        }
        let begin = Instant::now();
        for (nth, slot) in self.slots.iter_mut().enumerate() {
            let Some(child) = &mut slot.child else {
                continue;
            };
            let status = loop {
                if let Some(status) = child.try_wait()? {
                    break status;
                }
                if begin.elapsed() > PATIENCE {
                    return Err(format!("process {nth}.{} does not end", slot.life).into());
                }
                tokio::time::sleep(TICK).await;
            };
            slot.child = None;
            if !status.success() && status.code() != Some(VANISHED) {
                return Err(format!("process {nth}.{} has ended with {status}", slot.life).into());
            }
        }
        Ok(())
    }

    /// Moves the journals of the processes into that of this process. No process may run.
    pub fn collect(&mut self, journal: &Journal) -> Result<(), AnyError> {
        for slot in &self.slots {
            if slot.journal.exists() {
                journal.add(&slot.journal).map_err(|error| format!("{}: {error}", slot.journal.display()))?;
                std::fs::remove_file(&slot.journal)?;
            }
        }
        Ok(())
    }

    /// Returns what happened since the last call.
    pub fn disturbances(&mut self) -> String {
        let Disturbances { started, killed, stopped, vanished } = std::mem::take(&mut self.round);
        format!(
            "{started} processes started, {killed} killed, {stopped} stopped, {vanished} ended by a task, "
        )
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in self.slots.iter_mut().filter_map(|slot| slot.child.as_mut()) {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Sends a signal. The process cannot be another one, because it is not waited for yet.
fn signal(child: Option<&Child>, name: &str) -> Result<(), AnyError> {
    let Some(child) = child else {
        return Ok(());
    };
    let status = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status()?;
    if status.success() { Ok(()) } else { Err(format!("`kill -{name}` has ended with {status}").into()) }
}

/// Runs a worker, if this process was started as one.
pub fn main() -> Option<ExitCode> {
    let config = std::env::var(VARIABLE).ok()?;
    let run = || -> Result<(), AnyError> {
        let config: Config = serde_json::from_str(&config)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(work(config))
    };
    Some(match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            common::print_error(error.as_ref());
            ExitCode::from(3)
        }
    })
}

/// Works until the input is closed. The system closes it when the coordinator is gone.
async fn work(config: Config) -> Result<(), AnyError> {
    let (closed, input) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = closed.send(());
    });
    let Config { url, table, plan, slot, life, journal } = config;
    let client = common::local_client(&url);
    let chaos = Chaos::new(&client, None, &table, Layout::new(), plan)?;
    let chaos = Arc::new(chaos.in_process(&journal, u64::from(slot) << 32 | u64::from(life))?);
    let mut workers = tokio::task::JoinSet::new();
    for nth in 0..plan.workers {
        let owner = format!("process-{slot}.{life}-{nth}");
        let worker = Worker::new(&chaos, &owner, slot.wrapping_mul(plan.workers) + nth, life)?;
        workers.spawn(async move { worker.live().await });
    }
    tokio::select! {
        _ = input => {}
        ended = workers.join_next() => {
            let ended: Option<Result<Result<(), tracker_core::Error>, _>> = ended;
            ended.transpose()?.transpose()?;
            return Err("a worker has ended too early".into());
        }
        () = chaos.kill_connections() => {}
    }
    let _gate = chaos.close_gate().await;
    chaos.settle().await;
    chaos.journal.faults(chaos.network.injected());
    Ok(())
}
