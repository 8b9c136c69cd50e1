//! The searches of the workers.

use std::collections::HashMap;
use std::vec;

use crate::events::{Event, TaskId, Time};
use crate::fleet::World;
use crate::protocol::expected::Expected;
use crate::table::Row;
use crate::time::Timestamp;
use crate::worker::claims::{Excluded, SearchPlan, SearchResult, WINDOW};
use crate::worker::pace::{Slots, Step};
use crate::worker::reading::{Reading, Window, pages};
use crate::worker_state::time;

/// How many sources of a group are read at the same time.
const READERS: usize = 8;
/// How many items are read in one request.
const KEYS_PER_GET: usize = 100;
/// How often the SDK sends a request.
pub(crate) const TRIES: u32 = 3;

/// A search that is under way.
pub(crate) struct Search {
    nth: u32,
    groups: vec::IntoIter<Vec<usize>>,
    group: Vec<usize>,
    from: HashMap<usize, Vec<Timestamp>>,
    excluded: Excluded,
    reading: Reading,
    /// How long the present try takes, to the table and back.
    latency: Time,
    /// How often the group was read in vain.
    tries: u32,
    /// When the response to the read of the pause comes.
    pause_read: Time,
    has_failed: bool,
    /// Whether every group was read.
    is_complete: bool,
}

/// What a group of sources has, or that a request was throttled.
type Read = Option<(Vec<Scan>, u64)>;

struct Scan {
    window: Window,
    keys: Vec<String>,
    expected: HashMap<String, Expected>,
    suspects: Vec<String>,
    /// How many pages were read one after the other.
    pages: u64,
}

/// Returns a time as the items have it.
pub(crate) fn timestamp(at: Time) -> Timestamp {
    Timestamp::EPOCH.plus(time(at))
}

impl World {
    /// Claims and searches as the run loop of a worker does.
    pub(crate) fn fill(&mut self, nth: u32, now: Time) {
        let concurrency = self.setup.settings.concurrency;
        let worker = &mut self.workers[nth as usize];
        if worker.is_dead || worker.is_done {
            return;
        }
        let mut chosen = Vec::new();
        while worker.running + worker.starting < concurrency
            && !(worker.pace.is_slow() && worker.wait.is_some())
            && let Some(next) = worker.claims.next(time(now))
        {
            worker.starting += 1;
            chosen.push(next);
        }
        self.start(nth, chosen, now);
        let worker = &mut self.workers[nth as usize];
        let has_room = worker.running < concurrency && worker.starting == 0;
        if !has_room || worker.search.is_some() || worker.wait.is_some() {
            return;
        }
        let slots = Slots { running: worker.running, concurrency, drains: self.is_drain };
        match worker.pace.step(&mut worker.claims, slots, time(now)) {
            Step::Wait(wait) => self.wait(nth, wait, now),
            Step::Search(plan) => self.begin_search(nth, plan, now),
        }
    }

    /// Waits before the next search.
    pub(crate) fn wait(&mut self, nth: u32, wait: std::time::Duration, now: Time) {
        let worker = &mut self.workers[nth as usize];
        let wait = worker.claims.jitter(wait).as_micros() as Time;
        let number = worker.number();
        worker.wait = Some(number);
        self.events.add(now + wait, Event::Wakes(nth, number));
    }

    fn begin_search(&mut self, nth: u32, plan: SearchPlan, now: Time) {
        let SearchPlan { groups, from, excluded } = plan;
        let mut groups = groups.into_iter();
        let group = groups.next().unwrap_or_default();
        let pause_read = self.read_pause(now);
        let latency = self.latency(group.len().min(READERS));
        let worker = &mut self.workers[nth as usize];
        let number = worker.number();
        worker.search = Some(Box::new(Search {
            nth: number,
            group,
            groups,
            from,
            excluded,
            reading: Reading::default(),
            latency,
            tries: 0,
            pause_read,
            has_failed: false,
            is_complete: false,
        }));
        self.events.add(now + latency / 2, Event::Searches(nth, number));
    }

