//! Events: for an observer, for `tracing` and for the `metrics` facade.

mod gauges;
mod observer;
mod reason;
mod recorder;
mod telemetry;
mod transition;

pub use recorder::install as install_recorder;
