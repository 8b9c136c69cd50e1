//! A proxy whose connections die silently, as those behind a load balancer or a suspended machine do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// A proxy in front of a database. It has a thread and a runtime of its own, so that no test can block it.
#[derive(Debug)]
pub struct Proxy {
    /// The address of the proxy, to be used instead of that of the database.
    pub endpoint: String,
    state: Arc<State>,
    _stop: tokio::sync::oneshot::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    accepted: AtomicUsize,
    /// The connections with a smaller number are dead.
    first_alive: AtomicUsize,
    swallowed: AtomicUsize,
}

impl Proxy {
    pub async fn start(database: &str) -> Self {
        let database = database.trim_start_matches("http://").to_owned();
        let (started, starts) = tokio::sync::oneshot::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let state = Arc::<State>::default();
        let of_thread = Arc::clone(&state);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                started.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = accept(listener, &database, &of_thread) => {}
                    _ = stopped => {}
                }
            });
        });
        let endpoint = format!("http://{}", starts.await.expect("a proxy that listens"));
        Self { endpoint, state, _stop: stop }
    }

    /// Makes all connections of now silent: nothing is forwarded on them any more, and they stay open. New connections
    /// work.
    pub fn silence_connections(&self) {
        self.state.first_alive.store(self.connections(), Ordering::SeqCst);
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// On how many silent connections something was sent.
    pub fn swallowed(&self) -> usize {
        self.state.swallowed.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, database: &str, state: &Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        let nth = state.accepted.fetch_add(1, Ordering::SeqCst);
        let Ok(server) = TcpStream::connect(database).await else { continue };
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        tokio::spawn(forward(nth, from_client, to_server, Arc::clone(state), true));
        tokio::spawn(forward(nth, from_server, to_client, Arc::clone(state), false));
    }
}

/// Forwards one direction of a connection, until the connection is dead. Counts a dead connection once, if it may.
async fn forward(
    nth: usize,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    state: Arc<State>,
    mut may_count: bool,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if nth < state.first_alive.load(Ordering::SeqCst) {
            state.swallowed.fetch_add(usize::from(may_count), Ordering::SeqCst);
            may_count = false;
        } else if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
