//! Prints data on standard output: a table for people, JSON for programs, or ids for pipes.

mod table;
pub(crate) mod text;

use std::io::{self, IsTerminal as _, Write as _};

use clap::ValueEnum as _;
use serde::Serialize;
use serde_json::{Value, json};

pub(crate) use self::table::{Table, style_of};
use crate::cli::Form;
use crate::exit::{Exit, Failure};

/// The version of the JSON forms.
const VERSION: u32 = 1;

/// How data is printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) form: Form,
    /// The form of the arguments.
    asked: Option<Form>,
}

impl Output {
    pub(crate) fn new(form: Option<Form>) -> Self {
        let default = if io::stdout().is_terminal() { Form::Table } else { Form::Jsonl };
        Self { form: form.unwrap_or(default), asked: form }
    }

    pub(crate) fn is_table(self) -> bool {
        self.form == Form::Table
    }

    /// Refuses a form that a command does not have.
    pub(crate) fn check(self, command: &str, forms: &[Form]) -> Result<(), Failure> {
        let Some(asked) = self.asked.filter(|asked| !forms.contains(asked)) else { return Ok(()) };
        let name = |form: Form| form.to_possible_value().map(|value| value.get_name().to_owned());
        let asked = name(asked).unwrap_or_default();
        let forms: Vec<_> = forms.iter().filter_map(|form| name(*form)).collect();
        Err(Failure::usage(format!("{command} has no output `{asked}`, but {}", forms.join(", "))))
    }

    /// Prints records: a table, a document, lines, or the ids.
    pub(crate) fn records<R: Serialize>(
        self,
        name: &str,
        records: &[R],
        rest: Value,
        table: impl FnOnce() -> Table,
        id: impl Fn(&R) -> String,
    ) -> Result<(), Failure> {
        match self.form {
            Form::Table => table().print(),
            Form::Json => {
                let mut document = with_version(rest);
                document[name] = serde_json::to_value(records).map_err(io::Error::other)?;
                line(&serde_json::to_string_pretty(&document).map_err(io::Error::other)?)
            }
            Form::Jsonl => records.iter().try_for_each(record),
            Form::Ids => records.iter().try_for_each(|record| id_line(&id(record))),
        }
    }

    /// Prints one document as JSON.
    pub(crate) fn document<R: Serialize>(self, record: &R) -> Result<(), Failure> {
        let value = with_version(serde_json::to_value(record).map_err(io::Error::other)?);
        match self.form {
            Form::Jsonl => line(&value.to_string()),
            _ => line(&serde_json::to_string_pretty(&value).map_err(io::Error::other)?),
        }
    }
}

/// Prints one record as a line of JSON.
pub(crate) fn record<R: Serialize>(record: &R) -> Result<(), Failure> {
    let value = with_version(serde_json::to_value(record).map_err(io::Error::other)?);
    line(&value.to_string())
}

/// Adds the version to a JSON object, as its first member.
fn with_version(value: Value) -> Value {
    let mut document = json!({ "v": VERSION });
    if let (Some(document), Value::Object(members)) = (document.as_object_mut(), value) {
        for (name, value) in members {
            document.insert(name, value);
        }
    }
    document
}

/// Prints an id for a pipe. An id with a control character would be another id, or several, for the next program.
pub(crate) fn id_line(id: &str) -> Result<(), Failure> {
    if id.chars().any(char::is_control) {
        let why = format!("the id {id:?} has control characters: use -o jsonl");
        return Err(Failure::new(Exit::Error, why));
    }
    line(id)
}

/// Prints a line of data.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(())
}
