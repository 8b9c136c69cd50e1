//! Which sources a worker searches next, and how many of the found tasks it claims. Pure.
//!
//! Many workers find the same tasks, and another worker may start a task before we claim it. Each worker picks at
//! random within a window of the oldest tasks. The more [`rivals`](super::rivals) it has, the fewer tasks it claims at once. If
//! rivals leave it fewer tasks than it could run, and the
//! backlog is deeper than the window, it moves its window to a random place of the backlog.

mod deferred;

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use self::deferred::{Deferred, DeferredTasks};
use super::rivals::Rivals;
use crate::protocol::expected::Expected;
use crate::time::Timestamp;

/// How many new tasks of one source are read.
pub(crate) const WINDOW: usize = 100;
/// How many new tasks are enough to choose from.
pub(crate) const ENOUGH: usize = 8;
/// One search in so many begins with the oldest task, however many rivals there are.
const FROM_BEGINNING: u32 = 8;
/// At how many places of a deep source a worker looks for tasks, before it begins with the oldest one.
const PLACES: u32 = 4;
/// For how long a queued claim may be used.
const MAX_QUEUED: Duration = Duration::from_secs(2);
/// How many refusals in a row a drain waits for. After more, the index is wrong about the task.
const MAX_REFUSALS: u32 = 2;
/// How many transient errors in a row a drain waits for. After more, this task itself causes them.
const MAX_ERRORS: u32 = 6;
/// How long the index may show a task as it was before it ended here.
pub(super) const INDEX_LAG: Duration = Duration::from_secs(5);

/// What to search: groups of sources, by number. The sources of a group are read together. A group is read only if
/// the groups before it do not have enough tasks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SearchPlan {
    pub(crate) groups: Vec<Vec<usize>>,
    /// Where to begin reading a source, if not at its oldest task: the first of these places that has tasks after it.
    pub(crate) from: HashMap<usize, Vec<Timestamp>>,
    /// The tasks that do not count.
    pub(crate) excluded: Excluded,
}

/// The tasks that do not count for a search, because they are deferred or run here. The keys are shared: a worker may run
/// 100,000 tasks, and each search has a copy.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Excluded {
    deferred: HashSet<Arc<str>>,
    claimed: HashSet<Arc<str>>,
}

impl Excluded {
    pub(crate) fn contains(&self, key: &str) -> bool {
        self.claimed.contains(key) || self.deferred.contains(key)
    }
}

impl SearchPlan {
    /// Takes a source out of the plan.
    pub(crate) fn leave_out(&mut self, source: usize) {
        for group in &mut self.groups {
            group.retain(|nth| *nth != source);
        }
        self.groups.retain(|group| !group.is_empty());
    }
}

/// What a search has found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The keys of tasks that can be started, including the excluded ones.
    pub(crate) keys: Vec<String>,
    /// Those of the tasks whose last two attempts were lost. Such a task may kill its process.
    pub(crate) suspects: HashSet<String>,
    /// What the index shows of the tasks that are ready.
    pub(crate) expected: HashMap<String, Expected>,
    /// The sources that were read.
    pub(crate) sources: Vec<SourceRead>,
    /// Whether all groups of the plan were read.
    pub(crate) is_complete: bool,
}

/// What a search has read of a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SourceRead {
    /// The number of the source.
    pub(crate) source: usize,
    /// Whether it has a task that is not excluded.
    pub(crate) has_tasks: bool,
    /// When its oldest task became ready, if its beginning was read and more tasks are there than were read.
    pub(crate) deep_since: Option<Timestamp>,
    /// From where on it has no tasks, if that was found.
    pub(crate) empty_from: Option<Timestamp>,
    /// When the oldest task became ready that is neither excluded nor was created for a later time.
    pub(crate) oldest: Option<Timestamp>,
}

/// What a search means for the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SearchResult {
    /// Tasks are queued to be claimed.
    Some,
    /// There is nothing to claim now, but tasks that are worth waiting for may come back.
    Later,
    /// There is nothing to claim.
    Nothing,
}

/// A task that the worker claims now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) key: String,
    /// What the index shows of the task, if it is ready.
    pub(crate) expected: Option<Expected>,
}

/// A task to claim.
#[derive(Debug)]
struct Queued {
    key: String,
    expected: Option<Expected>,
    is_suspect: bool,
}

/// The claims of one worker.
#[derive(Debug)]
pub(crate) struct Claims {
    rng: fastrand::Rng,
    /// The sources that had tasks when they were last read; all of them at first.
    promising: HashSet<usize>,
    /// The number of sources.
    sources: usize,
    /// The part of each source in which its tasks became ready, for the sources that are deeper than a window.
    deep: HashMap<usize, Range<Timestamp>>,
    rivals: Rivals,
    /// Whether the worker claims as many tasks as it can run, because its [pace](super::pace) keeps rivals apart.
    takes_all: bool,
    /// The tasks to claim.
    queue: VecDeque<Queued>,
    /// The suspect that is claimed or runs here. There is at most one, so that a task that kills its process does not
    /// take along healthy tasks that were lost together with it.
    suspect: Option<String>,
    found_at: Duration,
    /// The keys that are claimed or run here.
    claimed: HashSet<Arc<str>>,
    deferred: DeferredTasks,
}

