//! A page to look at the tasks of `tracker-core`, and to act on them: what an operator keeps open all day.
//!
//! The command `tracker serve` shows the page. A program of your own mounts it into its own axum application, behind its own
//! authentication:
//!
//! ```
//! use axum::Router;
//! use tracker_core::aws_sdk_dynamodb::Client;
//! use tracker_core::{Error, Operator};
//! use tracker_web::Page;
//!
//! async fn application(client: &Client) -> Result<Router, Error> {
//!     let operator = Operator::builder(client).table("documents").use_case_id("extract").read_only().open().await?;
//!     let page = Page::new([operator]).base_path("/tracker").hosts(["status.example.com"]);
//!     Ok(Router::new().nest("/tracker", page.into_router()))
//! }
//! ```
//!
//! The page is read-only unless [`Page::allow_writes`] says otherwise. It answers only the hosts that it is told, refuses changes
//! that another site sends, and reads no more than its [budget](Page::read_units_per_hour).

#![cfg_attr(docsrs, feature(doc_cfg))]

mod cache;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod jobs;
mod overview;
mod query;
mod questions;
mod routes;
mod settings;
mod state;
mod view;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use tracker_core::Operator;

use self::jobs::Jobs;
use self::settings::{Hosts, Settings};
use self::state::App;

/// A page about the tasks of one or more use cases.
#[must_use = "the page is made by `into_router`"]
pub struct Page {
    operators: Vec<Operator>,
    settings: Settings,
    jobs: Arc<Jobs>,
}

/// The changes that a [`Page`] has begun.
#[derive(Clone)]
pub struct Changes(Arc<Jobs>);

impl Changes {
    /// Stops the changes, and waits until what they have begun is done. Call this before the program ends.
    pub async fn finish(&self) {
        self.0.finish().await;
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}

impl Page {
    /// Returns a read-only page about the use cases of some operators, which answers only the names of this machine.
    pub fn new(operators: impl IntoIterator<Item = Operator>) -> Self {
        Self {
            operators: operators.into_iter().collect(),
            settings: Settings::default(),
            jobs: Arc::default(),
        }
    }

    /// Allows changes: redrive, run now, cancel, release and delete. Without this, their routes do not exist. An operator that
    /// is read-only still refuses them.
    pub fn allow_writes(mut self) -> Self {
        self.settings.writes = true;
        self
    }

    /// Sets the values of the header `Host` that are answered, each with its port if it is not the default. By default, only
    /// the names of this machine are, with any port. The check keeps out sites whose name points to this machine.
    pub fn hosts<H: Into<String>>(mut self, hosts: impl IntoIterator<Item = H>) -> Self {
        self.settings.hosts = Hosts::These(hosts.into_iter().map(Into::into).collect());
        self
    }

    /// Answers any host. Something in front of the page must check the host and who asks.
    pub fn any_host(mut self) -> Self {
        self.settings.hosts = Hosts::Any;
        self
    }

    /// Requires a token: as the password of any user, or as a bearer.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.settings.token = Some(token.into());
        self
    }

    /// Sets the path under which the page is mounted, such as `/tracker`.
    pub fn base_path(mut self, path: impl Into<String>) -> Self {
        let path = path.into();
        let path = path.trim_matches('/');
        self.settings.base = if path.is_empty() { String::new() } else { format!("/{path}") };
        self
    }

    /// Hides a field of the data, and an attribute, with this name, at any depth.
    pub fn redact(mut self, field: impl Into<String>) -> Self {
        self.settings.redacted.push(field.into());
        self
    }

    /// Shows no data of tasks.
    pub fn hide_data(mut self) -> Self {
        self.settings.hides_data = true;
        self
    }

    /// Sets where the database is, for people: its region or its address.
    pub fn place(mut self, place: impl Into<String>) -> Self {
        self.settings.place = Some(place.into());
        self
    }

    /// Sets what the `tracker` commands begin with that the page shows, such as `tracker --table documents`.
    pub fn command(mut self, begin: impl Into<String>) -> Self {
        self.settings.command = begin.into();
        self
    }

    /// Sets how many read units pages that are refreshed by themselves may use in an hour: 1,500 by default. What was read is
    /// shown again until that allows another read, at most once in 10 seconds.
    pub fn read_units_per_hour(mut self, units: u32) -> Self {
        self.settings.budget.per_hour = f64::from(units.max(1));
        self
    }

    /// Sets a function that returns the read units that were used so far. Without it, the page estimates them.
    pub fn units_used(mut self, used: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        self.settings.budget.used = Some(Arc::new(used));
        self
    }

    /// Returns a handle to the changes that the page has begun.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes(Arc::clone(&self.jobs))
    }

    /// Returns the routes of the page.
    pub fn into_router(self) -> Router {
        routes::router(Arc::new(App::new(self.operators, self.settings, self.jobs)))
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("operators", &self.operators)
            .field("writes", &self.settings.writes)
            .field("hosts", &self.settings.hosts)
            .finish_non_exhaustive()
    }
}
