//! Many workers on the same tasks, in simulated time: how often they are in each other's way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::claims::{Claims, ENOUGH, Found, SearchResult, WINDOW};

/// Microseconds.
type Time = u64;

#[derive(Debug, Clone)]
struct Plan {
    workers: usize,
    slots: usize,
    tasks: usize,
    shards: usize,
    /// The least and the most that a body takes.
    body: (Time, Time),
    /// How long a request takes there, and back.
    way: Time,
    /// For how long the index still shows a task that was started.
    lag: Time,
    seed: u64,
}

#[derive(Debug, PartialEq)]
enum Event {
    /// A worker's tour arrives at the table, and has its answer.
    Look(usize),
    Looked(usize, Vec<usize>, Vec<(usize, bool)>),
    /// A start arrives, and has its answer.
    Start(usize, usize),
    Refused(usize, usize),
    Granted(usize),
    Ended(usize, usize),
    /// The index shows a task no more.
    Gone(usize),
}

#[derive(Debug, Default)]
struct Result {
    starts: usize,
    refused: usize,
    queries: usize,
}

struct World {
    plan: Plan,
    rng: fastrand::Rng,
    /// The tasks of each shard that are ready, oldest first.
    ready: BTreeSet<usize>,
    /// The same for each shard, as the index shows them.
    shown: Vec<BTreeSet<usize>>,
    workers: Vec<Worker>,
    events: BTreeMap<(Time, u64), Event>,
    nth: u64,
    result: Result,
}

struct Worker {
    claims: Claims,
    running: usize,
    starting: usize,
    looks: bool,
    done: bool,
}

impl World {
    fn new(plan: Plan) -> Self {
        let mut rng = fastrand::Rng::with_seed(plan.seed);
        let mut shown = vec![BTreeSet::new(); plan.shards];
        for task in 0..plan.tasks {
            shown[rng.usize(..plan.shards)].insert(task);
        }
        let worker = |_| Worker {
            claims: Claims::new(plan.shards, plan.slots, rng.u64(..)),
            running: 0,
            starting: 0,
            looks: false,
            done: false,
        };
        let workers = (0..plan.workers).map(worker).collect();
        let rng = fastrand::Rng::with_seed(plan.seed + 1);
        let ready = (0..plan.tasks).collect();
        Self { plan, rng, ready, shown, workers, events: BTreeMap::new(), nth: 0, result: Result::default() }
    }

    fn run(mut self) -> Result {
        for nth in 0..self.plan.workers {
            let begin = self.rng.u64(..self.plan.way);
            self.fill(nth, begin);
        }
        while let Some(((now, _), event)) = self.events.pop_first() {
            self.happens(event, now);
        }
        assert!(self.ready.is_empty(), "a task was forgotten");
        assert_eq!(self.result.starts - self.result.refused, self.plan.tasks);
        self.result
    }

    fn later(&mut self, at: Time, event: Event) {
        self.nth += 1;
        self.events.insert((at, self.nth), event);
    }

    /// What `Drive` does with free slots.
    fn fill(&mut self, nth: usize, now: Time) {
        let worker = &mut self.workers[nth];
        while worker.running < self.plan.slots
            && let Some(key) = worker.claims.next(Duration::from_micros(now))
        {
            worker.running += 1;
            worker.starting += 1;
            let task = key.parse().unwrap();
            self.nth += 1;
            self.events.insert((now + self.plan.way, self.nth), Event::Start(nth, task));
        }
        let worker = &mut self.workers[nth];
        if worker.running < self.plan.slots && worker.starting == 0 && !worker.looks && !worker.done {
            worker.looks = true;
            self.later(now + self.plan.way, Event::Look(nth));
        }
    }

