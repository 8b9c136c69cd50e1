//! What the workers did, one line for each step, in the order of the machine's clock.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a worker does with a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Is about to start the task.
    Starting,
    /// Was refused the task.
    Refused,
    /// Holds the task; `until` is the end of the lease.
    Begin,
    /// Has renewed its lease.
    Renewed,
    /// Has run the body, and is about to record a success.
    Succeeding,
    /// Has run the body, and is about to record a failure.
    Failing,
    /// Has recorded the success or failure.
    Done,
    /// Does not know whether it holds the task, or whether its finish was recorded.
    Unsure,
}

impl Step {
    const ALL: [(Self, &str); 8] = [
        (Self::Starting, "starting"),
        (Self::Refused, "refused"),
        (Self::Begin, "begin"),
        (Self::Renewed, "renewed"),
        (Self::Succeeding, "succeeding"),
        (Self::Failing, "failing"),
        (Self::Done, "done"),
        (Self::Unsure, "unsure"),
    ];
}

#[derive(Debug, Clone)]
pub struct Line {
    pub at: u64,
    pub step: Step,
    pub worker: String,
    pub task: String,
    /// 0 while the attempt is not known.
    pub attempt: u64,
    pub until: u64,
}

/// The wall clock, which all processes of a machine share, in microseconds.
pub fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    u64::try_from(now.as_micros()).expect("a time before 500000")
}

pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).expect("a short time")
}

/// The journal file, to which one worker appends.
#[derive(Debug)]
pub struct Journal {
    file: File,
    worker: String,
}

impl Journal {
    pub fn open(path: &Path, worker: &str) -> Self {
        let file = OpenOptions::new().append(true).create(true).open(path).expect("a journal");
        Self { file, worker: worker.to_owned() }
    }

    /// Appends a line in one write, so that lines of several processes do not mix, and a kill cuts no line in two.
    pub fn write(&self, step: Step, task: &str, attempt: u64, until: u64) {
        let (_, step) = Step::ALL.iter().find(|(other, _)| *other == step).expect("every step has a name");
        let line = format!("{} {step} {} {task} {attempt} {until}\n", now(), self.worker);
        let written = (&self.file).write(line.as_bytes()).expect("a journal that can be written");
        assert_eq!(written, line.len(), "a line is short");
    }
}

pub fn read(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).expect("a journal");
    let mut lines: Vec<_> = text.lines().map(parse).collect();
    lines.sort_by_key(|line| line.at);
    lines
}

fn parse(line: &str) -> Line {
    let mut words = line.split(' ');
    let mut word = || words.next().unwrap_or_else(|| panic!("a whole line: {line}"));
    let at = word().parse().expect("a time");
    let step = word();
    let (step, _) = *Step::ALL.iter().find(|(_, name)| *name == step).expect("a step");
    let (worker, task) = (word().to_owned(), word().to_owned());
    let (attempt, until) = (word().parse().expect("a number"), word().parse().expect("a time"));
    Line { at, step, worker, task, attempt, until }
}
