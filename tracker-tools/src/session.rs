//! What every command works with: the options, the client, and the operator.

use std::fs;

use tracker_core::{Description, Operator, TaskFilter};

use crate::cli::{Filter, Options};
use crate::client::client;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::output::text::escaped;
use crate::units::Units;

pub(crate) struct Session {
    pub(crate) options: Options,
    pub(crate) operator: Operator,
    /// The description of a file or of this program.
    pub(crate) given: Option<Description>,
    pub(crate) output: Output,
    /// Where the database is, for people.
    #[cfg(feature = "serve")]
    pub(crate) place: Option<String>,
}

impl Session {
    /// Opens the operator that the options choose.
    pub(crate) async fn open(
        options: Options,
        descriptions: Vec<Description>,
        units: &Units,
    ) -> Result<Self, Failure> {
        let given = given(&options, descriptions)?;
        let client = client(&options, units).await?;
        let mut builder = Operator::builder(&client).actor(actor(&options));
        if let Some(table) = &options.table {
            builder = builder.table(table);
        }
        if let Some(use_case) = &options.use_case {
            builder = builder.use_case_id(use_case);
        }
        if let Some(given) = &given {
            builder = builder.description(given.clone());
        }
        if let Some(reason) = &options.reason {
            builder = builder.reason(reason);
        }
        if options.read_only {
            builder = builder.read_only();
        }
        let has_table = options.table.is_some() || given.as_ref().is_some_and(|given| given.table.is_some());
        if !has_table {
            return Err(Failure::usage("no table is named: use --table, or set TRACKER_TABLE"));
        }
        let operator = builder.open().await?;
        let output = Output::new(options.output);
        #[cfg(feature = "serve")]
        let place = {
            let file = options.embedded.as_ref().map(|file| file.display().to_string());
            let region = || client.config().region().map(ToString::to_string);
            file.or_else(|| options.endpoint_url.clone()).or_else(region)
        };
        Ok(Self {
            options,
            operator,
            given,
            output,
            #[cfg(feature = "serve")]
            place,
        })
    }

    /// Says so if what is shown may be wrong, because the description is not that of the table.
    pub(crate) fn warn(&self) {
        let reasons = self.operator.why_read_only().iter().skip(usize::from(self.options.read_only));
        let reasons: Vec<_> = reasons.map(String::as_str).collect();
        if !reasons.is_empty() {
            anstream::eprintln!("tracker: what is shown may be wrong: {}", escaped(&reasons.join("; ")));
        }
    }

    /// Returns a filter with the step of the options.
    pub(crate) fn filter(&self, statuses: &[String], filter: &Filter) -> TaskFilter {
        let Filter { status, since, until, prefix, error, error_group } = filter.clone();
        let mut tasks = statuses.iter().chain(&status).fold(TaskFilter::new(), TaskFilter::status);
        if let Some(step) = &self.options.step {
            tasks = tasks.step(step);
        }
        if let Some(since) = since {
            tasks = tasks.since(since);
        }
        if let Some(until) = until {
            tasks = tasks.until(until);
        }
        if let Some(prefix) = prefix {
            tasks = tasks.id_prefix(prefix);
        }
        if let Some(error) = error {
            tasks = tasks.error(error);
        }
        if let Some(group) = error_group {
            tasks = tasks.error_group(group);
        }
        tasks
    }

    /// Returns the step that is named, or the only one.
    pub(crate) fn step(&self, name: Option<&str>) -> Result<String, Failure> {
        if let Some(name) = name.or(self.options.step.as_deref()) {
            return Ok(name.to_owned());
        }
        let steps = self.operator.description().map(|description| &description.steps);
        let names: Vec<_> = steps.into_iter().flat_map(|steps| steps.keys()).cloned().collect();
        match &names[..] {
            [only] => Ok(only.clone()),
            [] => Err(Failure::usage("name the step")),
            _ => {
                Err(Failure::usage(format!("the use case has several steps; name one: {}", names.join(", "))))
            }
        }
    }
}

/// Returns the description of a file, or that of this program which the options choose.
pub(crate) fn given(
    options: &Options,
    descriptions: Vec<Description>,
) -> Result<Option<Description>, Failure> {
    match &options.describe {
        Some(file) => read_description(file).map(Some),
        None => chosen(descriptions, options),
    }
}

/// Returns the description of this program that the options choose.
fn chosen(mut descriptions: Vec<Description>, options: &Options) -> Result<Option<Description>, Failure> {
    if descriptions.is_empty() {
        return Ok(None);
    }
    if let Some(use_case) = &options.use_case {
        descriptions.retain(|description| description.use_case_id == *use_case);
    }
    if let Some(step) = &options.step {
        descriptions
            .retain(|description| description.steps.keys().any(|name| name.eq_ignore_ascii_case(step)));
    }
    // A later step describes the steps before it.
    descriptions.sort_by_key(|description| std::cmp::Reverse(description.steps.len()));
    let use_cases: std::collections::BTreeSet<_> =
        descriptions.iter().map(|description| description.use_case_id.clone()).collect();
    if use_cases.len() > 1 {
        let names: Vec<_> = use_cases.into_iter().collect();
        return Err(Failure::usage(format!("name the use case with --use-case: {}", names.join(", "))));
    }
    Ok(descriptions.into_iter().reduce(|mut first, other| {
        for (name, step) in other.steps {
            first.steps.entry(name).or_insert(step);
        }
        first
    }))
}

pub(crate) fn read_description(file: &std::path::Path) -> Result<Description, Failure> {
    let name = file.display();
    let text =
        fs::read_to_string(file).map_err(|error| Failure::new(Exit::Error, format!("{name}: {error}")))?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::usage(format!("{name} is no description, as `tracker describe` prints it: {error}"))
    })
}

/// Returns who acts.
fn actor(options: &Options) -> String {
    options.actor.clone().unwrap_or_else(|| {
        let user = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|name| std::env::var(name).ok());
        let host = gethostname::gethostname();
        format!("{}@{}", user.unwrap_or_else(|| "somebody".to_owned()), host.to_string_lossy())
    })
}
