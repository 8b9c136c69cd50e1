//! The command line.

use std::fmt;
use std::time::{Duration, Instant};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::job::Plan;
use super::rounds::Intake;

/// How long a round of a soak lasts.
const ROUND: Duration = Duration::from_mins(5);
/// The tasks a second of a soak.
const RATE: u32 = 5;

/// Lets workers and the network fail in every way, and checks that every guarantee still holds.
///
/// A run without options processes 2,000 tasks and takes about a minute and a half. A body may work, save, fail, panic,
/// hang or block past its lease, vanish together with its worker and heartbeat, be released, be cancelled, or have its effect
/// refused.
///
/// Tasks come in while the workers run. They are checked in rounds: once all tasks of a round have ended, they are compared
/// with the journal and deleted. A long run therefore needs no more memory than a short one. With more than 10,000 tasks, on
/// Linux, the run also checks that memory does not grow by more than 20 MB.
///
/// Each round prints one line: its tasks, attempts, faults, violations, and the memory used. "Beyond their lease" are bodies that were
/// still running when their lease had expired; "cut off" are bodies whose process or worker ended. At the end, `holds` or
/// `BROKEN` stands before each guarantee; violations are the broken cases.
///
/// The seed fixes what each body does, for each task which of its requests meet which fault, and the order in which
/// processes are killed and stopped. It does not fix how workers interleave. If a seed breaks a guarantee, repeat it, several
/// times if necessary.
#[derive(Debug, Parser)]
#[command(name = "chaos", version, after_help = EXIT_STATUS)]
pub struct Arguments {
    /// How many tasks to create
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    tasks: u32,
    /// Let tasks come in for this long, for example `90s`, `10m` or `2h`, and check them every five minutes
    #[arg(long = "for", value_name = "TIME", conflicts_with = "tasks", value_parser = time)]
    time: Option<Duration>,
    /// How many tasks come in each second [default: 5 with --for, otherwise as many as can be created]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: Option<u32>,
    /// How many tasks are checked together at most
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    round: u32,
    /// How many workers run at the same time, in each process [default: 16, or 1 with --processes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    workers: Option<u32>,
    /// Let this many processes do the work, which are killed, stopped past their leases, and started again (needs a URL)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub processes: Option<u32>,
    /// The seed of all random choices
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Do not write effects: each success is then an update, not a transaction with the counter of its task
    #[arg(long)]
    without_effects: bool,
    /// Let all workers start each task with `start` or `run`. Otherwise every third one is a `Tracker::worker`, which shares
    /// requests and does not tell which tasks it tries to start. Without it, one more thing is checked: an attempt whose body never ran
    /// belongs to a start that got no answer
    #[arg(long)]
    by_hand: bool,
    /// `embedded`, `aws-like` for an embedded database that behaves like AWS on a bad day, or the URL of an emulator, for
    /// example `http://127.0.0.1:8000`; not AWS
    #[arg(long, value_name = "embedded|aws-like|URL", default_value = "embedded", value_parser = backend)]
    pub backend: Backend,
}

const EXIT_STATUS: &str = "Exit status: 0 every guarantee holds, 1 a guarantee is broken, 2 wrong arguments, \
                           3 an error, 130 stopped by Ctrl-C or SIGTERM. The first Ctrl-C checks the tasks that have \
                           ended, the second exits at once.";

/// The database that keeps the tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    Embedded,
    AwsLike,
    Url(String),
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded"),
            Self::AwsLike => f.write_str("aws-like"),
            Self::Url(url) => f.write_str(url),
        }
    }
}

impl fmt::Display for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(processes) = self.processes {
            write!(f, "{processes} processes with ")?;
        }
        let Plan { workers, seed, effects, serves } = self.plan();
        let effects = if effects { "" } else { ", no effects" };
        let by_hand = if serves { "" } else { ", by hand" };
        write!(f, "{workers} workers, seed {seed}{effects}{by_hand}, {}", self.backend)
    }
}

fn backend(text: &str) -> Result<Backend, String> {
    match text {
        "embedded" => return Ok(Backend::Embedded),
        "aws-like" => return Ok(Backend::AwsLike),
        _ => {}
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        return Ok(Backend::Url(text.to_owned()));
    }
    Err("use `embedded`, `aws-like` or a URL such as http://127.0.0.1:8000".to_owned())
}

/// Reads a time such as `1h30m`.
fn time(text: &str) -> Result<Duration, String> {
    const HELP: &str = "use hours, minutes and seconds, for example `2h`, `1h30m` or `90s`";
    let (mut seconds, mut rest) = (0_u64, text);
    while !rest.is_empty() {
        let unit = rest.find(|letter: char| !letter.is_ascii_digit()).ok_or(HELP)?;
        let number: u64 = rest[..unit].parse().map_err(|_| HELP)?;
        let length = match rest.as_bytes()[unit] {
            b'h' => 3600,
            b'm' => 60,
            b's' => 1,
            _ => return Err(HELP.to_owned()),
        };
        seconds = number.checked_mul(length).and_then(|more| seconds.checked_add(more)).ok_or(HELP)?;
        rest = &rest[unit + 1..];
    }
    if !(1..=31_536_000).contains(&seconds) {
        return Err(format!("{HELP}, from one second up to a year"));
    }
    Ok(Duration::from_secs(seconds))
}

impl Arguments {
    /// Reads the command line. Prints what is wrong and exits if the arguments do not fit.
    pub fn checked() -> Self {
        let arguments = Self::parse();
        if arguments.processes.is_some() && !matches!(arguments.backend, Backend::Url(_)) {
            let mistake = "--processes needs a database that processes can share; add --backend with a URL, for \
                           example that of DynamoDB Local";
            Self::command().error(ErrorKind::ValueValidation, mistake).exit();
        }
        arguments
    }

    pub fn plan(&self) -> Plan {
        let workers = self.workers.unwrap_or(if self.processes.is_some() { 1 } else { 16 });
        Plan { workers, seed: self.seed, effects: !self.without_effects, serves: !self.by_hand }
    }

    /// Returns when the tasks come in, from now on.
    pub fn intake(&self) -> Intake {
        let rate = self.rate.or(self.time.is_some().then_some(RATE));
        Intake {
            tasks: if self.time.is_some() { u32::MAX } else { self.tasks },
            round: self.round,
            time: self.time.map(|time| (Instant::now() + time, ROUND)),
            pace: rate.map(|rate| Duration::from_secs(1) / rate),
        }
    }

    /// Returns how many tasks there will be, if that is known.
    pub fn length(&self) -> Option<u64> {
        self.time.is_none().then_some(self.tasks.into())
    }
}
