//! Random faults, which a seed repeats.

use std::collections::HashMap;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Fault;

/// The probability of each fault.
///
/// [`FaultyNetwork::seed`](super::FaultyNetwork::seed) draws the faults, and says when they are reproducible.
///
/// # Examples
///
/// ```
/// # use std::time::Duration;
/// # use tracker_core::testing::{Fault, Rates};
/// // One response in ten is lost, and one request in a hundred takes up to a second.
/// let rates = Rates::none()
///     .with(Fault::DropResponse, 0.1)
///     .with(Fault::Delay(Duration::from_secs(1)), 0.01);
/// # let _ = rates;
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rates {
    each: Vec<(Fault, f64)>,
}

impl Rates {
    /// Returns rates without faults.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Returns more faults than any real network has: about three requests in ten meet one.
    ///
    /// Delays are up to 100 ms, late copies arrive within a second of the response, and nothing is denied.
    #[must_use]
    pub fn stormy() -> Self {
        Self::none()
            .with(Fault::DropRequest, 0.05)
            .with(Fault::DropResponse, 0.05)
            .with(Fault::Delay(Duration::from_millis(100)), 0.04)
            .with(Fault::DuplicateLate(Duration::from_secs(1)), 0.06)
            .with(Fault::Throttle, 0.03)
            .with(Fault::InternalError, 0.02)
            .with(Fault::InternalErrorAfterApplying, 0.02)
            .with(Fault::CutBody, 0.03)
            .with(Fault::Unprocessed, 0.05)
            .with(Fault::ThrottleMembers, 0.03)
            .with(Fault::RefuseMember, 0.02)
            .with(Fault::Conflict, 0.03)
            .with(Fault::InProgress, 0.01)
    }

    /// Sets the probability of a fault, from 0 to 1, in place of the one that it had.
    ///
    /// The duration of the fault is the longest: each is drawn from zero up to it. If the probabilities add up to
    /// more than 1, those that were set last are cut.
    #[must_use]
    pub fn with(mut self, fault: Fault, probability: f64) -> Self {
        self.each.retain(|(other, _)| other.name() != fault.name());
        self.each.push((fault, probability));
        self
    }

    /// Returns the fault at a point between 0 and 1.
    fn at(&self, point: f64) -> Fault {
        let mut below = 0.0;
        for (fault, probability) in &self.each {
            // A NaN counts as 0.
            below += probability.max(0.0);
            if point < below {
                return *fault;
            }
        }
        Fault::None
    }
}

/// Draws the faults of requests.
///
/// Each fault is a function of the seed, the operation, the item's key, and how many requests of this operation were
/// sent for this key before. So it does not depend on how requests for several keys are interleaved. It does depend
/// on the order of the requests for one key, and of those without a key.
#[derive(Debug, Default)]
pub(super) struct Storm {
    seed: u64,
    rates: Rates,
    /// The rates of single operations.
    of: HashMap<String, Rates>,
    /// How many requests were sent, by the hash of operation and key, because there may be many keys.
    sent: HashMap<u64, u64>,
}

impl Storm {
    /// Sets the seed and the rates, and counts requests from 0 again. The rates of single operations stay.
    pub(super) fn seed(&mut self, seed: u64, rates: Rates) {
        self.seed = seed;
        self.rates = rates;
        self.sent.clear();
    }

    pub(super) fn rates_of(&mut self, operation: String, rates: Rates) {
        self.of.insert(operation, rates);
    }

    /// Draws the fault of the next request for a key.
    pub(super) fn draw(&mut self, operation: &str, key: &str) -> Fault {
        let rates = self.of.get(operation).unwrap_or(&self.rates);
        let name = format!("{operation}\n{key}");
        let sent = self.sent.entry(xxh3_64_with_seed(name.as_bytes(), 0)).or_default();
        let nth = *sent;
        *sent += 1;
        let bits = xxh3_64_with_seed(format!("{name}\n{nth}").as_bytes(), self.seed);
        rates.at(fraction(bits >> 32)).shortened(fraction(bits))
    }
}

