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
/// How many claims wait for a free slot, for each slot.
const AHEAD: usize = 4;
/// After so many refusals in a row a task is not waited for: what the index says of it is not so.
const SOON: u32 = 2;
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
    /// What there is may be other by now: look again.
    Stale,
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
    /// Whether the last claim was refused.
    beaten: bool,
    /// The keys to claim, and among how many each was chosen.
    queue: VecDeque<(String, usize)>,
    claimed: HashMap<String, usize>,
    /// What has ended here since the tour began: it may find that as it was before.
    ended: HashSet<String>,
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
            beaten: false,
            queue: VecDeque::new(),
            claimed: HashMap::new(),
            ended: HashSet::new(),
            avoided: HashMap::new(),
        }
    }

    /// Where to look: the places that had something, each by itself and in random order, the first together with one that
    /// had nothing; then all the others.
    pub(crate) fn tour(&mut self) -> Tour {
        self.ended.clear();
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
        let own = |key: &String| self.claimed.contains_key(key) || self.ended.contains(key);
        let stale = keys.iter().any(|key| self.ended.contains(key));
        keys.retain(|key| avoided(key).is_none() && !own(key));
        if keys.is_empty() {
            return match (stale, soon || !found.whole) {
                (true, _) => Catch::Stale,
                (false, true) => Catch::Avoided,
                (false, false) => Catch::Nothing,
            };
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
        // Where there is less than one for each, whoever was beaten to the last lets it be now and then.
        let chance = if self.beaten { found / (1.0 + 2.0 * self.rivals) } else { 1.0 };
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
        self.ended.insert(key.to_owned());
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
            self.beaten = refused;
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

    #[test]
    fn a_tour_goes_everywhere_once() {
        let mut claims = claims();
        let mut all: Vec<_> = claims.tour().groups.concat();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3]);
        claims.take_in(
            Found { places: vec![(0, false), (1, true), (2, false), (3, false)], ..found(&[]) },
            NOW,
        );
        let groups = claims.tour().groups;
        assert!(
            groups[0].len() == 2 && groups[0][0] == 1,
            "what had something, and one of the others: {groups:?}"
        );
        assert_eq!(groups[1].len(), 2, "{groups:?}");
        let tours: HashSet<_> = (0..20).map(|_| claims.tour().groups[0][1]).collect();
        assert_eq!(tours.len(), 3, "each of the others comes to its turn");
    }

    #[test]
    fn what_was_refused_is_left_for_a_while() {
        let mut claims = claims();
        assert_eq!(claims.take_in(found(&[]), NOW), Catch::Nothing);
        assert_eq!(claims.take_in(found(&["a"]), NOW), Catch::Some);
        let key = claims.next().unwrap();
        assert_eq!(claims.take_in(found(&["a"]), NOW), Catch::Nothing, "it is at work here");
        claims.refused(&key, NOW);
        assert_eq!(claims.take_in(found(&["a"]), NOW), Catch::Avoided);
        let later = NOW + Duration::from_secs(2);
        // Beaten once, it may let it be.
        while claims.take_in(found(&["a"]), later) != Catch::Some {}
        let key = claims.next().unwrap();
        claims.avoid(&key, later + Duration::from_mins(1), later);
        assert_eq!(
            claims.take_in(found(&["a"]), later + Duration::from_secs(59)),
            Catch::Nothing,
            "not waited for"
        );
        claims.granted(&key);
        assert!(!claims.is_avoided(&key, later));
    }

    #[test]
    fn a_tour_that_began_before_a_task_ended_does_not_bring_it_back() {
        let mut claims = claims();
        claims.tour();
        assert_eq!(claims.take_in(found(&["a"]), NOW), Catch::Some);
        let key = claims.next().unwrap();
        claims.tour();
        claims.granted(&key);
        assert_eq!(claims.take_in(found(&["a"]), NOW), Catch::Stale);
        claims.tour();
        assert_eq!(claims.take_in(found(&["a"]), NOW), Catch::Some, "it has failed, say");
    }

    #[test]
    fn what_is_always_refused_is_not_waited_for_at_last() {
        let mut claims = claims();
        let mut now = NOW;
        for nth in 1..=3 {
            while claims.take_in(found(&["a"]), now) != Catch::Some {}
            let key = claims.next().unwrap();
            claims.refused(&key, now);
            let catch = claims.take_in(found(&["a"]), now);
            assert_eq!(catch, if nth <= 2 { Catch::Avoided } else { Catch::Nothing });
            now += Duration::from_secs(1 << nth);
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut claims = claims();
        for nth in 0..3 * AVOIDED {
            claims.avoid(&nth.to_string(), NOW + Duration::from_secs(1), NOW);
        }
        assert!(claims.avoided.len() <= AVOIDED);
    }
}
