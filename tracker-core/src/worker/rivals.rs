//! How many other workers compete for the same tasks, and how many tasks to leave to them. Pure.
//!
//! A worker learns only from its own starts: which of them are refused.

use super::claims::WINDOW;

/// The largest fraction of the claims that may be refused, because rivals were faster.
const MAX_TAKEN: f64 = 0.02;
/// The number of rivals that a worker assumes before its first claim.
const ASSUMED_RIVALS: f64 = 1.5;
/// The bounds of the estimate.
const FEWEST: f64 = 0.01;
const MOST: f64 = 64.0;
/// How much one refused claim changes the estimate.
const GAIN: f64 = 0.3;
/// With fewer rivals than this, claims are queued.
const FEW_RIVALS: f64 = 0.3;
/// How many claims may be queued, as a multiple of the concurrency.
const QUEUED_PER_SLOT: usize = 4;
/// After how many granted claims in a row a worker no longer leaves tasks to rivals.
const CALM: u32 = 64;
/// After how many granted claims a worker that was not refused claims all that it can run.
const ALONE: u32 = 8;
/// The least chance with which a worker does not leave the tasks to its rivals: they may be gone.
const LEAST_CHANCE: f64 = 1.0 / 16.0;

/// The rivals of one worker, as it knows them.
#[derive(Debug)]
pub(super) struct Rivals {
    concurrency: usize,
    /// The estimated number of other workers that claim the same tasks, each as many as this worker.
    estimate: f64,
    /// How many tasks the last search has found.
    last_found: usize,
    /// How many claims were granted since the last refusal.
    granted_in_a_row: u32,
    /// Whether any claim was refused.
    was_refused: bool,
}

impl Rivals {
    pub(super) fn new(concurrency: usize) -> Self {
        Self { concurrency, estimate: ASSUMED_RIVALS, last_found: 0, granted_in_a_row: 0, was_refused: false }
    }

    /// Returns how many of the found tasks to claim before the next search.
    pub(super) fn share(&mut self, found: usize) -> usize {
        self.last_found = found;
        let share = whole(self.fair_share(found));
        // A smaller share is not worth a request. Chance has let this worker search, and leaves its rivals more next time.
        share.clamp(self.least(found), (self.concurrency * self.queued()).min(found).max(1))
    }

    /// Returns how many of the found tasks to claim if none is left to rivals. What waits for a slot is claimed by rivals, so
    /// tasks are queued only without them.
    pub(super) fn all(&mut self, found: usize, running: usize) -> usize {
        self.last_found = found;
        let is_alone = self.queued() > 1 && !self.has_sign_of_rivals();
        let free = self.concurrency.saturating_sub(running);
        let most = if is_alone { self.concurrency * self.queued() } else { free };
        most.min(found).max(1)
    }

    /// Returns how many claims may be queued, as a multiple of the concurrency.
    fn queued(&self) -> usize {
        if self.estimate > FEW_RIVALS { 1 } else { QUEUED_PER_SLOT }
    }

    fn has_sign_of_rivals(&self) -> bool {
        self.was_refused && self.granted_in_a_row < CALM
    }

    fn fair_share(&self, found: usize) -> f64 {
        number(found) * MAX_TAKEN / self.estimate
    }

    /// Returns how many of the found tasks a worker claims at least.
    fn least(&self, found: usize) -> usize {
        let is_alone = self.granted_in_a_row >= ALONE && !self.has_sign_of_rivals();
        // Workers that begin together find the same tasks, and none knows of the others.
        let part = if self.granted_in_a_row == 0 && !self.was_refused { 4 } else { 2 };
        let least =
            if is_alone { self.concurrency } else { (self.concurrency / part).min(found.div_ceil(2)) };
        least.clamp(1, found.max(1))
    }

    /// Returns whether to leave the tasks to the rivals for now, without a search.
    ///
    /// A few workers that claim many tasks need fewer requests than many workers that claim a few, and are refused as rarely.
    pub(super) fn leaves_to_rivals(&self, rng: &mut fastrand::Rng) -> bool {
        let (found, least) = (self.last_found, self.least(self.last_found));
        let chance = match self.granted_in_a_row {
            _ if found == 0 || !self.has_sign_of_rivals() => 1.0,
            _ if least > 1 => (self.fair_share(found) / number(least)).max(LEAST_CHANCE),
            0 => (number(found) / (1.0 + 2.0 * self.estimate)).max(LEAST_CHANCE),
            _ => 1.0,
        };
        rng.f64() >= chance
    }

    /// Returns whether rivals leave fewer tasks of a window than this worker could run.
    pub(super) fn crowd_a_window(&self) -> bool {
        self.has_sign_of_rivals() && self.fair_share(WINDOW) < number(self.concurrency)
    }

    /// Notes whether a claim was refused.
    pub(super) fn learn(&mut self, refused: bool) {
        // In balance, `MAX_TAKEN` of the claims are refused. Assumed rivals are forgotten faster.
        let change = match (refused, self.was_refused) {
            (true, _) => 1.0 - GAIN * (1.0 - MAX_TAKEN),
            (false, true) => 1.0 + GAIN * MAX_TAKEN,
            (false, false) => 1.0 + 2.0 * GAIN * MAX_TAKEN,
        };
        self.estimate = (self.estimate / change).clamp(FEWEST, MOST);
        self.granted_in_a_row = if refused { 0 } else { self.granted_in_a_row.saturating_add(1) };
        self.was_refused |= refused;
    }
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and bounded")]
fn whole(number: f64) -> usize {
    number.clamp(0.0, 1e6) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worker_that_is_alone_soon_claims_all_that_it_can_run_and_queues_more() {
        let mut rivals = Rivals::new(16);
        let mut claims = 0;
        while rivals.share(WINDOW) < 64 {
            assert!(rivals.share(WINDOW) >= [4, 8].get(claims).copied().unwrap_or(16));
            (0..rivals.share(WINDOW)).for_each(|_| rivals.learn(false));
            claims += 1;
        }
        assert!(claims < 30, "{claims}");
        assert!(!rivals.leaves_to_rivals(&mut fastrand::Rng::with_seed(1)) && !rivals.crowd_a_window());
    }

    #[test]
    fn first_claim_is_small_unless_few_tasks_are_there() {
        let share = |found| Rivals::new(16).share(found);
        assert_eq!((share(WINDOW), share(9), share(5), share(1)), (4, 4, 3, 1));
    }

    #[test]
    fn worker_queues_nothing_that_rivals_may_claim() {
        let mut rivals = Rivals::new(16);
        assert_eq!((rivals.all(WINDOW, 0), rivals.all(WINDOW, 12), rivals.all(3, 12)), (16, 4, 3));
        (0..200).for_each(|_| rivals.learn(false));
        assert_eq!(rivals.all(WINDOW, 12), 64);
        rivals.learn(true);
        assert_eq!(rivals.all(WINDOW, 12), 4);
    }

    #[test]
    fn worker_that_is_refused_often_mostly_leaves_the_tasks_to_its_rivals() {
        let (mut rivals, mut rng) = (Rivals::new(16), fastrand::Rng::with_seed(1));
        assert!(!rivals.leaves_to_rivals(&mut rng), "there is no sign of rivals yet");
        (0..20).for_each(|_| rivals.learn(true));
        assert_eq!(rivals.share(WINDOW), 8);
        let left = (0..1000).filter(|_| rivals.leaves_to_rivals(&mut rng)).count();
        assert!((900..960).contains(&left), "{left}");
        assert!(rivals.crowd_a_window());
    }
}
