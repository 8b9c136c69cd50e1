//! How the page behaves.

use std::sync::Arc;

use crate::cache::Budget;

/// The options of a [`Page`](crate::Page).
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) writes: bool,
    pub(crate) hosts: Hosts,
    pub(crate) token: Option<String>,
    /// What every address on the page begins with, without a slash at its end.
    pub(crate) base: String,
    pub(crate) redacted: Vec<String>,
    pub(crate) hides_data: bool,
    /// Where the database is, for people.
    pub(crate) place: Option<String>,
    /// What a `tracker` command begins with.
    pub(crate) command: String,
    pub(crate) budget: Budget,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            writes: false,
            hosts: Hosts::Local,
            token: None,
            base: String::new(),
            redacted: Vec::new(),
            hides_data: false,
            place: None,
            command: "tracker".to_owned(),
            budget: Budget::new(1500.0),
        }
    }
}

/// Which values of the header `Host` are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hosts {
    /// The names of this machine, with any port.
    Local,
    /// Exactly these.
    These(Arc<[String]>),
    /// All: something in front of the page checks them.
    Any,
}

impl Hosts {
    pub(crate) fn allow(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(hosts) => hosts.iter().any(|own| own.eq_ignore_ascii_case(host)),
            Self::Local => {
                let (name, port) = match host.rsplit_once(':') {
                    Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
                    _ => (host, None),
                };
                let is_local =
                    ["localhost", "127.0.0.1", "[::1]"].iter().any(|own| own.eq_ignore_ascii_case(name));
                is_local && port.is_none_or(|port| port.parse::<u16>().is_ok())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_a_host_by_default() {
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1:8080", "[::1]", "[::1]:8080"] {
            assert!(Hosts::Local.allow(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "127.0.0.1:x",
            "10.0.0.1",
            "::1",
        ] {
            assert!(!Hosts::Local.allow(host), "{host}");
        }
        let these = Hosts::These(["127.0.0.1:8080".to_owned()].into());
        assert!(these.allow("127.0.0.1:8080") && !these.allow("127.0.0.1:8081"));
    }
}
