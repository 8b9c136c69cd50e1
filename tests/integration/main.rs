//! The integration suite: every test on the embedded database, and on DynamoDB Local too where
//! `TRACKER_DYNAMODB_ENDPOINT` says where it is (`tests/dynamodb-local` starts one).
//!
//! One binary, since each links the SDK; one line of output for each test and backend. It is the worker of `killed`, too,
//! whose processes share DynamoDB Local, as they cannot share the embedded database, and the Rust side of `tests/interop`.

// Nothing of a test binary is exported, and `pub` is what its modules show each other.
#![allow(unreachable_pub)]

mod support;

mod backoff;
mod bulk;
mod cancel;
mod cancel_attempt;
mod capacity;
mod chaos;
mod create;
mod data;
mod events;
mod faults;
mod hardening;
mod heartbeat;
mod hygiene;
mod interop;
mod killed;
mod lifecycle;
mod ticker;
mod network;
mod pipeline;
mod queries;
mod refusals;
mod retention;
mod scale;
mod schedule;
mod send;
mod shard_planner;
mod snooze;
mod storm;
mod table;
mod takeover;
mod telemetry;
mod wire;
mod worker;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};

use support::{Backend, Test};

fn main() -> ExitCode {
    if let Some(code) = killed::main().or_else(interop::main) {
        return code;
    }
    let _ = send::futures_are_send::<fn() -> support::Document>;
    let arguments = Arguments::from_args();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => Arc::new(runtime),
        Err(error) => {
            eprintln!("no Tokio runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let backends = Backend::available();
    let tests: Vec<Test> = [
        backoff::tests(),
        bulk::tests(),
        cancel::tests(),
        cancel_attempt::tests(),
        capacity::tests(),
        chaos::tests(),
        create::tests(),
        data::tests(),
        events::tests(),
        faults::tests(),
        hardening::tests(),
        heartbeat::tests(),
        hygiene::tests(),
        lifecycle::tests(),
        ticker::tests(),
        network::tests(),
        pipeline::tests(),
        queries::tests(),
        refusals::tests(),
        retention::tests(),
        scale::tests(),
        schedule::tests(),
        shard_planner::tests(),
        snooze::tests(),
        storm::tests(),
        table::tests(),
        takeover::tests(),
        telemetry::tests(),
        wire::tests(),
        worker::tests(),
    ]
    .concat();
    // They need a database that several processes can share.
    let of_processes = killed::tests();
    let mut trials = Vec::new();
    for backend in &backends {
        let of_processes = of_processes.iter().filter(|_| matches!(backend, Backend::Local(_)));
        for test in tests.iter().chain(of_processes) {
            let (runtime, backend, run) = (Arc::clone(&runtime), backend.clone(), test.run);
            let name = format!("{}::{}", backend.name(), test.name);
            trials.push(Trial::test(name, move || {
                runtime
                    .block_on(async { tokio::spawn(async move { run(backend.world().await).await }).await })
                    .map_err(|failed| Failed::from(failed.to_string()))
            }));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    for backend in &backends {
        println!("ran on {backend}");
    }
    for test in &of_processes {
        println!("not run on {}, which processes cannot share: {}", Backend::Embedded, test.name);
    }
    if backends.len() == 1 {
        println!("not run on DynamoDB Local: start it with `tests/dynamodb-local cargo test`");
    }
    conclusion.exit_code()
}
