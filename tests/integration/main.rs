//! The integration suite. A test that gets a `World` runs on the embedded database, and on the embedded database as it is with
//! `testing::AwsLike`: indexes lag, reads are stale, members of batches come back, partitions throttle. What a test cannot bear of that is
//! said by its words, and printed. If `TRACKER_DYNAMODB_ENDPOINT` names an endpoint of
//! DynamoDB Local, the test runs there as well; `tests/dynamodb-local` starts one and sets the variable. A test without a
//! `World` needs no database, and runs once, as `once::…`.
//!
//! `TRACKER_TEST_LAYOUT=single_table` runs the suite on tables in which every attribute has another name, and which have a
//! sort key. No request may then have one of the tracker's own names.
//!
//! A folder tests the folder or file of `tracker-core/src` that has the same name; so does `table`. `chaos`, `storm`
//! and `killed` test the whole under faults, `interop` works with Python, `shard_planner` tests the example of that
//! name, `guides` runs the programs of the guides, `infra` tests the table and the permissions as text, `layout` tests tables with other names and a sort key, and `futures_are_send` is only compiled.
//!
//! The suite is one binary, because each binary links the SDK. It prints one line for each test and its database. The
//! same binary is the worker process of `killed`, and the Rust side of `tests/interop`. Tests that start processes or
//! cut connections do not run on the embedded database alone, because it has no address: `AwsLike` is served by a gateway. Tests that take minutes
//! by the machine's clock run only with `-- --ignored`.

// A test binary exports nothing; `pub` is for the other modules of the binary.
#![allow(unreachable_pub)]

mod bulk;
mod chaos;
mod declare;
mod description;
mod dynamodb;
mod fleet;
mod futures_are_send;
mod guides;
mod infra;
mod interop;
mod item;
mod killed;
mod layout;
mod lifecycle;
mod observe;
mod operator;
mod query;
mod runtime;
mod shard_planner;
mod storm;
mod support;
mod table;
mod testing;
mod tracker;
mod worker;

use std::num::NonZero;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};

use support::{Backend, Run, Test};

/// How many of the slowest tests are named.
const SLOWEST: usize = 20;

/// How many tests have got a `World`.
static WORLDS: AtomicUsize = AtomicUsize::new(0);

/// How long each test took.
fn took() -> MutexGuard<'static, Vec<(Duration, String)>> {
    static TOOK: Mutex<Vec<(Duration, String)>> = Mutex::new(Vec::new());
    TOOK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns a test of this name.
fn trial<F: Future<Output = ()>>(name: &str, run: impl FnOnce() -> F + Send + 'static) -> Trial {
    let kept = name.to_owned();
    Trial::test(name, move || {
        let begin = Instant::now();
        // One thread, so that tasks take turns and the order of events is always the same.
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run());
        took().push((begin.elapsed(), kept));
        Ok(())
    })
}

/// In which order tests run.
#[derive(Default)]
struct Order {
    busy: Vec<Trial>,
    /// The tests that mostly wait.
    waiting: Vec<Trial>,
}

impl Order {
    /// Puts the tests that mostly wait evenly between the others, so that there is always work for the processors. If there are
    /// many others, none of them comes late, so that the end does not wait for one.
    fn spread(self) -> Vec<Trial> {
        let distance = self.busy.len() * 2 / 3 / (self.waiting.len() + 1) + 1;
        let mut waiting = self.waiting.into_iter();
        let mut all = Vec::new();
        for (nth, trial) in self.busy.into_iter().enumerate() {
            all.push(trial);
            if nth % distance == distance - 1 {
                all.extend(waiting.next());
            }
        }
        all.extend(waiting);
        all
    }
}

