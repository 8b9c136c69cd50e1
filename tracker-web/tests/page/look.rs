//! What the pages show.

use serde_json::json;
use tracker_core::testing::{Fault, Rates};

use tracker_web::Page;

use crate::site::Site;

#[tokio::test]
async fn overview_shows_counts_and_what_needs_attention() {
    for site in Site::on_each_database().await {
        let page = site.page(|page| page).await;
        page.get("/").await.with(200).says("Nothing needs attention.").says("read-only").says("Pending");
        site.ignore("doc-1", "timed out").await;
        // What was read is shown again for a while: another page reads anew.
        page.get("/").await.with(200).says("Nothing needs attention.");
        let fresh = site.page(|page| page.place("eu-west-1")).await;
        let overview = fresh.get("/").await.with(200);
        overview.says("1 ignored within the last day").says("1 ended in 60 min").says("eu-west-1");
    }
}

#[tokio::test]
async fn list_holds_its_filter_in_the_address() {
    for site in Site::on_each_database().await {
        site.create("doc-1").await;
        site.ignore("doc-2", "timed out after 3 s").await;
        let page = site.page(|page| page).await;
        page.get("/u/extract/tasks").await.with(200).says("doc-1").says("doc-2").says_not("timed out after");
        page.get("/u/extract/tasks?status=ignored").await.with(200).says_not("doc-1<").says("doc-2");
        page.get("/u/extract/tasks?details=1").await.with(200).says("timed out after 3 s").says("worker-1");
        let some =
            page.get("/u/extract/tasks?status=ignored&error=timed+out+after+%23&since=1h").await.with(200);
        some.says("doc-2").says("tracker ls --status ignored --since 1h --error 'timed out after #'");
        page.get("/u/extract/tasks?status=ignored&error=no+such").await.with(200).says("No task matches");
        page.get("/u/extract/tasks?since=yesterday").await.with(400).says("since: write how long ago");
        page.get("/u/extract/tasks?status=nope").await.with(400).says("there is no status `nope`");
        page.get("/u/extract/tasks?after=nonsense").await.with(400);
    }
}

#[tokio::test]
async fn long_list_has_pages() {
    for site in Site::on_each_database().await {
        for nth in 0..60 {
            site.create(&format!("doc-{nth:02}")).await;
        }
        let page = site.page(|page| page).await;
        let first = page.get("/u/extract/tasks").await.with(200);
        let rows = |text: &str| text.matches("class=\"id\"").count();
        assert_eq!(rows(&first.text), 50);
        let next = first.text.split("Next page").next().unwrap().rsplit("href=\"").next().unwrap();
        let next = next.split('"').next().unwrap().replace("&amp;", "&");
        let second = page.get(&next).await.with(200);
        assert_eq!(rows(&second.text), 10);
        second.says("First page").says_not("Next page");
    }
}

#[tokio::test]
async fn task_shows_all_that_is_stored_but_what_is_redacted() {
    for site in Site::on_each_database().await {
        site.ignore("doc-1", "timed out").await;
        let page = site.page(|page| page).await;
        let task = page.get("/u/extract/task?id=doc-1").await.with(200);
        task.says("a title").says("s3cr3t").says("attempt 1").says("timed out").says("tracker get doc-1");
        let redacted = site.page(|page| page.redact("secret")).await;
        redacted
            .get("/u/extract/task?id=doc-1")
            .await
            .with(200)
            .says("a title")
            .says("(hidden)")
            .says_not("s3cr3t");
        redacted.get("/api/v1/extract/task?id=doc-1").await.with(200).says("a title").says_not("s3cr3t");
        site.set_attribute("doc-1", "invoice", "4711").await;
        page.get("/u/extract/task?id=doc-1").await.with(200).says("4711");
        let hidden = site.page(Page::hide_data).await;
        hidden.get("/u/extract/task?id=doc-1").await.with(200).says_not("4711");
        hidden.get("/api/v1/extract/task?id=doc-1").await.with(200).says_not("4711");
        hidden.get("/u/extract/task?id=doc-1").await.with(200).says_not("a title").says_not("s3cr3t");
        hidden.get("/api/v1/extract/task?id=doc-1").await.with(200).says_not("a title");
        page.get("/u/extract/task?id=nobody").await.with(404).says("there is no task `nobody`");
        page.get("/u/extract/task?id=").await.with(400);
        page.get("/u/extract/task").await.with(400).says("name an id").says("Back to the overview");
        assert!(
            page.get("/api/v1/extract/task").await.with(400).json()["error"].as_str().unwrap().contains("id")
        );
        page.get("/u/extract/tasks?status=a&status=b").await.with(400).says("duplicate field");
        assert_eq!(page.get("/u/extract").await.with(303).location(), "/u/extract/tasks");
    }
}

