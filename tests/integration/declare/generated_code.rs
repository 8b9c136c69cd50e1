//! Generated code in places with hostile names and strict lints. That this file compiles is most of the test.

#![deny(
    warnings,
    missing_docs,
    missing_debug_implementations,
    unused_qualifications,
    clippy::all,
    clippy::pedantic
)]

use tracker_core::{StatusTracker, TrackerStatus};
use tracker_test_macros::database_test;

use crate::support::{Document, World, number};

/// Defines other items under the names that generated code might use.
mod shadowed {
    #![allow(dead_code, non_camel_case_types)]

    struct Box;
    struct Clone;
    struct Copy;
    struct Default;
    struct From;
    struct Iterator;
    struct None;
    struct Ok;
    struct Option;
    struct Result;
    struct Send;
    struct Some;
    struct String;
    struct Sync;
    struct Vec;
    trait Map {
        fn map(&self) {}
    }
    impl<T> Map for T {}
    mod __private {}
    mod core {}
    mod serde {}
    mod std {}
    mod tracker_core {}

    #[derive(::tracker_core::TrackerStatus, ::core::clone::Clone, ::core::marker::Copy)]
    pub(super) enum r#match {
        #[status(pending)]
        r#type = 1,
        #[status(in_progress)]
        Some = 2,
        #[status(failed)]
        None = 3,
        #[status(succeeded)]
        Ok = 4,
        #[status(ignored)]
        Err = 5,
        #[status(more_pending, rename = "more")]
        A = 0x6,
        #[status(more_pending)]
        B = 7_0,
    }

    #[derive(::tracker_core::StatusTracker)]
    #[tracker(status = r#match, use_case_id = "shadowed")]
    pub(super) struct r#struct {
        #[tracker(task_id)]
        pub(super) r#fn: u8,
        pub(super) __from: u8,
        pub(super) __fields: u8,
        pub(super) __id: u8,
        pub(super) __0: u8,
    }

    /// Generic over its id and its data, with type parameters of unusual names.
    #[derive(::tracker_core::StatusTracker)]
    #[tracker(status = r#match, use_case_id = "generic", crate = renamed)]
    pub(super) struct Generic<Id, __T> {
        #[tracker(task_id)]
        pub(super) id: Id,
        pub(super) t: __T,
    }

    use ::tracker_core as renamed;
}

#[database_test]
async fn derives_work_where_names_are_shadowed(world: World) {
    use shadowed::r#match as Status;
    let tracker = world.builder::<shadowed::r#struct>().build().unwrap();
    tracker.create(shadowed::r#struct { r#fn: 1, __from: 2, __fields: 3, __id: 4, __0: 5 }).await.unwrap();
    tracker.start(&1).await.unwrap().succeed().await.unwrap();
    let item = world.stored_under("shadowed____1").await.unwrap();
    assert_eq!(item["status"], number(4));
    let data = item["data"].as_m().unwrap();
    assert_eq!(
        ["__from", "__fields", "__id", "__0"].map(|name| &data[name]),
        [2, 3, 4, 5].map(number).each_ref()
    );
    assert_eq!([Status::r#type, Status::A, Status::B].map(TrackerStatus::name), ["type", "more", "B"]);
    assert_eq!([Status::r#type, Status::A, Status::B].map(TrackerStatus::code), [1, 6, 70]);

    let generic = world.builder::<shadowed::Generic<String, u32>>().build().unwrap();
    generic.create(shadowed::Generic { id: "a".to_owned(), t: 7 }).await.unwrap();
    let task = generic.get("a").consistent().await.unwrap().unwrap();
    assert_eq!((task.data().id.as_str(), task.data().t), ("a", 7));
}

#[database_test]
async fn derives_work_inside_a_function(world: World) {
    #[derive(TrackerStatus, Debug, Clone, Copy)]
    enum Local {
        #[status(pending)]
        Pending = 1,
        #[status(in_progress)]
        InProgress = 2,
        #[status(failed)]
        Failed = 3,
        #[status(succeeded)]
        Succeeded = 4,
        #[status(ignored)]
        Ignored = 5,
    }
    #[derive(StatusTracker, Debug)]
    #[tracker(use_case_id = "local", status = Local)]
    struct Inner {
        #[tracker(task_id)]
        id: i8,
    }
    let tracker = world.builder::<Inner>().build().unwrap();
    let task = tracker.create(Inner { id: -3 }).await.unwrap();
    assert_eq!((*task.task_id(), task.head().key()), (-3, "local____-3"));
    assert!(world.stored_under("local____-3").await.is_some());
}

macro_rules! tracked {
    ($name:ident, $status:ty, $after:path, $more:path, $use_case:literal, $retries:expr, $field:ident: $of:ty) => {
        /// Made by a macro, whose arguments reach the derive in invisible groups.
        #[derive(StatusTracker, Debug)]
        #[tracker(
                                                                            use_case_id = $use_case,
                                                                            status = $status,
                                                                            table = "documents",
                                                                            after = $after,
                                                                            more_pending_status = [$more],
                                                                            max_retry = $retries,
                                                                        )]
        struct $name {
            #[tracker(task_id)]
            id: String,
            $field: $of,
        }
    };
}

tracked!(Made, MadeStatus, Document, crate::support::ExtractStatus::Ignored, "extract", 7, pages: u64);

/// The statuses of the step that a macro makes.
#[derive(TrackerStatus, Debug, Clone, Copy)]
pub enum MadeStatus {
    /// Waits.
    #[status(pending)]
    Pending = 30,
    /// Runs.
    #[status(in_progress)]
    InProgress = 32,
    /// Failed.
    #[status(failed)]
    Failed = 34,
    /// Succeeded.
    #[status(succeeded)]
    Succeeded = 36,
    /// Ignored.
    #[status(ignored)]
    Ignored = 38,
}

#[database_test]
async fn derives_work_inside_a_macro(world: World) {
    let documents = world.create_document().await;
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let made = world.builder::<Made>().build().unwrap();
    assert_eq!(made.config().max_retry, 7);
    let task = made.start("doc-1").await.unwrap().succeed().await.unwrap();
    assert_eq!((task.data().id.as_str(), task.data().pages), ("doc-1", 0));
    assert_eq!(world.stored().await["status"], number(36));
}

#[database_test]
async fn derives_work_with_a_renamed_crate(world: World) {
    mod elsewhere {
        pub mod deep {
            pub use tracker_core as renamed;
        }
    }
    #[derive(elsewhere::deep::renamed::TrackerStatus, Clone, Copy)]
    #[status(crate = elsewhere::deep::renamed)]
    enum Status {
        #[status(pending)]
        Pending = 1,
        #[status(in_progress)]
        InProgress = 2,
        #[status(failed)]
        Failed = 3,
        #[status(succeeded)]
        Succeeded = 4,
        #[status(ignored)]
        Ignored = 5,
    }
    #[derive(elsewhere::deep::renamed::StatusTracker)]
    #[tracker(crate = elsewhere::deep::renamed, use_case_id = "renamed", status = Status)]
    struct Renamed {
        #[tracker(task_id)]
        id: String,
    }
    let tracker = world.builder::<Renamed>().build().unwrap();
    tracker.create(Renamed { id: "a".to_owned() }).await.unwrap();
    assert!(world.stored_under("renamed____a").await.is_some());
}
