//! What `FaultyNetwork` counts, keeps and injects.

use tracker_core::ErrorKind;
use tracker_core::testing::Rates;
use tracker_test_macros::database_test;

use crate::support::{Fault, World};

#[database_test]
async fn network_counts_more_requests_than_it_keeps_copies(world: World) {
    world.create_document().await;
    let network = &world.network;
    network.keep_copies(2);
    let sent = network.count("GetItem");
    for _ in 0..3 {
        world.stored().await;
    }
    assert_eq!(network.count("GetItem"), sent + 3);
    let error = network.deliver_again("GetItem", sent).await.unwrap_err();
    assert!(error.to_string().contains(&format!("request {sent} of `GetItem`")), "{error}");
    assert_eq!(network.deliver_again("GetItem", sent + 2).await.unwrap(), 200);
    assert_eq!(network.count("GetItem"), sent + 3, "a copy is not counted");
    network.next("GetItem", [Fault::Deny]);
    network.seed(1, Rates::none().with(Fault::DropRequest, 1.0));
    network.calm();
    world.stored().await;
    assert!(network.injected().is_empty() && network.in_flight() == 0);
}

/// One try waits for a dead connection. The next request uses another pool, although a dead connection is left.
#[database_test]
async fn dead_connections_of_a_pool_cost_one_try(world: World) {
    let documents = world.builder_with_heartbeat().build().unwrap();
    documents.verify_table().await.unwrap();
    world.network.kill_connections(2);
    world.network.next("DescribeTable", [Fault::Deny]);
    let error = world.run_while_advancing_clock(documents.verify_table()).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
    assert_eq!(world.network.faults_left(), 1, "the script waits for a request that is delivered");
    let error = documents.verify_table().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Service { .. }), "{error}");
    documents.verify_table().await.unwrap();
    assert_eq!(world.network.injected()["DeadConnection"], 1);
}

#[database_test]
async fn scripted_faults_do_not_shift_the_seeded_faults(world: World) {
    world.create_document().await;
    let denied = async |script: &[Fault]| {
        // The same seed, so that the same requests draw the same faults.
        world.network.seed(7, Rates::none().with(Fault::Deny, 0.5));
        world.network.next("GetItem", script.iter().copied());
        let mut denied = Vec::new();
        for _ in 0..20 {
            let get =
                world.client.get_item().table_name(&world.table).set_key(Some(world.key("extract____doc-1")));
            denied.push(get.send().await.is_err());
        }
        denied
    };
    let drawn = denied(&[]).await;
    assert!(drawn.contains(&true) && drawn.contains(&false), "{drawn:?}");
    assert_eq!(denied(&[]).await, drawn);
    assert_eq!(denied(&[Fault::None; 5]).await[5..], drawn[5..]);
    world.network.calm();
}

#[database_test]
async fn rates_of_one_operation_need_no_seed(world: World) {
    let documents = world.create_document().await;
    world.network.rates_of("GetItem", Rates::none().with(Fault::Deny, 1.0));
    documents.get("doc-1").await.unwrap_err();
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    world.network.seed(1, Rates::none());
    documents.get("doc-1").await.unwrap_err();
    world.network.calm();
    documents.get("doc-1").await.unwrap();
    world.network.seed(1, Rates::none());
    documents.get("doc-1").await.expect("`calm` has removed these rates as well");
    assert_eq!(world.network.injected()["Deny"], 2);
}
