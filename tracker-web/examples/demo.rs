//! Serves the page on a database in memory, with tasks in every state: `cargo run -p tracker-web --example demo -- 8080 40`.
//!
//! The arguments are the port (0 for any free one) and the number of tasks. Ids, data and errors have text that must stay text.

use std::error::Error;

use futures_util::StreamExt as _;
use tokio::net::TcpListener;
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::{Backoff, Created, Failure, Operator, StatusTracker, Tracker, TrackerStatus, embedded};
use tracker_web::Page;

#[derive(TrackerStatus, Debug, Clone, Copy)]
enum ExtractStatus {
    #[status(pending)]
    Pending = 10,
    #[status(in_progress)]
    InProgress = 12,
    #[status(failed)]
    Failed = 14,
    #[status(succeeded)]
    Succeeded = 16,
    #[status(ignored)]
    Ignored = 18,
}

#[derive(StatusTracker, Debug, Clone)]
#[tracker(use_case_id = "extract", status = ExtractStatus, table = "documents")]
struct Document {
    #[tracker(task_id)]
    id: String,
    title: String,
    pages: Vec<u32>,
}

const HOSTILE: &str = "<script>document.title='broken'</script>\u{202e}\"' onmouseover=alert(1)";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().as_deref().unwrap_or("8080").parse()?;
    let tasks: usize = arguments.next().as_deref().unwrap_or("40").parse()?;
    let client = embedded::in_memory()?;
    let builder = Document::tracker_builder(&client).owner("worker-7/12").backoff(Backoff::None).max_retry(3);
    let documents = builder.build()?;
    documents.create_table().await?;
    let held = fill(&documents, tasks).await?;
    let page = Page::new([operator(&client).await?]).allow_writes().place("in memory");
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}/", listener.local_addr()?);
    axum::serve(listener, page.into_router()).await?;
    drop(held);
    Ok(())
}

async fn operator(client: &Client) -> Result<Operator, tracker_core::Error> {
    Operator::builder(client).table("documents").use_case_id("extract").actor("alice@laptop").open().await
}

/// Brings tasks into every state, and returns those that are in progress.
async fn fill(
    documents: &Tracker<Document>,
    tasks: usize,
) -> Result<Vec<tracker_core::Execution<Document>>, tracker_core::Error> {
    let mut held = Vec::new();
    if tasks == 0 {
        return Ok(held);
    }
    let document = |id: String| Document { title: format!("Minutes of {id}"), id, pages: vec![1, 2, 3] };
    let documents_of = (0..tasks).map(move |nth| document(format!("doc-{nth:05}")));
    let mut created = documents.create_many(documents_of);
    while let Some(outcome) = created.next().await {
        if let Created::Failed { error, .. } = outcome {
            return Err(error);
        }
    }
    for nth in 0..tasks {
        let id = format!("doc-{nth:05}");
        match nth % 8 {
            0 | 1 => drop(documents.start(&id).await?.succeed().await?),
            2 | 3 => {
                let error = format!("{id}: timed out after {} s\n  at extract (worker.rs:{nth})", nth % 60);
                drop(documents.start(&id).await?.fail(Failure::fatal(error)).await?);
            }
            4 => drop(documents.start(&id).await?.fail("no such bucket").await?),
            5 if held.len() < 5 => held.push(documents.start(&id).await?),
            _ => {}
        }
    }
    let hostile = Document { title: HOSTILE.to_owned(), ..document(HOSTILE.to_owned()) };
    documents.create(hostile).await?;
    documents.start(HOSTILE).await?.fail(Failure::fatal(HOSTILE)).await?;
    let long = "long-".repeat(200);
    documents.create(document(long.clone())).await?;
    documents.start(&long).await?.fail(Failure::fatal("an error of 10 KB ".repeat(600))).await?;
    Ok(held)
}
