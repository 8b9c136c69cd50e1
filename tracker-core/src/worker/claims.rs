//! Which places a worker looks at next, and how many of the tasks that it finds it claims. Pure.
//!
//! Many workers look at the same tasks, and a row of the index may be taken by the time that it is claimed. Each worker
//! picks at random within a window of the oldest, and no more at once than its rivals leave it: it learns how many there
//! are from the starts that are refused.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

/// How many rows of one place are looked at.
pub(crate) const WINDOW: usize = 100;
/// How many tasks are enough to choose from.
pub(crate) const ENOUGH: usize = 16;
/// How large a part of what was found is to be taken by others, at most, before it is claimed.
const STALE: f64 = 0.04;
/// With how many rivals a worker reckons that has claimed nothing yet.
const RIVALS: f64 = 8.0;
/// How fast it learns.
const LEARNING: f64 = 1.0 / 64.0;
/// How many claims wait for a free slot, for each slot.
const AHEAD: usize = 4;
/// How many tasks are avoided at most.
const AVOIDED: usize = 10_000;

/// What to look at: groups of places, by number. The places of a group are read together, and a group only while not
/// enough was found before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tour {
    pub(crate) groups: Vec<Vec<usize>>,
}

/// What a tour has found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The keys of tasks that can be started.
    pub(crate) keys: Vec<String>,
    /// The places that were read, and whether there was anything.
    pub(crate) places: Vec<(usize, bool)>,
    /// Whether all of the tour was read.
    pub(crate) whole: bool,
}

/// What came of a tour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Catch {
    /// There is something to claim.
    Some,
    /// There is, but it is left to the rivals this time.
    Left,
    /// All that there is was refused a moment ago.
    Avoided,
    /// There is nothing anywhere.
    Nothing,
}

/// A task that is not claimed for a while.
#[derive(Debug)]
struct Avoided {
    until: Duration,
    /// How often it was refused in a row.
    times: u32,
}

/// The claims of one worker.
#[derive(Debug)]
pub(crate) struct Claims {
    rng: fastrand::Rng,
    slots: usize,
    /// The places that had something when they were last looked at; all of them at first.
    promising: HashSet<usize>,
    places: usize,
    /// The number of others that claim among the same tasks, as their effect shows it.
    rivals: f64,
    /// The keys to claim, and among how many each was chosen.
    queue: VecDeque<(String, usize)>,
    claimed: HashMap<String, usize>,
    avoided: HashMap<String, Avoided>,
}

impl Claims {
    pub(crate) fn new(places: usize, slots: usize, seed: u64) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            slots,
            promising: (0..places).collect(),
            places,
            rivals: RIVALS,
            queue: VecDeque::new(),
            claimed: HashMap::new(),
            avoided: HashMap::new(),
        }
    }

    /// Where to look: the places that had something, each by itself and in random order, the first together with one that
    /// had nothing; then all the others.
    pub(crate) fn tour(&mut self) -> Tour {
        let mut order: Vec<usize> = (0..self.places).collect();
        self.rng.shuffle(&mut order);
        let (promising, mut others): (Vec<_>, Vec<_>) =
            order.into_iter().partition(|place| self.promising.contains(place));
        let mut groups: Vec<Vec<usize>> = promising.into_iter().map(|place| vec![place]).collect();
        if let Some(first) = groups.first_mut() {
            first.extend(others.pop());
        }
        if !others.is_empty() {
            groups.push(others);
        }
        Tour { groups }
    }

    /// Takes in what a tour has found.
    pub(crate) fn take_in(&mut self, found: Found, now: Duration) -> Catch {
        for (place, has_some) in found.places {
            if has_some {
                self.promising.insert(place);
            } else {
                self.promising.remove(&place);
            }
        }
        let mut keys = found.keys;
        let avoided = |key: &String| self.avoided.get(key).filter(|avoided| avoided.until > now);
        let soon = keys.iter().any(|key| avoided(key).is_some_and(|avoided| avoided.times <= SOON));
        keys.retain(|key| avoided(key).is_none() && !self.claimed.contains_key(key));
        if keys.is_empty() {
            return if soon || !found.whole { Catch::Avoided } else { Catch::Nothing };
        }
        self.rng.shuffle(&mut keys);
        let among = keys.len();
        let share = self.share(among);
        keys.truncate(share);
        self.queue = keys.into_iter().map(|key| (key, among)).collect();
        if share == 0 { Catch::Left } else { Catch::Some }
    }

    /// How many of so many tasks to claim before looking again.
    fn share(&mut self, among: usize) -> usize {
        let found = f64::from(u32::try_from(among).unwrap_or(u32::MAX));
        let share = found * STALE / self.rivals;
        let most = (self.slots * AHEAD).min(among);
        if share >= 1.0 {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "positive, and bounded"
            )]
            return (share.min(1e6) as usize).clamp(1, most);
        }
        // Where there is less than one for each, most of them let it be.
        let chance = found / (1.0 + 2.0 * self.rivals);
        usize::from(self.rng.f64() < chance)
    }

    /// The next task to claim.
    pub(crate) fn next(&mut self) -> Option<String> {
        let (key, among) = self.queue.pop_front()?;
        self.claimed.insert(key.clone(), among);
        Some(key)
    }

    /// Forgets what was found and not claimed.
    pub(crate) fn drop_found(&mut self) {
        self.queue.clear();
    }

    /// A claim was granted.
    pub(crate) fn granted(&mut self, key: &str) {
        self.learn(key, false);
        self.avoided.remove(key);
    }

    /// A claim was refused, as others were faster: the index may show the task for a moment yet.
    pub(crate) fn refused(&mut self, key: &str, now: Duration) {
        self.learn(key, true);
        let times = self.avoided.get(key).map_or(0, |avoided| avoided.times).saturating_add(1);
        self.insert(key, now.saturating_add(Duration::from_secs(1 << times.min(9))), times, now);
    }

    /// A task cannot be started before this time.
    pub(crate) fn avoid(&mut self, key: &str, until: Duration, now: Duration) {
        self.claimed.remove(key);
        self.insert(key, until, u32::MAX, now);
    }

    pub(crate) fn is_avoided(&self, key: &str, now: Duration) -> bool {
        self.avoided.get(key).is_some_and(|avoided| avoided.until > now)
    }

    /// A claim came to nothing that tells of rivals.
    pub(crate) fn dropped(&mut self, key: &str) {
        self.claimed.remove(key);
    }

    fn insert(&mut self, key: &str, until: Duration, times: u32, now: Duration) {
        if self.avoided.len() >= AVOIDED {
            self.avoided.retain(|_, avoided| avoided.until > now);
            if self.avoided.len() >= AVOIDED {
                self.avoided.clear();
            }
        }
        self.avoided.insert(key.to_owned(), Avoided { until, times });
    }

    fn learn(&mut self, key: &str, refused: bool) {
        if let Some(among) = self.claimed.remove(key) {
            // Of so many, so large a part is gone as there are rivals for each.
            let seen = if refused { f64::from(u32::try_from(among).unwrap_or(u32::MAX)) } else { 0.0 };
            self.rivals += (seen - self.rivals) * LEARNING;
        }
    }

    /// Between half of a wait and the whole, as workers that began together should not look together.
    pub(crate) fn jitter(&mut self, wait: Duration) -> Duration {
        wait / 1000 * self.rng.u32(500..=1000)
    }
}

/// After so many refusals in a row a task is not waited for: what the index says of it is not so.
const SOON: u32 = 2;
