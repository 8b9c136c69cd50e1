//! Simulates many workers on the same tasks: how often they claim what another worker has claimed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::claims::{Chosen, Claims, ENOUGH, Found, SearchResult, WINDOW};

/// Microseconds.
type Time = u64;

#[derive(Debug, Clone)]
struct Setup {
    workers: usize,
    concurrency: usize,
    tasks: usize,
    shards: usize,
    /// The shortest and the longest time that a body takes.
    body: (Time, Time),
    /// How long a request takes to arrive, and its response to come back.
    latency: Time,
    /// For how long the index still shows a task that was started.
    lag: Time,
    seed: u64,
}

#[derive(Debug, PartialEq)]
enum Event {
    /// A search of a worker arrives at the table.
    SearchArrives(usize),
    /// A worker receives the tasks of its search, and the sources that were read.
    SearchEnds(usize, Vec<usize>, Vec<(usize, bool)>),
    /// A start of a worker arrives at the table.
    StartArrives(usize, usize),
    Refused(usize, usize),
    Granted(usize),
    /// A worker has recorded the end of a task.
    Ended(usize, usize),
    /// The index no longer shows a task.
    Gone(usize),
}

#[derive(Debug, Default)]
struct Counts {
    starts: usize,
    refused: usize,
    queries: usize,
}

struct World {
    setup: Setup,
    rng: fastrand::Rng,
    /// The tasks that can be started, oldest first.
    ready: BTreeSet<usize>,
    /// The tasks that the index shows in each shard, oldest first.
    index: Vec<BTreeSet<usize>>,
    workers: Vec<Worker>,
    events: BTreeMap<(Time, u64), Event>,
    /// The number of events so far, which orders the events of one moment.
    nth: u64,
    counts: Counts,
}

struct Worker {
    claims: Claims,
    running: usize,
    starting: usize,
    is_searching: bool,
    is_done: bool,
}

impl World {
    fn new(setup: Setup) -> Self {
        let mut rng = fastrand::Rng::with_seed(setup.seed);
        let mut index = vec![BTreeSet::new(); setup.shards];
        for task in 0..setup.tasks {
            index[rng.usize(..setup.shards)].insert(task);
        }
        let worker = |_| Worker {
            claims: Claims::new(setup.shards, setup.concurrency, rng.u64(..)),
            running: 0,
            starting: 0,
            is_searching: false,
            is_done: false,
        };
        let workers = (0..setup.workers).map(worker).collect();
        let rng = fastrand::Rng::with_seed(setup.seed + 1);
        let ready = (0..setup.tasks).collect();
        Self { setup, rng, ready, index, workers, events: BTreeMap::new(), nth: 0, counts: Counts::default() }
    }

    fn run(mut self) -> Counts {
        for nth in 0..self.setup.workers {
            let begin = self.rng.u64(..self.setup.latency);
            self.fill(nth, begin);
        }
        while let Some(((now, _), event)) = self.events.pop_first() {
            self.handle(event, now);
        }
        assert!(self.ready.is_empty(), "a task was never started");
        assert_eq!(self.counts.starts - self.counts.refused, self.setup.tasks);
        self.counts
    }

    fn schedule(&mut self, at: Time, event: Event) {
        self.nth += 1;
        self.events.insert((at, self.nth), event);
    }

    /// Claims and searches as `RunLoop` does.
    fn fill(&mut self, nth: usize, now: Time) {
        let worker = &mut self.workers[nth];
        while worker.running < self.setup.concurrency
            && let Some(Chosen { key, .. }) = worker.claims.next(Duration::from_micros(now))
        {
            worker.running += 1;
            worker.starting += 1;
            let task = key.parse().unwrap();
            self.nth += 1;
            self.events.insert((now + self.setup.latency, self.nth), Event::StartArrives(nth, task));
        }
        let worker = &mut self.workers[nth];
        if worker.running < self.setup.concurrency
            && worker.starting == 0
            && !worker.is_searching
            && !worker.is_done
        {
            worker.is_searching = true;
            self.schedule(now + self.setup.latency, Event::SearchArrives(nth));
        }
    }

