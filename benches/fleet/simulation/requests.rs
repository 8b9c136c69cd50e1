//! The requests that start and end tasks.

use crate::dynamodb::due::{LONGEST_WAIT, may_wait};
use crate::events::{Event, TaskId, Time};
use crate::fleet::World;
use crate::search::TRIES;
use crate::table::{Outcome, Task};
use crate::worker::claims::Chosen;
use crate::worker_state::{Kind, Update, time};

/// How often an end is sent, besides the SDK's own retries.
const SENDS_OF_AN_END: u8 = 6;

/// What the worker knows of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Applied,
    Refused,
    /// Sent again on its own, as a member that was throttled is.
    Alone,
    /// Every try has failed.
    Failed,
}

/// A request that is under way.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    worker: u32,
    members: Vec<Update>,
    answers: Vec<Answer>,
    /// Whether other updates wait until it has ended.
    is_awaited: bool,
    tries: u32,
    /// How long the present try takes, to the table and back.
    latency: Time,
}

/// The requests that are under way, by number.
#[derive(Debug, Default)]
pub(crate) struct InFlights {
    all: Vec<InFlight>,
    free: Vec<u32>,
}

impl InFlights {
    fn add(&mut self, request: InFlight) -> u32 {
        if let Some(number) = self.free.pop() {
            self.all[number as usize] = request;
            return number;
        }
        self.all.push(request);
        self.all.len() as u32 - 1
    }

    fn take(&mut self, number: u32) -> InFlight {
        self.free.push(number);
        std::mem::take(&mut self.all[number as usize])
    }
}

impl World {
    /// Starts the tasks that a worker has chosen. They are due together.
    pub(crate) fn start(&mut self, nth: u32, chosen: Vec<Chosen>, now: Time) {
        if chosen.is_empty() {
            return;
        }
        for Chosen { key, expected } in chosen {
            let kind = if expected.is_some() { Kind::Start } else { Kind::StartOfExpired };
            let update = Update {
                task: key.parse().unwrap_or_default(),
                kind,
                attempt: 0,
                sends: 0,
                is_patient: false,
            };
            if kind == Kind::Start {
                self.workers[nth as usize].updates.push(update);
            } else {
                // A start without an expectation is no statement.
                self.send(nth, vec![update], false, now);
            }
        }
        self.send_due(nth, false, now);
    }

    /// Sends the updates of a worker that are due.
    pub(crate) fn send_due(&mut self, nth: u32, too_long: bool, now: Time) {
        for group in self.workers[nth as usize].updates.take(too_long) {
            self.send(nth, group, true, now);
        }
        let worker = &mut self.workers[nth as usize];
        if worker.updates.is_empty() {
            worker.timer = None;
        } else if worker.timer.is_none() {
            let number = worker.number();
            worker.timer = Some(number);
            self.events.add(now + LONGEST_WAIT.as_micros() as Time, Event::TooLate(nth, number));
        }
    }

    pub(crate) fn on_too_late(&mut self, nth: u32, number: u32, now: Time) {
        let worker = &mut self.workers[nth as usize];
        if worker.timer == Some(number) && !worker.is_dead {
            worker.timer = None;
            self.send_due(nth, true, now);
        }
    }

    fn send(&mut self, worker: u32, members: Vec<Update>, is_awaited: bool, now: Time) {
        let latency = self.latency(members.len());
        let at = self.turn(members.len(), now + latency / 2);
        let request = InFlight { worker, members, answers: Vec::new(), is_awaited, tries: 0, latency };
        let number = self.in_flight.add(request);
        self.events.add(at, Event::Requested(number));
    }

    /// Returns when updates that arrive at a time are done.
    fn turn(&mut self, updates: usize, arrive: Time) -> Time {
        let Some(each) = self.setup.one_by_one else { return arrive };
        self.busy_until = self.busy_until.max(arrive) + each * updates as Time;
        self.busy_until
    }

    /// A request arrives at the table.
    pub(crate) fn on_request(&mut self, number: u32, now: Time) {
        let mut request = std::mem::take(&mut self.in_flight.all[number as usize]);
        self.figures.requests.updates += 1;
        let is_out = self.is_out(now);
        let is_alone = request.members.len() == 1;
        request.answers.clear();
        for &member in &request.members {
            self.figures.throttleable += u64::from(!is_out);
            let outcome = if is_out { Outcome::Throttled } else { self.apply(member, now) };
            request.answers.push(match outcome {
                Outcome::Applied => Answer::Applied,
                Outcome::Refused => Answer::Refused,
                Outcome::Throttled => {
                    self.figures.throttled += u64::from(!is_out);
                    Answer::Alone
                }
            });
        }
        let response = request.latency / 2;
        if is_out || is_alone && request.answers == [Answer::Alone] {
            request.tries += 1;
            if request.tries < TRIES {
                request.latency = self.latency(request.members.len());
                let arrive = now + response + self.backoff(request.tries) + request.latency / 2;
                let at = self.turn(request.members.len(), arrive);
                self.events.add(at, Event::Requested(number));
                self.in_flight.all[number as usize] = request;
                return;
            }
            request.answers.fill(Answer::Failed);
        }
        self.events.add(now + response, Event::Responds(number));
        self.in_flight.all[number as usize] = request;
    }

