//! Every future of the library is `Send`, so that it can be spawned.

use futures_util::StreamExt;
use tracker_core::{End, Error, Failure, Operator, TaskFilter, Tracker};

use crate::support::{Document, ExtractStatus};

fn is_send<F: Send>(_: F) {}

/// Is compiled, but not run.
pub fn every_future_is_send<F: Fn() -> Document>(documents: &Tracker<Document>, document: F) {
    is_send(documents.create(document()));
    is_send(documents.create_at(document(), std::time::SystemTime::now().into()));
    is_send(documents.ensure(document()));
    is_send(documents.start("a"));
    is_send(documents.start_or_create(document()));
    is_send(documents.run("a", async |task| -> Result<(), Failure> {
        task.save().await?;
        Ok(())
    }));
    is_send(documents.start("a").deadline(std::time::Duration::ZERO));
    is_send(documents.query_for_unfinished().refresh().page());
    is_send(documents.get("a").into_future());
    is_send(documents.head("a").into_future());
    is_send(documents.delete("a"));
    is_send(documents.cancel("a"));
    is_send(documents.redrive("a"));
    is_send(documents.redrive_all(ExtractStatus::Failed).into_future());
    is_send(documents.create_table().into_future());
    is_send(documents.verify_table());
    is_send(documents.delete_table());
    is_send(documents.query_for_unfinished().all());
    is_send(documents.query_for_unfinished().page());
    is_send(documents.query_for_unfinished().stream());
    is_send(documents.query_for_unfinished().refresh().all());
    is_send(documents.query_for_unfinished().refresh().stream());
    is_send(documents.refresh(&[]));
    is_send(documents.count_by_status());
    is_send(documents.count_tasks_by_use_case_id());
    is_send(documents.delete_tasks_by_use_case_id().into_future());
    is_send(documents.create_many([document()]));
    is_send(documents.create_many_from(futures_util::stream::iter([document()])));
    is_send(documents.overwrite_many([document()]));
    is_send(async {
        let ids = ["a".to_owned()];
        let started = documents.start_many(&ids).await.into_iter().filter_map(Result::ok);
        documents.succeed_many(started).await;
        let started =
            documents.start_many(ids.iter().map(String::as_str)).await.into_iter().filter_map(Result::ok);
        documents.end_many(started.map(|execution| (execution, End::Release))).await;
    });
    is_send(async {
        let execution = documents.start("a").await?;
        execution.fail("no").await?;
        let execution = documents.start("a").await?;
        execution.release().await?;
        let execution = documents.start("a").await?;
        is_send(execution.cancelled());
        execution.cancelled().await;
        execution.fail(Failure::snooze(std::time::Duration::from_secs(1))).await?;
        let execution = documents.start("a").await?;
        execution.succeed().await?;
        Ok::<(), Error>(())
    });
}

/// Is compiled, but not run.
pub fn every_future_of_an_operator_is_send(operator: &Operator) {
    is_send(async {
        let filter = TaskFilter::new().error("no");
        operator.counts(&filter, None).await?;
        operator.rate(std::time::Duration::ZERO, None).await?;
        operator.list(&filter, 1, None).await?;
        operator.details(&filter)?.collect::<Vec<_>>().await;
        operator.errors(&filter, None).await?;
        operator.stuck(None, std::time::Duration::ZERO, 1).await?;
        operator.lost(None, 1).await?;
        operator.doctor(1).await?;
        operator.pauses().await?;
        operator.pause("a", operator.now()).await?;
        operator.resume("a").await?;
        operator.wait("a").await?;
        operator.redrive(filter).await?;
        Ok::<(), Error>(())
    });
    is_send(operator.get("a"));
}
