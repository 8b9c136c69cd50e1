//! `infra`: prints the table and the permissions as text, for whatever creates them.

use tracker_core::{Access, DefinitionError, Description, TableDefinition, iam_policy};

use crate::cli::{Infra, InfraForm, Options};
use crate::exit::{Exit, Failure};
use crate::output::line;
use crate::session::{self, Session};
use crate::units::Units;

/// Prints the text. A database is asked only if neither this program nor a file has a description, and the text needs one.
pub(crate) async fn infra(
    infra: &Infra,
    options: Options,
    descriptions: Vec<Description>,
    units: &Units,
) -> Result<Exit, Failure> {
    if infra.form == InfraForm::Iam {
        return iam(infra, &options, &descriptions);
    }
    let table = options.table.clone();
    let descriptions = match &options.describe {
        Some(file) => vec![session::read_description(file)?],
        None if descriptions.is_empty() => described(options, units).await?,
        None => descriptions.into_iter().filter(|description| is_chosen(description, &options)).collect(),
    };
    let definition = match table {
        Some(table) => TableDefinition::named(table, descriptions),
        None => TableDefinition::of(descriptions),
    };
    let definition = definition.map_err(|error| match error {
        DefinitionError::NoName => Failure::usage("no declaration names the table: use --table"),
        error => Failure::usage(error.to_string()),
    })?;
    let text = match infra.form {
        InfraForm::Cloudformation => definition.cloudformation(),
        InfraForm::Terraform => definition.terraform(),
        InfraForm::Cdk => definition.cdk_typescript(),
        InfraForm::CliJson | InfraForm::Iam => definition.cli_json(),
    };
    line(text.trim_end())?;
    Ok(Exit::Done)
}

/// Prints the policy of a role.
fn iam(infra: &Infra, options: &Options, descriptions: &[Description]) -> Result<Exit, Failure> {
    let Some(role) = infra.role else {
        let roles = Access::ALL.map(Access::name).join(", ");
        return Err(Failure::usage(format!("name the role with --for: {roles}")));
    };
    let declared = || descriptions.iter().find(|given| is_chosen(given, options))?.table.clone();
    let arn = match (&infra.arn, options.table.clone().or_else(declared)) {
        (Some(arn), _) => arn.clone(),
        (None, Some(table)) if table.starts_with("arn:") => table,
        (None, Some(table)) => {
            let region = options.region.as_deref().unwrap_or("*");
            format!("arn:aws:dynamodb:{region}:*:table/{table}")
        }
        (None, None) => return Err(Failure::usage("no table is named: use --table or --arn")),
    };
    line(iam_policy(role.into(), &arn).trim_end())?;
    Ok(Exit::Done)
}

fn is_chosen(description: &Description, options: &Options) -> bool {
    options.use_case.as_ref().is_none_or(|use_case| *use_case == description.use_case_id)
}

/// Returns the description that the table keeps.
async fn described(options: Options, units: &Units) -> Result<Vec<Description>, Failure> {
    let none =
        "there is no description: give one with --describe, or use a program that declares the use case";
    let session = Session::open(options, Vec::new(), units).await.map_err(|failure| Failure {
        message: format!("{none}; the table could not be asked for one: {}", failure.message),
        ..failure
    })?;
    let stored = session.operator.stored_description().cloned();
    stored.map(|stored| vec![stored]).ok_or_else(|| Failure::usage(none))
}
