//! What the page refuses, and its headers.

use axum::body::Body;
use axum::http::{Request, header};

use tracker_web::Page;

use crate::site::ExtractStatus::Ignored;
use crate::site::{Site, Visitor};

async fn with_headers(page: &Visitor, method: &str, address: &str, headers: &[(&str, &str)]) -> u16 {
    let mut request = Request::builder().method(method).uri(address);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    page.send(request.body(Body::from("action=redrive&id=doc-1")).unwrap()).await.status.as_u16()
}

#[tokio::test]
async fn only_known_hosts_are_answered() {
    for site in Site::on_each_database().await {
        let page = site.page(|page| page).await;
        for host in ["localhost:8080", "127.0.0.1", "[::1]:1"] {
            assert_eq!(with_headers(&page, "GET", "/", &[("host", host)]).await, 200, "{host}");
        }
        for headers in [&[("host", "evil.example")][..], &[("host", "evil.example:8080")], &[]] {
            assert_eq!(with_headers(&page, "GET", "/", headers).await, 421, "{headers:?}");
            assert_eq!(with_headers(&page, "GET", "/assets/style.css", headers).await, 421);
        }
        let named = site.page(|page| page.hosts(["status.example.com"])).await;
        assert_eq!(with_headers(&named, "GET", "/", &[("host", "status.example.com")]).await, 200);
        assert_eq!(with_headers(&named, "GET", "/", &[("host", "localhost")]).await, 421);
    }
}

#[tokio::test]
async fn changes_of_another_site_are_refused() {
    for site in Site::on_each_database().await {
        site.ignore("doc-1", "timed out").await;
        let page = site.page(Page::allow_writes).await;
        let host = ("host", "localhost:8080");
        for headers in [
            &[host][..],
            &[host, ("sec-fetch-site", "cross-site")],
            &[host, ("sec-fetch-site", "same-site"), ("origin", "http://localhost:8080")],
            &[host, ("sec-fetch-site", "none")],
            &[host, ("origin", "http://evil.example")],
            &[host, ("origin", "null")],
            &[host, ("origin", "http://localhost:8081")],
        ] {
            for address in ["/u/extract/act", "/u/extract/confirm", "/u/extract/jobs/1/stop"] {
                assert_eq!(with_headers(&page, "POST", address, headers).await, 403, "{headers:?}");
            }
        }
        assert_eq!(with_headers(&page, "GET", "/u/extract/act", &[host]).await, 405);
        assert_eq!(site.status_of("doc-1").await, Some(Ignored));
        let own = [host, ("origin", "http://localhost:8080")];
        assert_eq!(with_headers(&page, "POST", "/u/extract/act", &own).await, 303);
    }
}

#[tokio::test]
async fn routes_that_change_do_not_exist_on_a_read_only_page() {
    for site in Site::on_each_database().await {
        site.ignore("doc-1", "timed out").await;
        let page = site.page(|page| page).await;
        for address in ["/u/extract/act", "/u/extract/confirm", "/u/extract/jobs/1/stop"] {
            page.post(address, &[("action", "redrive"), ("id", "doc-1")]).await.with(404);
        }
        page.get("/u/extract/task?id=doc-1")
            .await
            .with(200)
            .says_not("<button type=\"submit\" name=\"action\"");
        assert_eq!(site.status_of("doc-1").await, Some(Ignored));
    }
}

#[tokio::test]
async fn token_is_needed_if_there_is_one() {
    for site in Site::on_each_database().await {
        let page = site.page(|page| page.token("correct horse battery")).await;
        let host = ("host", "localhost");
        assert_eq!(with_headers(&page, "GET", "/", &[host]).await, 401);
        for wrong in ["Bearer correct horse", "Basic !!!", "Basic YTpi", "Bearer ", "correct horse battery"] {
            assert_eq!(
                with_headers(&page, "GET", "/", &[host, ("authorization", wrong)]).await,
                401,
                "{wrong}"
            );
        }
        // "alice:correct horse battery"
        let basic = "Basic YWxpY2U6Y29ycmVjdCBob3JzZSBiYXR0ZXJ5";
        for right in ["Bearer correct horse battery", basic] {
            assert_eq!(
                with_headers(&page, "GET", "/", &[host, ("authorization", right)]).await,
                200,
                "{right}"
            );
        }
        assert_eq!(with_headers(&page, "GET", "/healthz", &[host]).await, 200);
        assert_eq!(with_headers(&page, "GET", "/x/healthz", &[host]).await, 401);
        let nobody = site.page(|page| page.token("")).await;
        assert_eq!(with_headers(&nobody, "GET", "/", &[host, ("authorization", "Bearer ")]).await, 401);
    }
}

