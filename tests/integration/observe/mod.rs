//! Events: for an observer, for `tracing` and for the `metrics` facade.

mod observer;
mod reason;
mod telemetry;
mod transition;