    /// Reads whether the step is paused. Returns when the response comes. Without an answer, the worker goes on.
    fn read_pause(&mut self, now: Time) -> Time {
        let mut at = now;
        for nth in 1..=TRIES {
            self.figures.requests.pauses += 1;
            self.figures.throttleable += 1;
            at += self.latency(1);
            if !self.is_out(at) && self.table.read_pause(now) {
                break;
            }
            self.figures.throttled += u64::from(!self.is_out(at));
            at += if nth < TRIES { self.backoff(nth) } else { 0 };
        }
        at
    }

    /// The next group of a search arrives at the table.
    pub(crate) fn on_search_arrives(&mut self, nth: u32, number: u32, now: Time) {
        let found = self.workers[nth as usize].search.take_if(|search| search.nth == number);
        let Some(mut search) = found else { return };
        let response = search.latency / 2;
        if let Some((scans, waves)) = self.read_group(&search, now) {
            for Scan { window, keys, expected, suspects, .. } in scans {
                search.reading.add(&window, keys, expected, suspects);
            }
            search.tries = 0;
            let mut at = now + response;
            for _ in 1..waves {
                at += self.latency(search.group.len().min(READERS));
            }
            match search.groups.next() {
                Some(group) if !search.reading.has_enough() => {
                    search.latency = self.latency(group.len().min(READERS));
                    search.group = group;
                    self.events.add(at + search.latency / 2, Event::Searches(nth, number));
                }
                group => {
                    search.is_complete = group.is_none();
                    self.events.add(at.max(search.pause_read), Event::Finds(nth, number));
                }
            }
        } else {
            search.tries += 1;
            if search.tries < TRIES {
                search.latency = self.latency(search.group.len().min(READERS));
                let at = now + response + self.backoff(search.tries) + search.latency / 2;
                self.events.add(at, Event::Searches(nth, number));
            } else {
                search.has_failed = true;
                self.events.add(now + response, Event::Finds(nth, number));
            }
        }
        self.workers[nth as usize].search = Some(search);
    }

    /// Reads the sources of a group. Returns what they have, and how many requests follow one another.
    fn read_group(&mut self, search: &Search, now: Time) -> Read {
        let sources = search.group.len() as u64;
        if self.is_out(now) {
            self.figures.requests.queries += sources;
            return None;
        }
        let [pending, _, failed, ..] = self.setup.settings.shards.map(|shards| shards as usize);
        let (mut scans, mut most_pages) = (Vec::with_capacity(search.group.len()), 1);
        for &source in &search.group {
            let from = search.from.get(&source).cloned().unwrap_or_default();
            let mut scan = Scan {
                window: Window::new(source, from),
                keys: Vec::new(),
                expected: HashMap::new(),
                suspects: Vec::new(),
                pages: 0,
            };
            let is_read = if source < pending {
                self.read_ready(&mut scan, source, &search.excluded, now)
            } else if source < pending + failed {
                scan.window.end_range();
                scan.pages = 1;
                self.read_page(Row::Failed(source - pending), 0, now)
            } else {
                self.read_expired(&mut scan, &search.excluded, now)
            };
            if !is_read {
                return None;
            }
            most_pages = most_pages.max(scan.pages);
            scans.push(scan);
        }
        Some((scans, sources.div_ceil(READERS as u64) + most_pages - 1))
    }

    fn read_page(&mut self, row: Row, rows: usize, now: Time) -> bool {
        match row {
            Row::InProgress(_) => self.figures.requests.expired += 1,
            _ => self.figures.requests.queries += 1,
        }
        self.figures.throttleable += 1;
        let has_units = self.table.read_page(row, rows, now);
        self.figures.throttled += u64::from(!has_units);
        has_units
    }

