//! The simulation: how a few workers behave, and that its figures are repeatable.

#![allow(clippy::cast_precision_loss, reason = "the counts are small")]

use std::time::Duration;

use tracker_fleet::{Arrivals, Cell, Figures, Settings, Setup, Spread, run};

const SECOND: u64 = 1_000_000;

/// A backlog of old tasks in 10 shards. The times are microseconds.
fn backlog(
    tasks: u32,
    workers: usize,
    concurrency: usize,
    body: (u64, u64),
    latency: u64,
    lag: u64,
) -> Setup {
    let settings = Settings {
        shards: [10, 10, 0, 10, 1],
        concurrency,
        poll: (Duration::from_secs(1), Duration::from_secs(20)),
    };
    Setup {
        workers,
        settings,
        arrivals: Arrivals::Backlog(tasks),
        body,
        lock_expire: Duration::from_mins(5),
        latency: Spread::always(2 * latency),
        one_by_one: None,
        lag: Spread::always(lag),
        table_partitions: 10_000,
        index_partitions: None,
        burst: 1000.0,
        measured: (0, u64::MAX),
        dies: None,
        outage: None,
        ends: u64::MAX,
        seed: 0,
    }
}

/// Drains a backlog, with several seeds.
fn drain(setup: &Setup) -> Figures {
    let Arrivals::Backlog(tasks) = setup.arrivals else { unreachable!("a drain has a backlog") };
    let mut sum = Figures::default();
    for seed in 0..8 {
        let of_seed = run(Setup { seed, ..setup.clone() }, |_| {});
        assert_eq!(of_seed.ended, u64::from(tasks), "a task was never started");
        let idle = of_seed.seconds.iter().rev().take_while(|second| second.started == 0).count();
        assert!(idle <= 10, "the last worker ends {idle} s after the last start");
        sum.ended += of_seed.ended;
        sum.starts += of_seed.starts;
        sum.refused += of_seed.refused;
        sum.requests.queries += of_seed.requests.queries;
        sum.requests.updates += of_seed.requests.updates;
        sum.requests.reads += of_seed.requests.reads;
    }
    let &Setup { workers, ref settings, body, ref latency, ref lag, .. } = setup;
    println!(
        "{tasks} tasks, {workers} workers of {}, bodies of {body:?} us, latency {} us, lag {} us: \
         {:.3} refused, {:.2} queries and {:.2} requests a task",
        settings.concurrency,
        latency.median / 2,
        lag.median,
        sum.refused_part(),
        sum.of_each(sum.requests.queries as f64),
        sum.requests_per_task()
    );
    sum
}

#[test]
fn sixteen_workers_rarely_claim_the_same_task() {
    for (concurrency, body, latency, lag, most) in [
        // Nothing but claims.
        (1, (0, 1_000), 1_000, 0, 0.05),
        (1, (5_000, 20_000), 1_000, 0, 0.03),
        (4, (50_000, 200_000), 1_000, 0, 0.03),
        (16, (50_000, 200_000), 1_000, 0, 0.05),
        (4, (50_000, 200_000), 10_000, 0, 0.05),
        (16, (50_000, 200_000), 10_000, 0, 0.05),
        (1, (50_000, 200_000), 1_000, 20_000, 0.05),
    ] {
        let sum = drain(&backlog(1000, 16, concurrency, body, latency, lag));
        assert!(sum.refused_part() <= most, "{} of the starts are refused", sum.refused_part());
        let queries = sum.of_each(sum.requests.queries as f64);
        assert!(queries <= 2.0, "{queries} queries for each task");
    }
}

#[test]
fn many_workers_share_a_deep_backlog() {
    for latency in [1_000, 10_000] {
        let sum = drain(&backlog(10_000, 64, 16, (0, 0), latency, 0));
        assert!(sum.refused_part() <= 0.05, "{} of the starts are refused", sum.refused_part());
        assert!(sum.requests_per_task() <= 1.0, "{} requests for each task", sum.requests_per_task());
    }
    // Starts wait for their turn, so they take much longer than searches.
    let busy = Setup { one_by_one: Some(2_000), ..backlog(10_000, 64, 16, (0, 0), 5_000, 0) };
    let sum = drain(&busy);
    assert!(sum.refused_part() <= 0.05, "{} of the starts are refused", sum.refused_part());
    assert!(sum.requests_per_task() <= 1.0, "{} requests for each task", sum.requests_per_task());
    let sum = drain(&backlog(10_000, 1, 16, (0, 0), 1_000, 0));
    assert!(sum.requests_per_task() <= 0.5, "{} requests for each task", sum.requests_per_task());
}

