//! Operators: what they see, what they change, and what they refuse.

mod act;
mod faults;
mod look;
mod open;
mod pause;

use tracker_core::{Operator, OperatorBuilder};

use crate::support::World;

/// The builder of an operator on this world's table and clock.
fn builder(world: &World) -> OperatorBuilder {
    let builder = Operator::builder(&world.client).table(&world.table).layout(world.layout.clone());
    builder.use_case_id("extract").clock(world.clock.clone())
}

async fn operator(world: &World) -> Operator {
    builder(world).actor("alice").reason("as agreed").open().await.expect("a described use case")
}

/// Creates failed tasks that are ignored, each with its own error.
async fn create_ignored(world: &World, ids: impl IntoIterator<Item = String>) {
    let documents =
        world.builder::<crate::support::Document>().max_retry(1).build().expect("a valid configuration");
    for id in ids {
        documents.create(crate::support::Document::new(&id)).await.expect("a new task");
        let execution = documents.start(&id).await.expect("a ready task");
        execution.fail(format!("{id} timed out after 30 s")).await.expect("a recorded failure");
    }
}
