//! Changes: the confirmation, the job, and what is stored after them.

use tracker_web::Page;

use crate::site::ExtractStatus::{Ignored, Pending, Succeeded};
use crate::site::{Site, Visitor};

#[tokio::test]
async fn task_is_redriven_after_a_confirmation() {
    for site in Site::on_each_database().await {
        site.ignore("doc-1", "timed out").await;
        let page = site.page(Page::allow_writes).await;
        page.get("/").await.with(200).says("changes allowed");
        page.get("/u/extract/task?id=doc-1")
            .await
            .with(200)
            .says(">Redrive</button>")
            .says_not(">Release</button>");
        let fields = [("action", "redrive"), ("id", "doc-1")];
        let asked = page.post("/u/extract/confirm", &fields).await.with(303);
        let asked = page.get(&asked.location()).await.with(200);
        asked.says("Redrive now").says("tracker redrive doc-1");
        assert_eq!(site.status_of("doc-1").await, Some(Ignored));
        let with_reason =
            [&fields[..], &[("reason", "as agreed"), ("back", "http://evil.example/")]].concat();
        let begun = page.post("/u/extract/act", &with_reason).await.with(303);
        page.ended(&begun.location()).await.says("Done.").says_not("evil.example");
        assert_eq!(site.status_of("doc-1").await, Some(Pending));
        page.get("/u/extract/task?id=doc-1").await.with(200).says("because: as agreed").says("by alice");
    }
}

#[tokio::test]
async fn group_is_redriven_and_others_stay() {
    for site in Site::on_each_database().await {
        for nth in 0..3 {
            site.ignore(&format!("doc-{nth}"), &format!("timed out after {nth} s")).await;
        }
        site.ignore("other", "timed out after 3 s: no such file").await;
        let page = site.page(Page::allow_writes).await;
        page.get("/u/extract/errors").await.with(200).says("Redrive this group");
        let group =
            [("action", "redrive"), ("all", "1"), ("status", "ignored"), ("group", "timed out after # s")];
        let asked = page.post("/u/extract/confirm", &group).await.with(303);
        let asked = page.get(&asked.location()).await.with(200);
        asked
            .says("<b>3</b> tasks match now")
            .says("tracker redrive --status ignored --error-group 'timed out after # s'");
        let begun = page.post("/u/extract/act", &group).await.with(303);
        page.ended(&begun.location()).await.says("<dt>Done</dt><dd>3</dd>");
        assert_eq!(
            (site.status_of("doc-2").await, site.status_of("other").await),
            (Some(Pending), Some(Ignored))
        );
    }
}

#[tokio::test]
async fn task_that_has_moved_on_is_named_with_the_reason() {
    for site in Site::on_each_database().await {
        site.create("doc-1").await;
        site.documents.start("doc-1").await.unwrap().succeed().await.unwrap();
        let page = site.page(Page::allow_writes).await;
        let begun = page
            .post("/u/extract/act", &[("action", "redrive"), ("id", "doc-1"), ("id", "nobody")])
            .await
            .with(303);
        let ended = page.ended(&begun.location()).await.says("<dt>Skipped</dt><dd>2</dd>");
        ended.says("has succeeded already").says("there is no such task");
        assert_eq!(site.status_of("doc-1").await, Some(Succeeded));
    }
}

#[tokio::test]
async fn form_that_lost_its_filter_changes_nothing() {
    for site in Site::on_each_database().await {
        site.ignore("doc-1", "timed out").await;
        let page = site.page(Page::allow_writes).await;
        for fields in [
            &[("action", "delete")][..],
            &[("action", "delete"), ("all", "0")],
            &[("action", "delete"), ("all", "1"), ("id", "doc-1")],
            &[("action", "delete"), ("status", "ignored")],
            &[("action", "explode"), ("id", "doc-1")],
            &[("action", "redrive"), ("all", "1")],
            &[("action", "delete"), ("all", "everything")],
            &[("action", "redrive"), ("all", "everything"), ("status", "ignored")],
            &[("action", "delete"), ("all", "1"), ("error_", "x")],
            &[("action", "redrive"), ("all", "1"), ("status", "succeeded")],
        ] {
            page.post("/u/extract/confirm", fields).await.with(400);
        }
        for fields in [
            &[("action", "delete")][..],
            &[("action", "delete"), ("status", "ignored")],
            &[("action", "delete"), ("all", "1")],
            &[("action", "delete"), ("all", "everything")],
        ] {
            page.post("/u/extract/act", fields).await.with(400);
        }
        assert_eq!(site.status_of("doc-1").await, Some(Ignored));
        page.get("/u/extract/confirm/7").await.with(404);
        page.get("/u/extract/jobs/7").await.with(404);
        page.post("/u/extract/jobs/7/stop", &[]).await.with(404);
    }
}

#[tokio::test]
async fn changes_are_finished_before_the_program_ends() {
    for site in Site::on_each_database().await {
        for nth in 0..100 {
            site.ignore(&format!("doc-{nth:03}"), "timed out").await;
        }
        let page = Page::new([site.operator().await]).allow_writes();
        let changes = page.changes();
        let page = Visitor::of(page);
        let all = [("action", "redrive"), ("all", "everything")];
        let begun = page.post("/u/extract/act", &all).await.with(303).location();
        page.post(&format!("{begun}/stop"), &[]).await.with(303);
        changes.finish().await;
        let ended = page.get(&begun).await.with(200).says_not("Under way.");
        let done = ended.text.split("<dt>Done</dt><dd>").nth(1).unwrap().split('<').next().unwrap();
        let mut pending = 0;
        for nth in 0..100 {
            pending += u32::from(site.status_of(&format!("doc-{nth:03}")).await == Some(Pending));
        }
        assert_eq!(done, pending.to_string(), "what was begun is done, and told");
    }
}
