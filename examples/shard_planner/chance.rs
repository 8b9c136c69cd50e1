//! Random draws: how many of many tasks something happens to.

// The numbers are never negative, and too small for an `f64` to round them.
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]

use fastrand::Rng;

/// The variance above which the normal distribution is close enough.
const MANY: f64 = 30.0;

/// Draws the number of events in an interval that has `mean` events on average.
pub fn poisson(rng: &mut Rng, mean: f64) -> u64 {
    if mean > MANY {
        return normal(rng, mean, mean.sqrt());
    }
    let mut count = 0;
    let mut time = waited(rng);
    while time < mean {
        count += 1;
        time += waited(rng);
    }
    count
}

/// Draws how many of `n` tasks do something that each does with the probability `chance`.
pub fn binomial(rng: &mut Rng, n: u64, chance: f64) -> u64 {
    if n == 0 || chance <= 0.0 {
        return 0;
    }
    if chance >= 1.0 {
        return n;
    }
    if chance > 0.5 {
        return n - binomial(rng, n, 1.0 - chance);
    }
    let mean = n as f64 * chance;
    let variance = mean * (1.0 - chance);
    if variance > MANY {
        return normal(rng, mean, variance.sqrt()).min(n);
    }
    // Each step goes to the next task that does it.
    let per_step = -(-chance).ln_1p();
    let mut count = 0;
    let mut at = 0.0;
    loop {
        at += (waited(rng) / per_step).floor() + 1.0;
        if at > n as f64 {
            return count;
        }
        count += 1;
    }
}

/// Distributes `n` tasks over `places` places, all with the same probability.
pub fn multinomial(rng: &mut Rng, n: u64, places: usize) -> Vec<u64> {
    let mut left = n;
    (0..places)
        .map(|place| {
            let here = binomial(rng, left, 1.0 / (places - place) as f64);
            left -= here;
            here
        })
        .collect()
}

/// Draws the time until the next event, if there is one event per unit of time on average.
fn waited(rng: &mut Rng) -> f64 {
    -(1.0 - rng.f64()).ln()
}

fn normal(rng: &mut Rng, mean: f64, deviation: f64) -> u64 {
    let angle = std::f64::consts::TAU * rng.f64();
    (mean + deviation * (2.0 * waited(rng)).sqrt() * angle.cos()).round().max(0.0) as u64
}
