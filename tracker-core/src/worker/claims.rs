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
const RIVALS: f64 = 4.0;
/// How fast it learns.
const LEARNING: f64 = 1.0 / 64.0;
/// How many claims wait for a free slot, for each slot, and for how long they may.
const AHEAD: usize = 4;
const FRESH: Duration = Duration::from_secs(2);
/// After so many refusals in a row a task is not waited for: what the index says of it is not so.
const REFUSALS: u32 = 2;
/// After so many troubles in a row neither: it is this task that they come from.
const TROUBLES: u32 = 6;
/// How long the index may show a task as it was before it ended here.
const LAG: Duration = Duration::from_secs(5);
/// How many tasks are set aside at most.
const MOST_ASIDE: usize = 10_000;

/// What to look at: groups of places, by number. The places of a group are read together, and a group only while not
/// enough was found before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SearchPlan {
    pub(crate) groups: Vec<Vec<usize>>,
    /// The tasks that are set aside or at work here, and do not count.
    pub(crate) without: HashSet<String>,
}

/// What a tour has found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The keys of tasks that can be started, also of those that do not count.
    pub(crate) keys: Vec<String>,
    /// The places that were read, and whether there was anything that counts.
    pub(crate) places: Vec<(usize, bool)>,
    /// Whether all of the tour was read.
    pub(crate) whole: bool,
}

/// What came of a tour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SearchResult {
    /// There is something to claim.
    Some,
    /// There is, but it is left to the rivals this time.
    Left,
    /// What there is was set aside, and is worth waiting for.
    Later,
    /// There is nothing.
    Nothing,
}

/// A task that is not claimed for a while.
#[derive(Debug)]
struct Deferred {
    until: Duration,
    /// How often in a row.
    times: u32,
    /// Whether it is waited for.
    awaited: bool,
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
    /// Whether the last claim was refused.
    lost_last_race: bool,
    /// The keys to claim, among how many each was chosen, and when.
    queue: VecDeque<(String, usize)>,
    found_at: Duration,
    claimed: HashMap<String, usize>,
    aside: HashMap<String, Deferred>,
}

