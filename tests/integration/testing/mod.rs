//! The clock and the network that `tracker_core::testing` provides.

mod aws_like;
mod clock;
mod network;