#[tokio::test]
async fn every_answer_has_the_headers_that_keep_a_browser_safe() {
    for site in Site::on_each_database().await {
        let page = site.page(|page| page).await;
        for address in ["/", "/u/extract/tasks", "/nowhere", "/assets/style.css", "/metrics", "/u/nope/tasks"]
        {
            let headers = page.get(address).await.headers;
            let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("referrer-policy", "same-origin"),
                ("cache-control", "no-store"),
            ] {
                assert_eq!(headers[name], value, "{address}");
            }
        }
        page.get("/nowhere").await.with(404).says("there is no such page");
        page.get("/u/nope/tasks").await.with(404).says("there is no use case `nope` here");
        page.get("/assets/../Cargo.toml").await.with(404);
    }
}

/// Removes the values of fields.
fn without_values(page: &str) -> String {
    let mut parts = page.split(" value=\"");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('"').expect("a closed value").1)
}

#[tokio::test]
async fn text_of_users_stays_text() {
    for site in Site::on_each_database().await {
        let id = "<script>alert(1)</script>\u{202e}\"' &x=1";
        site.ignore(id, "<img src=x onerror=alert(2)>\u{1b}[31m").await;
        let long = "x".repeat(2000);
        site.ignore(&long, &"é".repeat(10_000)).await;
        let page = site.page(Page::allow_writes).await;
        let address = format!("/u/extract/task?{}", serde_urlencoded::to_string([("id", id)]).unwrap());
        for address in ["/u/extract/tasks?details=1", "/u/extract/errors", &address] {
            let mut answer = page.get(address).await.with(200);
            // A form sends an id as it is; nobody sees the value of a box.
            answer.text = without_values(&answer.text);
            answer.says_not("<script>alert").says_not("<img src=x").says_not("\u{202e}").says_not("\u{1b}");
        }
        let fields = [("action", "redrive"), ("id", id), ("id", &long)];
        let asked = page.post("/u/extract/confirm", &fields).await.with(303).location();
        page.get(&asked).await.with(200).says_not("<script>alert");
        let begun = page.post("/u/extract/act", &fields).await.with(303);
        page.ended(&begun.location()).await.says("<dt>Done</dt><dd>2</dd>");
        page.post("/u/extract/act", &[("id", &"x".repeat(600_000))]).await.with(413);
    }
}

#[tokio::test]
async fn page_under_a_path_links_to_itself() {
    for site in Site::on_each_database().await {
        site.ignore("doc-1", "timed out").await;
        let page = Page::new([site.operator().await]).base_path("tracker/").allow_writes();
        let page = Visitor::nested(page, "/tracker");
        let overview = page.get("/tracker").await.with(200);
        for link in overview.text.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            if link != "#main" {
                assert!(link.starts_with("/tracker"), "{link}");
                page.get(&link.replace("&amp;", "&")).await.with(200);
            }
        }
        let begun =
            page.post("/tracker/u/extract/act", &[("action", "redrive"), ("id", "doc-1")]).await.with(303);
        page.ended(&begun.location()).await.says("Done.");
        page.get("/tracker/healthz").await.with(200);
    }
}

#[tokio::test]
async fn another_site_cannot_embed_the_page() {
    for site in Site::on_each_database().await {
        let page = site.page(|page| page).await;
        let host = ("host", "localhost");
        let from = |site: &'static str, mode: &'static str, dest: &'static str| {
            [host, ("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)]
        };
        let search = "/u/extract/tasks?error=x";
        for headers in [
            from("cross-site", "no-cors", "image"),
            from("cross-site", "navigate", "iframe"),
            from("same-site", "cors", "empty"),
        ] {
            assert_eq!(with_headers(&page, "GET", search, &headers).await, 403, "{headers:?}");
        }
        for headers in [from("cross-site", "navigate", "document"), from("same-origin", "cors", "empty")] {
            assert_eq!(with_headers(&page, "GET", search, &headers).await, 200, "{headers:?}");
        }
    }
}
