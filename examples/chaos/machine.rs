//! What this process uses of the machine.

use std::fmt;
use std::time::Duration;

use super::check::Report;

/// How long threads and connections may take to end.
const PATIENCE: Duration = Duration::from_secs(20);
/// By how much the resident memory may grow, in bytes.
pub const GROWTH: u64 = 20 * 1000 * 1000;

/// Makes the allocator return freed memory at once, so that the resident memory shows what the process uses. The allocator reads
/// its settings when the process begins, so the process begins anew.
pub fn return_freed_memory() {
    const SETTING: &str = "_RJEM_MALLOC_CONF";
    #[cfg(unix)]
    if let (None, Ok(program)) = (std::env::var_os(SETTING), std::env::current_exe()) {
        let mut anew = std::process::Command::new(program);
        anew.args(std::env::args_os().skip(1)).env(SETTING, "dirty_decay_ms:0,muzzy_decay_ms:0,narenas:1");
        // Returns only if the program cannot begin anew. Then its memory is less flat.
        let _ = std::os::unix::process::CommandExt::exec(&mut anew);
    }
}

/// What a process uses.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// In bytes.
    pub resident: u64,
    pub threads: u64,
    /// Open files and connections.
    pub descriptors: usize,
    pub connections: usize,
}

impl Usage {
    /// Measures this process. Returns `None` on a system without `/proc`.
    pub fn now() -> Option<Self> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let open =
            std::fs::read_dir("/proc/self/fd").ok()?.filter_map(|entry| entry.ok()?.path().read_link().ok());
        let open: Vec<_> = open.collect();
        Some(Self {
            resident: number("VmRSS:")? * 1024,
            threads: number("Threads:")?,
            // Without the folder that is being read.
            descriptors: open.len().saturating_sub(1),
            connections: open.iter().filter(|target| target.to_string_lossy().starts_with("socket:")).count(),
        })
    }

    fn is_more_than(self, before: Self) -> bool {
        self.threads > before.threads || self.descriptors > before.descriptors
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, tenth) = (self.resident / 1_000_000, self.resident / 100_000 % 10);
        let Self { threads, descriptors, connections, .. } = self;
        write!(
            f,
            "{whole}.{tenth} MB, {threads} threads, {descriptors} descriptors ({connections} connections)"
        )
    }
}

/// Waits until this process uses no more threads and connections than before, and reports what is left.
pub async fn nothing_is_left(before: Option<Usage>) -> Report {
    const PROMISE: &str = "no thread or connection of this process is left";
    let Some(before) = before else {
        return Vec::new();
    };
    let begin = std::time::Instant::now();
    loop {
        let Some(now) = Usage::now() else {
            return Vec::new();
        };
        if !now.is_more_than(before) {
            return vec![(PROMISE, Vec::new())];
        }
        if begin.elapsed() > PATIENCE {
            return vec![(PROMISE, vec![format!("{before} before, {now} after")])];
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Compares the resident memory of two rounds.
pub fn memory_is_flat(early: Option<Usage>, last: Option<Usage>) -> Report {
    let (Some(early), Some(last)) = (early, last) else {
        return Vec::new();
    };
    let has_grown = last.resident > early.resident + GROWTH;
    let case = has_grown.then(|| format!("{early} after the first 10,000 tasks, {last} at the end"));
    vec![("the memory of this process is flat", case.into_iter().collect())]
}
