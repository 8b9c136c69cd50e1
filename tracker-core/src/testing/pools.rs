//! The pools of connections that a network has seen, and which of their connections are dead.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::HttpConnectorSettings;

/// What the SDK tells pools of connections apart by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pool {
    pub(super) connect_timeout: Option<Duration>,
    pub(super) read_timeout: Option<Duration>,
}

impl From<&HttpConnectorSettings> for Pool {
    fn from(settings: &HttpConnectorSettings) -> Self {
        Self { connect_timeout: settings.connect_timeout(), read_timeout: settings.read_timeout() }
    }
}

/// How many connections of each pool are dead.
#[derive(Debug, Default)]
pub(super) struct Pools(BTreeMap<Pool, usize>);

impl Pools {
    pub(super) fn see(&mut self, pool: Pool) {
        self.0.entry(pool).or_default();
    }

    /// Makes connections of each pool die.
    pub(super) fn kill(&mut self, of_each: usize) {
        self.0.values_mut().for_each(|dead| *dead = of_each);
    }

    /// Takes a dead connection out of a pool. Returns false if there is none.
    pub(super) fn take_dead(&mut self, pool: Pool) -> bool {
        match self.0.get_mut(&pool) {
            Some(dead @ 1..) => {
                *dead -= 1;
                true
            }
            _ => false,
        }
    }
}