/// Returns the lower 32 bits as a number from 0 up to 1.
pub(super) fn fraction(bits: u64) -> f64 {
    let bits = u32::try_from(bits & u64::from(u32::MAX)).unwrap_or_default();
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storm(seed: u64, rates: Rates) -> Storm {
        let mut storm = Storm::default();
        storm.seed(seed, rates);
        storm
    }

    #[test]
    fn seed_repeats_its_faults_for_any_order_of_the_keys() {
        let keys = ["a", "b", "c"];
        let by_key = |seed| {
            let mut storm = storm(seed, Rates::stormy());
            keys.map(|key| (0..100).map(|_| storm.draw("UpdateItem", key)).collect::<Vec<_>>())
        };
        let mut interleaved = storm(7, Rates::stormy());
        let mut drawn = [const { Vec::new() }; 3];
        for nth in 0..300 {
            drawn[nth % 3].push(interleaved.draw("UpdateItem", keys[nth % 3]));
            interleaved.draw("GetItem", keys[nth % 3]);
        }
        assert_eq!(by_key(7), drawn);
        assert_ne!(by_key(8), drawn);
        assert_ne!(drawn[0], drawn[1]);
        interleaved.seed(7, Rates::stormy());
        assert_eq!(interleaved.draw("UpdateItem", "a"), drawn[0][0], "the seed starts again");
    }

    #[test]
    fn faults_are_as_frequent_as_their_rates() {
        let rates = Rates::stormy();
        let mut storm = storm(1, rates.clone());
        let mut drawn = HashMap::<_, u32>::new();
        let mut delays = Duration::ZERO;
        for nth in 0..10_000 {
            let fault = storm.draw("PutItem", &format!("doc-{}", nth % 100));
            *drawn.entry(fault.name()).or_default() += 1;
            if let Fault::Delay(delay) = fault {
                assert!(delay < Duration::from_millis(100));
                delays += delay;
            }
        }
        for (fault, probability) in &rates.each {
            let drawn = f64::from(drawn[fault.name()]) / 10_000.0;
            assert!((drawn - probability).abs() < 0.01, "{fault:?}: {drawn}");
        }
        let average = delays / drawn["Delay"];
        assert!((40..60).contains(&average.as_millis()), "{average:?}");
    }

    #[test]
    fn operations_have_rates_of_their_own_and_invalid_rates_are_cut() {
        let mut storm = storm(1, Rates::none().with(Fault::Deny, 0.1).with(Fault::Deny, 1.0));
        storm.rates_of(
            "GetItem".to_owned(),
            Rates::none().with(Fault::Deny, f64::NAN).with(Fault::CutBody, -1.0),
        );
        storm.rates_of("Query".to_owned(), Rates::none().with(Fault::CutBody, 7.0).with(Fault::Deny, 1.0));
        for _ in 0..100 {
            assert_eq!(storm.draw("PutItem", ""), Fault::Deny);
            assert_eq!(storm.draw("GetItem", ""), Fault::None);
            assert_eq!(storm.draw("Query", ""), Fault::CutBody);
        }
        assert_eq!(Storm::default().draw("PutItem", ""), Fault::None);
    }

    #[test]
    fn rates_of_one_operation_need_no_seed() {
        let mut storm = Storm::default();
        storm.rates_of("GetItem".to_owned(), Rates::stormy());
        let mut seeded = Storm::default();
        seeded.rates_of("GetItem".to_owned(), Rates::stormy());
        seeded.seed(0, Rates::none());
        let mut drawn = Vec::new();
        for _ in 0..100 {
            assert_eq!(storm.draw("PutItem", "a"), Fault::None);
            drawn.push(storm.draw("GetItem", "a"));
            assert_eq!(seeded.draw("GetItem", "a"), *drawn.last().unwrap());
        }
        assert!(drawn.iter().any(|fault| *fault != Fault::None));
    }
}
