//! Requests and their answers: faults, delays, costs, and the clock of the service.

mod assumptions;
mod capacity;
mod dead_connections;
mod every_fault;
mod foreign_responses;
mod late_requests;
mod lost_answers;
mod not_sent;
mod service_clock;
mod transactions;
mod without_item;

/// How an attempt ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Succeed,
    Fail,
    Release,
}