    fn handle(&mut self, event: Event, now: Time) {
        match event {
            Event::SearchArrives(nth) => {
                let (mut keys, mut sources) = (Vec::new(), Vec::new());
                for group in self.workers[nth].claims.plan(Duration::from_micros(now)).groups {
                    if keys.len() >= ENOUGH {
                        break;
                    }
                    for source in group {
                        self.counts.queries += 1;
                        let before = keys.len();
                        keys.extend(self.index[source].iter().take(WINDOW).copied());
                        sources.push((source, keys.len() > before));
                    }
                }
                self.schedule(now + self.setup.latency, Event::SearchEnds(nth, keys, sources));
            }
            Event::SearchEnds(nth, keys, sources) => {
                let worker = &mut self.workers[nth];
                worker.is_searching = false;
                let found = Found {
                    is_complete: sources.len() == self.setup.shards,
                    keys: keys.iter().map(ToString::to_string).collect(),
                    sources,
                    ..Found::default()
                };
                match worker.claims.take_found(found, Duration::from_micros(now)) {
                    SearchResult::Some => {}
                    SearchResult::Nothing => worker.is_done = true,
                    SearchResult::LeftToRivals | SearchResult::Later => {
                        worker.is_searching = true;
                        let pause = self.rng.u64(10_000..20_000);
                        self.schedule(now + pause, Event::SearchArrives(nth));
                    }
                }
                self.fill(nth, now);
            }
            Event::StartArrives(nth, task) => {
                self.counts.starts += 1;
                let was_ready = self.ready.remove(&task);
                let (least, most) = self.setup.body;
                let body = self.rng.u64(least..=most);
                let latency = self.setup.latency;
                if was_ready {
                    self.schedule(now + latency, Event::Granted(nth));
                    self.schedule(now + self.setup.lag, Event::Gone(task));
                    self.schedule(now + latency + body + latency, Event::Ended(nth, task));
                } else {
                    self.counts.refused += 1;
                    self.schedule(now + latency, Event::Refused(nth, task));
                }
            }
            Event::Granted(nth) => {
                self.workers[nth].starting -= 1;
                self.fill(nth, now);
            }
            Event::Gone(task) => {
                for shard in &mut self.index {
                    shard.remove(&task);
                }
            }
            Event::Refused(nth, task) => {
                self.workers[nth].running -= 1;
                self.workers[nth].starting -= 1;
                self.workers[nth].claims.refused(&task.to_string(), Duration::from_micros(now));
                self.fill(nth, now);
            }
            Event::Ended(nth, task) => {
                self.workers[nth].running -= 1;
                self.workers[nth].claims.granted(&task.to_string(), true, Duration::from_micros(now));
                self.fill(nth, now);
            }
        }
    }
}

/// Runs simulations with several seeds. Returns the fraction of refused starts, and the queries for each task.
fn simulate(workers: usize, concurrency: usize, body: (Time, Time), latency: Time, lag: Time) -> (f64, f64) {
    const TASKS: usize = 1000;
    const SEEDS: u64 = 8;
    let mut sum = Counts::default();
    for seed in 0..SEEDS {
        let setup = Setup { workers, concurrency, tasks: TASKS, shards: 10, body, latency, lag, seed };
        let counts = World::new(setup).run();
        sum.starts += counts.starts;
        sum.refused += counts.refused;
        sum.queries += counts.queries;
    }
    let fraction = |of: usize, all: usize| {
        f64::from(u32::try_from(of).unwrap()) / f64::from(u32::try_from(all).unwrap())
    };
    let (refused, queries) = (fraction(sum.refused, sum.starts), fraction(sum.queries, TASKS) / 8.0);
    println!(
        "{workers} workers of {concurrency}, bodies of {body:?} us, latency {latency} us, lag {lag} us: \
         {refused:.3} refused, {queries:.2} queries a task"
    );
    (refused, queries)
}