    fn read_ready(&mut self, scan: &mut Scan, shard: usize, excluded: &Excluded, now: Time) -> bool {
        while !scan.window.has_ended() {
            let from = scan.window.from();
            let after = from.map_or(0, |from| from.since(Timestamp::EPOCH).as_micros() as Time);
            let mut sizes = pages(WINDOW);
            let mut left = sizes.next().unwrap_or(WINDOW);
            let mut rows = 0;
            let mut full = Vec::new();
            for &(ready, task) in self.table.pending[shard].range((after, TaskId::MIN)..) {
                if left == 0 {
                    full.push(rows);
                    rows = 0;
                    left = sizes.next().unwrap_or(WINDOW);
                }
                (rows, left) = (rows + 1, left - 1);
                let key = task.to_string();
                let is_new = !excluded.contains(&key);
                scan.expected.insert(key.clone(), Expected { status: 0, has_run_at: false });
                scan.keys.push(key);
                if scan.window.add(is_new, || Some(timestamp(ready)), || Some(timestamp(ready))) {
                    // The whole page was read.
                    rows += left;
                    break;
                }
            }
            full.push(rows);
            scan.pages += full.len() as u64;
            for rows in full {
                if !self.read_page(Row::Pending(shard), rows, now) {
                    return false;
                }
            }
            scan.window.end_range();
        }
        true
    }

    /// Reads the tasks in progress whose leases have expired. The worker remembers those that it has found alive.
    fn read_expired(&mut self, scan: &mut Scan, excluded: &Excluded, now: Time) -> bool {
        let before = self.table.stale_before(now);
        let mut rows = Vec::new();
        for shard in 0..self.table.in_progress.len() {
            let stale = self.table.in_progress[shard].range(..(before, TaskId::MIN));
            let of_shard: Vec<(Time, TaskId)> = stale.take(WINDOW).copied().collect();
            if !self.read_page(Row::InProgress(shard), of_shard.len(), now) {
                return false;
            }
            rows.extend(of_shard);
        }
        rows.sort_unstable();
        let mut read = 0_u32;
        for (_, task) in rows {
            if !self.table.is_expired(task, now) {
                continue;
            }
            read += 1;
            let key = task.to_string();
            let is_new = !excluded.contains(&key);
            if self.table.tasks[task as usize].attempt > 1 {
                scan.suspects.push(key.clone());
            }
            scan.keys.push(key);
            if scan.window.add(is_new, || None, || None) {
                break;
            }
        }
        let requests = u64::from(read).div_ceil(KEYS_PER_GET as u64);
        self.figures.requests.reads += requests;
        self.table.read_units += f64::from(read) / 2.0;
        scan.pages = requests + self.table.in_progress.len().div_ceil(READERS) as u64;
        scan.window.end_range();
        true
    }

    /// A worker receives what its search has found.
    pub(crate) fn on_search_end(&mut self, nth: u32, number: u32, now: Time) {
        let worker = &mut self.workers[nth as usize];
        let found = worker.search.take_if(|search| search.nth == number);
        let Some(search) = found.filter(|_| !worker.is_dead) else { return };
        if search.has_failed {
            self.slow_down(nth, now);
            return self.fill(nth, now);
        }
        worker.pace.on_search_end(time(now));
        let found = search.reading.end(search.is_complete);
        worker.pace.on_read(&found.sources, timestamp(now), time(now));
        match worker.claims.take_found(found, timestamp(now), time(now)) {
            SearchResult::Nothing if self.is_drain && worker.pace.has_left_out() => {}
            SearchResult::Nothing if self.is_drain && worker.running == 0 => worker.is_done = true,
            result => {
                if let Some(wait) = worker.pace.after(result) {
                    self.wait(nth, wait, now);
                }
            }
        }
        self.fill(nth, now);
    }

    /// Claims less for a while, because the table is in trouble.
    pub(crate) fn slow_down(&mut self, nth: u32, now: Time) {
        let worker = &mut self.workers[nth as usize];
        worker.claims.drop_found();
        if let Some(wait) = worker.pace.slow_down(worker.wait.is_some(), time(now)) {
            worker.search = None;
            self.wait(nth, wait, now);
        }
    }
}
