//! Trackers: their configuration, and two of them on one item.

mod config;
mod pipeline;