    fn apply(&mut self, update: Update, now: Time) -> Outcome {
        let Update { task, kind, attempt, .. } = update;
        if kind == Kind::End {
            return self.table.end(task, attempt, now);
        }
        let takes_over = kind == Kind::TakeOver;
        if kind == Kind::StartOfExpired {
            // Its condition fails in any case: the task is in progress.
            self.table.write_units += 1.0;
            self.figures.starts += u64::from(!self.table.is_expired(task, now));
            self.figures.refused += u64::from(!self.table.is_expired(task, now));
            return Outcome::Refused;
        }
        let outcome = self.table.start(task, takes_over, now, &mut self.rng, &mut self.events);
        self.figures.starts += u64::from(outcome != Outcome::Throttled);
        self.figures.refused += u64::from(outcome == Outcome::Refused);
        outcome
    }

    /// A worker receives the response to a request.
    pub(crate) fn on_response(&mut self, number: u32, now: Time) {
        let InFlight { worker: nth, members, answers, is_awaited, .. } = self.in_flight.take(number);
        if self.workers[nth as usize].is_dead {
            return;
        }
        if is_awaited {
            self.workers[nth as usize].updates.end_one();
        }
        let is_alone = members.len() == 1;
        let mut refused = Vec::new();
        for (member, answer) in members.into_iter().zip(answers) {
            match answer {
                Answer::Applied if member.kind == Kind::End => self.on_ended(nth, member.task, true, now),
                Answer::Applied => self.on_started(nth, member.task, now),
                Answer::Refused if is_alone => self.on_refused(nth, member, now),
                Answer::Refused => refused.push(member),
                Answer::Alone => self.send(nth, vec![member], false, now),
                Answer::Failed => self.on_failed(nth, member, now),
            }
        }
        if !refused.is_empty() {
            // One read for all of them.
            self.figures.requests.reads += 1;
            self.table.read_units += refused.len() as f64;
            let at = now + self.latency(refused.len());
            let request = InFlight { worker: nth, members: refused, ..InFlight::default() };
            let number = self.in_flight.add(request);
            self.events.add(at, Event::ReadsImages(number));
        }
        self.send_due(nth, false, now);
        self.fill(nth, now);
    }

    /// A worker has read the items of the members that were refused.
    pub(crate) fn on_images(&mut self, number: u32, now: Time) {
        let InFlight { worker: nth, members, .. } = self.in_flight.take(number);
        if self.workers[nth as usize].is_dead {
            return;
        }
        for member in members {
            self.on_refused(nth, member, now);
        }
        self.send_due(nth, false, now);
        self.fill(nth, now);
    }

    fn on_started(&mut self, nth: u32, task: TaskId, now: Time) {
        let worker = &mut self.workers[nth as usize];
        worker.starting -= 1;
        worker.running += 1;
        worker.pace.on_start(false, time(now));
        let of_task = self.table.tasks[task as usize];
        if of_task.attempt == 1 {
            self.note_wait(now - of_task.due);
        } else {
            self.takeovers += 1;
            self.last_takeover = Some(now);
        }
        let (least, most) = self.setup.body;
        let ends = now + self.rng.u64(least..=most);
        self.events.add(ends, Event::BodyEnds(nth, task));
    }

    fn on_refused(&mut self, nth: u32, member: Update, now: Time) {
        if member.kind == Kind::End {
            return self.on_ended(nth, member.task, false, now);
        }
        let worker = &mut self.workers[nth as usize];
        if member.kind == Kind::StartOfExpired && self.table.is_expired(member.task, now) {
            return worker.updates.push(Update { kind: Kind::TakeOver, ..member });
        }
        worker.starting -= 1;
        worker.claims.refused(&member.task.to_string(), time(now));
        worker.pace.on_start(true, time(now));
        worker.pace.on_answer(time(now));
    }

    /// All tries of an update have failed.
    fn on_failed(&mut self, nth: u32, member: Update, now: Time) {
        let sends = member.sends + 1;
        if member.kind != Kind::End {
            let worker = &mut self.workers[nth as usize];
            worker.starting -= 1;
            worker.claims.on_transient_error(&member.task.to_string(), time(now));
            self.slow_down(nth, now);
        } else if sends < SENDS_OF_AN_END {
            let members = vec![Update { sends, ..member }];
            let number = self.in_flight.add(InFlight { worker: nth, members, ..InFlight::default() });
            self.events.add(now + 50_000 * 4_u64.pow(u32::from(sends) - 1), Event::SendsAgain(number));
        } else {
            self.on_ended(nth, member.task, false, now);
        }
    }

    pub(crate) fn on_sends_again(&mut self, number: u32, now: Time) {
        let InFlight { worker: nth, members, .. } = self.in_flight.take(number);
        if !self.workers[nth as usize].is_dead {
            for member in members {
                self.workers[nth as usize].updates.push(member);
            }
            self.send_due(nth, false, now);
        }
    }

    pub(crate) fn on_body_end(&mut self, nth: u32, task: TaskId, now: Time) {
        let worker = &mut self.workers[nth as usize];
        if !worker.is_dead {
            let Task { attempt, started, .. } = self.table.tasks[task as usize];
            let is_patient = may_wait(time(now - started), self.setup.settings.concurrency);
            worker.updates.push(Update { task, kind: Kind::End, attempt, sends: 0, is_patient });
            self.send_due(nth, false, now);
        }
    }

    fn on_ended(&mut self, nth: u32, task: TaskId, done: bool, now: Time) {
        self.figures.ended += u64::from(done);
        let worker = &mut self.workers[nth as usize];
        worker.running -= 1;
        worker.pace.on_answer(time(now));
        worker.claims.granted(&task.to_string(), done, time(now));
    }
}
