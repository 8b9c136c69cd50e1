//! The commands, one file for each kind.

mod act;
mod check;
mod confirm;
mod describe;
mod doctor;
mod errors;
mod export;
mod get;
mod ids;
mod infra;
mod list;
mod pause;
#[cfg(feature = "serve")]
mod serve;
mod status;
mod stuck;
mod wait;

use clap::CommandFactory as _;
use tracker_core::{Action, Description};

use crate::cli::{Cli, Command};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::session::{self, Session};
use crate::units::Units;

/// Runs a command, prints why it failed if it did, and returns the code of the process.
pub(crate) async fn run(cli: Cli, descriptions: Vec<Description>) -> Exit {
    let units = Units::default();
    let (with_units, is_check) = (cli.options.units, matches!(cli.command, Command::Check { .. }));
    let ended = dispatch(cli, descriptions, &units).await;
    if with_units {
        anstream::eprintln!("{units}");
    }
    match ended {
        Ok(exit) => exit,
        Err(failure) if is_check => {
            let said = format!("UNKNOWN - {}", crate::output::text::escaped(&failure.message));
            // Nobody reads it if this fails.
            let _ = crate::output::line(&said);
            Exit::UNKNOWN
        }
        Err(failure) => {
            if failure.exit != Exit::Done {
                anstream::eprintln!("tracker: {}", crate::output::text::escaped(&failure.message));
            }
            failure.exit
        }
    }
}

async fn dispatch(cli: Cli, descriptions: Vec<Description>, units: &Units) -> Result<Exit, Failure> {
    let Cli { options, command } = cli;
    if let Command::Completions { shell } = command {
        let mut command = Cli::command();
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command, "tracker", &mut script);
        crate::output::line(&String::from_utf8_lossy(&script))?;
        return Ok(Exit::Done);
    }
    if let Command::Infra(infra) = &command {
        return infra::infra(infra, options, descriptions, units).await;
    }
    if let Some((name, forms)) = command.forms() {
        Output::new(options.output).check(name, forms)?;
    }
    // A description of this program, or of a file, can be printed before there is a table.
    let prints_given = matches!(command, Command::Describe { publish: false });
    let given = if prints_given { session::given(&options, descriptions.clone())? } else { None };
    let session = match (Session::open(options, descriptions, units).await, given) {
        (Err(failure), Some(given)) => return describe::without_table(&given, &failure),
        (session, _) => session?,
    };
    if command.shows_tasks() {
        session.warn();
    }
    match command {
        Command::Status { exact, rate } => status::status(&session, exact.cap(), rate).await,
        Command::Ls { statuses, filter, limit, all, newest, errors, after } => {
            let mut tasks = session.filter(&statuses, &filter);
            if errors {
                tasks = tasks.with_errors();
            }
            if newest {
                tasks = tasks.newest_first();
            }
            let limit = (!all).then_some(limit);
            list::list(&session, &tasks, limit, after.as_deref()).await
        }
        Command::Get { ids } => get::get(&session, ids).await,
        Command::Errors { statuses, filter, exact } => {
            errors::errors(&session, &session.filter(&statuses, &filter), exact.cap()).await
        }
        Command::Stuck { longer_than, limit } => stuck::stuck(&session, longer_than, limit).await,
        Command::Watch { every, times } => status::watch(&session, every, times).await,
        Command::Wait { id, timeout } => wait::wait(&session, &id, timeout).await,
        Command::Check { max_age, max, warn_age, warn } => {
            let critical = check::Limits { ages: max_age, counts: max };
            check::check(&session, &critical, &check::Limits { ages: warn_age, counts: warn }).await
        }
        Command::Redrive(bulk) => act::act(&session, Action::Redrive, bulk).await,
        Command::RunNow(bulk) => act::act(&session, Action::RunNow, bulk).await,
        Command::Cancel(bulk) => act::act(&session, Action::Cancel, bulk).await,
        Command::Release(bulk) => act::act(&session, Action::Release, bulk).await,
        Command::Delete(bulk) => act::act(&session, Action::Delete, bulk).await,
        Command::Pause { name, duration, until } => {
            pause::pause(&session, name.as_deref(), duration, until).await
        }
        Command::Resume { name } => pause::resume(&session, name.as_deref()).await,
        Command::Doctor { scan } => doctor::doctor(&session, scan).await,
        Command::Describe { publish } => describe::describe(&session, publish).await,
        Command::Export { statuses, filter } => {
            export::export(&session, &session.filter(&statuses, &filter)).await
        }
        #[cfg(feature = "serve")]
        Command::Serve(serve) => serve::serve(session, serve, units).await,
        // Both have ended above, because they need no table.
        Command::Infra(_) | Command::Completions { .. } => Ok(Exit::Done),
    }
}