fn main() -> ExitCode {
    if let Some(code) = killed::main().or_else(interop::main) {
        return code;
    }
    let _ = futures_are_send::every_future_is_send::<fn() -> support::Document>;
    let _ = futures_are_send::every_future_of_an_operator_is_send;
    observe::install_recorder();
    let mut arguments = Arguments::from_args();
    // Some tests wait for processes or for the machine's clock. Other threads work meanwhile.
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    arguments.test_threads.get_or_insert(2 * cores + 1);
    let backends = Backend::available();
    let tests = Test::all();
    let layout = support::layout();
    let (mut in_process, mut local) = (Order::default(), Order::default());
    for backend in &backends {
        let order = if matches!(backend, Backend::Local(_)) { &mut local } else { &mut in_process };
        let here = tests.iter().filter(|test| backend.has_address() || !test.needs_endpoint);
        let here =
            here.filter(|test| !matches!(backend, Backend::AwsLike) || !test.on_aws_like.wraps_database);
        for test in here.filter(|test| layout.is_default() || !test.needs_own_layout) {
            let (backend, test) = (backend.clone(), *test);
            let trial = match test.run {
                Run::OnEach(run) => {
                    trial(&format!("{}::{}", backend.name(), test.short_name()), async move || {
                        let world = backend.new_world(test).await;
                        WORLDS.fetch_add(1, Ordering::Relaxed);
                        run(world).await;
                    })
                }
                Run::Once(run) if matches!(backend, Backend::Embedded) => {
                    trial(&format!("once::{}", test.short_name()), run)
                }
                Run::Once(_) => continue,
            };
            // The workers of chaos sleep by the machine's clock.
            let waits = test.needs_endpoint || test.short_name().starts_with("chaos::");
            let trials = if waits { &mut order.waiting } else { &mut order.busy };
            trials.push(trial.with_ignored_flag(test.takes_real_time));
        }
    }
    // The tests of DynamoDB Local that wait come between its own others, because its Java is slow at first, and some of them have limits
    // of two seconds.
    in_process.busy.extend(local.spread());
    let conclusion = libtest_mimic::run(&arguments, in_process.spread());
    let mut took = std::mem::take(&mut *took());
    took.sort_unstable();
    for (time, name) in took.iter().rev().take(SLOWEST) {
        println!("took {:.1} s: {name}", time.as_secs_f32());
    }
    for backend in &backends {
        println!("ran on {backend}, with the layout: {layout}");
    }
    for test in tests.iter().filter(|test| test.needs_endpoint && !test.takes_real_time) {
        println!("skipped on {}, because it has no address: {}", Backend::Embedded, test.short_name());
    }
    for test in
        tests.iter().filter(|test| test.takes_real_time && !arguments.ignored && !arguments.include_ignored)
    {
        println!(
            "skipped, because it takes minutes; run it with `tests/dynamodb-local cargo test --workspace \
             --all-features --test integration -- --ignored {0}`: {0}",
            test.short_name()
        );
    }
    for test in &tests {
        let limits = [
            (
                test.on_aws_like.wraps_database,
                "skipped, because the test itself lets a database behave like it",
            ),
            (test.on_aws_like.reads_at_once, "nothing lags, because the test reads right after a write"),
            (
                test.on_aws_like.whole_batches,
                "no member of a batch comes back, because the test counts requests",
            ),
        ];
        for (_, why) in limits.iter().filter(|(holds, _)| *holds) {
            println!("limited on {}: {why}: {}", Backend::AwsLike, test.short_name());
        }
    }
    for test in tests.iter().filter(|test| test.needs_own_layout && !layout.is_default()) {
        println!("skipped, because it is about the tracker's own layout: {}", test.short_name());
    }
    let (requests, foreign) = support::foreign_names();
    if !layout.is_default() && WORLDS.load(Ordering::Relaxed) > 0 && requests == 0 {
        println!("FAILED: no request was searched for names of another layout");
        return ExitCode::FAILURE;
    }
    if !foreign.is_empty() {
        println!("FAILED: requests have names of another layout: {foreign:?}");
        return ExitCode::FAILURE;
    }
    if !backends.iter().any(|backend| matches!(backend, Backend::Local(_))) {
        println!("skipped on DynamoDB Local; run `tests/dynamodb-local cargo test` to start it");
    }
    conclusion.exit_code()
}