#[tokio::test]
async fn errors_busy_and_doctor_are_shown() {
    for site in Site::on_each_database().await {
        site.ignore("doc-1", "timed out after 3 s").await;
        site.ignore("doc-2", "timed out after 4 s").await;
        site.create("doc-3").await;
        let held = site.documents.start("doc-3").await.unwrap();
        let page = site.page(|page| page).await;
        page.get("/u/extract/errors")
            .await
            .with(200)
            .says("timed out after # s")
            .says_not("Redrive this group");
        page.get("/u/extract/busy").await.with(200).says("worker-1").says("doc-3").says(" left");
        page.get("/u/extract/doctor").await.with(200).says("permission UpdateItem").says("none has expired");
        held.release().await.unwrap();
    }
}

#[tokio::test]
async fn api_has_the_same_as_json_and_metrics() {
    for site in Site::on_each_database().await {
        site.ignore("doc-1", "timed out").await;
        let page = site.page(|page| page).await;
        let status = page.get("/api/v1/extract/status").await.with(200).json();
        assert_eq!((&status["v"], &status["status"]["counts"][4]["tasks"]), (&json!(1), &json!(1)));
        let tasks = page.get("/api/v1/extract/tasks?status=ignored").await.with(200).json();
        assert_eq!((&tasks["tasks"][0]["task_id"], &tasks["next"]), (&json!("doc-1"), &json!(null)));
        assert_eq!(page.get("/api/v1/extract/task?id=doc-1").await.with(200).json()["status"], "Ignored");
        assert_eq!(
            page.get("/api/v1/extract/errors").await.with(200).json()["groups"][0]["error"],
            "timed out"
        );
        assert_eq!(page.get("/api/v1/extract/busy").await.with(200).json()["tasks"], json!([]));
        assert_eq!(
            page.get("/api/v1/extract/doctor").await.with(200).json()["findings"][0]["check"],
            "table"
        );
        page.get("/api/v1/nope/status").await.with(404);
        page.get("/api/v1/extract/task?id=nobody").await.with(404);
        assert_eq!(page.get("/healthz").await.with(200).text, "ok\n");
        let metrics = page.get("/metrics").await.with(200);
        let metrics = metrics.says("tracker_page_up{table=").says(",status=\"Ignored\"} 1\n");
        assert!(metrics.text.contains("# TYPE tracker_oldest_task_age_seconds gauge"));
    }
}

#[tokio::test]
async fn lost_database_is_said_and_what_was_known_is_shown() {
    for site in Site::on_each_database().await {
        site.ignore("doc-1", "timed out").await;
        let page = site.page(Page::allow_writes).await;
        page.get("/").await.with(200).says("1 ignored");
        let away = || {
            for operation in ["Query", "GetItem", "BatchGetItem"] {
                site.network.rates_of(operation, Rates::none().with(Fault::Deny, 1.0));
            }
        };
        away();
        page.get("/u/extract/tasks")
            .await
            .with(502)
            .says("DynamoDB does not answer")
            .says("Back to the overview");
        page.get("/u/extract/task?id=doc-1").await.with(502);
        page.get("/api/v1/extract/tasks").await.with(502);
        // The overview is still the cached one; after a change it is read anew, fails, and shows what it knew.
        page.get("/").await.with(200).says("1 ignored").says_not("could not be read");
        site.network.calm();
        let job =
            page.post("/u/extract/act", &[("action", "redrive"), ("id", "doc-1")]).await.with(303).location();
        page.ended(&job).await;
        away();
        page.get("/").await.with(200).says("DynamoDB could not be read").says("1 ignored");
        page.get("/metrics").await.with(200).says("} 0\n").says_not("status=");
        page.get("/api/v1/extract/status").await.with(502);
        site.network.calm();
    }
}