#[test]
fn single_worker_rarely_searches() {
    for concurrency in [1, 16] {
        let sum = drain(&backlog(1000, 1, concurrency, (5_000, 20_000), 1_000, 20_000));
        assert_eq!(sum.refused, 0);
        let queries = sum.of_each(sum.requests.queries as f64);
        assert!(queries <= 0.5, "{queries} queries for each task");
    }
}

fn simulate(workers: u32, rate: f64, body: f64) -> Figures {
    run(Cell { workers, rate, body }.setup(10.0, 1).unwrap(), |_| {})
}

#[test]
fn requests_for_a_task_do_not_grow_with_the_number_of_workers() {
    for (workers, rate) in [(10, 1_000.0), (100, 1_000.0), (1_000, 1_000.0)] {
        let figures = simulate(workers, rate, 0.01);
        let (requests, refused) = (figures.requests_per_task(), figures.refused_part());
        let p99 = figures.waits.quantile(0.99);
        println!(
            "{workers} workers, {rate} tasks/s: {requests:.2} requests, {refused:.3} refused, p99 {p99} us"
        );
        assert!(requests <= 1.0, "{workers} workers: {requests} requests for each task");
        assert!(refused <= 0.5, "{workers} workers: {refused} of the starts are refused");
        assert!(p99 < 5 * SECOND / 2, "{workers} workers: p99 {p99} us");
        assert_eq!(figures.throttled, 0);
    }
}

#[test]
fn ends_of_long_bodies_share_requests() {
    let figures = simulate(100, 1_000.0, 1.0);
    let requests = figures.requests_per_task();
    println!("100 workers, 1,000 tasks/s, bodies of a second: {requests:.2} requests");
    assert!(requests <= 0.9, "{requests} requests for each task");
}

#[test]
fn short_poll_does_not_make_workers_contend() {
    for poll in [(50, 20_000), (50, 50), (10, 10)] {
        let mut setup = Cell { workers: 20, rate: 200.0, body: 0.01 }.setup(10.0, 1).unwrap();
        setup.settings.poll = (Duration::from_millis(poll.0), Duration::from_millis(poll.1));
        let figures = run(setup, |_| {});
        let (updates, refused) = (figures.of_each(figures.requests.updates as f64), figures.refused_part());
        println!("poll {poll:?} ms: {updates:.2} updates for each task, {refused:.3} refused");
        assert!(refused <= 0.5, "poll {poll:?} ms: {refused} of the starts are refused");
    }
}

#[test]
fn same_seed_has_the_same_figures() {
    let figures = || format!("{:?}", simulate(10, 100.0, 0.01));
    assert_eq!(figures(), figures());
}

#[test]
fn tasks_of_dead_workers_wait_for_their_leases() {
    // So many tasks that most workers are busy: half of the workers run some hundred when they die.
    let cell = Cell { workers: 10, rate: 500.0, body: 1.0 };
    let mut setup = cell.setup(10.0, 1).unwrap();
    let dies = setup.measured.1;
    (setup.dies, setup.ends) = (Some(dies), dies + 400 * SECOND);
    let figures = run(setup, |_| {});
    assert!(figures.takeovers > 100, "{}", figures.takeovers);
    let last = figures.last_takeover.unwrap() - dies;
    assert!((300..345).contains(&(last / SECOND)), "{last}");
}

#[test]
fn single_slow_second_is_no_trouble() {
    let second = |nth, p99| tracker_fleet::Second { nth, started: 100, p50: 1, p99 };
    let figures = |slow: std::ops::Range<u64>| Figures {
        seconds: (0..100)
            .map(|nth| second(nth, if slow.contains(&nth) || nth == 70 { 9 } else { 1 }))
            .collect(),
        ..Figures::default()
    };
    assert_eq!(figures(0..0).recovery(10 * SECOND, 5), Some(0));
    assert_eq!(figures(0..30).recovery(10 * SECOND, 5), Some(20));
    assert_eq!(figures(50..100).recovery(10 * SECOND, 5), None);
}

#[test]
fn too_few_workers_are_told_how_many_slots_they_would_need() {
    let impossible = Cell { workers: 10, rate: 100_000.0, body: 60.0 }.settings().unwrap_err();
    assert_eq!(impossible.to_string(), "needs 601000 slots in each worker, and 100000 are possible");
}
