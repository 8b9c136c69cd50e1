//! `serve`: a page to look at the tasks, and to act on them.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tracker_web::Page;

use crate::cli::{Options, Serve};
use crate::exit::{Exit, Failure};
use crate::interrupt::on_interrupt;
use crate::output::line;
use crate::session::Session;
use crate::units::Units;

pub(crate) async fn serve(session: Session, serve: Serve, units: &Units) -> Result<Exit, Failure> {
    let is_open = !serve.listen.ip().is_loopback();
    if is_open && serve.token.is_none() {
        return Err(Failure::usage("an address that other machines reach needs --token"));
    }
    if serve.token.as_ref().is_some_and(|token| token.len() < 12) {
        return Err(Failure::usage("the token is too short: at least 12 characters"));
    }
    if is_open && serve.host.is_empty() {
        let why = "an address that other machines reach needs --host: the name in the address bar of the browser, with its port";
        return Err(Failure::usage(why));
    }
    if serve.allow_writes && session.options.read_only {
        return Err(Failure::usage("--allow-writes and --read-only exclude each other"));
    }
    let listener = TcpListener::bind(serve.listen)
        .await
        .map_err(|error| Failure::new(Exit::Error, format!("{}: {error}", serve.listen)))?;
    let address = listener.local_addr()?;
    let Session { options, operator, place, .. } = session;
    let used = units.clone();
    let mut page = Page::new([operator])
        .hosts(hosts(&serve, address))
        .command(command(&options))
        .read_units_per_hour(serve.units_per_hour)
        .units_used(move || used.read());
    if let Some(place) = place {
        page = page.place(place);
    }
    if let Some(token) = &serve.token {
        page = page.token(token);
    }
    if serve.allow_writes {
        page = page.allow_writes();
    }
    if serve.hide_data {
        page = page.hide_data();
    }
    for field in &serve.redact {
        page = page.redact(field);
    }
    let shown = if address.ip().is_unspecified() { serve.host[0].clone() } else { address.to_string() };
    line(&format!("http://{shown}/"))?;
    anstream::eprintln!("Ctrl-C ends it");
    let stop = on_interrupt();
    // An open page keeps its connection, so the end does not wait for it.
    let changes = page.changes();
    let served = axum::serve(listener, page.into_router());
    tokio::select! {
        () = stop.cancelled() => {}
        served = async { served.await } => served?,
    }
    changes.finish().await;
    Ok(Exit::Done)
}

/// Returns the hosts that a browser may name.
fn hosts(serve: &Serve, address: SocketAddr) -> Vec<String> {
    let port = address.port();
    let mut hosts = serve.host.clone();
    if address.ip().is_loopback() {
        hosts.extend([address.to_string(), format!("localhost:{port}")]);
        if port == 80 {
            hosts.extend([address.ip().to_string(), "localhost".to_owned()]);
        }
    }
    hosts
}

/// Returns what a command on the same table begins with.
fn command(options: &Options) -> String {
    let mut command = "tracker".to_owned();
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            command = format!("{command} {name} {}", tracker_text::quoted(&value));
        }
    };
    add("--endpoint-url", options.endpoint_url.clone());
    add("--embedded", options.embedded.as_ref().map(|file| file.display().to_string()));
    add("--profile", options.profile.clone());
    add("--region", options.region.clone());
    add("--table", options.table.clone());
    add("--use-case", options.use_case.clone());
    command
}
