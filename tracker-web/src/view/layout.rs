//! The frame of every page.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::text::thousands;
use crate::routes::{Addresses, Place};
use crate::state::App;

/// A page: its title, where it is, and what it shows.
pub(crate) struct Frame<'p> {
    pub(crate) title: String,
    pub(crate) place: Place<'p>,
    /// Whether the page is refreshed while it is open.
    pub(crate) is_live: bool,
    pub(crate) main: Markup,
}

impl Frame<'_> {
    pub(crate) fn respond(&self, app: &App) -> Response {
        self.respond_with(app, StatusCode::OK)
    }

    pub(crate) fn respond_with(&self, app: &App, status: StatusCode) -> Response {
        let head = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
        (status, head, self.page(app).into_string()).into_response()
    }

    fn page(&self, app: &App) -> Markup {
        let to = Addresses { base: &app.settings.base };
        let use_case = self.place.use_case.and_then(|id| app.use_case(id)).or_else(|| app.use_cases.first());
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · tracker" }
                    link rel="stylesheet" href=(to.asset("style.css"));
                    link rel="icon" href=(to.asset("icon.svg")) type="image/svg+xml";
                    script src=(to.asset("script.js")) defer {}
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    header {
                        div.bar {
                            a.brand href=(to.home()) { "tracker" }
                            nav aria-label="Pages" {
                                (self.link("Overview", &to.home(), "overview"))
                                @if let Some(use_case) = use_case {
                                    @for (name, page) in [("Tasks", "tasks"), ("Errors", "errors"), ("Busy", "busy"), ("Doctor", "doctor")] {
                                        (self.link(name, &to.page(use_case.id(), page), page))
                                    }
                                }
                            }
                        }
                        div.facts {
                            @if let Some(use_case) = use_case {
                                span { "table " b { (use_case.operator.table()) } }
                                span { "use case " b { (use_case.id()) } }
                            }
                            @if let Some(place) = &app.settings.place { span { (place) } }
                            @if use_case.is_some_and(|use_case| app.writes(use_case)) {
                                span.writes { "changes allowed" }
                            } @else {
                                span { "read-only" }
                            }
                            @if let Some(used) = app.settings.budget.used() { span { (format!("{used:.1}")) " read units used" } }
                        }
                    }
                    main id="main" tabindex="-1" {
                        h1 { (self.title) }
                        p id="lost" class="banner bad" role="status" aria-live="polite" hidden {}
                        @if self.is_live {
                            div id="live" data-every="10" { (self.main) }
                        } @else {
                            (self.main)
                        }
                    }
                }
            }
        }
    }

    fn link(&self, name: &str, address: &str, page: &str) -> Markup {
        html! { a href=(address) aria-current=[(self.place.page == page).then_some("page")] { (name) } }
    }
}

/// Returns a page that says what went wrong, and what to do.
pub(crate) fn problem(app: &App, status: StatusCode, what: &str, advice: &str) -> Response {
    let to = Addresses { base: &app.settings.base };
    let title = match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::FORBIDDEN => "Refused",
        StatusCode::SERVICE_UNAVAILABLE => "Busy",
        _ if status.is_client_error() => "That does not work",
        _ => "DynamoDB does not answer",
    };
    let frame = Frame {
        title: title.to_owned(),
        place: Place::default(),
        is_live: false,
        main: html! {
            p.banner.bad role="alert" { (super::text::plain(what)) }
            p { (advice) "." }
            p { a href=(to.home()) { "Back to the overview" } }
        },
    };
    frame.respond_with(app, status)
}

/// Says that data could not be read again, and how old what is shown is.
pub(crate) fn stale(error: Option<&str>, age: &Markup) -> Markup {
    html! {
        @if let Some(error) = error {
            p.banner.bad role="alert" { "DynamoDB could not be read: " (super::text::plain(error)) ". What is shown is from " (age) "." }
        }
    }
}

/// Returns a number, or what it is at least.
pub(crate) fn at_least(number: u64, is_exact: bool) -> String {
    if is_exact { thousands(number) } else { format!("≥ {}", thousands(number)) }
}