impl Claims {
    pub(crate) fn new(sources: usize, concurrency: usize, seed: u64) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            promising: (0..sources).collect(),
            sources,
            deep: HashMap::new(),
            rivals: Rivals::new(concurrency),
            takes_all: false,
            queue: VecDeque::new(),
            suspect: None,
            found_at: Duration::ZERO,
            claimed: HashSet::new(),
            deferred: DeferredTasks::default(),
        }
    }

    /// Claims as many tasks as it can run.
    pub(crate) fn take_all(mut self) -> Self {
        self.takes_all = true;
        self
    }

    /// Plans the next search: first each source that had tasks, alone and in random order, then all the others
    /// together. One of the others is read with the first source, so that each has its turn.
    pub(crate) fn plan(&mut self, now: Duration) -> SearchPlan {
        let from = self.random_places();
        let mut order: Vec<usize> = (0..self.sources).collect();
        self.rng.shuffle(&mut order);
        let (promising, mut others): (Vec<_>, Vec<_>) =
            order.into_iter().partition(|source| self.promising.contains(source));
        let mut groups: Vec<Vec<usize>> = promising.into_iter().map(|source| vec![source]).collect();
        if let Some(first) = groups.first_mut() {
            first.extend(others.pop());
        }
        if !others.is_empty() {
            groups.push(others);
        }
        let deferred = self.deferred.active(now).map(|(key, _)| Arc::clone(key)).collect();
        let excluded = Excluded { deferred, claimed: self.claimed.clone() };
        SearchPlan { groups, from, excluded }
    }

    /// Returns whether another source than this one had tasks when it was last read.
    pub(crate) fn expects_tasks_besides(&self, source: usize) -> bool {
        self.promising.iter().any(|promising| *promising != source)
    }

    /// Returns a random place of each source that is deep, if rivals leave fewer tasks than could run here.
    fn random_places(&mut self) -> HashMap<usize, Vec<Timestamp>> {
        // Now and then from the beginning, so that the oldest task has its turn.
        if !self.rivals.crowd_a_window() || self.rng.u32(..FROM_BEGINNING) == 0 {
            return HashMap::new();
        }
        let mut places: Vec<_> = self.deep.iter().map(|(source, ready)| (*source, ready.clone())).collect();
        places.sort_unstable_by_key(|(source, _)| *source);
        let rng = &mut self.rng;
        let mut place = |ready: Range<Timestamp>| {
            let random = ready.end.since(ready.start).mul_f64(rng.f64());
            // No task may have become ready for a long time.
            (0..PLACES).map(|nth| ready.start.plus(random / 2_u32.pow(nth))).collect()
        };
        places.into_iter().map(|(source, ready)| (source, place(ready))).collect()
    }

    /// Notes how deep a source is.
    fn note_depth(&mut self, read: &SourceRead, wall: Timestamp) {
        if let Some(oldest) = read.deep_since {
            let ready = self.deep.entry(read.source).or_insert(oldest..wall);
            ready.start = oldest;
        }
        if let (Some(empty_from), Some(ready)) = (read.empty_from, self.deep.get_mut(&read.source)) {
            ready.end = empty_from;
        }
        let is_deep = self.deep.get(&read.source).is_some_and(|ready| ready.start < ready.end);
        if !is_deep || !read.has_tasks {
            self.deep.remove(&read.source);
        }
    }

    /// Queues claims on some of the found tasks.
    pub(crate) fn take_found(&mut self, found: Found, wall: Timestamp, now: Duration) -> SearchResult {
        for read in &found.sources {
            if read.has_tasks {
                self.promising.insert(read.source);
            } else {
                self.promising.remove(&read.source);
            }
            self.note_depth(read, wall);
        }
        let mut keys = found.keys;
        let deferred = |key: &str| self.deferred.get(key).filter(|deferred| deferred.is_active(now));
        let later = keys.iter().any(|key| deferred(key).is_some_and(|deferred| deferred.awaited));
        keys.retain(|key| deferred(key).is_none() && !self.claimed.contains(key.as_str()));
        if keys.is_empty() {
            self.rivals.share(0);
            // An incomplete search found enough, but those tasks may have been claimed or deferred during the search.
            return if later || !found.is_complete { SearchResult::Later } else { SearchResult::Nothing };
        }
        self.rng.shuffle(&mut keys);
        let mut has_suspect = self.suspect.is_some();
        keys.retain(|key| !found.suspects.contains(key) || !std::mem::replace(&mut has_suspect, true));
        if keys.is_empty() {
            return SearchResult::Later;
        }
        let share = if self.takes_all {
            self.rivals.all(keys.len(), self.claimed.len())
        } else {
            self.rivals.share(keys.len())
        };
        keys.truncate(share);
        let queued = |key: String| Queued {
            is_suspect: found.suspects.contains(&key),
            expected: found.expected.get(&key).copied(),
            key,
        };
        self.queue = keys.into_iter().map(queued).collect();
        self.found_at = now;
        SearchResult::Some
    }

    /// Returns the next task to claim, if it was found recently.
    pub(crate) fn next(&mut self, now: Duration) -> Option<Chosen> {
        if now.saturating_sub(self.found_at) > MAX_QUEUED {
            self.queue.clear();
        }
        let suspect = self.suspect.is_some();
        self.queue.retain(|queued| !(suspect && queued.is_suspect));
        let Queued { key, expected, is_suspect } = self.queue.pop_front()?;
        if is_suspect {
            self.suspect = Some(key.clone());
        }
        self.claimed.insert(key.as_str().into());
        Some(Chosen { key, expected })
    }

    /// Forgets the tasks that were found and not claimed.
    pub(crate) fn drop_found(&mut self) {
        self.queue.clear();
    }

    /// Notes that a claim was granted and its attempt has ended. If the task is `done`, the index may still show it.
    pub(crate) fn granted(&mut self, key: &str, done: bool, now: Duration) {
        self.learn(key, false);
        self.deferred.remove(key);
        if done {
            let until = now.saturating_add(INDEX_LAG);
            self.deferred.insert(key, Deferred { until, times: 0, awaited: false, has_ended: true }, now);
        }
    }

    /// Notes that a claim was refused because another worker was faster. The index may still show the task.
    pub(crate) fn refused(&mut self, key: &str, now: Duration) {
        self.learn(key, true);
        self.defer(key, MAX_REFUSALS, now);
    }

    /// Notes that a claim met a transient error, which this task alone may cause.
    pub(crate) fn on_transient_error(&mut self, key: &str, now: Duration) {
        self.end_claim(key);
        self.defer(key, MAX_ERRORS, now);
    }

    /// Defers a task, for twice as long each time. A drain waits for it the first `awaited` times only.
    fn defer(&mut self, key: &str, awaited: u32, now: Duration) {
        let times = self.deferred.get(key).map_or(0, |deferred| deferred.times).saturating_add(1);
        let until = now.saturating_add(Duration::from_secs(1 << times.min(9)));
        self.deferred.insert(
            key,
            Deferred { until, times, awaited: times <= awaited, has_ended: false },
            now,
        );
    }

    /// Defers a task until a time. A drain waits for it if it is `awaited`.
    pub(crate) fn defer_until(&mut self, key: &str, until: Duration, awaited: bool, now: Duration) {
        self.end_claim(key);
        self.deferred.insert(key, Deferred { until, times: 0, awaited, has_ended: false }, now);
    }

    /// Defers a task that cannot be read. No drain waits for it.
    pub(crate) fn defer_unreadable(&mut self, key: &str, until: Duration, now: Duration) {
        self.end_claim(key);
        self.deferred.insert(key, Deferred { until, times: 0, awaited: false, has_ended: true }, now);
    }

    /// Returns the tasks that have ended here recently, and those that cannot be read.
    pub(crate) fn ended(&self, now: Duration) -> HashSet<String> {
        let ended = self.deferred.active(now).filter(|(_, deferred)| deferred.has_ended);
        ended.map(|(key, _)| String::from(&**key)).collect()
    }

    pub(crate) fn is_deferred(&self, key: &str, now: Duration) -> bool {
        self.deferred.get(key).is_some_and(|deferred| deferred.is_active(now))
    }

    /// Forgets a claim. Returns whether there was one.
    fn end_claim(&mut self, key: &str) -> bool {
        self.suspect.take_if(|suspect| suspect == key);
        self.claimed.remove(key)
    }

    fn learn(&mut self, key: &str, refused: bool) {
        if self.end_claim(key) {
            self.rivals.learn(refused);
        }
    }

    /// Returns whether to leave the tasks to the rivals for now, without a search.
    pub(crate) fn leaves_to_rivals(&mut self) -> bool {
        self.rivals.leaves_to_rivals(&mut self.rng)
    }

    /// Returns half of a wait to all of it.
    pub(crate) fn jitter(&mut self, wait: Duration) -> Duration {
        jitter(&mut self.rng, wait)
    }
}

/// Returns half of a wait to all of it, so that workers that began together do not search together.
pub(super) fn jitter(rng: &mut fastrand::Rng, wait: Duration) -> Duration {
    wait / 1000 * rng.u32(500..=1000)
}

#[cfg(test)]
mod tests;
