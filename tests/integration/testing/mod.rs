//! The clock and the network that `tracker_core::testing` provides.

mod clock;
mod network;
