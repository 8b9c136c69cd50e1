//! The simulation of `examples/shard_planner` agrees with the rate that the configuration computes.

use tracker_core::{StatusTracker, TrackerStatus};
use tracker_test_macros::database_test;

#[path = "../../examples/shard_planner/chance.rs"]
mod chance;
// The advice of the example is not used here.
#[allow(dead_code)]
#[path = "../../examples/shard_planner/plan.rs"]
mod plan;
#[allow(dead_code)]
#[path = "../../examples/shard_planner/simulation.rs"]
mod simulation;

use simulation::{Load, Setup, Shards, simulate, sustained};

const LOAD: Load = Load { rate: 1000.0, failing: 0.0, max_retry: 3, work_seconds: 2.0, retry_seconds: 10.0 };
const SETUP: Setup = Setup { burst_seconds: 300, seconds: 20, seed: 1 };

/// The shards of a tracker with so many shards of `pending`, `in_progress` and `succeeded`, and the rate that its
/// configuration computes for them.
macro_rules! computed {
    ($client:ident, $pending:literal, $in_progress:literal, $succeeded:literal) => {{
        #[derive(TrackerStatus, Debug, Clone, Copy)]
        enum JobStatus {
            #[status(pending, shards = $pending)]
            Pending = 10,
            #[status(in_progress, shards = $in_progress)]
            InProgress = 12,
            #[status(failed)]
            Failed = 14,
            #[status(succeeded, shards = $succeeded)]
            Succeeded = 16,
            #[status(ignored)]
            Ignored = 18,
        }
        #[derive(StatusTracker, Debug)]
        #[tracker(use_case_id = "jobs", status = JobStatus)]
        struct Job {
            #[tracker(task_id)]
            _id: u32,
        }
        let shards = [
            JobStatus::Pending,
            JobStatus::InProgress,
            JobStatus::Failed,
            JobStatus::Succeeded,
            JobStatus::Ignored,
        ];
        let tracker = Job::tracker_builder(&$client).table("jobs").build().unwrap();
        (shards.map(TrackerStatus::shards), tracker.config().max_tasks_per_second())
    }};
}

#[database_test]
async fn simulation_sustains_the_computed_rate() {
    let client = tracker_core::embedded::in_memory().unwrap();
    let cases: [(Shards, u32); 5] = [
        computed!(client, 1, 1, 1),
        computed!(client, 2, 6, 6), // `pending` is the narrowest
        computed!(client, 6, 4, 6), // `in_progress`
        computed!(client, 9, 7, 2), // `succeeded`
        computed!(client, 20, 20, 10),
    ];
    for (shards, paper) in cases {
        assert_eq!(plan::paper(shards), paper, "{shards:?}");
        for (seed, burst_seconds) in [(1, 300), (2, 0)] {
            let found = sustained(LOAD, shards, Setup { burst_seconds, seed, ..SETUP });
            let paper = f64::from(paper);
            assert!(
                (found - paper).abs() < 0.1 * paper,
                "{shards:?}: simulated {found:.0}, computed {paper:.0}"
            );
        }
    }
}

#[database_test]
async fn failed_attempts_lower_the_sustained_rate_as_computed() {
    for failing in [0.05, 0.3, 1.0] {
        let load = Load { failing, rate: 10_000.0, ..LOAD };
        let shards = plan::shards_for(&load, 1.0);
        let paper = load.rate / plan::used(&load, shards);
        let found = sustained(load, shards, SETUP);
        assert!((found - paper).abs() < 0.1 * paper, "{failing}: simulated {found:.0}, computed {paper:.0}");
    }
}

#[database_test]
async fn advised_shards_are_enough() {
    for rate in [1000.0, 10_000.0, 100_000.0] {
        let load = Load { rate, failing: 0.05, ..LOAD };
        let advised = simulate(load, plan::shards_for(&load, 0.7), Setup { seconds: 10, ..SETUP });
        assert!(advised.at_first + advised.after < 1e-6 && advised.narrowest.is_none(), "{advised:?}");
        let half = simulate(load, plan::shards_for(&load, 2.0), Setup { seconds: 10, ..SETUP });
        assert!((0.3..0.6).contains(&half.after), "at twice the load about half is throttled: {half:?}");
    }
}

#[database_test]
async fn burst_capacity_is_saved_up_and_used_up() {
    // Three times what one shard handles. It has saved up 60,000 writes, and uses 2,000 of them a second.
    let load = Load { rate: 1500.0, ..LOAD };
    let outcome = simulate(load, [1, 9, 1, 9, 1], Setup { burst_seconds: 60, seconds: 60, ..SETUP });
    let lasts = outcome.lasts.expect("a burst that ends");
    assert!((27.0..33.0).contains(&lasts), "{lasts}");
    assert!(0.0 < outcome.at_first && outcome.at_first < outcome.after, "{outcome:?}");
    assert_eq!(outcome.narrowest, Some("pending"));
}

/// A task that is created, started and ended once writes its item three times.
#[database_test]
async fn one_collection_takes_a_third_of_a_partition() {
    let habits = plan::Habits { item_kb: 1, heartbeats: 0.0, polls_per_second: 10.0 };
    let most = |rate| plan::too_many_for_one_collection(&Load { rate, ..LOAD }, habits, 1.0);
    assert_eq!(most(333.0), None);
    assert!(most(334.0).is_some_and(|most| (most - 1000.0 / 3.0).abs() < 0.01), "{:?}", most(334.0));
    let large = plan::Habits { item_kb: 4, ..habits };
    assert!(plan::too_many_for_one_collection(&Load { rate: 84.0, ..LOAD }, large, 1.0).is_some());
}