#[test]
fn sixteen_workers_rarely_claim_the_same_task() {
    for (concurrency, body, latency, lag, most) in [
        // Nothing but claims.
        (1, (0, 1_000), 1_000, 0, 0.05),
        (1, (5_000, 20_000), 1_000, 0, 0.03),
        (4, (50_000, 200_000), 1_000, 0, 0.03),
        (16, (50_000, 200_000), 1_000, 0, 0.05),
        (4, (50_000, 200_000), 10_000, 0, 0.05),
        (16, (50_000, 200_000), 10_000, 0, 0.05),
        (1, (50_000, 200_000), 1_000, 20_000, 0.05),
    ] {
        let (refused, queries) = simulate(16, concurrency, body, latency, lag);
        assert!(refused <= most, "{refused} of the starts are refused");
        assert!(queries <= 2.0, "{queries} queries for each task");
    }
}

#[test]
fn single_worker_rarely_searches() {
    for concurrency in [1, 16] {
        let (refused, queries) = simulate(1, concurrency, (5_000, 20_000), 1_000, 20_000);
        assert!(refused == 0.0, "{refused}");
        assert!(queries <= 0.5, "{queries} queries for each task");
    }
}

/// How a task of [`deaths`] stands.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Open { lost: u32 },
    Succeeded,
    Ignored,
}

/// Runs tasks in one process after the other. A task that is a poison kills its process, and all tasks that run there
/// are lost. Returns what becomes of the tasks.
fn deaths(tasks: usize, poison: usize, concurrency: usize, seed: u64) -> Vec<Fate> {
    const MAX_RETRY: u32 = 3;
    let mut fates = vec![Fate::Open { lost: 0 }; tasks];
    for process in 0..100 {
        let mut claims = Claims::new(1, concurrency, seed * 1000 + process);
        let (mut running, mut now) = (Vec::new(), Duration::from_secs(1000));
        loop {
            let seen = fates.clone();
            let lost = |task: usize| match seen[task] {
                Fate::Open { lost } => Some(lost),
                _ => None,
            };
            let open: Vec<_> = (0..tasks).filter(|task| lost(*task).is_some()).collect();
            if open.is_empty() {
                return fates;
            }
            let found = Found {
                suspects: open
                    .iter()
                    .filter(|task| lost(**task) >= Some(2))
                    .map(ToString::to_string)
                    .collect(),
                keys: open.iter().map(ToString::to_string).collect(),
                is_complete: true,
                ..Found::default()
            };
            now += Duration::from_millis(100);
            let result = claims.take_found(found, now);
            while running.len() < concurrency
                && let Some(Chosen { key, .. }) = claims.next(now)
            {
                let task: usize = key.parse().unwrap();
                // The takeover ignores a task that is out of attempts.
                if lost(task) >= Some(MAX_RETRY) {
                    fates[task] = Fate::Ignored;
                    claims.refused(&key, now);
                } else {
                    running.push(task);
                }
            }
            if running.len() == concurrency || running.len() == open.len() || result == SearchResult::Later {
                break;
            }
        }
        // Nothing ends before the poison kills the process.
        if running.contains(&poison) {
            for task in running {
                if let Fate::Open { lost } = &mut fates[task] {
                    *lost += 1;
                }
            }
        } else {
            for task in running {
                fates[task] = Fate::Succeeded;
            }
        }
    }
    fates
}

#[test]
fn task_that_kills_its_process_ends_alone() {
    for seed in 0..50 {
        for (tasks, concurrency) in [(6, 6), (20, 8), (40, 16)] {
            let fates = deaths(tasks, 2, concurrency, seed);
            let ended = |task| if task == 2 { Fate::Ignored } else { Fate::Succeeded };
            let expected: Vec<_> = (0..tasks).map(ended).collect();
            assert_eq!(fates, expected, "seed {seed}, {tasks} tasks, {concurrency} at once");
        }
    }
}
