//! Simulates many workers on the same tasks: how often they claim what another worker has claimed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::claims::{Chosen, Claims, ENOUGH, Found, SearchResult, SourceRead, WINDOW};
use crate::time::Timestamp;

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
    SearchEnds(usize, Vec<usize>, Vec<SourceRead>),
    /// A start of a worker arrives at the table.
    StartArrives(usize, usize),
    Refused(usize, usize),
    Granted(usize),
    /// A worker has recorded the end of a task.
    Ended(usize, usize),
    /// The index no longer shows a task.
    Gone(usize),
    /// A worker that has left the tasks to its rivals may search again.
    Wakes(usize),
}

#[derive(Debug, Default)]
struct Counts {
    starts: usize,
    refused: usize,
    queries: usize,
    /// Starts that are sent together.
    groups: usize,
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
    /// When the last starts were sent.
    last_group: Time,
}

/// The first wait of a worker that has left the tasks to its rivals.
const MOMENT: Time = 20_000;

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
            last_group: 0,
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
        let before = worker.starting;
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
        let sends = worker.starting > before;
        self.counts.groups += usize::from(sends && std::mem::replace(&mut worker.last_group, now) != now);
        let worker = &mut self.workers[nth];
        if worker.running < self.setup.concurrency
            && worker.starting == 0
            && !worker.is_searching
            && !worker.is_done
        {
            worker.is_searching = true;
            if worker.claims.leaves_to_rivals() {
                let moment = MOMENT.max(8 * self.setup.latency);
                let pause = self.rng.u64(moment / 2..moment);
                self.schedule(now + pause, Event::Wakes(nth));
            } else {
                self.schedule(now + self.setup.latency, Event::SearchArrives(nth));
            }
        }
    }

    /// Reads a source as a search does.
    fn read(&mut self, source: usize, places: Vec<Timestamp>, keys: &mut Vec<usize>) -> SourceRead {
        let mut read = SourceRead { source, ..SourceRead::default() };
        let before = keys.len();
        for from in places {
            if keys.len() > before {
                break;
            }
            self.counts.queries += 1;
            let first = usize::try_from(from.since(Timestamp::EPOCH).as_millis()).unwrap();
            keys.extend(self.index[source].range::<usize, _>(first..).take(WINDOW));
            if keys.len() == before {
                read.empty_from = Some(from);
            }
        }
        if keys.len() == before {
            self.counts.queries += 1;
            keys.extend(self.index[source].iter().take(WINDOW));
            if keys.len() - before == WINDOW {
                read.deep_since = Some(ready_at(keys[before]));
            }
        }
        read.has_tasks = keys.len() > before;
        read
    }

    fn handle(&mut self, event: Event, now: Time) {
        match event {
            Event::SearchArrives(nth) => {
                let (mut keys, mut sources) = (Vec::new(), Vec::new());
                let plan = self.workers[nth].claims.plan(Duration::from_micros(now));
                for group in plan.groups {
                    if keys.len() >= ENOUGH {
                        break;
                    }
                    for source in group {
                        let read =
                            self.read(source, plan.from.get(&source).cloned().unwrap_or_default(), &mut keys);
                        sources.push(read);
                    }
                }
                self.schedule(now + self.setup.latency, Event::SearchEnds(nth, keys, sources));
            }
            Event::SearchEnds(nth, keys, sources) => {
                let wall = ready_at(2 * self.setup.tasks);
                let worker = &mut self.workers[nth];
                worker.is_searching = false;
                let found = Found {
                    is_complete: sources.len() == self.setup.shards,
                    keys: keys.iter().map(ToString::to_string).collect(),
                    sources,
                    ..Found::default()
                };
                match worker.claims.take_found(found, wall, Duration::from_micros(now)) {
                    SearchResult::Some => {}
                    SearchResult::Nothing => worker.is_done = true,
                    SearchResult::Later => {
                        worker.is_searching = true;
                        let pause = self.rng.u64(MOMENT / 2..MOMENT);
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
            Event::Wakes(nth) => {
                self.workers[nth].is_searching = false;
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

/// Returns when a task became ready: one in each millisecond.
fn ready_at(task: usize) -> Timestamp {
    Timestamp::EPOCH.plus(Duration::from_millis(task.try_into().unwrap()))
}

/// Runs simulations with several seeds. Returns the fraction of refused starts, and the queries for each task.
fn simulate(workers: usize, concurrency: usize, body: (Time, Time), latency: Time, lag: Time) -> (f64, f64) {
    let (refused, queries, _) = simulate_tasks(1000, workers, concurrency, body, latency, lag);
    (refused, queries)
}

/// Does the same with this many tasks. Returns the requests for each task as well, if each group of starts is one request, and
/// tasks end in groups of the same size.
fn simulate_tasks(
    tasks: usize,
    workers: usize,
    concurrency: usize,
    body: (Time, Time),
    latency: Time,
    lag: Time,
) -> (f64, f64, f64) {
    const SEEDS: u64 = 8;
    let mut sum = Counts::default();
    for seed in 0..SEEDS {
        let setup = Setup { workers, concurrency, tasks, shards: 10, body, latency, lag, seed };
        let counts = World::new(setup).run();
        sum.starts += counts.starts;
        sum.refused += counts.refused;
        sum.queries += counts.queries;
        sum.groups += counts.groups;
    }
    let fraction = |of: usize, all: usize| {
        f64::from(u32::try_from(of).unwrap()) / f64::from(u32::try_from(all).unwrap())
    };
    let (refused, queries) = (fraction(sum.refused, sum.starts), fraction(sum.queries, tasks) / 8.0);
    let requests = queries + 2.0 * fraction(sum.groups, tasks) / 8.0;
    println!(
        "{tasks} tasks, {workers} workers of {concurrency}, bodies of {body:?} us, latency {latency} us, lag {lag} us: \
         {refused:.3} refused, {queries:.2} queries and {requests:.2} requests a task"
    );
    (refused, queries, requests)
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
fn many_workers_share_a_deep_backlog() {
    for latency in [1_000, 10_000] {
        let (refused, _, requests) = simulate_tasks(10_000, 64, 16, (0, 0), latency, 0);
        assert!(refused <= 0.05, "{refused} of the starts are refused");
        assert!(requests <= 1.0, "{requests} requests for each task");
    }
    let (_, _, requests) = simulate_tasks(10_000, 1, 16, (0, 0), 1_000, 0);
    assert!(requests <= 0.5, "{requests} requests for each task");
}

#[test]
fn single_worker_rarely_searches() {
    for concurrency in [1, 16] {
        let (refused, queries) = simulate(1, concurrency, (5_000, 20_000), 1_000, 20_000);
        assert!(refused == 0.0, "{refused}");
        assert!(queries <= 0.5, "{queries} queries for each task");
    }
}
