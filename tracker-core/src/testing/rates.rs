//! Faults by chance, which a seed repeats.

use std::collections::HashMap;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Fault;

/// How probable each fault is.
///
/// Which request meets which is up to the [`seed`](super::FaultyNetwork::seed), which says what of it is repeated.
///
/// # Examples
///
/// ```
/// # use std::time::Duration;
/// # use tracker_core::testing::{Fault, Rates};
/// // One answer of ten is lost, and one request of a hundred takes up to a second.
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
    /// No faults at all.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// More than any network has: about three requests of ten meet a fault. Delays are up to 100 ms, late copies come
    /// within a second, and nothing is denied.
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
    }

    /// Gives a fault that probability, from 0 to 1, instead of the one it had. Each delay is drawn from zero up to the
    /// one given. Where all of them come to more than 1, the last ones are cut.
    #[must_use]
    pub fn with(mut self, fault: Fault, probability: f64) -> Self {
        self.each.retain(|(other, _)| other.name() != fault.name());
        self.each.push((fault, probability));
        self
    }

    /// The fault at a point between 0 and 1.
    fn at(&self, point: f64) -> Fault {
        let mut below = 0.0;
        for (fault, probability) in &self.each {
            // What is no number counts as 0.
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
/// Each is a function of the seed, the operation, the item's key, and how many requests of this operation were sent
/// for this key before. So it does not depend on how the requests for several keys are interleaved, and it does on how
/// those for one key are, or those that have none.
#[derive(Debug, Default)]
pub(super) struct Storm {
    seed: u64,
    rates: Rates,
    of: HashMap<String, Rates>,
    /// By hash, as there may be many keys.
    sent: HashMap<u64, u64>,
}

impl Storm {
    /// Begins to count anew. The rates of single operations stay.
    pub(super) fn seed(&mut self, seed: u64, rates: Rates) {
        self.seed = seed;
        self.rates = rates;
        self.sent.clear();
    }

    pub(super) fn rates_of(&mut self, operation: String, rates: Rates) {
        self.of.insert(operation, rates);
    }

    /// The fault of the next request for a key.
    pub(super) fn draw(&mut self, operation: &str, key: &str) -> Fault {
        let rates = self.of.get(operation).unwrap_or(&self.rates);
        let name = format!("{operation}\n{key}");
        let sent = self.sent.entry(xxh3_64_with_seed(name.as_bytes(), 0)).or_default();
        let nth = *sent;
        *sent += 1;
        let bits = xxh3_64_with_seed(format!("{name}\n{nth}").as_bytes(), self.seed);
        rates.at(part(bits >> 32)).shortened(part(bits))
    }
}

/// The lower 32 bits, as a number from 0 up to 1.
fn part(bits: u64) -> f64 {
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
    fn a_seed_repeats_its_faults_however_keys_are_interleaved() {
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
        assert_eq!(interleaved.draw("UpdateItem", "a"), drawn[0][0], "it begins anew");
    }

    #[test]
    fn rates_are_met() {
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
    fn operations_differ_and_odd_rates_harm_nothing() {
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