impl Claims {
    pub(crate) fn new(places: usize, slots: usize, seed: u64) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            slots,
            promising: (0..places).collect(),
            places,
            rivals: RIVALS,
            lost_last_race: false,
            queue: VecDeque::new(),
            found_at: Duration::ZERO,
            claimed: HashMap::new(),
            aside: HashMap::new(),
        }
    }

    /// Where to look: the places that had something, each by itself and in random order, the first together with one that
    /// had nothing; then all the others.
    pub(crate) fn tour(&mut self, now: Duration) -> SearchPlan {
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
        let aside = self.aside.iter().filter(|(_, aside)| aside.until > now).map(|(key, _)| key);
        SearchPlan { groups, without: aside.chain(self.claimed.keys()).cloned().collect() }
    }

    /// Takes in what a tour has found.
    pub(crate) fn take_in(&mut self, found: Found, now: Duration) -> SearchResult {
        for (place, has_some) in found.places {
            if has_some {
                self.promising.insert(place);
            } else {
                self.promising.remove(&place);
            }
        }
        let mut keys = found.keys;
        let aside = |key: &String| self.aside.get(key).filter(|aside| aside.until > now);
        let later = keys.iter().any(|key| aside(key).is_some_and(|aside| aside.awaited));
        keys.retain(|key| aside(key).is_none() && !self.claimed.contains_key(key));
        if keys.is_empty() {
            // What was found first may have been claimed or set aside while the tour was under way.
            return if later || !found.whole { SearchResult::Later } else { SearchResult::Nothing };
        }
        self.rng.shuffle(&mut keys);
        let among = keys.len();
        let share = self.share(among);
        keys.truncate(share);
        self.queue = keys.into_iter().map(|key| (key, among)).collect();
        self.found_at = now;
        if share == 0 { SearchResult::Left } else { SearchResult::Some }
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
        // Where there is less than one for each, whoever was beaten to the last lets it be now and then.
        let chance = if self.lost_last_race { found / (1.0 + 2.0 * self.rivals) } else { 1.0 };
        usize::from(self.rng.f64() < chance)
    }

    /// The next task to claim, if it was found just now.
    pub(crate) fn next(&mut self, now: Duration) -> Option<String> {
        if now.saturating_sub(self.found_at) > FRESH {
            self.queue.clear();
        }
        let (key, among) = self.queue.pop_front()?;
        self.claimed.insert(key.clone(), among);
        Some(key)
    }

    /// Forgets what was found and not claimed.
    pub(crate) fn drop_found(&mut self) {
        self.queue.clear();
    }

    /// A claim was granted, and the attempt has ended; where the task is `done`, the index may not show it at once.
    pub(crate) fn granted(&mut self, key: &str, done: bool, now: Duration) {
        self.learn(key, false);
        self.aside.remove(key);
        if done {
            self.insert(key, Deferred { until: now.saturating_add(LAG), times: 0, awaited: false }, now);
        }
    }

    /// A claim was refused, as others were faster: the index may show the task for a moment yet.
    pub(crate) fn refused(&mut self, key: &str, now: Duration) {
        self.learn(key, true);
        self.defer(key, REFUSALS, now);
    }

    /// A claim met with trouble, which may be that of the task alone.
    pub(crate) fn on_transient_error(&mut self, key: &str, now: Duration) {
        self.claimed.remove(key);
        self.defer(key, TROUBLES, now);
    }

    /// A task is left alone for twice as long each time, and waited for only so often.
    fn defer(&mut self, key: &str, awaited: u32, now: Duration) {
        let times = self.aside.get(key).map_or(0, |aside| aside.times).saturating_add(1);
        let until = now.saturating_add(Duration::from_secs(1 << times.min(9)));
        self.insert(key, Deferred { until, times, awaited: times <= awaited }, now);
    }

    /// A task is not to be claimed before a time.
    pub(crate) fn set_aside(&mut self, key: &str, until: Duration, awaited: bool, now: Duration) {
        self.claimed.remove(key);
        self.insert(key, Deferred { until, times: 0, awaited }, now);
    }

    pub(crate) fn is_aside(&self, key: &str, now: Duration) -> bool {
        self.aside.get(key).is_some_and(|aside| aside.until > now)
    }

    fn insert(&mut self, key: &str, aside: Deferred, now: Duration) {
        if self.aside.len() >= MOST_ASIDE {
            self.aside.retain(|_, aside| aside.until > now);
            if self.aside.len() >= MOST_ASIDE {
                self.aside.clear();
            }
        }
        self.aside.insert(key.to_owned(), aside);
    }

    fn learn(&mut self, key: &str, refused: bool) {
        if let Some(among) = self.claimed.remove(key) {
            // Of so many, so large a part is gone as there are rivals for each.
            let seen = if refused { f64::from(u32::try_from(among).unwrap_or(u32::MAX)) } else { 0.0 };
            self.rivals += (seen - self.rivals) * LEARNING;
            self.lost_last_race = refused;
        }
    }

    /// Between half of a wait and the whole, as workers that began together should not look together.
    pub(crate) fn jitter(&mut self, wait: Duration) -> Duration {
        wait / 1000 * self.rng.u32(500..=1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn found(keys: &[&str]) -> Found {
        Found { keys: keys.iter().map(|key| (*key).to_owned()).collect(), places: Vec::new(), whole: true }
    }

    fn claims() -> Claims {
        Claims::new(4, 2, 1)
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn a_tour_goes_everywhere_once() {
        let mut claims = claims();
        let mut all: Vec<_> = claims.tour(NOW).groups.concat();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3]);
        let places = vec![(0, false), (1, true), (2, false), (3, false)];
        claims.take_in(Found { places, ..found(&[]) }, NOW);
        let groups = claims.tour(NOW).groups;
        assert!(
            groups[0].len() == 2 && groups[0][0] == 1,
            "what had something, and one of the others: {groups:?}"
        );
        assert_eq!(groups[1].len(), 2, "{groups:?}");
        let tours: HashSet<_> = (0..20).map(|_| claims.tour(NOW).groups[0][1]).collect();
        assert_eq!(tours.len(), 3, "each of the others comes to its turn");
    }

    #[test]
    fn what_was_refused_is_left_for_a_while() {
        let mut claims = claims();
        assert_eq!(claims.take_in(found(&[]), NOW), SearchResult::Nothing);
        assert_eq!(claims.take_in(found(&["a"]), NOW), SearchResult::Some);
        let key = claims.next(NOW).unwrap();
        assert!(claims.tour(NOW).without.contains("a"));
        assert_eq!(claims.take_in(found(&["a"]), NOW), SearchResult::Nothing, "it is at work here");
        claims.refused(&key, NOW);
        assert!(claims.tour(NOW).without.contains("a"));
        assert_eq!(claims.take_in(found(&["a"]), NOW), SearchResult::Later);
        let later = NOW + secs(2);
        assert!(!claims.tour(later).without.contains("a"));
        // Beaten once, it may let it be.
        while claims.take_in(found(&["a"]), later) != SearchResult::Some {}
        let key = claims.next(later).unwrap();
        claims.set_aside(&key, later + secs(60), false, later);
        assert_eq!(claims.take_in(found(&["a"]), later + secs(59)), SearchResult::Nothing, "not waited for");
        claims.set_aside(&key, later + secs(60), true, later);
        assert_eq!(claims.take_in(found(&["a"]), later + secs(59)), SearchResult::Later);
        claims.granted(&key, false, later);
        assert!(!claims.is_aside(&key, later));
    }

    #[test]
    fn what_is_done_is_not_claimed_again_while_the_index_lags() {
        let mut claims = claims();
        assert_eq!(claims.take_in(found(&["a"]), NOW), SearchResult::Some);
        let key = claims.next(NOW).unwrap();
        claims.granted(&key, true, NOW);
        assert_eq!(claims.take_in(found(&["a"]), NOW + secs(4)), SearchResult::Nothing);
        assert_eq!(claims.take_in(found(&["a"]), NOW + secs(6)), SearchResult::Some, "it was redriven, say");
    }

    #[test]
    fn what_is_always_in_trouble_is_not_waited_for_at_last() {
        for (limit, trouble) in [
            (REFUSALS, Claims::refused as fn(&mut Claims, &str, Duration)),
            (TROUBLES, Claims::on_transient_error),
        ] {
            let mut claims = claims();
            let mut now = NOW;
            for nth in 1..=limit + 1 {
                while claims.take_in(found(&["a"]), now) != SearchResult::Some {}
                let key = claims.next(now).unwrap();
                trouble(&mut claims, &key, now);
                let catch = claims.take_in(found(&["a"]), now);
                assert_eq!(catch, if nth <= limit { SearchResult::Later } else { SearchResult::Nothing });
                now += secs(1 << nth);
            }
        }
    }

    #[test]
    fn what_was_found_long_ago_is_not_claimed() {
        let mut claims = claims();
        assert_eq!(claims.take_in(found(&["a"]), NOW), SearchResult::Some);
        assert_eq!(claims.next(NOW + secs(3)), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut claims = claims();
        for nth in 0..3 * MOST_ASIDE {
            claims.set_aside(&nth.to_string(), NOW + secs(1), false, NOW);
        }
        assert!(claims.aside.len() <= MOST_ASIDE);
    }
}
