//! Work beside the caller: heartbeats, and futures that nobody polls.

mod attack;
mod background;

use tokio::runtime::{Builder, Runtime};
use tracker_core::aws_sdk_dynamodb::Client;

use crate::support::{World, local_config};

/// A client whose connections no other runtime uses.
fn own_client(world: &World) -> Client {
    world.endpoint.as_deref().map(local_config).map_or(world.client.clone(), Client::from_conf)
}

fn multi_thread(threads: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap()
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}