    fn happens(&mut self, event: Event, now: Time) {
        match event {
            Event::Look(nth) => {
                let (mut keys, mut places) = (Vec::new(), Vec::new());
                for group in self.workers[nth].claims.tour(Duration::from_micros(now)).groups {
                    if keys.len() >= ENOUGH {
                        break;
                    }
                    for place in group {
                        self.result.queries += 1;
                        let before = keys.len();
                        keys.extend(self.shown[place].iter().take(WINDOW).copied());
                        places.push((place, keys.len() > before));
                    }
                }
                self.later(now + self.plan.way, Event::Looked(nth, keys, places));
            }
            Event::Looked(nth, keys, places) => {
                let worker = &mut self.workers[nth];
                worker.looks = false;
                let found = Found {
                    whole: places.len() == self.plan.shards,
                    keys: keys.iter().map(ToString::to_string).collect(),
                    places,
                };
                match worker.claims.take_in(found, Duration::from_micros(now)) {
                    SearchResult::Some => {}
                    SearchResult::Nothing => worker.done = true,
                    SearchResult::Left | SearchResult::Later => {
                        worker.looks = true;
                        let pause = self.rng.u64(10_000..20_000);
                        self.later(now + pause, Event::Look(nth));
                    }
                }
                self.fill(nth, now);
            }
            Event::Start(nth, task) => {
                self.result.starts += 1;
                let was_ready = self.ready.remove(&task);
                let (least, most) = self.plan.body;
                let body = self.rng.u64(least..=most);
                let way = self.plan.way;
                if was_ready {
                    self.later(now + way, Event::Granted(nth));
                    self.later(now + self.plan.lag, Event::Gone(task));
                    self.later(now + self.plan.way + body + self.plan.way, Event::Ended(nth, task));
                } else {
                    self.result.refused += 1;
                    self.later(now + self.plan.way, Event::Refused(nth, task));
                }
            }
            Event::Granted(nth) => {
                self.workers[nth].starting -= 1;
                self.fill(nth, now);
            }
            Event::Gone(task) => {
                for shard in &mut self.shown {
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

/// Runs a plan with several seeds: which part of the starts is refused, and how many queries there are for each task.
fn run(workers: usize, slots: usize, body: (Time, Time), way: Time, lag: Time) -> (f64, f64) {
    const TASKS: usize = 1000;
    const SEEDS: u64 = 8;
    let mut sum = Result::default();
    for seed in 0..SEEDS {
        let result =
            World::new(Plan { workers, slots, tasks: TASKS, shards: 10, body, way, lag, seed }).run();
        sum.starts += result.starts;
        sum.refused += result.refused;
        sum.queries += result.queries;
    }
    let part = |of: usize, all: usize| {
        f64::from(u32::try_from(of).unwrap()) / f64::from(u32::try_from(all).unwrap())
    };
    let (refused, queries) = (part(sum.refused, sum.starts), part(sum.queries, TASKS) / 8.0);
    println!(
        "{workers} workers of {slots}, bodies of {body:?} us, way {way} us, lag {lag} us: {refused:.3} refused, {queries:.2} queries a task"
    );
    (refused, queries)
}

#[test]
fn sixteen_workers_are_rarely_in_each_others_way() {
    for (slots, body, way, lag, most) in [
        // Nothing but claims.
        (1, (0, 1_000), 1_000, 0, 0.05),
        (1, (5_000, 20_000), 1_000, 0, 0.03),
        (4, (50_000, 200_000), 1_000, 0, 0.03),
        (16, (50_000, 200_000), 1_000, 0, 0.05),
        (4, (50_000, 200_000), 10_000, 0, 0.05),
        (16, (50_000, 200_000), 10_000, 0, 0.05),
        (1, (50_000, 200_000), 1_000, 20_000, 0.05),
    ] {
        let (refused, queries) = run(16, slots, body, way, lag);
        assert!(refused <= most, "{refused} of the starts are refused");
        assert!(queries <= 2.0, "{queries} queries for each task");
    }
}

#[test]
fn a_worker_by_itself_looks_rarely() {
    for slots in [1, 16] {
        let (refused, queries) = run(1, slots, (5_000, 20_000), 1_000, 20_000);
        assert!(refused == 0.0, "{refused}");
        assert!(queries <= 0.5, "{queries} queries for each task");
    }
}
