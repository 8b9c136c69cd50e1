//! The loop of the simulation.

use std::time::Duration;

use crate::chance::gap;
use crate::counts::{Figures, Histogram, Second};
use crate::events::{Event, Events, Time};
use crate::requests::InFlights;
use crate::settings::{Arrivals, Setup};
use crate::table::Table;
use crate::worker_state::Worker;

const SECOND: Time = 1_000_000;

pub(crate) struct World {
    pub(crate) setup: Setup,
    pub(crate) rng: fastrand::Rng,
    pub(crate) table: Table,
    pub(crate) workers: Vec<Worker>,
    pub(crate) events: Events,
    pub(crate) in_flight: InFlights,
    pub(crate) figures: Figures,
    pub(crate) is_drain: bool,
    pub(crate) takeovers: u64,
    pub(crate) last_takeover: Option<Time>,
    /// Until when the table does the updates that have arrived.
    pub(crate) busy_until: Time,
    seconds: Vec<Second>,
    /// The waits of this second.
    of_second: Histogram,
}

/// Simulates. `progress` is called once in each simulated second.
pub fn run(setup: Setup, progress: impl FnMut(Time)) -> Figures {
    World::new(setup).run(progress)
}

impl World {
    fn new(setup: Setup) -> Self {
        let mut rng = fastrand::Rng::with_seed(setup.seed);
        let mut events = Events::default();
        let mut table = Table::new(&setup);
        let is_drain = matches!(setup.arrivals, Arrivals::Backlog(_));
        match setup.arrivals {
            Arrivals::Rate(rate) => events.add(gap(&mut rng, rate), Event::Arrives),
            Arrivals::Backlog(tasks) => {
                for task in 0..tasks {
                    table.add_old(Time::from(task) * 1000);
                }
            }
        }
        // All tasks of a backlog are due before the first worker begins.
        let first = if let Arrivals::Backlog(tasks) = setup.arrivals { Time::from(tasks) * 1000 } else { 0 };
        // Workers do not begin at once.
        let latest = if is_drain { setup.latency.median } else { 2 * SECOND };
        let workers = (0..setup.workers as u32).map(|nth| {
            let begins = first + rng.u64(..=latest);
            events.add(begins, Event::Begins(nth));
            Worker::new(&setup, rng.u64(..), begins)
        });
        let workers = workers.collect();
        if let Some(dies) = setup.dies {
            events.add(dies, Event::Dies);
        }
        Self {
            rng,
            table,
            workers,
            events,
            in_flight: InFlights::default(),
            figures: Figures::default(),
            is_drain,
            takeovers: 0,
            last_takeover: None,
            busy_until: 0,
            seconds: Vec::new(),
            of_second: Histogram::default(),
            setup,
        }
    }

    fn run(mut self, mut progress: impl FnMut(Time)) -> Figures {
        let (begins, ends) = self.setup.measured;
        let (mut second, mut events) = (0, 0);
        let mut measured = None;
        while let Some((now, event)) = self.events.next() {
            if now > self.setup.ends {
                break;
            }
            while now / SECOND > second {
                self.end_second(second);
                second += 1;
                progress(second * SECOND);
                if second == begins / SECOND {
                    self.reset();
                }
                if second == ends / SECOND {
                    measured = Some(self.snapshot());
                }
            }
            events += 1;
            self.handle(event, now);
        }
        self.end_second(second);
        let mut figures = measured.unwrap_or_else(|| self.snapshot());
        figures.seconds = self.seconds;
        (figures.takeovers, figures.last_takeover) = (self.takeovers, self.last_takeover);
        figures.events = events;
        figures
    }

    fn handle(&mut self, event: Event, now: Time) {
        match event {
            Event::Arrives => self.on_arrival(now),
            Event::Shows(task) => self.table.show(task),
            Event::Hides(task) => self.table.hide(task),
            Event::Begins(nth) => self.fill(nth, now),
            Event::Wakes(nth, number) => {
                let worker = &mut self.workers[nth as usize];
                if worker.wait == Some(number) {
                    worker.wait = None;
                    self.fill(nth, now);
                }
            }
            Event::Searches(nth, number) => self.on_search_arrives(nth, number, now),
            Event::Finds(nth, number) => self.on_search_end(nth, number, now),
            Event::Requested(number) => self.on_request(number, now),
            Event::Responds(number) => self.on_response(number, now),
            Event::ReadsImages(number) => self.on_images(number, now),
            Event::SendsAgain(number) => self.on_sends_again(number, now),
            Event::BodyEnds(nth, task) => self.on_body_end(nth, task, now),
            Event::TooLate(nth, number) => self.on_too_late(nth, number, now),
            Event::Dies => {
                let half = self.workers.len() / 2;
                for worker in &mut self.workers[..half] {
                    worker.is_dead = true;
                    worker.search = None;
                }
            }
        }
    }

    fn on_arrival(&mut self, now: Time) {
        let Arrivals::Rate(rate) = self.setup.arrivals else { return };
        if !self.is_out(now) {
            self.figures.requests.creates += 1;
            self.table.create(now, now, &mut self.rng, &mut self.events);
        }
        let next = now + gap(&mut self.rng, rate);
        self.events.add(next, Event::Arrives);
    }

    /// Returns whether the table does not work.
    pub(crate) fn is_out(&self, now: Time) -> bool {
        self.setup.outage.is_some_and(|(begins, ends)| (begins..ends).contains(&now))
    }

    /// Draws how long a request and its response take.
    /// Returns how long a request with this many parts takes: as long as its slowest part.
    pub(crate) fn latency(&mut self, parts: usize) -> Time {
        let slowest = (0..parts).map(|_| self.setup.latency.draw(&mut self.rng)).max();
        slowest.unwrap_or_default()
    }

    /// Draws how long the SDK waits after a try has failed.
    pub(crate) fn backoff(&mut self, tries: u32) -> Time {
        let longest = Duration::from_secs(1).as_micros() as Time * 2_u64.pow(tries.saturating_sub(1));
        self.rng.u64(..longest)
    }

    /// Notes how long a task has waited from due to started.
    pub(crate) fn note_wait(&mut self, wait: Time) {
        self.figures.waits.add(wait);
        self.of_second.add(wait);
    }

    fn end_second(&mut self, nth: u64) {
        let (p50, p99) = (self.of_second.quantile(0.5), self.of_second.quantile(0.99));
        self.seconds.push(Second { nth, started: self.of_second.count(), p50, p99 });
        self.of_second.clear();
    }

    fn reset(&mut self) {
        self.figures = Figures::default();
        (self.table.read_units, self.table.write_units) = (0.0, 0.0);
    }

    fn snapshot(&self) -> Figures {
        let (read_units, write_units) = (self.table.read_units, self.table.write_units);
        Figures { read_units, write_units, ..self.figures.clone() }
    }
}
